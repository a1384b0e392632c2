"""Tensor values go to JSON and back without losing a bit."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.protocol import Tensor, json_tensors
from modelport.runtime.signature import DTYPES, TensorSpec

SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def read(datatype: str, shape: tuple[int, ...], text: msgspec.Raw, *, nullable: bool = False) -> np.ndarray:
    """Read values as the data plane does."""
    data = json_tensors.decode("x", datatype, text)
    spec = TensorSpec(name="x", datatype=datatype, shape=shape, nullable=nullable)  # type: ignore[arg-type]
    return Tensor(name="x", datatype=datatype, shape=shape, data=data).to_array(spec)


@given(st.sampled_from(list(DTYPES)), SHAPES, st.data())
def test_what_is_written_is_read_again(datatype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    elements = {"f": {"allow_nan": False, "allow_infinity": False}}.get(DTYPES[datatype].kind)
    array = data.draw(arrays.arrays(DTYPES[datatype], shape, elements=TEXT if datatype == "BYTES" else elements))
    text = msgspec.Raw(msgspec.json.encode(json_tensors.encode(array)))
    got = read(datatype, shape, text)
    assert got.dtype == array.dtype
    assert got.tolist() == array.tolist()
    if datatype != "BYTES":
        assert got.tobytes() == array.tobytes()


@given(st.sampled_from(["FP16", "FP32", "FP64"]), st.data())
def test_a_client_that_casts_to_the_datatype_has_the_very_bits(datatype: str, data: st.DataObject) -> None:
    """As tritonclient does: `np.array(json_values, dtype)`."""
    elements = {"allow_nan": False, "allow_infinity": False}
    array = data.draw(arrays.arrays(DTYPES[datatype], 5, elements=elements))
    values = json.loads(msgspec.json.encode(json_tensors.encode(array)))
    assert np.array(values, DTYPES[datatype]).tobytes() == array.tobytes()


def test_what_json_has_no_word_for_is_written_as_null() -> None:
    array = np.array([np.nan, np.inf, -np.inf, 1.5], np.float32)
    assert msgspec.json.encode(json_tensors.encode(array)) == b"[null,null,null,1.5]"


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?", fullmatch=True).filter(
        lambda text: text != "-0"
    )
)
@example("9007199254740993")
@example("0.1")
@example("16777217.0000000001")
def test_a_decimal_is_read_as_python_reads_it_and_then_rounded_to_float32(text: str) -> None:
    wide = float(text)
    with np.errstate(over="ignore", under="ignore"):
        narrow = np.array([wide]).astype(np.float32)
    if np.isfinite(narrow).all():
        assert read("FP32", (1,), msgspec.Raw(f"[{text}]".encode())).tobytes() == narrow.tobytes()
    assert read("FP64", (1,), msgspec.Raw(f"[{text}]".encode())).tobytes() == np.array([wide]).tobytes()


@pytest.mark.parametrize("text", [b"[[1.5, 2], [3, 4]]", b" [ [1.5,2],\n[3,4] ]", b"[1.5,2,3,4]"])
def test_values_are_read_nested_or_flat_with_any_space(text: bytes) -> None:
    assert read("FP32", (2, 2), msgspec.Raw(text)).tolist() == [[1.5, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("UINT64", [0, 2**63, 2**64 - 1]),
        ("INT64", [-(2**63), 0, 2**63 - 1]),
        ("BYTES", ["", "Zürich", "\x00\U0001f600"]),
        ("BOOL", [True, False]),
    ],
)
def test_the_ends_of_a_datatype_are_read(datatype: str, values: list[Any]) -> None:
    assert read(datatype, (len(values),), raw(values)).tolist() == values


def test_nulls_are_left_to_the_signature() -> None:
    got = read("FP32", (2,), raw([None, 1.5]), nullable=True)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, [np.nan, 1.5])
    with pytest.raises(InvalidInputError, match=r"(?m)^input `x`: expected FP32, got null at \[0\]$"):
        read("FP32", (2,), raw([None, 1.5]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[1e400]", "input `x`: expected `FP32`, got a number at [0] of `data` that is out of range"),
        (b"[[1,-1e999]]", "input `x`: expected `FP32`, got a number at [0][1] of `data` that is out of range"),
        (b"null", "input `x`: expected an array as `data`, got null"),
        (b"{}", "input `x`: expected an array as `data`, got an object"),
        (b"5", "input `x`: expected an array as `data`, got 5"),
        (b'"[1]"', 'input `x`: expected an array as `data`, got "[1]"'),
    ],
)
def test_what_is_no_array_of_numbers_is_named(text: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        json_tensors.decode("x", "FP32", msgspec.Raw(text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=10,
)


@given(
    st.sampled_from([*DTYPES, "BF16"]), SHAPES, JSON.map(lambda value: value if isinstance(value, list) else [value])
)
def test_any_json_is_read_or_refused_in_our_words(datatype: str, shape: tuple[int, ...], value: list[Any]) -> None:
    spec = TensorSpec(name="x", datatype="FP32", shape=(-1,) * len(shape))
    try:
        data = json_tensors.decode("x", datatype, msgspec.Raw(msgspec.json.encode(value)))
        array = Tensor(name="x", datatype=datatype, shape=shape, data=data).to_array(spec)
    except InvalidInputError:
        return
    assert (array.dtype, array.shape) == (np.float32, shape)
