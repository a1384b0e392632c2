"""Columns of every Arrow type are read as the tensor that takes them."""

from __future__ import annotations

import datetime as dt
import io
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from table_io import TABLE, read, rows_of, write

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.signature import Signature, TensorSpec
from modelport.runtime.tables import ReadOptions
from modelport.runtime.tables.parquetreader import numbers_of, values_of

MATRIX = Signature(inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),), outputs=())


def file_of(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def test_each_input_is_the_column_of_its_name() -> None:
    data = file_of({"city": ["Bern", None], "count": [1, 2], "amount": [1.5, 2.5]})
    assert rows_of(read("parquet", data)) == [(1, 1.5, 1, "Bern"), (2, 2.5, 2, None)]


@given(st.integers(0, 12), st.integers(1, 5), st.integers(1, 5))
def test_batches_have_as_many_rows_as_asked_whatever_the_row_groups_are(count: int, rows: int, group: int) -> None:
    data = file_of({"x": pa.array([[i, i] for i in range(count)], pa.list_(pa.int64()))}, row_group_size=group)
    batches = read("parquet", data, MATRIX, rows=rows)
    assert [row[0] for row in rows_of(batches)] == list(range(1, count + 1))
    assert all(len(batch.numbers) == rows for batch in batches[:-1])


def test_columns_that_are_not_needed_are_not_read_and_names_are_taken_whole() -> None:
    data = file_of({"x.1": [3.0], "x": [{"0": 9.0}], "x.0": [1.0]})
    batches = read("parquet", data, MATRIX, options=ReadOptions(ignore_extra=True))
    assert rows_of(batches) == [(1, {"0": 9.0})]
    data = file_of({"x.1": [3.0], "x.0": [1.0], "unread": [object.__name__]})
    assert rows_of(read("parquet", data, MATRIX, options=ReadOptions(ignore_extra=True))) == [(1, 1.0, 3.0)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, 2], [3, 4]], pa.list_(pa.float32())),
        pa.array([[1, 2], [3, 4]], pa.large_list(pa.int16())),
        pa.array([[1, 2], [3, 4]], pa.list_(pa.float64(), 2)),
    ],
)
def test_lists_of_one_length_are_a_matrix(column: Any) -> None:
    found = numbers_of(column)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [[1, 2], [3, 4]]
    sliced = numbers_of(column.slice(1))
    assert isinstance(sliced, np.ndarray)
    assert sliced.tolist() == [[3, 4]]


def test_lists_of_lists_are_dimensions() -> None:
    found = numbers_of(pa.array([[[1, 2], [3, 4]]]))
    assert isinstance(found, np.ndarray)
    assert found.shape == (1, 2, 2)


def test_lists_of_other_lengths_or_missing_ones_stay_lists() -> None:
    assert numbers_of(pa.array([[1], [2, 3]])) == [[1], [2, 3]]
    assert numbers_of(pa.array([[1], None])) == [[1], None]


def test_a_missing_number_is_nan_among_floats_and_none_among_integers() -> None:
    found = numbers_of(pa.chunked_array([[1.5], [None]]))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, [1.5, np.nan])
    assert numbers_of(pa.array([2**53 + 1, None])) == [2**53 + 1, None]
    assert numbers_of(pa.array([True, None])) == [True, None]


def test_a_decimal_becomes_the_nearest_float64() -> None:
    texts = ["0.1", "1234567890123456789.123456789", "-0.30000000000000000001"]
    column = pa.array([Decimal(text) for text in texts] + [None], pa.decimal256(60, 25))
    assert numbers_of(column) == [float(text) for text in texts] + [None]


def test_categories_are_their_values() -> None:
    assert values_of(pa.array(["a", None, "a"]).dictionary_encode()) == ["a", None, "a"]


def test_kept_columns_are_what_they_were() -> None:
    moment = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    small = values_of(pa.array([1, 2], pa.int8()))
    assert isinstance(small, np.ndarray)
    assert small.dtype == np.int8
    assert values_of(pa.array([Decimal("1.10")])) == [Decimal("1.10")]
    assert values_of(pa.array([moment])) == [moment]
    assert values_of(pa.array([1], pa.timestamp("ns"))) == ["1970-01-01 00:00:00.000000001"]
    assert values_of(pa.array([None, 1.5])) == [None, 1.5]


def test_a_byte_changed_in_a_file_that_we_wrote_never_gives_other_rows() -> None:
    value = TensorSpec(name="value", datatype="FP32", shape=(-1, 1))
    values = np.linspace(0, 1, 50, dtype=np.float32).reshape(-1, 1)
    data = write("parquet", (value,), ({}, {"value": values}))
    footer = int.from_bytes(data[-8:-4], "little") + 8
    refused = 0
    for position in range(4, len(data) - footer):
        damaged = bytearray(data)
        damaged[position] ^= 1
        try:
            found = rows_of(read("parquet", bytes(damaged), Signature(inputs=(value,), outputs=())))
        except InvalidInputError:
            refused += 1
        else:
            assert [number for _, number in found] == values.reshape(-1).tolist()
    assert refused > 200


def test_a_damaged_page_is_refused() -> None:
    data = bytearray(file_of({"x": [[1.0, 2.0]] * 1000}, write_page_checksum=True, compression="none"))
    data[data.index(np.array([1.0, 2.0]).tobytes())] ^= 1
    with pytest.raises(InvalidInputError, match=r"(?m)^Parquet: expected a whole file, got .*CRC checksum"):
        read("parquet", bytes(data), MATRIX)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Parquet: expected a whole file, got Parquet file size is 0 bytes"),
        (file_of({"a": [1]}), "column `amount`: expected in the table, got `a`"),
    ],
)
def test_a_file_that_is_no_table_for_the_model_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        read("parquet", data, TABLE)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1 << 60], pa.timestamp("us")),
        pa.array([1 << 30], pa.date32()),
        pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")),
    ],
    ids=["a time", "a date", "text"],
)
def test_values_that_python_has_none_for_are_named_by_their_column(column: Any) -> None:
    data = file_of({"amount": [1.5], "count": [1], "city": column})
    with pytest.raises(InvalidInputError, match=r"^column `city`: expected values in range, got .+$"):
        read("parquet", data)
