"""Traces, if the environment asks for them (`OTEL_*`). Otherwise these functions do nothing, and quickly.

No attribute has a body, a header, a token, or the path or query of a URL: the path of a receiver URL is its credential.
That is also why no ready-made instrumentation is used, which puts URLs into attributes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from django.http import HttpRequest, HttpResponse

Value = str | int | float | bool

UNTRACED: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # probes and scrapes, every few seconds
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
RECEIVER_ROUTE: Final = "/{kind}/{digest}"
STOP_SECONDS: Final = 3.0  # for the last spans to be sent


class Kind(StrEnum):
    """The role of a span in a request."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class Span(Protocol):
    """A span that has begun."""

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes; empty texts are left out."""
        ...

    def rename(self, name: str) -> None:
        """Give it another name."""
        ...

    def fail(self, reason: str) -> None:
        """Mark it as failed."""
        ...


class Tracer(Protocol):
    """What `kargoweb.otel` implements."""

    def span(
        self, name: str, kind: Kind, parent: str, link: str, attributes: Mapping[str, Value]
    ) -> AbstractContextManager[Span]:
        """See `span`."""
        ...

    def record(
        self, name: str, began: datetime, ended: datetime, link: str, attributes: Mapping[str, Value]
    ) -> None:
        """See `record`."""
        ...

    def traceparent(self) -> str:
        """See `traceparent`."""
        ...

    def stop(self) -> None:
        """Send what is left."""
        ...


class _NoSpan:
    def set(self, attributes: Mapping[str, Value]) -> None:
        pass

    def rename(self, name: str) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


_NO_SPAN: Final = _NoSpan()
_tracer: Tracer | None = None


def start(tracer: Tracer) -> None:
    """Trace with this tracer from now on."""
    global _tracer  # noqa: PLW0603 - one per process, set at its start
    _tracer = tracer


def stop() -> None:
    """Send the spans that have ended, and trace no more. Waits `STOP_SECONDS` at most."""
    global _tracer
    tracer, _tracer = _tracer, None
    if tracer is not None:
        thread = threading.Thread(target=tracer.stop, name="tracing-stop", daemon=True)
        thread.start()
        thread.join(STOP_SECONDS)


def span(
    name: str,
    kind: Kind = Kind.INTERNAL,
    *,
    parent: str = "",
    link: str = "",
    attributes: Mapping[str, Value] | None = None,
) -> AbstractContextManager[Span]:
    """Return a context manager for a span. It fails, with the type of the exception, if one leaves the block.

    `parent` is a W3C traceparent; without one, the span belongs to the current one of this thread. `link` is the
    traceparent of something earlier that led to it.
    """
    if _tracer is None:
        return _NO_SPAN
    return _tracer.span(name, kind, parent, link, attributes or {})


def record(
    name: str, began: datetime | None, ended: datetime | None, *, link: str, attributes: Mapping[str, Value]
) -> None:
    """Record a span that is over, in a trace of its own. Without both times, nothing is recorded."""
    if _tracer is not None and began is not None and ended is not None:
        _tracer.record(name, began, ended, link, attributes)


def traceparent() -> str:
    """Return the W3C traceparent of the current span; empty if there is none."""
    return _tracer.traceparent() if _tracer is not None else ""


def trace_id(parent: str) -> str:
    """Return the trace id of a traceparent; empty if it is empty."""
    parts = parent.split("-")
    return parts[1] if len(parts) == 4 else ""


def trace_requests(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Return middleware with a span for each request, which continues the trace of the client.

    Listed before all other middleware, and only if traces are configured.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info in UNTRACED:
            return get_response(request)
        method = request.method if request.method in METHODS else "_OTHER"
        with span(method, Kind.SERVER, parent=request.headers.get("traceparent", "")) as current:
            response = get_response(request)
            route = _route(request)
            if route:
                current.rename(f"{method} {route}")
            status = response.status_code
            current.set(
                {"http.request.method": method, "http.route": route, "http.response.status_code": status}
            )
            if status >= 500:
                current.fail(str(status))
            return response

    return middleware


def _route(request: HttpRequest) -> str:
    match = request.resolver_match
    if match is None:
        return ""
    return RECEIVER_ROUTE if match.view_name == "webhook" else f"/{match.route}"
