"""A sample that nobody gave is drawn: it fits the signature, and it is the same everywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.packager import rows as rows_of
from modelport.packager.conversion import drawing
from modelport.packager.errors import ConversionError
from modelport.runtime.signature import Signature, TensorSpec

X = TensorSpec(name="x", datatype="FP32", shape=(-1, 4))
Y = TensorSpec(name="y", datatype="FP32", shape=(-1, 4))

datatypes = st.sampled_from(
    ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"]
)
sizes = st.lists(st.integers(1, 4), max_size=3).map(tuple)
inputs = st.lists(st.tuples(datatypes, sizes), min_size=1, max_size=3)


def with_rows(*specs: TensorSpec) -> Signature:
    return Signature(inputs=specs, outputs=(Y,), rows_identical=True)


@given(inputs)
def test_rows_that_are_drawn_fit_the_signature(kinds: list[tuple]) -> None:
    specs = [TensorSpec(name=f"i{i}", datatype=kind, shape=(-1, *shape)) for i, (kind, shape) in enumerate(kinds)]
    signature = with_rows(*specs)
    drawn = drawing.draw(signature)
    assert list(drawn) == [spec.name for spec in specs]
    for spec in specs:
        assert drawn[spec.name].shape == (drawing.ROWS, *spec.shape[1:])
        spec.check(rows_of.to_engine(drawn, signature)[spec.name])


@given(inputs)
def test_whole_calls_that_are_drawn_each_fit_the_signature(kinds: list[tuple]) -> None:
    specs = [TensorSpec(name=f"i{i}", datatype=kind, shape=shape) for i, (kind, shape) in enumerate(kinds)]
    output = TensorSpec(name="y", datatype="FP32", shape=())
    signature = Signature(inputs=tuple(specs), outputs=(output,), batch="none")
    calls = rows_of.to_engine(drawing.draw(signature), signature)
    assert {rows_of.count({name: array}) for name, array in calls.items()} == {drawing.CALLS}
    for spec in specs:
        for call in range(drawing.CALLS):
            spec.check(np.asarray(calls[spec.name][call]))


def test_what_is_drawn_is_seeded_whatever_other_generators_do() -> None:
    first = drawing.draw(with_rows(X))["x"]
    np.random.seed(7)  # noqa: NPY002  somebody else's generator
    assert drawing.draw(with_rows(X))["x"].tobytes() == first.tobytes()


def test_another_process_draws_the_same() -> None:
    code = (
        "import sys; from modelport.packager.conversion import drawing;"
        "from modelport.runtime.signature import Signature, TensorSpec;"
        "x = TensorSpec(name='x', datatype='FP32', shape=(-1, 4));"
        "y = TensorSpec(name='y', datatype='FP32', shape=(-1, 4));"
        "drawn = drawing.draw(Signature(inputs=(x,), outputs=(y,), rows_identical=True));"
        "sys.stdout.buffer.write(drawn['x'].tobytes())"
    )
    settings = {**os.environ, "PYTHONHASHSEED": "12345", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    other = subprocess.run([sys.executable, "-c", code], env=settings, check=True, capture_output=True)
    assert other.stdout == drawing.draw(with_rows(X))["x"].tobytes()


def test_numbers_lie_on_both_sides_of_zero_on_it_and_on_decimals() -> None:
    values = drawing.draw(with_rows(X))["x"]
    assert values.min() < 0 < values.max()
    assert (values == 0).all(axis=1).any()
    for decimals in (1, 2):
        assert (values == np.round(values, decimals)).all(axis=1).sum() >= drawing.ROWS // 5
    assert (values != np.round(values, 2)).any(axis=1).sum() >= drawing.ROWS // 5


@pytest.mark.parametrize("datatype", ["BOOL", "INT64"])
def test_flags_and_integers_take_both_values(datatype: str) -> None:
    spec = TensorSpec(name="x", datatype=datatype, shape=(-1, 3))
    assert set(drawing.draw(with_rows(spec))["x"].ravel().tolist()) == {0, 1}


def test_of_large_rows_few_are_drawn() -> None:
    image = TensorSpec(name="x", datatype="FP32", shape=(-1, 3, 512, 512))
    count = rows_of.count(drawing.draw(with_rows(image)))
    assert 5 <= count < drawing.ROWS


UNDRAWN = {
    "text": (
        TensorSpec(name="x", datatype="BYTES", shape=(-1, 1)),
        "input `x`: expected a sample, got none to draw text from",
    ),
    "a free width": (
        TensorSpec(name="x", datatype="FP32", shape=(-1, 3, -1)),
        "input `x`: expected a sample, got free dimensions in [-1, 3, -1]",
    ),
}


@pytest.mark.parametrize("kind", UNDRAWN)
def test_what_nobody_can_guess_is_asked_for(kind: str) -> None:
    spec, message = UNDRAWN[kind]
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$") as caught:
        drawing.draw(with_rows(Y, spec))
    assert caught.value.hint == "give --sample FILE"


def test_a_free_first_dimension_of_a_model_without_rows_is_asked_for_too() -> None:
    signature = Signature(inputs=(X,), outputs=(TensorSpec(name="y", datatype="FP32", shape=()),), batch="none")
    message = "input `x`: expected a sample, got free dimensions in [-1, 4]"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        drawing.draw(signature)
