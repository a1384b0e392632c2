"""Whatever people hold a table in, the same rows give the same inputs, and a table that does not fit is refused."""

from __future__ import annotations

import re
from collections import OrderedDict, UserDict
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.frames import to_inputs
from modelport.runtime.signature import Signature, TensorSpec


def column(name: str, datatype: Any, **fields: Any) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=(-1, 1), **fields)


TABLE = Signature(
    inputs=(
        column("amount", "FP32", nullable=True),
        column("count", "INT64"),
        column("city", "BYTES", nullable=True, null=""),
    ),
    outputs=(),
)
MATRIX = Signature(
    inputs=(TensorSpec(name="X", datatype="FP32", shape=(-1, 3), features=("a", "b", "c"), nullable=True),), outputs=()
)
PLAIN = Signature(inputs=(TensorSpec(name="X", datatype="FP32", shape=(-1, 3)),), outputs=())
WHOLE = Signature(
    inputs=(
        TensorSpec(name="x", datatype="FP32", shape=(-1,)),
        TensorSpec(name="state", datatype="FP32", shape=(2, 2)),
    ),
    outputs=(),
    batch="none",
)

ROWS = {"amount": [0.1, None, 2.5], "count": [1, 2, 3], "city": ["Bern", None, "Zürich"]}
RECORDS = [dict(zip(ROWS, values, strict=True)) for values in zip(*ROWS.values(), strict=True)]
ARROW = pa.table(ROWS)


def refused(message: str) -> Any:
    return pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$")


def check_table(data: Any) -> None:
    got = to_inputs(TABLE, data)
    assert list(got) == ["amount", "count", "city"]
    expected = np.array([[np.float32(0.1)], [np.nan], [2.5]], np.float32)
    np.testing.assert_array_equal(got["amount"], expected, strict=True)
    np.testing.assert_array_equal(got["count"], np.array([[1], [2], [3]]), strict=True)
    assert got["city"].tolist() == [["Bern"], [""], ["Zürich"]]


TABLES: dict[str, Any] = {
    "a dict of lists": ROWS,
    "a dict of arrays": {name: np.array(values, object) for name, values in ROWS.items()},
    "a dict of columns": {name: np.array(values, object)[:, np.newaxis] for name, values in ROWS.items()},
    "a dict of series": dict(pd.DataFrame(ROWS)),
    "another mapping": UserDict(reversed(list(ROWS.items()))),
    "an ordered dict": OrderedDict(ROWS),
    "records": RECORDS,
    "a tuple of records": tuple(RECORDS),
    "records without what is missing": [{k: v for k, v in row.items() if v is not None} for row in RECORDS],
    "records of another order": [dict(reversed(row.items())) for row in RECORDS],
    "pandas": pd.DataFrame(ROWS),
    "pandas with its own dtypes": pd.DataFrame(ROWS).convert_dtypes(),
    "pandas with objects": pd.DataFrame(ROWS, dtype=object),
    "pandas with categories": pd.DataFrame(ROWS).astype({"city": "category"}),
    "pandas on Arrow": ARROW.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas with another order and index": pd.DataFrame(ROWS, index=[5, 5, 1])[["city", "amount", "count"]],
    "Polars": pl.DataFrame(ROWS),
    "Polars with categories": pl.DataFrame(ROWS).with_columns(pl.col("city").cast(pl.Categorical)),
    "an Arrow table": ARROW,
    "an Arrow table of chunks": pa.concat_tables([ARROW.slice(0, 1), ARROW.slice(1)]),
    "an Arrow batch": ARROW.to_batches()[0],
    "Arrow with a dictionary": ARROW.set_column(2, "city", ARROW["city"].dictionary_encode()),
    "an array of objects": np.array(list(map(tuple, zip(*ROWS.values(), strict=True))), object),
    "rows": [list(row.values()) for row in RECORDS],
}


@pytest.mark.parametrize("data", TABLES.values(), ids=TABLES)
def test_every_form_of_a_table_gives_the_same_columns(data: Any) -> None:
    check_table(data)


VALUES = np.array([[0.1, 2.0, -3.5], [4.0, 0.2, 1e-3]])
NARROW = VALUES.astype(np.float32)
FRAME = pd.DataFrame(VALUES, columns=list("abc"))

MATRICES: dict[str, Any] = {
    "an array": VALUES,
    "a list": VALUES.tolist(),
    "an array in Fortran's order": np.asfortranarray(VALUES),
    "a dict by input": {"X": VALUES},
    "a dict by feature": {"c": VALUES[:, 2], "a": VALUES[:, 0].tolist(), "b": VALUES[:, [1]]},
    "records by feature": FRAME.to_dict("records"),
    "records by input": [{"X": row.tolist()} for row in VALUES],
    "a data frame by input": {"X": FRAME},
    "pandas": FRAME,
    "Polars": pl.DataFrame(FRAME.to_dict("list")),
    "Arrow": pa.table(FRAME.to_dict("list")),
}


@pytest.mark.parametrize("data", MATRICES.values(), ids=MATRICES)
def test_every_form_of_a_matrix_gives_the_same_bits(data: Any) -> None:
    got = to_inputs(MATRIX, data)
    assert list(got) == ["X"]
    np.testing.assert_array_equal(got["X"], NARROW, strict=True)


@pytest.mark.parametrize(
    "data", [VALUES[0], VALUES[0].tolist(), {"X": VALUES[0]}, dict(zip("abc", VALUES[0], strict=True))]
)
def test_a_row_alone_is_a_batch_of_one(data: Any) -> None:
    np.testing.assert_array_equal(to_inputs(MATRIX, data)["X"], NARROW[:1], strict=True)


@pytest.mark.parametrize(
    "data", [RECORDS[0], list(RECORDS[0].values()), np.array([0.1, 1, "Bern"], object), RECORDS[:1]]
)
def test_a_row_of_a_table_alone_is_a_batch_of_one(data: Any) -> None:
    got = to_inputs(TABLE, data)
    assert {name: array.tolist() for name, array in got.items()} == {
        "amount": [[float(np.float32(0.1))]],
        "count": [[1]],
        "city": [["Bern"]],
    }


def test_a_row_alone_is_no_batch_where_there_are_no_rows() -> None:
    got = to_inputs(WHOLE, {"x": [1.0], "state": [1.0, 2.0]})
    assert got["state"].shape == (2,)
    assert to_inputs(WHOLE, {"x": 1.0, "state": [[1, 2], [3, 4]]})["x"].shape == ()


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("values", [[1.0, 2.0], [[1.0], [2.0]], np.ones((2, 1)), np.ones(2)])
def test_a_column_may_be_flat_or_a_matrix_of_one(shape: tuple[int, ...], values: Any) -> None:
    signature = Signature(inputs=(TensorSpec(name="x", datatype="FP32", shape=shape),), outputs=())
    for data in (values, {"x": values}):
        assert to_inputs(signature, data)["x"].shape == ((2,) if shape == (-1,) else (2, 1))


EMPTY: dict[str, Any] = {
    "no records": [],
    "an empty tuple": (),
    "a dict": {name: [] for name in ROWS},
    "pandas": pd.DataFrame(ROWS)[:0],
    "pandas without types": pd.DataFrame(columns=list(ROWS)),
    "Polars": pl.DataFrame(ROWS)[:0],
    "Arrow": ARROW.slice(0, 0),
    "an array": np.zeros((0, 3), object),
}


@pytest.mark.parametrize("data", EMPTY.values(), ids=EMPTY)
def test_no_rows_are_a_batch_of_none(data: Any) -> None:
    got = to_inputs(TABLE, data)
    assert [(array.shape, array.dtype) for array in got.values()] == [
        ((0, 1), np.float32),
        ((0, 1), np.int64),
        ((0, 1), object),
    ]


@pytest.mark.parametrize("data", [[], FRAME[:0], np.zeros((0, 3)), {"a": [], "b": [], "c": []}])
def test_no_rows_of_a_matrix_keep_its_width(data: Any) -> None:
    assert to_inputs(MATRIX, data)["X"].shape == (0, 3)


WRONG: list[tuple[Signature, Any, str]] = [
    (TABLE, {"amount": [1.0], "count": [1]}, "input `city`: expected a column, got none of that name"),
    (TABLE, {**ROWS, "more": [1, 2, 3]}, "input `more`: expected only `amount`, `count`, `city`"),
    (TABLE, {**ROWS, "\x1b\n": [1, 2, 3]}, "input `\\x1b\\n`: expected only `amount`, `count`, `city`"),
    (TABLE, {**ROWS, 7: [1, 2, 3]}, "input `7`: expected only `amount`, `count`, `city`"),
    (
        TABLE,
        pd.DataFrame(ROWS).rename(columns={"city": "City"}),
        "input `city`: expected a column, got none of that name",
    ),
    (TABLE, {}, "input `amount`: expected a column, got none of that name"),
    (TABLE, [RECORDS[0], {"amount": 1.0}], "record 1: expected `count`, got 1 other values"),
    (TABLE, [{"count": 1, "town": "a"}], "input `town`: expected only `amount`, `count`, `city`"),
    (TABLE, [{"count": None}], "input `count`: expected INT64, got null at [0]"),
    (TABLE, {**ROWS, "count": [1, 2.5, 3]}, "input `count`: expected INT64, got 2.5 at [1]"),
    (TABLE, np.zeros((2, 4)), "array: expected 3 columns (`amount`, `count`, `city`), got shape [2, 4]"),
    (TABLE, np.zeros((2, 3)), "input `count`: expected INT64, got FP64"),
    (TABLE, np.zeros(2), "array: expected 3 columns (`amount`, `count`, `city`), got shape [2]"),
    (TABLE, 5, "array: expected 3 columns (`amount`, `count`, `city`), got shape []"),
    (TABLE, "text", "array: expected 3 columns (`amount`, `count`, `city`), got shape []"),
    (TABLE, None, "array: expected 3 columns (`amount`, `count`, `city`), got shape []"),
    (TABLE, [1, RECORDS[0]], "array: expected 3 columns (`amount`, `count`, `city`), got shape [2]"),
    (TABLE, iter(RECORDS), "array: expected 3 columns (`amount`, `count`, `city`), got shape []"),
    (WHOLE, np.zeros((2, 2)), "array: expected 2 columns (`x`, `state`), got shape [2, 2]"),
    (MATRIX, {"a": [1.0], "b": [1.0]}, "feature `c`: expected a column, got none of that name"),
    (MATRIX, FRAME.assign(d=1), "feature `d`: expected only `a`, `b`, `c`"),
    (MATRIX, {"a": [1.0, 2.0], "b": [1.0], "c": [1.0]}, "feature `b`: expected 2 rows as `a`, got 1"),
    (MATRIX, {"a": [1.0], "b": ["x"], "c": [1.0]}, 'feature `b`: input `X`: expected FP32, got "x" at [0]'),
    (MATRIX, dict.fromkeys("abc", np.zeros((2, 2))), "feature `a`: expected one column, got shape [2, 2]"),
    (MATRIX, dict.fromkeys("abc", np.zeros((2, 0))), "feature `a`: expected one column, got shape [2, 0]"),
    (MATRIX, {"X": VALUES, "a": [1.0]}, "input `a`: expected only `X`"),
    (PLAIN, FRAME, "input `X`: expected a column, got none of that name"),
    (PLAIN, {"a": [1.0]}, "input `X`: expected a column, got none of that name"),
    (PLAIN, [[1.0, 2.0, 3.0], [1.0]], "input `X`: expected an array, got rows of different lengths"),
    (PLAIN, [{"a": 1.0}], "input `X`: expected a column, got none of that name"),
]


@pytest.mark.parametrize(("signature", "data", "message"), WRONG)
def test_what_does_not_fit_is_refused(signature: Signature, data: Any, message: str) -> None:
    with refused(message):
        to_inputs(signature, data)


def test_arrays_that_stack_to_nothing_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"(?m)^array: expected rows of one length, got .+$"):
        to_inputs(TABLE, [np.zeros((2, 2)), np.zeros((2, 3))])


def test_a_long_list_of_inputs_is_cut_in_the_message() -> None:
    many = Signature(inputs=tuple(column(f"c{number}", "FP32") for number in range(30)), outputs=())
    columns = {f"c{number}": [1.0] for number in range(30)}
    with pytest.raises(InvalidInputError, match=r"(?m)^input `no`: expected only `c0`, .*, `c19`, \.\.\.$"):
        to_inputs(many, {**columns, "no": [1.0]})


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame([[1.0, 2.0, 3.0, 4.0]], columns=["a", "b", "c", "a"]),
        pd.DataFrame([[1.0] * 6], columns=["a", "a", "b", "b", "c", "c"]),
        pa.table([[1.0], [2.0]], names=["a", "a"]),
    ],
)
def test_one_column_name_twice_is_refused(data: Any) -> None:
    with refused("column `a`: expected each name once, got it twice"):
        to_inputs(MATRIX, data)


def test_names_that_only_look_alike_are_one_name_twice() -> None:
    with refused("column `0`: expected each name once, got it twice"):
        to_inputs(MATRIX, pd.DataFrame([[1.0, 2.0]], columns=pd.Index([0, "0"], dtype=object)))


def test_columns_numbered_by_pandas_are_named_by_their_numbers() -> None:
    numbered = Signature(
        inputs=(TensorSpec(name="X", datatype="FP32", shape=(-1, 3), features=("0", "1", "2")),), outputs=()
    )
    np.testing.assert_array_equal(to_inputs(numbered, pd.DataFrame(VALUES))["X"], NARROW, strict=True)


def test_several_levels_of_column_names_are_refused() -> None:
    frame = pd.DataFrame(VALUES, columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "x"), ("c", "x")]))
    with refused("feature `a`: expected a column, got none of that name"):
        to_inputs(MATRIX, frame)


@pytest.mark.filterwarnings("ignore:Determining the column names")
def test_a_lazy_frame_is_to_be_collected_first() -> None:
    with pytest.raises(InvalidInputError, match=r"(?m)^data frame: expected columns in memory, got ") as caught:
        to_inputs(MATRIX, pl.LazyFrame(FRAME.to_dict("list")))
    assert caught.value.hint == "collect it"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pd.to_datetime(["2020-01-01"]), "input `amount`: expected FP32, got datetime64[us]"),
        (pd.to_timedelta(["1s"]), "input `amount`: expected FP32, got timedelta64[us]"),
        (pd.period_range("2020", periods=1), "input `amount`: expected FP32, got 2020-01-01 at [0]"),
        (np.array([1j]), "input `amount`: expected FP32, got complex128"),
    ],
)
def test_dates_and_complex_numbers_are_refused(values: Any, message: str) -> None:
    with refused(message):
        to_inputs(TABLE, pd.DataFrame({"amount": values, "count": [1], "city": ["a"]}))


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ns"), pa.date32(), pa.list_(pa.int64()), pa.struct([("a", pa.int64())])]
)
def test_arrow_columns_of_other_kinds_are_refused(kind: pa.DataType) -> None:
    value = {"a": 1} if pa.types.is_struct(kind) else [1] if pa.types.is_list(kind) else 1
    table = pa.table({"amount": pa.array([value], kind), "count": [1], "city": ["a"]})
    with pytest.raises(InvalidInputError, match=r"(?m)^input `amount`: expected FP32, got "):
        to_inputs(TABLE, table)


def test_features_that_all_records_leave_out_are_missing_where_the_matrix_is_nullable() -> None:
    got = to_inputs(MATRIX, [{"a": 1.0}, {"a": 2.0}])["X"]
    assert got[:, 0].tolist() == [1.0, 2.0]
    assert np.isnan(got[:, 1:]).all()


def test_features_that_records_leave_out_are_named_where_the_matrix_is_not_nullable() -> None:
    strict = Signature(inputs=(TensorSpec(name="X", datatype="FP32", shape=(-1, 2), features=("a", "b")),), outputs=())
    with refused("record 1: expected `b`, got 1 other values"):
        to_inputs(strict, [{"a": 1.0, "b": 1.0}, {"a": 1.0}])
    with refused("feature `b`: expected a column, got none of that name"):
        to_inputs(strict, [{"a": 1.0}])


def test_a_million_names_in_a_record_are_refused_as_unknown() -> None:
    record = {str(number): 0 for number in range(100_000)}
    with refused("feature `0`: expected only `a`, `b`, `c`"):
        to_inputs(MATRIX, [{**record, "a": 1.0, "b": 1.0, "c": 1.0}] * 3)
