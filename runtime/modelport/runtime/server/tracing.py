"""Sends a span a request by OpenTelemetry, which its own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, ...) configure.

Attributes: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

import threading
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from modelport.runtime.extras import needed_by

with needed_by("tracing"):
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from .request import Trace
    from .responses import Response
    from .site import Visit

_SERVER_FAULT: Final = 500
#: Seconds in which the last spans must be sent: nobody may be there to take them.
_LAST: Final = 2.0


class Tracing:
    """Notes requests as spans. They are sent from a thread of its own; used by the event loop alone."""

    def __init__(self) -> None:
        """Get ready to send; raises `MissingExtraError` where OpenTelemetry is not installed."""
        self._ids = _Ids()
        defaults = Resource({SERVICE_NAME: "modelport"})
        self._provider = TracerProvider(
            resource=defaults.merge(OTELResourceDetector().detect()), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("modelport", version("modelport"))

    def note(self, visit: Visit, response: Response, *, seconds: float, queued: float) -> None:
        """Note a request that was answered just now: in the trace that it came with, under the id that it was told."""
        head, found = visit.head, visit.ids.trace
        ended = time.time_ns()
        endpoint = visit.route.endpoint if visit.route is not None else "unknown"
        attributes: dict[str, str | int | float] = {
            "http.request.method": head.method,
            "url.path": head.path,
            "http.response.status_code": response.status,
            "http.response.body.size": len(response.body),
            "modelport.request_id": visit.ids.request,
            "modelport.queued_seconds": queued,
        }
        if visit.scores:
            model, number, digest = visit.known()
            attributes |= {"modelport.model": model, "modelport.version": number, "modelport.digest": digest}
        self._ids.span = found.span if found is not None else None
        span = self._tracer.start_span(
            f"{head.method} {endpoint}",
            context=None if found is None else _context(found),
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
            start_time=ended - round(seconds * 1e9),
        )
        if response.status >= _SERVER_FAULT:
            span.set_status(trace.StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Send what has not been sent yet, and wait a while for that."""
        sending = threading.Thread(target=self._provider.force_flush, daemon=True)
        sending.start()
        sending.join(_LAST)


class _Ids(RandomIdGenerator):
    """Gives a span the id that its client was told."""

    def __init__(self) -> None:
        self.span: str | None = None

    def generate_span_id(self) -> int:
        return super().generate_span_id() if self.span is None else int(self.span, 16)


def _context(found: Trace) -> Context:
    parent = trace.SpanContext(
        int(found.trace, 16), int(found.parent, 16), is_remote=True, trace_flags=trace.TraceFlags(int(found.flags, 16))
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))
