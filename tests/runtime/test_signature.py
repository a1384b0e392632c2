"""A spec says in so many words which arrays it accepts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.signature import DTYPES, Signature, TensorSpec, datatype_of, fits, shown


def spec(datatype: Any = "FP32", shape: tuple[int, ...] = (-1, 4), **fields: Any) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=shape, **fields)


def refused(message: str) -> Any:
    return pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$")


@given(st.sampled_from(list(DTYPES)), hnp.array_shapes(min_dims=0, min_side=0))
def test_a_spec_accepts_its_own_shape_and_datatype(datatype: Any, shape: tuple[int, ...]) -> None:
    array = np.full(shape, "", object) if datatype == "BYTES" else np.zeros(shape, DTYPES[datatype])
    spec(datatype, shape).check(array)
    assert datatype_of(array) == datatype


@given(st.lists(st.integers(-1, 3), max_size=4), st.lists(st.integers(0, 3), max_size=4))
def test_a_free_dimension_accepts_any_length_and_the_others_their_own(wanted: list[int], shape: list[int]) -> None:
    expected = len(wanted) == len(shape) and all(w in (-1, s) for w, s in zip(wanted, shape, strict=True))
    assert fits(tuple(shape), tuple(wanted)) == expected


def test_wrong_shape_names_the_input_and_both_shapes() -> None:
    with refused("input `x`: expected shape [-1, 4], got [2, 3]") as caught:
        spec().check(np.zeros((2, 3), np.float32))
    assert caught.value.hint == "a dimension of -1 accepts any length"
    with refused("input `x`: expected shape [1, 4], got [4]") as caught:
        spec(shape=(1, 4)).check(np.zeros(4, np.float32))
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((1, 4)), "expected FP32, got FP64"),
        (np.zeros((1, 4), np.int32), "expected FP32, got INT32"),
        (np.zeros((1, 4), object), "expected FP32, got BYTES"),
        (np.zeros((1, 4), ">f4"), "expected FP32 as float32, got >f4"),
    ],
)
def test_wrong_datatype_is_named(array: Any, message: str) -> None:
    with refused(f"input `x`: {message}"):
        spec().check(array)


@pytest.mark.parametrize("dtype", [np.complex64, "M8[s]", "m8[s]", "V4", np.longdouble])
def test_a_dtype_without_a_name_in_the_protocol_is_refused(dtype: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"(?m)^array: expected a dtype of BOOL, .*, BYTES, got "):
        spec().check(np.zeros((1, 4), dtype))


@pytest.mark.parametrize("dtype", ["U3", "S3"])
def test_text_of_fixed_width_must_be_made_objects_first_because_it_cannot_end_in_nul(dtype: str) -> None:
    with refused(f"input `x`: expected BYTES as object, got {np.dtype(dtype)}"):
        spec("BYTES", (-1,)).check(np.zeros(1, dtype))


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_infinities_are_never_accepted_and_nan_where_nullable(datatype: Any) -> None:
    array = np.zeros((3, 4), DTYPES[datatype])
    array[1, 2] = np.nan
    spec(datatype, nullable=True).check(array)
    with refused(f"input `x`: expected {datatype}, got NaN at [1, 2]") as caught:
        spec(datatype).check(array)
    assert caught.value.hint == "a missing value is accepted only where the signature says `nullable`"
    for value, text in {np.inf: "Infinity", -np.inf: "-Infinity"}.items():
        array[2, 3] = value
        with refused(f"input `x`: expected {datatype}, got {text} at [2, 3]"):
            spec(datatype, nullable=True).check(array)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "null"),
        (1, "1"),
        (1.5, "1.5"),
        (float("nan"), "NaN"),
        (b"text", "b'text'"),
        ("\ud800", '"\\ud800"'),
        (["a"], "['a']"),
    ],
)
def test_only_text_that_utf_8_can_carry_is_text(value: object, got: str) -> None:
    array = np.array(["fine", None, "fine"], object)
    array[1] = value
    with refused(f"input `x`: expected BYTES, got {got} at [1]"):
        spec("BYTES", (-1,), nullable=True, null="").check(array)


def test_text_may_hold_anything_else() -> None:
    spec("BYTES", (-1,)).check(np.array(["", "\0", "Zürich", np.str_("a"), "\U0001f600"], object))


def test_a_closed_list_accepts_its_categories_and_its_null() -> None:
    cities = spec("BYTES", (-1,), categories=("Bern", "Basel"), closed=True)
    cities.check(np.array(["Basel", "Bern"], object))
    with refused('input `x`: expected one of 2 known categories, got "Paris" at [1]'):
        cities.check(np.array(["Bern", "Paris"], object))
    with refused('input `x`: expected one of 2 known categories, got "" at [0]'):
        cities.check(np.array([""], object))
    spec("BYTES", (-1,), categories=("Bern",), closed=True, nullable=True, null="").check(
        np.array(["", "Bern"], object)
    )


def test_a_closed_list_of_numbers_is_one_too() -> None:
    numbers = spec("INT64", (-1, 1), categories=(1, 2), closed=True)
    numbers.check(np.array([[1], [2]]))
    with refused("input `x`: expected one of 2 known categories, got 3 at [1, 0]"):
        numbers.check(np.array([[1], [3]]))


def test_an_open_list_accepts_what_it_does_not_know() -> None:
    spec("BYTES", (-1,), categories=("Bern",)).check(np.array(["Paris"], object))


def test_no_rows_have_the_shape_of_rows() -> None:
    assert spec(shape=(-1, 2, -1)).no_rows().shape == (0, 2, 0)
    assert spec("BYTES", (-1,)).no_rows().dtype == object


def test_an_input_is_found_by_its_name() -> None:
    signature = Signature(inputs=(spec(), TensorSpec(name="z", datatype="INT64", shape=(-1,))), outputs=())
    assert signature.input("z").datatype == "INT64"
    with refused("input `w`: expected one of `x`, `z`"):
        signature.input("w")


def test_a_table_has_one_column_an_input_and_rows() -> None:
    columns = (spec(shape=(-1, 1)), spec(shape=(-1,)))
    assert Signature(inputs=columns, outputs=()).is_table
    assert not Signature(inputs=(spec(),), outputs=()).is_table
    assert not Signature(inputs=columns, outputs=(), batch="none").is_table
    assert not Signature(inputs=columns, outputs=(), batch="fixed:4").has_rows


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (np.False_, "false"),
        (1.5, "1.5"),
        (np.float32(0.1), "0.1"),
        (float("nan"), "NaN"),
        (np.float64("-inf"), "-Infinity"),
        (np.int64(7), "7"),
        ("a", '"a"'),
        ('"\n', '"\\"\\n"'),
        ("\x1b\ud800\u202e", '"\\u001b\\ud800\\u202e"'),
        ("x" * 50, '"' + "x" * 37 + '..."'),
        (10**50, "1" + "0" * 36 + "..."),
        ([1, 2], "[1, 2]"),
    ],
)
def test_a_value_is_shown_as_json_would(value: object, text: str) -> None:
    assert shown(value) == text


@given(st.text(st.characters()) | st.integers() | st.floats() | st.none() | st.binary())
def test_any_value_is_shown_short_and_printable(value: object) -> None:
    assert shown(value).isprintable()
    assert len(shown(value)) < 300
