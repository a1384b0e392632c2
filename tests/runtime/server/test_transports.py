"""Whatever carries a request, the answer is the same, bit for bit, and so is what becomes of those who misbehave."""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any

import exposition
import msgspec
import numpy as np
import pytest
import servers
import tiny_models
import transports

from modelport.runtime import load
from modelport.runtime.client import Model
from modelport.runtime.golden import same_bits
from modelport.runtime.protocol import binary_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Server

    from modelport.runtime import Scorer

MODELS = {
    "linear": tiny_models.linear,
    "table": tiny_models.table,
    "fixed": tiny_models.fixed,
    "state": tiny_models.state,
    "external": tiny_models.external,
    "fragile": tiny_models.fragile,
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("packages")
    return {name: make(home / name) for name, make in MODELS.items()}


@pytest.fixture(scope="module", params=transports.ALL)
def server(packages: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Server]:
    with transports.serving(request.param, *packages.values()) as server:
        yield server
        assert not any("Traceback" in line for line in server.lines), server.lines


@pytest.fixture(scope="module")
def scorers(packages: dict[str, Path]) -> dict[str, Scorer]:
    return {name: load(path) for name, path in packages.items()}


@pytest.mark.parametrize("name", MODELS)
def test_the_clients_model_scores_the_golden_samples_to_the_same_bits(
    server: Server, scorers: dict[str, Scorer], name: str
) -> None:
    scorer = scorers[name]
    with Model(f"http://{server.url}{server.prefix}/v2/models/{name}") as model:
        for sample in scorer.samples.inputs:
            got, wanted = model.score(sample), scorer.runner.run(sample)
            assert list(got) == list(wanted)
            assert all(same_bits(got[output], wanted[output]) for output in wanted)


DOCUMENTS: dict[str, Any] = {
    "linear": [{"x": [0.1, -2.5, 1e-30, 4e30]}] * 3,
    "table": [{"amount": None, "count": 2**53 + 1, "city": "Zürich \U0001f9ca"}],
    "external": [{"x": [0.1, 0.2, 0.3, 0.4]}],
    "fragile": [{"x": 0}, {"x": 3}],
}


@pytest.mark.parametrize(("name", "document"), DOCUMENTS.items())
def test_a_document_is_answered_by_the_same_bytes(
    server: Server, scorers: dict[str, Scorer], name: str, document: Any
) -> None:
    text = json.dumps(document).encode()
    answer = server.ask(f"/models/{name}/score", text)
    assert answer.status == 200
    assert answer.content == msgspec.json.encode(scorers[name].run(text))
    chosen = server.ask("/score", text, headers={"azureml-model-deployment": name})
    assert chosen.content == answer.content


def test_an_error_of_the_engine_is_told_alike(server: Server) -> None:
    answer = server.ask("/models/fragile/score", [{"x": 4}], headers={"x-request-id": "7"})
    assert answer.status == 422
    assert answer.json == {
        "message": "model: expected an input that it can score, got one that it cannot; the log has it as 7"
    }


def test_a_query_is_scored_as_one_record(server: Server) -> None:
    answer = server.ask("/models/table/score?amount=0.5&count=2&city=Z%C3%BCrich+%26+Bern")
    assert answer.json == {"total": 2.5, "town": "Zürich & Bern"}


def test_large_tensors_go_and_come_whole(server: Server, scorers: dict[str, Scorer]) -> None:
    rows = np.random.default_rng(5).normal(size=(200_000, 4)).astype(np.float32)
    data = binary_tensors.encode(rows)
    tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP32", "parameters": {"binary_data_size": len(data)}}
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    length = "inference-header-content-length"
    answer = server.ask("/v2/models/linear/infer", text + data, headers={length: str(len(text))})
    got = np.frombuffer(answer.content[int(answer.headers[length]) :], np.float32)
    assert got.tobytes() == scorers["linear"].score(rows)["y"].tobytes()


def test_ids_come_back_and_a_trace_goes_on(server: Server) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = server.ask("/v2", headers={"x-request-id": "7", "x-ms-client-request-id": "8", "traceparent": trace})
    said = {name: answer.headers[name] for name in ("x-request-id", "x-ms-client-request-id", "x-ms-request-id")}
    assert said == {"x-request-id": "7", "x-ms-client-request-id": "8", "x-ms-request-id": "8"}
    assert answer.headers["traceparent"].split("-")[1] == trace.split("-")[1]


@pytest.mark.parametrize("page", ["/docs", "/console"])
def test_pages_refer_to_nothing_but_their_neighbours(server: Server, page: str) -> None:
    answer = server.ask(page)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'href="/' not in answer.content
    assert b'src="/' not in answer.content


def test_what_stands_beside_it_is_not_its_matter(server: Server) -> None:
    beside = servers.Address(server.host, server.port)
    answer = beside.ask("/beside")
    if answer.status == 200:
        assert answer.content == b"beside"
    else:
        assert answer.json["error"].startswith("path: expected one that the server has, got `/beside`")


@pytest.mark.parametrize("field", ["content-length: 100", "transfer-encoding: chunked"])
def test_clients_that_leave_half_way_are_counted_and_leave_nothing_behind(server: Server, field: str) -> None:
    name, reason = "modelport_request_failure_total", "InvalidInputError"
    before = exposition.scrape(server).sum(name, reason=reason)
    head = f"POST {server.prefix}/v2/models/linear/infer HTTP/1.1\r\nhost: t\r\n{field}\r\n\r\n"
    for reset in (False, True):
        with socket.create_connection((server.host, server.port), timeout=60) as connection:
            connection.sendall(head.encode() + b'3\r\n{"i\r\n')
            if reset:  # closed by a reset instead of an end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exposition.wait_for(server, before + 2, name, reason=reason)
    exposition.wait_for(server, 0, "modelport_pending_requests")
    assert server.ask("/v2/health/ready").status == 200


def test_metrics_tell_of_every_model(server: Server, scorers: dict[str, Scorer]) -> None:
    found = exposition.scrape(server)
    told = {
        (sample.labels["model"], sample.labels["digest"])
        for sample in found.samples
        if sample.name == "modelport_model_info"
    }
    assert told == {(name, scorer.digest) for name, scorer in scorers.items()}
