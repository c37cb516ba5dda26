"""Traces with OpenTelemetry, sent by OTLP over HTTP. Imported only if traces are on.

The SDK itself reads most variables: the endpoint, headers, certificates, the sampler, limits and resource attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kargoweb import VERSION, tracing
from kargoweb.tracing import Kind, Value

_KINDS = {
    Kind.INTERNAL: trace.SpanKind.INTERNAL,
    Kind.SERVER: trace.SpanKind.SERVER,
    Kind.CLIENT: trace.SpanKind.CLIENT,
}
_PROPAGATOR = TraceContextTextMapPropagator()


class OtelSpan:
    """A span of the SDK."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes; empty texts are left out."""
        self._span.set_attributes(_present(attributes))

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._span.update_name(name)

    def fail(self, reason: str) -> None:
        """Mark it as failed."""
        self._span.set_status(trace.StatusCode.ERROR)
        self._span.set_attribute("error.type", reason)


class OtelTracer:
    """The tracer of a serving process."""

    def __init__(self) -> None:
        resource = Resource.create({"service.version": VERSION})
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "kargoweb"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("kargoweb", VERSION)

    @contextmanager
    def span(
        self, name: str, kind: Kind, parent: str, link: str, attributes: Mapping[str, Value]
    ) -> Iterator[tracing.Span]:
        """See `tracing.span`."""
        with self._tracer.start_as_current_span(
            name,
            context=_context(parent) if parent else None,
            kind=_KINDS[kind],
            links=_links(link),
            attributes=_present(attributes),
            # The text of an exception may quote what must not leave this process.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            current = OtelSpan(span)
            try:
                yield current
            except Exception as error:
                current.fail(type(error).__name__)
                raise

    def record(
        self, name: str, began: datetime, ended: datetime, link: str, attributes: Mapping[str, Value]
    ) -> None:
        """See `tracing.record`."""
        span = self._tracer.start_span(
            name,
            context=context.Context(),
            links=_links(link),
            attributes=_present(attributes),
            start_time=_nanoseconds(began),
        )
        span.end(_nanoseconds(ended))

    def traceparent(self) -> str:
        """See `tracing.traceparent`."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent", "")

    def stop(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _context(parent: str) -> context.Context:
    return _PROPAGATOR.extract({"traceparent": parent}, context.Context())


def _links(link: str) -> list[trace.Link]:
    earlier = (
        trace.get_current_span(_context(link)).get_span_context() if link else trace.INVALID_SPAN_CONTEXT
    )
    return [trace.Link(earlier)] if earlier.is_valid else []


def _present(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value != ""}


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000
