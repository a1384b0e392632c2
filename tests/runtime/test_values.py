"""One number has one meaning in every format, and nothing changes its kind unasked."""

from __future__ import annotations

import re
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.signature import DTYPES, TensorSpec
from modelport.runtime.values import coerce

INTEGERS = [name for name in DTYPES if "INT" in name]
FLOATS = ["FP16", "FP32", "FP64"]


def spec(datatype: Any, **fields: Any) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=(-1,), **fields)


def bits(array: Any) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def refused(message: str) -> Any:
    return pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(f'input `x`: {message}')}$")


DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=12)


@given(st.lists(DECIMALS, min_size=1, max_size=5))
def test_a_decimal_becomes_a_float64_and_then_a_float32_in_every_format(decimals: list[Decimal]) -> None:
    doubles = [float(str(value)) for value in decimals]
    expected = bits(np.array([np.float32(value) for value in doubles], np.float32))
    forms = [
        doubles,
        decimals,
        tuple(doubles),
        np.array(doubles),
        np.array(doubles, object),
        np.array(decimals, object),
        np.array(doubles, ">f8"),
        np.ma.array(doubles),
        pd.Series(doubles),
        pd.Series(doubles, dtype="Float64"),
        pd.Series(decimals, dtype=object),
        pl.Series(doubles),
        pa.array(doubles),
        pa.chunked_array([doubles[:1], doubles[1:]], pa.float64()),
        pa.array(decimals, pa.decimal128(38, 12)),
    ]
    for form in forms:
        got = coerce(spec("FP32"), form)
        assert got.dtype == np.float32
        assert bits(got) == expected, type(form)


@given(st.floats(width=32, allow_nan=False))
def test_a_float32_stays_what_it_is_in_every_format(value: float) -> None:
    expected = bits(np.array([value], np.float32))
    for form in (
        np.array([value], np.float32),
        [np.float32(value)],
        [np.array(value, np.float32)],
        pa.array([value], pa.float32()),
    ):
        assert bits(coerce(spec("FP32"), form)) == expected


@given(st.integers())
def test_integers_become_floats_as_python_makes_them(value: int) -> None:
    try:
        expected = float(value)
    except OverflowError:
        expected = np.inf
    if abs(expected) <= np.finfo(np.float64).max:
        assert coerce(spec("FP64"), [value])[0] == expected
    else:
        with pytest.raises(InvalidInputError, match=r"(?m)^input `x`: expected FP64, got -?\d+\.\.\. at \[0\]$"):
            coerce(spec("FP64"), [value])


@pytest.mark.parametrize("datatype", INTEGERS)
def test_integers_keep_every_bit_and_never_wrap(datatype: str) -> None:
    limits = np.iinfo(DTYPES[datatype])  # type: ignore[type-var]
    inside = [int(limits.min), 0, int(limits.max)]
    for form in (inside, np.array(inside, object), np.array(inside, DTYPES[datatype]), [np.int8(0), *inside]):
        got = coerce(spec(datatype), form)
        assert got.dtype == DTYPES[datatype]
        assert set(got.tolist()) == set(inside)
    for value in (int(limits.min) - 1, int(limits.max) + 1, 10**30):
        with refused(f"expected {datatype}, got {value} at [1]: out of range"):
            coerce(spec(datatype), [0, value])


@pytest.mark.parametrize(
    ("datatype", "dtype", "value"), [("INT64", "u8", 2**63), ("UINT64", "i8", -1), ("INT8", ">i4", 128)]
)
def test_an_integer_out_of_range_is_named_whatever_array_it_comes_in(datatype: str, dtype: str, value: int) -> None:
    array = np.zeros((2, 2), dtype)
    array[1, 0] = value
    with refused(f"expected {datatype}, got {value} at [1, 0]: out of range"):
        coerce(spec(datatype), array)


@pytest.mark.parametrize(("datatype", "value"), [("FP32", 1e39), ("FP32", -3.5e38), ("FP16", 65520.0), ("FP16", 7e4)])
def test_a_float_out_of_range_is_named(datatype: str, value: float) -> None:
    for form in ([1.0, value], np.array([1.0, value]), [1.0, Decimal(str(value))]):
        with refused(f"expected {datatype}, got {value} at [1]: out of range"):
            coerce(spec(datatype), form)


def test_a_float_too_small_becomes_zero() -> None:
    with np.errstate(all="raise"):
        assert coerce(spec("FP32"), [1e-300, -1e-300]).tolist() == [0.0, -0.0]


def test_infinities_pass_here_because_the_specs_check_refuses_them() -> None:
    assert coerce(spec("FP32"), [np.inf, -np.inf]).tolist() == [np.inf, -np.inf]


MISSING = [None, float("nan"), np.nan, np.float32("nan"), pd.NA, Decimal("nan")]


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_what_is_missing_becomes_nan(missing: Any) -> None:
    got = coerce(spec("FP32", nullable=True), [1.5, missing])
    assert got[0] == 1.5
    assert np.isnan(got[1])


@pytest.mark.parametrize("missing", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT], ids=repr)
def test_missing_text_becomes_the_null_of_the_spec(missing: Any) -> None:
    assert coerce(spec("BYTES", nullable=True, null="<null>"), ["a", missing]).tolist() == ["a", "<null>"]
    shown = "NaN" if isinstance(missing, float | np.floating) else "null"
    with refused(f"expected BYTES, got {shown} at [1]") as caught:
        coerce(spec("BYTES"), ["a", missing])
    assert caught.value.hint == "a missing value is accepted only where the signature says `nullable`"


@pytest.mark.parametrize("datatype", ["INT64", "UINT8", "BOOL"])
@pytest.mark.parametrize("missing", [None, pd.NA], ids=repr)
def test_an_integer_or_boolean_cannot_be_missing(datatype: str, missing: Any) -> None:
    with refused(f"expected {datatype}, got null at [1]"):
        coerce(spec(datatype), [True if datatype == "BOOL" else 1, missing])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([2**53 + 1, None], dtype="Int64"),
        pd.Series([2**53 + 1, None], dtype="int64[pyarrow]"),
        pl.Series([2**53 + 1, None]),
        pa.array([2**53 + 1, None]),
    ],
    ids=["pandas", "pandas on Arrow", "Polars", "Arrow"],
)
def test_a_null_among_integers_is_named_though_tables_give_it_as_nan(column: Any) -> None:
    with refused("expected INT64, got null at [1]"):
        coerce(spec("INT64"), column)
    assert np.isnan(coerce(spec("FP64", nullable=True), column)[1])


WRONG: list[tuple[str, Any, str]] = [
    ("FP32", ["a"], 'expected FP32, got "a" at [0]'),
    ("FP32", [10**400], f"expected FP32, got 1{'0' * 36}... at [0]"),
    ("FP32", [Decimal("sNaN")], "expected FP32, got sNaN at [0]"),
    ("FP32", [1.0, "2"], 'expected FP32, got "2" at [1]'),
    ("FP32", [1.0, True], "expected FP32, got true at [1]"),
    ("FP32", [2, np.True_], "expected FP32, got true at [1]"),
    ("FP32", np.array(["a"]), "expected FP32, got BYTES"),
    ("FP32", np.array([True]), "expected FP32, got BOOL"),
    ("FP32", np.array([1j]), "expected FP32, got complex128"),
    ("FP32", [1j], "expected FP32, got 1j at [0]"),
    ("FP32", np.array(["2020-01-01"], "M8[D]"), "expected FP32, got datetime64[D]"),
    ("FP32", [np.datetime64("2020-01-01")], "expected FP32, got 2020-01-01 at [0]"),
    ("FP32", [np.timedelta64(1, "s")], "expected FP32, got 1 seconds at [0]"),
    ("FP32", [[np.array(["2020"], "M8[ns]")]], "expected FP32, got datetime64[ns]"),
    ("FP32", [pd.NaT], "expected FP32, got null at [0]"),
    ("FP32", [Fraction(1, 2)], "expected FP32, got 1/2 at [0]"),
    ("FP32", [{"a": 1}], "expected FP32, got a dict at [0]"),
    ("INT64", [1.0], "expected INT64, got 1.0 at [0]"),
    ("INT64", [2**63, -1, 0.5], "expected INT64, got 0.5 at [2]"),
    ("INT64", [1, "2"], 'expected INT64, got "2" at [1]'),
    ("INT64", [1, True], "expected INT64, got true at [1]"),
    ("INT64", [Decimal(1)], "expected INT64, got 1 at [0]"),
    ("INT64", [np.timedelta64(1, "s")], "expected INT64, got 1 seconds at [0]"),
    ("INT64", np.array([1.0]), "expected INT64, got FP64"),
    ("INT64", np.array([1.0, np.nan]), "expected INT64, got null at [1]"),
    ("INT64", np.array(["1"]), "expected INT64, got BYTES"),
    ("INT64", np.array([1], "m8[s]"), "expected INT64, got timedelta64[s]"),
    ("BOOL", [1], "expected BOOL, got 1 at [0]"),
    ("BOOL", np.array([1]), "expected BOOL, got INT64"),
    ("BOOL", ["true"], 'expected BOOL, got "true" at [0]'),
    ("BYTES", [1], "expected BYTES, got 1 at [0]"),
    ("BYTES", ["a", 1.5], "expected BYTES, got 1.5 at [1]"),
    ("BYTES", ["a", True], "expected BYTES, got true at [1]"),
    ("BYTES", np.array([1.5]), "expected BYTES, got FP64"),
    ("BYTES", [b"\xff"], "expected BYTES, got bytes that are not UTF-8 at [0]"),
    ("BYTES", [["a", "b"], ["c"]], "expected an array, got rows of different lengths"),
    ("FP32", [[1.0, 2.0], [3.0]], "expected an array, got rows of different lengths"),
    ("INT64", [1, [2]], "expected an array, got rows of different lengths"),
]


@pytest.mark.parametrize(("datatype", "values", "message"), WRONG)
def test_nothing_changes_its_kind(datatype: str, values: Any, message: str) -> None:
    with refused(message):
        coerce(spec(datatype), values)


def test_arrays_of_dates_in_a_list_are_no_integers() -> None:
    """NumPy gives them as integers, if it is asked for objects."""
    for dtype in ("M8[ns]", "m8[ns]"):
        with pytest.raises(InvalidInputError, match=r"expected INT64, got "):
            coerce(spec("INT64"), [np.array([1], dtype)])
        with pytest.raises(InvalidInputError, match=r"expected INT64, got "):
            coerce(spec("INT64"), np.ma.array(np.array([1], dtype), mask=[False]))


@pytest.mark.parametrize("datatype", list(DTYPES))
@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_nothing_has_every_datatype(datatype: Any, shape: tuple[int, ...]) -> None:
    for form in (np.zeros(shape, object), np.zeros(shape, object).tolist(), np.zeros(shape, DTYPES[datatype])):
        got = coerce(spec(datatype), form)
        assert got.dtype == DTYPES[datatype]
        assert got.size == 0


@pytest.mark.parametrize("datatype", [name for name in DTYPES if name not in ("BYTES", "BOOL")])
def test_any_layout_of_an_array_gives_the_same_bits(datatype: Any) -> None:
    dtype = DTYPES[datatype]
    plain = np.arange(24).reshape(4, 6).astype(dtype)
    wide = np.zeros((8, 12), dtype)
    wide[::2, ::2] = plain
    readonly = plain.copy()
    readonly.flags.writeable = False
    layouts = [
        np.asfortranarray(plain),
        wide[::2, ::2],
        plain[::-1, ::-1].copy()[::-1, ::-1],
        plain.astype(dtype.newbyteorder(">")),
    ]
    for layout in [*layouts, readonly, np.ma.array(plain), plain.tolist(), list(plain)]:
        got = coerce(spec(datatype), layout)
        assert got.dtype == dtype
        assert got.dtype.isnative
        assert got.shape == plain.shape
        assert bits(got) == bits(plain)


def test_masked_values_are_missing() -> None:
    masked = np.ma.array([1.5, 2.5], mask=[False, True])
    got = coerce(spec("FP32", nullable=True), masked)
    assert got[0] == 1.5
    assert np.isnan(got[1])
    with refused("expected INT64, got null at [1]"):
        coerce(spec("INT64"), np.ma.array([1, 2], mask=[False, True]))
    texts = np.ma.array(["a", "b"], mask=[False, True])
    assert coerce(spec("BYTES", nullable=True, null=""), texts).tolist() == ["a", ""]


TEXTS = [
    ["a", None],
    np.array(["a", None], object),
    pd.Series(["a", None]),
    pd.Series(["a", None], dtype=object),
    pd.Series(["a", None], dtype="string"),
    pd.Series(["a", None], dtype="string[pyarrow]"),
    pd.Series(["a", None], dtype="category"),
    pl.Series(["a", None]),
    pl.Series(["a", None], dtype=pl.Categorical),
    pa.array(["a", None]),
    pa.array(["a", None], pa.large_string()),
    pa.array(["a", None]).dictionary_encode(),
    pa.array([b"a", None]),
]


@pytest.mark.parametrize(
    "column", TEXTS, ids=lambda column: f"{type(column).__module__} {getattr(column, 'dtype', '')}"
)
def test_text_of_every_library_is_text(column: Any) -> None:
    got = coerce(spec("BYTES", nullable=True, null="?"), column)
    assert got.tolist() == ["a", "?"]
    assert {type(value) for value in got.tolist()} == {str}


@pytest.mark.parametrize(
    "values", [np.array(["a", "bc"]), np.array([b"a", b"bc"]), [np.str_("a"), "bc"], deque(["a", "bc"])]
)
def test_text_of_every_kind_is_made_plain_text(values: Any) -> None:
    got = coerce(spec("BYTES"), values)
    assert got.dtype == object
    assert got.tolist() == ["a", "bc"]
    assert {type(value) for value in got.tolist()} == {str}


@pytest.mark.parametrize(
    "values",
    [
        [True, False],
        [np.True_, False],
        np.array([True, False]),
        pd.Series([True, False], dtype="boolean"),
        pl.Series([True, False]),
        pa.array([True, False]),
    ],
)
def test_booleans_are_booleans(values: Any) -> None:
    assert coerce(spec("BOOL"), values).tolist() == [True, False]
    assert coerce(spec("BOOL"), values).dtype == np.bool_


class Unwilling:
    def __array__(self, *_: object, **__: object) -> None:
        raise RuntimeError("not here\n")


def test_what_other_libraries_refuse_is_refused_in_our_words() -> None:
    with refused("expected an array, got not here\\n"):
        coerce(spec("FP32"), Unwilling())


@pytest.mark.parametrize("values", [5, "text", {1, 2}, {"a": 1}, iter([1.0]), object()])
def test_what_is_no_array_is_refused_or_has_no_dimension(values: Any) -> None:
    try:
        assert coerce(spec("FP32"), values).shape == ()
    except InvalidInputError as error:
        assert error.message.startswith("input `x`: expected FP32, got ")  # noqa: PT017  one of the two


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.decimals(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(list(DTYPES)), ANYTHING)
def test_anything_is_taken_or_refused_in_our_words(datatype: Any, values: Any) -> None:
    try:
        assert coerce(spec(datatype), values).dtype == DTYPES[datatype]
    except InvalidInputError as error:
        assert error.message.isprintable()  # noqa: PT017  one of the two
