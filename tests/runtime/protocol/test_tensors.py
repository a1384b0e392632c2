"""A tensor becomes the array that the signature asks for, or an error that says why not."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.protocol import Tensor
from modelport.runtime.signature import DTYPES, TensorSpec

SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)


def tensor(shape: tuple[int, ...], data: Any, datatype: str = "FP32") -> Tensor:
    return Tensor(name="x", datatype=datatype, shape=shape, data=data)


def spec(*shape: int, datatype: Any = "FP32", nullable: bool = False, null: str | None = None) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=shape, nullable=nullable, null=null)


@given(st.sampled_from([name for name in DTYPES if name != "BYTES"]), SHAPES, st.data())
def test_values_of_the_datatype_pass_as_they_are_flat_or_shaped(
    datatype: str, shape: tuple[int, ...], data: st.DataObject
) -> None:
    array = data.draw(arrays.arrays(DTYPES[datatype], shape))
    for given_ in (array, array.ravel()):
        got = tensor(shape, given_, datatype).to_array(spec(*shape, datatype=datatype))
        assert got.dtype == array.dtype
        assert got.shape == shape
        assert got.tobytes() == array.tobytes()


@given(SHAPES, st.data())
def test_a_list_means_the_same_flat_or_nested(shape: tuple[int, ...], data: st.DataObject) -> None:
    values = data.draw(arrays.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False)))
    nullable = spec(*shape, nullable=True)
    flat = tensor(shape, values.ravel().tolist()).to_array(nullable)
    assert flat.tobytes() == values.tobytes()
    if 0 not in shape:
        assert tensor(shape, values.tolist()).to_array(nullable).tobytes() == values.tobytes()


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from(["FP32", "FP16", "FP64"]))
def test_a_decimal_is_rounded_from_float64(value: float, datatype: str) -> None:
    wide = np.array([value], np.float64)
    with np.errstate(over="ignore"):
        expected = wide.astype(DTYPES[datatype])
    if np.isfinite(expected).all():
        assert tensor((1,), wide, datatype).to_array(spec(-1, datatype=datatype)).tobytes() == expected.tobytes()


def test_null_is_nan_or_the_null_string_where_the_input_is_nullable() -> None:
    got = tensor((2,), [1.5, None]).to_array(spec(-1, nullable=True))
    np.testing.assert_array_equal(got, np.array([1.5, np.nan], np.float32))
    strings = tensor((2,), ["a", None], "BYTES").to_array(spec(-1, datatype="BYTES", nullable=True, null="?"))
    assert strings.tolist() == ["a", "?"]


@pytest.mark.parametrize(
    ("given_", "wanted", "message"),
    [
        (tensor((1, 4), [0.0] * 4, "FP64"), spec(-1, 4), "input `x`: expected FP32, got FP64"),
        (tensor((4,), [0.0] * 4), spec(-1, 4), "input `x`: expected shape [-1, 4], got [4]"),
        (tensor((2, 2), [1, 2, 3]), spec(-1, 2), "input `x`: expected 4 values for shape [2, 2], got 3"),
        (tensor((1, 2), np.zeros(3)), spec(-1, 2), "input `x`: expected 2 values for shape [1, 2], got 3"),
        (tensor((2, 2), [[1, 2]]), spec(-1, 2), "input `x`: expected values nested as [2, 2], got [1, 2]"),
        (
            tensor((2, 2), [[1, 2], [3]]),
            spec(-1, 2),
            "input `x`: expected values nested as [2, 2], got lists of different lengths",
        ),
        (
            tensor((2**62, 4), [1, 2]),
            spec(-1, 4),
            "input `x`: expected 18446744073709551616 values for shape [4611686018427387904, 4], got 2",
        ),
        (tensor((2, 2), [1, 2, None, 4]), spec(-1, 2), "input `x`: expected FP32, got null at [1, 0]"),
        (tensor((1, 2), [1, True]), spec(-1, 2), "input `x`: expected FP32, got true at [0, 1]"),
        (tensor((1, 2), [[1, "2"]]), spec(-1, 2), 'input `x`: expected FP32, got "2" at [0, 1]'),
        (tensor((1,), np.array([1e39])), spec(-1), "input `x`: expected FP32, got 1e+39 at [0]: out of range"),
        (
            tensor((1,), np.array([300]), "UINT8"),
            spec(-1, datatype="UINT8"),
            "input `x`: expected UINT8, got 300 at [0]: out of range",
        ),
        (tensor((1,), [1.5], "INT64"), spec(-1, datatype="INT64"), "input `x`: expected INT64, got 1.5 at [0]"),
        (tensor((1,), [None], "BYTES"), spec(-1, datatype="BYTES"), "input `x`: expected BYTES, got null at [0]"),
    ],
)
def test_what_does_not_fit_is_named_with_what_was_expected(given_: Tensor, wanted: TensorSpec, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        given_.to_array(wanted)
