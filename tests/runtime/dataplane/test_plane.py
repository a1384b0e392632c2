"""The data plane answers for the model in its slot, and for no other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_models

from modelport.runtime import load
from modelport.runtime.dataplane import DataPlane, ModelSlot
from modelport.runtime.errors import InvalidInputError, NotReadyError, UnknownNameError
from modelport.runtime.golden import same_bits
from modelport.runtime.protocol import InferRequest, Tensor

if TYPE_CHECKING:
    from pathlib import Path

    from modelport.runtime import Scorer

TABLE = {
    "amount": np.array([[0.5], [np.nan]]),
    "count": np.array([[1], [2]]),
    "city": np.array([["Bern"], ["Zürich"]], object),
}
DATATYPES = {"amount": "FP64", "count": "INT64", "city": "BYTES"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load(tiny_models.table(tmp_path_factory.mktemp("packages") / "table"))


@pytest.fixture
def plane(table: Scorer) -> DataPlane:
    return DataPlane(ModelSlot(table))


def request(*names: str, model: str = "table", **fields: Any) -> InferRequest:
    tensors = (
        Tensor(name=name, datatype=DATATYPES.get(name, "FP32"), shape=(2, 1), data=TABLE.get(name, np.zeros((2, 1))))
        for name in names or TABLE
    )
    return InferRequest(model=model, inputs=tuple(tensors), **fields)


def test_the_answer_is_what_the_scorer_gives(plane: DataPlane, table: Scorer) -> None:
    response = plane.infer(request(id="7"))
    assert (response.model, response.version, response.id) == ("table", "1", "7")
    expected = table.score(TABLE)
    assert [tensor.name for tensor in response.outputs] == list(expected)
    for tensor in response.outputs:
        assert same_bits(np.asarray(tensor.data), expected[tensor.name])
        assert tensor.shape == (2, 1)


def test_outputs_come_as_they_were_requested(plane: DataPlane) -> None:
    assert [tensor.name for tensor in plane.infer(request(outputs=("town",))).outputs] == ["town"]
    assert [tensor.name for tensor in plane.infer(request(outputs=("town", "total"))).outputs] == ["town", "total"]
    assert [tensor.name for tensor in plane.infer(request(version="1", outputs=())).outputs] == ["total", "town"]


def test_a_request_without_rows_has_an_answer_without_rows(plane: DataPlane) -> None:
    inputs = tuple(Tensor(name=name, datatype=datatype, shape=(0, 1), data=[]) for name, datatype in DATATYPES.items())
    response = plane.infer(InferRequest(model="table", inputs=inputs))
    assert [(tensor.datatype, tensor.shape) for tensor in response.outputs] == [("FP64", (0, 1)), ("BYTES", (0, 1))]


def test_a_model_without_rows_is_scored_as_it_is(tmp_path: Path) -> None:
    scorer = load(tiny_models.state(tmp_path / "state"))
    plane = DataPlane(ModelSlot(scorer))
    inputs = scorer.samples.inputs[0]
    tensors = tuple(
        Tensor(name=spec.name, datatype=spec.datatype, shape=inputs[spec.name].shape, data=inputs[spec.name])
        for spec in scorer.signature.inputs
    )
    response = plane.infer(InferRequest(model=scorer.manifest.name, inputs=tensors))
    expected = scorer.runner.run(inputs)
    assert all(same_bits(np.asarray(tensor.data), expected[tensor.name]) for tensor in response.outputs)
    assert plane.observer.read().rows == 1


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (request(model="other"), UnknownNameError, "model: expected `table`, got `other`"),
        (request(version="2"), UnknownNameError, "model `table`: expected version `1`, got `2`"),
        (request("amount", "city"), InvalidInputError, "input `count`: expected a tensor, got none of that name"),
        (
            request("amount", "count", "city", "town"),
            InvalidInputError,
            "input `town`: expected one of `amount`, `count`, `city`",
        ),
        (request("city", "amount", "count", "city"), InvalidInputError, "input `city`: expected once, got twice"),
        (request(outputs=("city",)), InvalidInputError, "output `city`: expected one of `total`, `town`"),
        (request(outputs=("town", "town")), InvalidInputError, "outputs: expected each once, got `town`, `town`"),
        (request(outputs=("town",) * 3), InvalidInputError, "outputs: expected at most 2, got 3"),
        (request(outputs=("town",) * 10**6), InvalidInputError, "outputs: expected at most 2, got 1000000"),
    ],
)
def test_what_cannot_be_answered_is_named(
    plane: DataPlane, asked: InferRequest, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"(?m)^{re.escape(message)}$"):
        plane.infer(asked)
    assert plane.observer.read().succeeded == 0


def test_answers_are_counted_with_their_rows_and_times(plane: DataPlane) -> None:
    for _ in range(3):
        plane.infer(request())
    counts = plane.observer.read()
    assert (counts.succeeded, counts.rows) == (3, 6)
    assert counts.infer_ns >= counts.score_ns > 0


def test_ready_is_what_has_a_model_and_does_not_drain(plane: DataPlane) -> None:
    plane.require_ready()
    plane.require_ready("table", "1")
    with pytest.raises(UnknownNameError):
        plane.require_ready("other")
    plane.drain()
    message = r"(?m)^model `table`: expected to be ready, got a server that is stopping$"
    with pytest.raises(NotReadyError, match=message):
        plane.require_ready()
    assert plane.infer(request()).model == "table"


def test_without_a_model_there_is_no_answer() -> None:
    plane = DataPlane(ModelSlot())
    for ask in (plane.require_ready, lambda: plane.metadata("table"), lambda: plane.infer(request())):
        with pytest.raises(NotReadyError):
            ask()


def test_metadata_says_which_package_it_is_and_what_executes_it(plane: DataPlane, table: Scorer) -> None:
    metadata = plane.metadata("table", "1")
    assert metadata.manifest is table.manifest
    assert metadata.digest == table.digest
    assert metadata.engine.startswith("onnxruntime ")
    with pytest.raises(UnknownNameError, match=r"(?m)^model `table`: expected version `1`, got `v1`$"):
        plane.metadata("table", "v1")
