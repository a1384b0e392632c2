"""Spans reach a collector of OpenTelemetry's protocol, in the trace that their request came with."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import servers
import tiny_models
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Takes spans over HTTP as an OpenTelemetry collector does, and remembers them."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                for found in ExportTraceServiceRequest.FromString(content).resource_spans:
                    names = {item.key: item.value.string_value for item in found.resource.attributes}
                    collector.services.add(names["service.name"])
                    for scope in found.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


def attributes(span: Any) -> dict[str, Any]:
    """Return a span's attributes as Python's values."""
    found = {}
    for item in span.attributes:
        kind = item.value.WhichOneof("value")
        found[item.key] = getattr(item.value, kind)
    return found


def test_a_span_is_sent_for_each_request_under_the_id_that_its_client_was_told(
    package: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "scores")
    with servers.serving(package, tracing="true") as server:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "r-1"}
        answer = server.ask("/v2/models/linear/infer", BODY, headers=headers)
        server.ask("/v2/models/linear/infer", b"{")
        assert server.stop() == 0
    assert collector.services == {"scores"}
    mine, other = sorted(collector.spans, key=lambda span: span.trace_id.hex() != TRACE)
    assert (mine.trace_id.hex(), mine.parent_span_id.hex()) == (TRACE, PARENT)
    assert answer.headers["traceparent"] == f"00-{TRACE}-{mine.span_id.hex()}-01"
    assert mine.name == other.name == "POST infer"
    assert mine.end_time_unix_nano > mine.start_time_unix_nano
    said = attributes(mine)
    assert (said["http.response.status_code"], said["modelport.request_id"]) == (200, "r-1")
    assert (said["modelport.model"], said["modelport.version"], said["modelport.digest"]) == (
        "linear",
        "1",
        server.digest,
    )
    assert attributes(other)["http.response.status_code"] == 400
    assert not other.parent_span_id


def test_a_trace_that_is_not_sampled_is_not_sent(
    package: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    with servers.serving(package, tracing="true") as server:
        server.ask("/v2/models/linear/infer", BODY, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        assert server.stop() == 0
    assert collector.spans == []


def test_without_a_collector_requests_are_answered_and_the_server_stops(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with servers.serving(package, tracing="true") as server:
        assert server.ask("/v2/models/linear/infer", BODY).status == 200
        assert server.stop() == 0
