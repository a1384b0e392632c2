"""What Prometheus is told is exact: over all workers, whatever becomes of them, and as Triton would tell it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import exposition
import pytest
import servers
import slow_models
import tiny_models
from adding import adding
from gates import Gate
from prometheus_client import values

from modelport.runtime import load
from modelport.runtime.dataplane import Served
from modelport.runtime.errors import (
    DeadlineExceededError,
    InvalidInputError,
    NotReadyError,
    ScoringError,
    ScriptError,
    UnknownNameError,
    UnscorableInputError,
)
from modelport.runtime.server.errors import BodyTooLargeError, DisconnectedError, OverloadedError
from modelport.runtime.server.metrics import Metrics, count_as
from modelport.runtime.server.shared import DIRECTORY, SharedDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exposition import Exposition
    from servers import Server

INFER = "/v2/models/linear/infer"
RELOADED = re.compile("reload: modelport serving")
ALIASES = {
    "nv_inference_request_success": ("modelport_request_success_total", 1),
    "nv_inference_count": ("modelport_rows_total", 1),
    "nv_inference_exec_count": ("modelport_request_success_total", 1),
    "nv_inference_request_duration_us": ("modelport_request_duration_seconds_sum", 1e6),
    "nv_inference_queue_duration_us": ("modelport_queue_duration_seconds_total", 1e6),
    "nv_inference_compute_input_duration_us": ("modelport_input_duration_seconds_total", 1e6),
    "nv_inference_compute_infer_duration_us": ("modelport_score_duration_seconds_total", 1e6),
    "nv_inference_pending_request_count": ("modelport_pending_requests", 1),
}


def rows(count: int) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [count, 4], "datatype": "FP32", "data": [1, 2, 3, 4] * count}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    package = tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")
    with servers.serving(package, workers=2, max_body_bytes=1 << 20) as server:
        yield server


def grown(before: Exposition, after: Exposition, name: str, **labels: str) -> float:
    return after.sum(name, **labels) - before.sum(name, **labels)


def test_counts_are_exact_over_all_workers(server: Server) -> None:
    before = exposition.scrape(server)
    bodies: list[Any] = [rows(1), rows(3), b"{", rows(2)] * 25
    with ThreadPoolExecutor(8) as clients:
        statuses = [answer.status for answer in clients.map(lambda body: server.ask(INFER, body), bodies)]
        refused = server.ask(INFER, b" " * (2 << 20)).status
        unknown = server.ask("/v2/models/other/infer", rows(1)).status
    after = exposition.scrape(server)
    assert (statuses.count(200), statuses.count(400), refused, unknown) == (75, 25, 413, 404)
    model = {"model": "linear", "version": "1"}
    assert grown(before, after, "modelport_request_success_total", **model) == 75
    assert grown(before, after, "modelport_rows_total", **model) == 150
    assert grown(before, after, "modelport_request_failure_total", **model, reason="InvalidInputError") == 25
    assert grown(before, after, "modelport_request_failure_total", **model, reason="BodyTooLargeError") == 1
    assert grown(before, after, "modelport_request_failure_total", model="", reason="UnknownNameError") == 1
    assert grown(before, after, "modelport_request_duration_seconds_count", **model) == 101
    assert grown(before, after, "modelport_request_duration_seconds_bucket", **model, le="+Inf") == 101
    assert after.sum("modelport_pending_requests") == 0


def test_every_worker_tells_of_all(server: Server) -> None:
    assert server.ask(INFER, rows(1)).status == 200
    told = {exposition.scrape(server).sum("modelport_request_success_total") for _ in range(20)}
    assert len(told) == 1


def test_triton_would_tell_the_same_under_its_own_names(server: Server) -> None:
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(lambda body: server.ask(INFER, body), [rows(1), b"{"] * 10))
    found = exposition.scrape(server)
    for theirs, (ours, factor) in ALIASES.items():
        aliased = [sample for sample in found.samples if sample.name == theirs]
        assert {"linear"} <= {sample.labels["model"] for sample in aliased}
        for sample in aliased:
            assert sample.value == pytest.approx(found.sum(ours, **sample.labels) * factor, rel=1e-12)
    failures = found.sum("nv_inference_request_failure", model="linear", reason="OTHER")
    assert failures == found.sum("modelport_request_failure_total", model="linear") > 0


def test_it_is_text_that_nobody_keeps(server: Server) -> None:
    headers = server.ask("/metrics").headers
    assert headers["content-type"].startswith("text/plain; version=")
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OverloadedError("a", retry_after=1), "REJECTED"),
        (NotReadyError("a"), "REJECTED"),
        (DeadlineExceededError("a"), "REJECTED"),
        (ScoringError("a"), "BACKEND"),
        (UnscorableInputError("a"), "BACKEND"),
        (ScriptError("a"), "BACKEND"),
        (DisconnectedError("a"), "CANCELED"),
        (InvalidInputError("a"), "OTHER"),
        (BodyTooLargeError("a"), "OTHER"),
        (UnknownNameError("a"), "OTHER"),
        (ZeroDivisionError(), "OTHER"),
    ],
)
def test_a_failure_is_told_by_its_class_and_by_tritons_reason(error: Exception, reason: str) -> None:
    metrics = Metrics(tuple)
    for _ in range(2):
        metrics.fail(Served("linear", "1"), error)
    found = exposition.Exposition(metrics.response().body.decode())
    assert found.by("reason", "modelport_request_failure_total") == {type(error).__name__: 2}
    assert found.by("reason", "nv_inference_request_failure") == {reason: 2}


def test_what_a_request_did_is_told_in_seconds_and_in_the_buckets() -> None:
    metrics, served = Metrics(tuple), Served("linear", "1")
    metrics.began(served)
    metrics.began(served)
    metrics.succeed(served, rows=3, infer_ns=5_000_000, score_ns=2_000_000)
    metrics.ended(served, seconds=0.25, queued=0.125)
    found = exposition.Exposition(metrics.response().body.decode())
    told = {
        name: found.sum(f"modelport_{name}")
        for name in (
            "request_success_total",
            "rows_total",
            "input_duration_seconds_total",
            "score_duration_seconds_total",
            "queue_duration_seconds_total",
            "request_duration_seconds_sum",
            "pending_requests",
        )
    }
    assert list(told.values()) == pytest.approx([1, 3, 0.003, 0.002, 0.125, 0.25, 1])
    buckets = {le: count for le, count in found.by("le", "modelport_request_duration_seconds_bucket").items() if count}
    assert buckets == dict.fromkeys(("0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"), 1.0)


def test_hostile_names_break_no_line() -> None:
    metrics = Metrics(tuple)
    served = Served('a"b\\c\nd{}', "1")
    metrics.fail(served, InvalidInputError("a"))
    found = exposition.Exposition(metrics.response().body.decode())
    assert found.sum("modelport_request_failure_total", model=served.model) == 1


def test_what_was_answered_stays_counted_though_its_worker_is_killed(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    package = gate.put_into(tmp_path / "linear")
    with servers.serving(package, workers=2) as server, ThreadPoolExecutor(8) as clients:
        answered = [answer.status for answer in clients.map(lambda _: server.ask(INFER, rows(2)), range(40))]
        assert answered == [200] * 40
        with gate.closed():
            lost = clients.submit(server.ask, "/score", b"lost")
            killed = gate.wait_for_call("lost")
            exposition.wait_for(server, 1, "modelport_pending_requests")
            os.kill(killed, signal.SIGKILL)
            assert isinstance(lost.exception(60), ConnectionError)
        exposition.wait_for(server, 0, "modelport_pending_requests")
        found = exposition.scrape(server)
        assert found.sum("modelport_request_success_total") == 40
        assert found.sum("modelport_rows_total") == 80
        assert found.sum("modelport_request_duration_seconds_count") == 40
        servers.wait_until(lambda: len(server.workers()) == 2 and killed not in server.workers(), "another worker")
        assert {answer.status for answer in clients.map(lambda _: server.ask(INFER, rows(1)), range(40))} == {200}
        assert exposition.scrape(server).sum("modelport_request_success_total") == 80


def test_counts_only_grow_while_workers_are_killed(tmp_path: Path) -> None:
    with servers.serving(tiny_models.linear(tmp_path / "linear"), workers=2) as server:
        enough, answered = threading.Event(), []

        def ask() -> None:
            while not enough.is_set():
                try:
                    answered.append(server.ask(INFER, rows(1)).status)
                except (OSError, http.client.HTTPException):
                    answered.append(0)

        told = [0.0]
        with ThreadPoolExecutor(2) as clients:
            try:
                asking = [clients.submit(ask) for _ in range(2)]
                for _ in range(2):
                    victim = server.workers()[0]
                    os.kill(victim, signal.SIGKILL)
                    while victim in server.workers() or len(server.workers()) < 2:
                        told.append(_success(server) or told[-1])
            finally:
                enough.set()
            for each in asking:
                each.result(60)
        assert told == sorted(told)
        assert set(answered) <= {200, 0}
        final = exposition.scrape(server).sum("modelport_request_success_total")
        assert answered.count(200) <= final <= len(answered)


def _success(server: Server) -> float | None:
    """Return how many requests succeeded, None if the worker that was asked is gone before it can say."""
    try:
        return exposition.scrape(server).sum("modelport_request_success_total")
    except (OSError, http.client.HTTPException):
        return None


def test_the_models_that_are_told_are_those_that_serve_after_a_reload_too(tmp_path: Path) -> None:
    packages = [adding(tmp_path / version, 1, "adding", version) for version in ("1", "2")]
    served = tmp_path / "served"
    served.symlink_to(packages[0])
    with servers.serving(served) as server:
        assert server.ask("/score", [{"x": 1}]).status == 200
        assert told_models(server) == {("adding", "1", load(packages[0]).digest)}
        served.unlink()
        served.symlink_to(packages[1])
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(RELOADED)
        second = ("adding", "2", load(packages[1]).digest)
        servers.wait_until(lambda: told_models(server) == {second}, f"{second}")
        assert server.ask("/score", [{"x": 1}]).status == 200
        assert exposition.scrape(server).by("version", "modelport_request_success_total") == {"1": 1, "2": 1}


def told_models(server: Server) -> set[tuple[str, str, str]]:
    return {
        (sample.labels["model"], sample.labels["version"], sample.labels["digest"])
        for sample in exposition.scrape(server).samples
        if sample.name == "modelport_model_info"
    }


def test_the_numbers_lie_in_a_directory_that_goes_with_the_server(tmp_path: Path) -> None:
    with servers.serving(tiny_models.linear(tmp_path / "linear"), workers=2) as server:
        assert server.ask(INFER, rows(1)).status == 200
        assert list(server.temporary.glob("modelport-*/metrics/counter_*.db"))
        assert server.stop() == 0
        assert list(server.temporary.iterdir()) == []


def test_without_a_directory_it_warns_and_each_worker_tells_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that `TMPDIR` says keeps Python from `/tmp`, so the process is told that there is none."""
    (tmp_path / "sitecustomize.py").write_text("import tempfile\ntempfile.tempdir = '/nowhere'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with servers.serving(tiny_models.linear(tmp_path / "linear"), log_format="text") as server:
        assert re.fullmatch(
            r"expected a temporary directory, got \[Errno 2\] No such file or directory: '/nowhere/modelport-\w+'; "
            r"workers tell their own metrics only",
            server.lines[0],
        )
        assert [server.ask(INFER, rows(2)).status for _ in range(3)] == [200] * 3
        found = exposition.scrape(server)
        assert found.sum("modelport_request_success_total") == 3
        assert found.sum("nv_inference_count") == 6


def test_what_a_process_said_of_its_present_is_buried_with_it_and_nothing_else(tmp_path: Path) -> None:
    with SharedDirectory() as shared:
        (directory,) = [type(tmp_path)(path) for path in shared.environment.values()]
        assert list(shared.environment) == [DIRECTORY]
        names = {f"{kind}_{process}.db" for kind in ("counter", "gauge_livesum", "histogram") for process in (7, 77)}
        for name in names:
            (directory / name).touch()
        shared.bury(7)
        shared.bury(7)
        assert {path.name for path in directory.iterdir()} == names - {"gauge_livesum_7.db"}
    assert not directory.exists()


@pytest.mark.parametrize("missing", ["tempfile.mkdtemp", "pathlib.Path.mkdir"])
def test_where_no_directory_can_be_had_there_is_nothing_to_bury(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(missing, fail)
    with SharedDirectory() as shared:
        assert (shared.environment, shared.weights) == ({}, "")
        shared.bury(7)


def test_a_long_wait_is_told_as_time_in_the_queue(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with servers.serving(gate.put_into(tmp_path / "linear")) as server, ThreadPoolExecutor(2) as clients:
        with gate.closed():
            waiting = [clients.submit(server.ask, "/score", text) for text in (b"a", b"b")]
            exposition.wait_for(server, 2, "modelport_pending_requests")
        assert [each.result().status for each in waiting] == [200, 200]
        found = exposition.scrape(server)
        queued, whole = (
            found.sum(f"modelport_{name}") for name in ("queue_duration_seconds_total", "request_duration_seconds_sum")
        )
        assert 0 < queued < whole


def test_a_request_that_never_ends_is_told_as_rejected(tmp_path: Path) -> None:
    with servers.serving(slow_models.counting(tmp_path / "counting"), scoring_timeout=0.1) as server:
        assert server.ask(slow_models.INFER, slow_models.request(slow_models.FOREVER)).status == 504
        found = exposition.scrape(server)
        assert found.by("reason", "nv_inference_request_failure") == {"REJECTED": 1}
        assert found.sum("modelport_pending_requests") == 0


def test_a_process_that_counts_alone_is_not_told_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIRECTORY, raising=False)
    before = values.ValueClass
    count_as(os.getpid())
    assert values.ValueClass is before
