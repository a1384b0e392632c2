"""The access log has a line a request, whoever asks and whatever for, with the ids under which others know it."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import servers
import tiny_models
from adding import adding
from gates import Gate
from rsgi import Headers

from modelport.runtime import load
from modelport.runtime.dataplane import DataPlane, ModelSlot
from modelport.runtime.server.request import Head
from modelport.runtime.server.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Server

INFER = "/v2/models/linear/infer"
GOOD = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HOSTILE = [
    "/%0aaccess%20granted",
    "/%0d%0a%0d%0a",
    "/%1b[31mred",
    "/%e2%80%a8line%E2%80%AE",
    "/%ff%fe",
    "/%22,%22status%22:200,%22",
    "/a%20GET%20/v2%20200%202%200.000001%20id",
    "/'\\\"",
    f"/{'%f0%9f%a6%84' * 1000}",
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


@pytest.fixture(scope="module")
def server(package: Path) -> Iterator[Server]:
    with servers.serving(package, access_log="true", log_format="json") as server:
        yield server


@pytest.fixture(scope="module")
def text_server(package: Path) -> Iterator[Server]:
    with servers.serving(package, access_log="true", log_format="text") as server:
        yield server


def line_of(server: Server, request: str) -> dict[str, Any]:
    """Return the line of the request of that id, waiting for it."""
    found = server.wait_for(re.compile(rf".*\"request_id\":\"{request}\".*"))
    return dict(json.loads(found[0]))


def test_a_request_that_was_scored_is_told_with_all_its_ids_and_the_package_that_scored_it(server: Server) -> None:
    trace = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "scored"}
    answer = server.ask(INFER, GOOD, headers=trace)
    line = line_of(server, "scored")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", line["client"])
    assert 0 <= line["queued"] <= line["seconds"]
    assert line.pop("message") == (
        f"{line['client']} POST {INFER} 200 {len(answer.content)} {line['seconds']:.6f} scored"
    )
    told = {name: line[name] for name in line if name not in ("time", "process", "client", "seconds", "queued")}
    assert told == {
        "level": "info",
        "logger": "modelport.access",
        "request_id": "scored",
        "method": "POST",
        "path": INFER,
        "status": 200,
        "bytes": len(answer.content),
        "model": "linear",
        "version": "1",
        "digest": server.digest,
        "trace_id": TRACE,
        "span_id": answer.headers["traceparent"].split("-")[2],
        "parent_id": PARENT,
    }


@pytest.mark.parametrize(
    ("path", "body", "status", "model"),
    [
        ("/v2/models/linear/infer", b"{", 400, "linear"),
        ("/v2/models/linear/versions/1/infer", GOOD, 200, "linear"),
        ("/score", [{"x": [1, 2, 3, 4]}], 200, "linear"),
        ("/v2/models/other/infer", GOOD, 404, ""),
        ("/v2", b"", 405, None),
        ("/nowhere", None, 404, None),
        ("/v2/health/live", None, 200, None),
        ("/metrics", None, 200, None),
    ],
)
def test_every_request_is_told_and_those_to_be_scored_with_their_model(
    server: Server, path: str, body: object, status: int, model: str | None
) -> None:
    identity = f"{path.replace('/', '-')}-{status}"
    assert server.ask(path, body, headers={"x-request-id": identity}).status == status
    line = line_of(server, identity)
    assert (line["path"], line["status"], line.get("model")) == (path, status, model)
    assert line.get("digest") == {"linear": server.digest}.get(model or "", model)
    assert line.keys().isdisjoint(("trace_id", "span_id", "parent_id"))


def test_a_request_whose_id_is_refused_has_another(server: Server) -> None:
    answer = server.ask("/v2", headers={"x-request-id": "two words"})
    assert answer.status == 400
    assert line_of(server, answer.headers["x-request-id"])["status"] == 400


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_path_is_one_line_of_json(server: Server, path: str) -> None:
    identity = f"hostile-{HOSTILE.index(path)}"
    before = len(server.lines)
    assert server.ask(path, headers={"x-request-id": identity}).status == 404
    line = line_of(server, identity)
    assert (line["status"], line["method"], line["level"]) == (404, "GET", "info")
    assert len(server.lines) == before + 1


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_path_is_one_line_of_text_with_as_many_words_as_any_other(text_server: Server, path: str) -> None:
    identity = f"hostile-{HOSTILE.index(path)}"
    before = len(text_server.lines)
    assert text_server.ask(path, headers={"x-request-id": identity}).status == 404
    line = text_server.wait_for(re.compile(f".* {identity}$"))[0]
    assert re.fullmatch(rf"127\.0\.0\.1:\d+ GET [!-~]+ 404 \d+ \d+\.\d{{6}} {identity}", line)
    assert len(text_server.lines) == before + 1


def test_text_is_a_line_for_people(text_server: Server) -> None:
    answer = text_server.ask(INFER, GOOD, headers={"x-request-id": "people"})
    line = text_server.wait_for(re.compile(".* people$"))[0]
    pattern = rf"127\.0\.0\.1:\d+ POST {INFER} 200 {len(answer.content)} \d+\.\d{{6}} people"
    assert re.fullmatch(pattern, line)


def test_it_is_off_unless_it_is_asked_for(package: Path) -> None:
    with servers.serving(package) as server:
        assert server.ask(INFER, GOOD).status == 200
        assert server.ask("/nowhere").status == 404
        assert server.stop() == 0
        assert not any("modelport.access" in line for line in server.lines)


def test_the_time_in_the_queue_is_told(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    package = gate.put_into(tmp_path / "linear")
    with servers.serving(package, access_log="true", log_format="json") as server, ThreadPoolExecutor(2) as clients:
        with gate.closed():
            first = clients.submit(server.ask, "/score", b"first", headers={"x-request-id": "first"})
            gate.wait_for_call("first")
            second = clients.submit(server.ask, "/score", b"second", headers={"x-request-id": "second"})
        assert (first.result().status, second.result().status) == (200, 200)
        for identity in ("first", "second"):
            line = line_of(server, identity)
            assert 0 <= line["queued"] <= line["seconds"]


def test_the_package_that_is_told_is_the_one_that_scored_though_another_has_taken_its_place(tmp_path: Path) -> None:
    first, second = (load(adding(tmp_path / version, 1, "adding", version)) for version in ("1", "2"))
    slot = ModelSlot(first)
    site = Site(DataPlane(slot))
    head = Head("POST", "/score", "", Headers())
    scored, waiting = site.visit(head), site.visit(head)
    assert scored.served == waiting.served == ("adding", "1")
    assert scored.answer(b'[{"x": 1}]').status == 200
    slot.swap(second)
    assert scored.known() == ("adding", "1", first.digest)
    assert waiting.answer(b'[{"x": 1}]').status == 200
    assert waiting.known() == ("adding", "2", second.digest)
    named = site.visit(head._replace(path="/models/adding/versions/2/score"))
    slot.swap(first)
    assert named.answer(b'[{"x": 1}]').status == 404
    assert named.known() == ("", "", "")
