"""The table of clients says `ok` only of what is right, and notices everything else."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import servers
import table_models
from hypothesis import given
from hypothesis import strategies as st

from modelport.benchmarks.conformance import azureml, operations
from modelport.benchmarks.conformance.asking import PlainClient, Reply
from modelport.benchmarks.conformance.cases import Call, Cases, Document, Tensor, read_cases, write_cases
from modelport.benchmarks.conformance.checks import (
    DiffersError,
    NotOfferedError,
    RefusedError,
    Result,
    refused,
    results,
    same,
)
from modelport.benchmarks.conformance.clients.curl import Curl
from modelport.benchmarks.conformance.operations import Answer, OnlyInfers
from modelport.benchmarks.conformance.table import notes, table, tally
from modelport.runtime import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from modelport.benchmarks.conformance.operations import Request

KEY = "key-1234567890"
X = Tensor("X", "FP32", [2, 2], [1.5, 2.0, 3.0, -4.0])


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cases]:
    """A server of a classifier that needs a key, and what it is to answer."""
    package = table_models.classifier(tmp_path_factory.mktemp("packages") / "classifier")
    scorer = load(package)
    scored = scorer.score([[1.5, 2.0], [3.0, -4.0]])
    outputs = [
        Tensor(s.name, s.datatype, [*scored[s.name].shape], scored[s.name].ravel().tolist())
        for s in scorer.signature.outputs
    ]
    answer = json.loads(json.dumps(scorer.answer('{"data": [[1.5, 2.0], [3.0, -4.0]]}')))
    specs = {
        side: [{"name": s.name, "datatype": s.datatype, "shape": [*s.shape]} for s in getattr(scorer.signature, side)]
        for side in ("inputs", "outputs")
    }
    metadata = {"name": "classifier", "versions": ["1"], "platform": "onnx_onnxv1", **specs}
    with servers.serving(package, keys=f"{KEY},second-{KEY}") as server:
        yield Cases(
            server.host,
            server.port,
            [KEY, f"second-{KEY}"],
            "1",
            {"classifier": metadata},
            {"matrix": Call("classifier", [X], outputs)},
            {"rows": Document("classifier", {"data": [[1.5, 2.0], [3.0, -4.0]]}, answer)},
        )


def verdicts(found: Iterator[Result]) -> dict[str, str]:
    return {result.operation: result.verdict for result in found}


def test_what_the_classifier_has_is_ok_by_curl_and_what_it_lacks_is_noticed(cases: Cases) -> None:
    ask = Curl(cases.url)
    found = verdicts(operations.run("curl", PlainClient(ask, cases), cases))
    assert {name for name, verdict in found.items() if verdict == "ok"} >= {
        "server live",
        "server ready",
        "server metadata",
        "model ready",
        "model ready, of an unknown name",
        "model metadata",
        "model metadata, of an unknown name",
        "infer, a matrix",
        "infer, chosen outputs",
        "refused: another datatype",
        "refused: an unknown model",
        "refused: another key",
        "the second key",
    }
    assert found["infer, a table"] == "differs"  # there is no such case
    contract = verdicts(azureml.run("curl", ask, cases))
    assert (contract["GET /"], contract["OPTIONS /score"], contract["POST /score, rows"]) == ("ok", "ok", "ok")
    assert contract["azureml-model-deployment missing or unknown"] == "differs"  # of one model it chooses nothing


class Liar(OnlyInfers):
    """A client that gets an answer of which `change` makes another."""

    tells_id = tells_version = True

    def __init__(self, cases: Cases, change: Callable[[Answer], Answer]) -> None:
        self._cases = cases
        self._change = change

    def infer(self, request: Request) -> Answer:
        call = self._cases.calls["matrix"]
        named = {output.name: output for output in call.outputs}
        chosen = [named[name] for name in request.outputs or named]
        return self._change(Answer(chosen, "classifier", request.version or "1", request.id))


def changed(tensor: Tensor) -> Tensor:
    return tensor._replace(data=[-0.0 if value == 0 else value for value in tensor.data[:-1]] + [tensor.data[0]])


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ("infer, a matrix", lambda answer: answer._replace(outputs=[changed(each) for each in answer.outputs])),
        ("infer, a matrix", lambda answer: answer._replace(outputs=answer.outputs[:1])),
        (
            "infer, a matrix",
            lambda answer: answer._replace(outputs=[answer.outputs[0], answer.outputs[1]._replace(datatype="FP64")]),
        ),
        (
            "infer, a matrix",
            lambda answer: answer._replace(outputs=[answer.outputs[0], answer.outputs[1]._replace(shape=[4])]),
        ),
        ("infer, a matrix", lambda answer: answer._replace(model="other")),
        ("infer, with an id", lambda answer: answer._replace(id="other")),
        ("infer, chosen outputs", lambda answer: answer._replace(outputs=answer.outputs[::-1])),
        ("refused: another datatype", lambda answer: answer),
        ("refused: another key", lambda answer: answer),
    ],
)
def test_an_answer_that_is_wrong_anywhere_differs(
    cases: Cases, operation: str, change: Callable[[Answer], Answer]
) -> None:
    wanted = cases._replace(metadata={**cases.metadata, "iris": {}})
    assert verdicts(operations.run("liar", Liar(wanted, change), wanted))[operation] == "differs"


def test_a_client_that_has_no_such_call_is_not_blamed(cases: Cases) -> None:
    found = verdicts(operations.run("honest", Liar(cases, lambda answer: answer), cases))
    assert (found["server live"], found["model metadata"], found["infer, a matrix"]) == ("none", "none", "ok")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RefusedError("input `x`: expected FP32", 500), "^status: expected 400, got 500$"),
        (RefusedError("something else", 400), "^message: expected `input `x`` in it, got 'something else'$"),
        (None, r"^expected a refusal with 400, got 'an answer'$"),
    ],
)
def test_a_refusal_must_have_the_status_and_name_what_is_wrong(error: Exception | None, message: str) -> None:
    def act() -> str:
        if error is not None:
            raise error
        return "an answer"

    with pytest.raises(DiffersError, match=message):
        refused(act, status=400, words="input `x`")


def test_a_client_that_tells_no_status_is_judged_by_the_words_alone() -> None:
    def act() -> None:
        raise RefusedError("input `x`: expected FP32")

    refused(act, status=400, words="input `x`")


def test_whatever_an_operation_raises_is_a_result() -> None:
    def fails() -> None:
        raise ValueError("a client's own bug")

    def lacks() -> None:
        raise NotOfferedError("it has none")

    found = results(
        "contract", "client", {"a": fails, "b": lacks, "c": lambda: same("x", 1, 1), "d": lambda: same("x", 1, 2)}
    )
    assert list(found) == [
        Result("contract", "client", "a", "differs", "ValueError: a client's own bug"),
        Result("contract", "client", "b", "none", "it has none"),
        Result("contract", "client", "c", "ok"),
        Result("contract", "client", "d", "differs", "x: expected 2, got 1"),
    ]


VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)
TENSORS = st.builds(
    Tensor, st.text(max_size=5), st.just("FP32"), st.lists(st.integers(0, 9)), st.lists(VALUES, max_size=4)
)


@given(st.lists(TENSORS, max_size=3), st.dictionaries(st.text(max_size=5), VALUES))
def test_cases_come_out_of_their_file_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, tensors: list[Tensor], body: Mapping[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("cases") / "cases.json"
    cases = Cases(
        "h", 1, ["k"], "1", {"m": {"name": "m"}}, {"c": Call("m", tensors, tensors)}, {"d": Document("m", body, body)}
    )
    write_cases(cases, path)
    assert read_cases(path) == cases


def test_a_table_shows_who_got_what_and_why_not() -> None:
    found = [
        Result("contract", "curl", "live", "ok"),
        Result("contract", "a client", "live", "none", "it has none"),
        Result("contract", "curl", "infer", "differs", "id: expected 'a', got 'b'"),
        Result("contract", "a client", "infer", "ok"),
    ]
    assert table(found) == ("                a\n       curl     client\nlive   ok       -\ninfer  DIFFERS  ok")
    assert notes(found) == ("  -       a client: it has none (live)\n  DIFFERS curl: id: expected 'a', got 'b' (infer)")
    assert tally(found) == (2, 3)


def test_what_runs_in_other_environments_needs_no_package_of_ours() -> None:
    modules = ["asking", "azureml", "cases", "checks", "operations", "clients.curl"]
    code = "import sys; " + "; ".join(f"import modelport.benchmarks.conformance.{name}" for name in modules)
    code += "; print([name for name in sys.modules if name.startswith(('modelport.runtime', 'numpy', 'msgspec'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_reply_is_read_as_json() -> None:
    assert Reply(200, {}, b'{"a": 1}').json == {"a": 1}
