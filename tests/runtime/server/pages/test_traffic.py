"""The figures of the console: what they make of the metrics, and when they look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hostile_models import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from served_pages import behind, open_page, score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from browser import Browser, Page
    from servers import Server

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
MODEL: Final = ("model", "version")


class Traffic:
    """Metrics as a server exports them, for a test to change."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.success = Counter("modelport_request_success", "s", MODEL, registry=self.registry)
        self.failure = Counter("modelport_request_failure", "f", (*MODEL, "reason"), registry=self.registry)
        self.rows = Counter("modelport_rows", "r", MODEL, registry=self.registry)
        self.duration = Histogram(
            "modelport_request_duration_seconds", "d", MODEL, registry=self.registry, buckets=BOUNDS
        )
        self.pending = Gauge("modelport_pending_requests", "p", registry=self.registry)
        self.info = Gauge("modelport_model_info", "i", (*MODEL, "digest"), registry=self.registry)

    def serve(self, seconds: Sequence[float], model: str = "table", *, rows: int = 1) -> None:
        """Count requests that took so long, each of so many rows."""
        self.success.labels(model, "1").inc(len(seconds))
        self.rows.labels(model, "1").inc(rows * len(seconds))
        for each in seconds:
            self.duration.labels(model, "1").observe(each)

    def text(self) -> str:
        """Return what Prometheus would read."""
        return generate_latest(self.registry).decode()


@pytest.fixture(scope="module")
def console(chromium: Browser, table: Server) -> Iterator[Page]:
    """A console whose functions are called."""
    page = chromium.page()
    open_page(page, table, "console")
    page.evaluate("find('pause').click()")
    page.wait_for("!polling")
    yield page
    page.close()


def figures(console: Page, before: str, after: str, seconds: float) -> dict[str, float | None]:
    """Return what the console makes of two looks at the metrics."""
    texts = json.dumps([before, after])
    script = f"readings = {texts}.map((text, index) => readingOf(text, index * {seconds * 1000})), figuresOf()"
    found: dict[str, float | None] = console.evaluate(script)
    return found


@settings(max_examples=40)
@given(st.lists(st.floats(0, 0.9), max_size=20), st.lists(st.floats(0, 0.9), min_size=1, max_size=60))
def test_quantiles_lie_in_the_bucket_of_the_true_ones(console: Page, earlier: list[float], later: list[float]) -> None:
    traffic = Traffic()
    traffic.serve(earlier)
    traffic.serve([0.7] * 9, "another")
    before = traffic.text()
    traffic.serve(later)
    found = figures(console, before, traffic.text(), 10)
    for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        index = np.searchsorted(BOUNDS, np.quantile(later, part, method="inverted_cdf"))
        told = found[name]
        assert told is not None
        assert (0, *BOUNDS)[index] <= told <= BOUNDS[index] * (1 + 1e-12)


def test_rates_and_failures_are_those_of_the_model_between_two_looks(console: Page) -> None:
    traffic = Traffic()
    traffic.serve([0.002] * 5)
    traffic.failure.labels("table", "1", "OTHER").inc(3)
    before = traffic.text()
    traffic.serve([0.002] * 30, rows=4)
    traffic.serve([0.002] * 500, "another")
    traffic.failure.labels("table", "1", "REJECTED").inc(8)
    traffic.failure.labels("table", "1", "OTHER").inc(2)
    traffic.pending.set(7)
    found = figures(console, before, traffic.text(), 8)
    assert (found["rate"], found["rows"], found["failures"], found["pending"]) == (5, 15, 10, 7)
    none = dict.fromkeys(("p50", "p95", "p99"))
    assert figures(console, before, before, 8) == {"rate": 0, "rows": 0, "failures": 0, "pending": 0, **none}
    assert console.evaluate("readings = [readings[0]], figuresOf().rate") is None


def test_metrics_are_read_as_prometheus_reads_them(console: Page) -> None:
    traffic = Traffic()
    for name in (*HOSTILE, 'a\\b"c\nd}', "{", ",", ""):
        traffic.failure.labels(name, "1", "\\n").inc(3e12)
    text = traffic.text()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    read = [{"name": sample.name, "labels": sample.labels, "value": sample.value} for sample in samples]
    assert console.evaluate(f"linesOf({json.dumps(text)})") == read


#: Lets a test leave the page, and shows which timers wait.
HIDEABLE: Final = """{
  const [set, clear] = [setTimeout, clearTimeout];
  window.timers = new Set();
  window.setTimeout = (call, after) => {
    const id = set(() => { timers.delete(id); call(); }, after);
    timers.add(id);
    return id;
  };
  window.clearTimeout = (id) => { timers.delete(id); clear(id); };
  window.away = false;
  Object.defineProperty(document, 'hidden', { get: () => away });
  window.leave = (gone) => { away = gone; document.dispatchEvent(new Event('visibilitychange')); };
}"""
AT_REST: Final = "find('state').innerText === 'paused' && !polling && timers.size === 0"


def test_figures_are_followed_while_somebody_looks(page: Page, table: Server) -> None:
    traffic = Traffic()
    traffic.failure.labels("table", "1", "BACKEND").inc(2)

    def metrics() -> str:
        traffic.serve([0.0015] * 80 + [0.2] * 20, rows=3)
        return traffic.text()

    page.before_load(HIDEABLE)
    with behind(table, metrics=metrics) as url:
        open_page(page, url, "console")
        page.wait_for_text("1.94ms", "#figure-p50")
        page.wait_for("parseFloat(find('figure-rows').innerText) > parseFloat(find('figure-rate').innerText)")
        assert page.text("#reasons") == "Failures since the start: BACKEND 2"
        page.wait_for("[...document.querySelectorAll('#figures .line')].every((line) => line.points.length > 1)")
        page.evaluate("leave(true)")
        page.wait_for(AT_REST)
        page.evaluate("leave(false)")
        page.wait_for_text("live", "#state")
        page.click("#pause")
        page.wait_for(AT_REST)
        page.click("#pause")
        page.wait_for_text("live", "#state")


def test_figures_of_a_real_server_move(page: Page, several: Server) -> None:
    open_page(page, several, "console")
    page.wait_for("readings.length > 0")
    score(page)
    page.wait_for("/^[\\d.]+(µs|ms|s)$/.test(find('figure-p99').innerText)")
    assert page.text("#state") == "live"


def test_a_server_that_has_begun_anew_is_followed_from_there(console: Page) -> None:
    traffic = Traffic()
    traffic.serve([0.002] * 5)
    text = json.dumps([traffic.text(), Traffic().text()])
    script = f"Promise.all({text}.map(async (text) => {{ ask = async () => ({{ ok: true, text }}); await poll(); }}))"
    console.evaluate(f"[readings, series] = [[], {{}}], {script}.then(() => readings.map((each) => each.success))")
    assert console.evaluate("readings.map((each) => each.success)") == [0]


def test_models_that_have_changed_are_offered(page: Page, table: Server) -> None:
    traffic = Traffic()
    traffic.info.labels("table", "1", table.digest).set(1)
    with behind(table, metrics=traffic.text) as url:
        open_page(page, url, "console")
        page.wait_for("readings.length > 1")
        assert page.text("#trouble") == ""
        traffic.info.labels("table", "2", "sha256:another").set(1)
        page.wait_for_text("The served models have changed", "#trouble")
        page.evaluate("find('field-0').value = 'typed'")
        page.click("#trouble button")
        page.wait_for("find('field-0').value === '0.1' && find('trouble').innerText === ''")


@pytest.mark.parametrize("text", ["", "# HELP other_total x\nother_total 1.0\n"])
def test_a_server_without_metrics_is_said_to_have_none(page: Page, table: Server, text: str) -> None:
    with behind(table, metrics=lambda: text) as url:
        open_page(page, url, "console")
        page.wait_for_text("no metrics", "#state")
        assert not page.evaluate("find('figures').checkVisibility()")
        assert score(page) == [{"total": 1.1, "town": "Bern"}]
