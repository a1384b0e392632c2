"""What Prometheus reads at `/metrics`: our names, and Triton's beside them, so that its dashboards work.

The numbers of all workers of a server are kept in files that they share, so any worker tells them all, and those of a
worker that was killed are not lost (prometheus-client's multiprocess mode). Triton's names and units:
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from .responses import Response
from .shared import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from modelport.runtime.dataplane import Served
    from modelport.runtime.scorer import Scorer

_LABELS: Final = ("model", "version")
_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_HEADERS: Final = (("content-type", CONTENT_TYPE_LATEST), ("cache-control", "no-store"))
# Triton's reasons, from our errors by the name of their class; all others are OTHER.
_REASONS: Final = {
    **dict.fromkeys(("OverloadedError", "NotReadyError", "DeadlineExceededError"), "REJECTED"),
    **dict.fromkeys(("ScoringError", "UnscorableInputError", "ScriptError"), "BACKEND"),
    "DisconnectedError": "CANCELED",
}
# Triton's name, its sentence, our sample, and the factor to its unit.
_ALIASES: Final = (
    ("nv_inference_request_success", "Successful inference requests", "modelport_request_success_total", 1),
    ("nv_inference_count", "Inferences (rows)", "modelport_rows_total", 1),
    ("nv_inference_exec_count", "Executions", "modelport_request_success_total", 1),
    ("nv_inference_request_duration_us", "Request duration", "modelport_request_duration_seconds_sum", 1e6),
    ("nv_inference_queue_duration_us", "Time in the queue", "modelport_queue_duration_seconds_total", 1e6),
    ("nv_inference_compute_input_duration_us", "Input handling", "modelport_input_duration_seconds_total", 1e6),
    ("nv_inference_compute_infer_duration_us", "Inference", "modelport_score_duration_seconds_total", 1e6),
    ("nv_inference_pending_request_count", "Pending requests", "modelport_pending_requests", 1),
)
_FAILURE: Final = "modelport_request_failure_total"


def count_as(process: int) -> None:
    """Have prometheus-client take this process for `process` for good; it would ask the system at every count."""
    if DIRECTORY in os.environ:
        values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]


class Metrics:
    """An observer of the data plane that exports what it is told; `models` gives what is served now."""

    def __init__(self, models: Callable[[], Iterable[Scorer]]) -> None:
        self._models = models
        self._registry = CollectorRegistry()
        self._successes = self._counter("request_success", "Requests that were answered")
        self._failures = self._counter("request_failure", "Requests that failed, by the error", "reason")
        self._rows = self._counter("rows", "Rows that were scored")
        self._queued = self._counter("queue_duration_seconds", "Seconds that requests waited for their turn")
        self._input = self._counter("input_duration_seconds", "Seconds in the data plane beside the scorer")
        self._score = self._counter("score_duration_seconds", "Seconds in the scorer")
        self._seconds = Histogram(
            "modelport_request_duration_seconds",
            "Seconds from a request's head to its answer",
            _LABELS,
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._pending = Gauge(
            "modelport_pending_requests",
            "Requests that wait for their turn or are scored",
            _LABELS,
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._children: dict[tuple[Served | str, ...], Any] = {}

    def succeed(self, served: Served, *, rows: int, infer_ns: int, score_ns: int) -> None:
        """Count an answered request."""
        self._of(self._successes, served).inc()
        self._of(self._rows, served).inc(rows)
        self._of(self._input, served).inc((infer_ns - score_ns) / 1e9)
        self._of(self._score, served).inc(score_ns / 1e9)

    def fail(self, served: Served, error: Exception) -> None:
        """Count a request that ended with `error`."""
        self._of(self._failures, served, type(error).__name__).inc()

    def began(self, served: Served) -> None:
        """Count a request in that is to be scored."""
        self._of(self._pending, served).inc()

    def ended(self, served: Served, *, seconds: float, queued: float) -> None:
        """Count it out, with the seconds that it took in all and waited for its turn."""
        self._of(self._pending, served).dec()
        self._of(self._seconds, served).observe(seconds)
        if queued:
            self._of(self._queued, served).inc(queued)

    def response(self) -> Response:
        """Return the metrics of all workers in Prometheus' text format."""
        return Response(200, _HEADERS, generate_latest(self))

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family, as a registry of prometheus-client does."""
        families = list(self._source().collect())
        yield from families
        yield from _aliases(families)
        yield self._info()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"modelport_{name}", text, (*_LABELS, *labels), registry=self._registry)

    def _of(self, metric: Any, served: Served, *more: str) -> Any:
        key = (served, metric._name, *more)  # noqa: SLF001  the lookup by labels costs ten times as much
        if (child := self._children.get(key)) is None:
            child = self._children[key] = metric.labels(*served, *more)
        return child

    def _source(self) -> CollectorRegistry:
        if DIRECTORY not in os.environ:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def _info(self) -> Metric:
        family = Metric("modelport_model_info", "The models that are served now", "gauge")
        for scorer in self._models():
            manifest = scorer.manifest
            labels = {"model": manifest.name, "version": manifest.version, "digest": scorer.digest}
            family.add_sample("modelport_model_info", labels, 1)
        return family


def _aliases(families: Iterable[Metric]) -> Iterator[Metric]:
    """Yield what Triton calls our metrics. Its counters have no suffix, so here they are of no type."""
    samples: dict[str, list[Any]] = {}
    for family in families:
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample)
    for name, text, ours, factor in _ALIASES:
        alias = Metric(name, text, "unknown")
        for sample in samples.get(ours, ()):
            alias.add_sample(name, sample.labels, sample.value * factor)
        yield alias
    yield _failures(samples.get(_FAILURE, ()))


def _failures(samples: Iterable[Any]) -> Metric:
    name = "nv_inference_request_failure"
    counts: dict[tuple[str, str, str], float] = {}
    for sample in samples:
        reason = _REASONS.get(sample.labels["reason"], "OTHER")
        key = (sample.labels["model"], sample.labels["version"], reason)
        counts[key] = counts.get(key, 0.0) + sample.value
    alias = Metric(name, "Failed inference requests", "unknown")
    for (model, version, reason), count in counts.items():
        alias.add_sample(name, {"model": model, "version": version, "reason": reason}, count)
    return alias
