"""Passes requests on to Kargo's own external webhooks server, unchanged, as a reverse proxy does.

There is one upstream, from the configuration: no redirect is followed, no proxy of the environment is used, and nothing
in a request selects another address. Each request has a connection of its own and is sent once.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Timer
from typing import Final
from urllib.parse import SplitResult, urlsplit

from kargoweb.upstream_settings import UpstreamConfiguration
from receivers.cluster.cache import ClusterCache
from receivers.cluster.snapshot import Route
from receivers.kargo import responses
from receivers.kargo.resources import Receiver
from receivers.kargo.responses import WebhookResponse
from receivers.kargo.scopes import scope_name
from receivers.models import Delivery, Outcome
from receivers.webhook.incoming import IncomingRequest
from receivers.webhook.results import IntakeResult

log = logging.getLogger(__name__)

EVERYTHING: Final = "all"
CONNECT_TIMEOUT: Final = 3.0  # seconds; the server is in the same cluster
MAX_ANSWER: Final = 1 << 20
"""Bytes; Kargo's answers have some hundred, and those of the kind `generic` some thousand."""

_UNSUPPORTED: Final = re.compile(rb'\{"error":"(event type .* is not supported|unsupported event type)"')
_VIA: Final = "1.1 kargoweb"
# RFC 9110, section 7.6.1.
_HOP_BY_HOP: Final = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    )
)  # fmt: skip
_OF_THIS_HOP: Final = frozenset(
    ("host", "content-length", "expect", "accept-encoding", "via", "x-forwarded-for")
)
# The pages of kargoweb have the same host name, so no cookie of the upstream is passed on.
_NOT_PASSED_BACK: Final = frozenset(("content-length", "date", "server", "set-cookie", "x-kargoweb-delivery"))


class _AnswerTooLarge(Exception):
    """The upstream sent more than `MAX_ANSWER` bytes."""


@dataclass(frozen=True)
class Upstream:
    """Kargo's server at `url`, for the kinds and receivers in `entries`.

    `entries` are names of kinds, receivers as `project/receiver` or `cluster/receiver`, or `all`. `ca_file` has the
    certificates to trust instead of the system's, and `server_name` is the name in the server's certificate; both may
    be empty.
    """

    url: str
    entries: frozenset[str]
    ca_file: str = ""
    server_name: str = ""

    def serves(self, route: Route) -> bool:
        """Say whether requests to a receiver are passed on."""
        return not self.entries.isdisjoint(
            {EVERYTHING, route.kind, f"{scope_name(route.project)}/{route.receiver}"}
        )

    def forward(
        self,
        path: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        *,
        client_address: str,
        deadline: float,
    ) -> IntakeResult:
        """Pass a request on. Return the upstream's response, or 502, 504 or 508 if there is none.

        `path` is below the base path of Kargo's server, and includes the query string. `deadline` is in
        `time.monotonic` seconds.
        """
        fields = list(headers)
        if any(name.lower() == "via" and _VIA in value for name, value in fields):
            return _failed(HTTPStatus.LOOP_DETECTED, "KARGOWEB_UPSTREAM leads back to kargoweb")
        try:
            response = self._exchange(path, _passed_on(fields, client_address), body, deadline)
        except TimeoutError:
            return _failed(HTTPStatus.GATEWAY_TIMEOUT, "Kargo's server did not answer in time")
        except _AnswerTooLarge:
            return _failed(
                HTTPStatus.BAD_GATEWAY, f"Kargo's server answered with more than {MAX_ANSWER:,} bytes"
            )
        except (HTTPException, OSError, ValueError) as error:
            log.warning("cannot pass a request on to %s: %r", self.url, error)
            return _failed(HTTPStatus.BAD_GATEWAY, f"Kargo's server cannot be reached: {_short(error)}")
        reason = f"passed on; Kargo's own server answered {response.status}"
        return IntakeResult(_outcome(response), response, reason)

    @property
    def host(self) -> str:
        """Return the host of the server, with its port if that is not the default."""
        return self._parts.netloc.rpartition("@")[2]

    @cached_property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file or None)

    def _connection(self, timeout: float) -> HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme == "https":
            return _NamedHTTPSConnection(
                host,
                self._parts.port,
                timeout=timeout,
                context=self._tls,
                server_name=self.server_name or host,
            )
        return HTTPConnection(host, self._parts.port, timeout=timeout)

    def _exchange(
        self, path: str, headers: list[tuple[str, str]], body: bytes, deadline: float
    ) -> WebhookResponse:
        """Send a request. Raise `TimeoutError`, `_AnswerTooLarge`, or what the connection raises."""
        connection = self._connection(min(CONNECT_TIMEOUT, _remaining(deadline)))
        with closing(connection):
            connection.connect()
            with _time_limit(connection, deadline):
                connection.putrequest("POST", self._parts.path.rstrip("/") + path, skip_accept_encoding=True)
                for name, value in headers:
                    connection.putheader(name, value)
                connection.putheader("Content-Length", str(len(body)))
                connection.putheader("Connection", "close")
                connection.endheaders(body)
                with closing(connection.getresponse()) as response:
                    return WebhookResponse(response.status, _read(response), _passed_back(response))


def configured_upstream(configuration: UpstreamConfiguration) -> Upstream | None:
    """Return the upstream of a configuration, None if it has none."""
    if not configuration.url:
        return None
    return Upstream(
        configuration.url,
        frozenset(configuration.entries),
        configuration.ca_file,
        configuration.server_name,
    )


def passes_on(upstream: Upstream | None, project: str, receiver: Receiver) -> bool:
    """Say whether requests to a receiver of a project (empty: the cluster) are passed on."""
    return upstream is not None and upstream.serves(Route(project, receiver.name, receiver.kind))


def pass_on(upstream: Upstream, request: IncomingRequest, body: bytes, deadline: float) -> IntakeResult:
    """Pass a request on unchanged. Only what precedes kind and digest in its path is the upstream's own."""
    path = f"/{request.kind}/{request.digest}" + (f"?{request.query}" if request.query else "")
    return upstream.forward(
        path, request.headers, body, client_address=request.client_address, deadline=deadline
    )


def pass_on_again(
    upstream: Upstream, cache: ClusterCache, delivery: Delivery, signature: Mapping[str, str], deadline: float
) -> IntakeResult:
    """Pass a stored delivery on, to the current URL of its receiver, with these headers instead of credentials."""
    config = cache.config(delivery.project)
    published = config.published if config else ()
    digest = next((each.digest for each in published if each.name == delivery.receiver), "")
    if not digest:
        return _failed(HTTPStatus.BAD_GATEWAY, "the receiver has no URL")
    query = delivery.path.partition("?")[2]
    signed = {name.lower() for name in signature}
    headers = [(name, value) for name, value in delivery.headers if name.lower() not in signed]
    return upstream.forward(
        f"/{delivery.kind}/{digest}" + (f"?{query}" if query else ""),
        [*headers, *signature.items()],
        delivery.body,
        client_address=delivery.client_address,
        deadline=deadline,
    )


class _NamedHTTPSConnection(HTTPSConnection):
    """A connection to a server whose certificate may have another name than the one it is reached by."""

    def __init__(
        self, host: str, port: int | None, *, timeout: float, context: ssl.SSLContext, server_name: str
    ) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._tls_context = context
        self._server_name = server_name

    def connect(self) -> None:
        """Connect, and verify the server's certificate."""
        HTTPConnection.connect(self)
        self.sock = self._tls_context.wrap_socket(self.sock, server_hostname=self._server_name)


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


@contextmanager
def _time_limit(connection: HTTPConnection, deadline: float) -> Iterator[None]:
    """Shut the connection down at the deadline: a response that trickles in exceeds no time-out of a single read.

    Raise `TimeoutError` for whatever fails after the deadline.
    """
    remaining = _remaining(deadline)
    connected = connection.sock
    connected.settimeout(remaining)

    def shut_down() -> None:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = Timer(remaining, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (HTTPException, OSError) as error:
        if time.monotonic() >= deadline:
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
    if time.monotonic() >= deadline:
        raise TimeoutError  # perhaps only the beginning of the response was read


def _read(response: HTTPResponse) -> bytes:
    body = response.read(MAX_ANSWER + 1)
    if len(body) > MAX_ANSWER:
        raise _AnswerTooLarge
    if response.length:  # http.client takes an early end for the end
        raise IncompleteRead(body, response.length)
    return body


def _end_to_end(fields: Iterable[tuple[str, str]], dropped: frozenset[str]) -> list[tuple[str, str]]:
    """Return the fields that are meant for the other end: not those of this connection, nor `dropped`."""
    fields = list(fields)
    named = {
        option.strip().lower()
        for name, value in fields
        if name.lower() == "connection"
        for option in value.split(",")
    }
    return [(name, value) for name, value in fields if name.lower() not in _HOP_BY_HOP | named | dropped]


def _passed_on(fields: list[tuple[str, str]], client_address: str) -> list[tuple[str, str]]:
    """Return the header fields for the upstream."""
    via = [value for name, value in fields if name.lower() == "via"]
    forwarded = [value for name, value in fields if name.lower() == "x-forwarded-for"]
    return [
        *_end_to_end(fields, _OF_THIS_HOP),
        ("Accept-Encoding", "identity"),  # the answer is recorded
        ("Via", ", ".join([*via, _VIA])),
        ("X-Forwarded-For", ", ".join([*forwarded, client_address])),
    ]


def _passed_back(response: HTTPResponse) -> tuple[tuple[str, str], ...]:
    return tuple(_end_to_end(response.getheaders(), _NOT_PASSED_BACK))


def _outcome(response: WebhookResponse) -> Outcome:
    """Return the outcome of a request that was answered. Events that no receiver handles are no error."""
    if response.status < HTTPStatus.BAD_REQUEST:
        return Outcome.FORWARDED
    return Outcome.UNSUPPORTED_EVENT if _UNSUPPORTED.match(response.body) else Outcome.FORWARD_REFUSED


def _failed(status: HTTPStatus, reason: str) -> IntakeResult:
    answer = responses.refused(status, f"{status.phrase.lower()}; please send it again later")
    return IntakeResult(Outcome.FORWARD_FAILED, answer, reason)


def _short(error: Exception) -> str:
    """Return what failed, without what a server sent."""
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
