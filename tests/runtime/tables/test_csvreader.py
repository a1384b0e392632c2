"""Rows are read from CSV as RFC 4180 says, and their text as the model's datatypes say."""

from __future__ import annotations

import csv
import io
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_io import TABLE, read, refusals_of, rows_of

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.signature import Signature, TensorSpec
from modelport.runtime.tables import ReadOptions
from modelport.runtime.tables.celltext import values_of

NUMBER = TensorSpec(name="n", datatype="FP32", shape=(-1,))
MAYBE = TensorSpec(name="n", datatype="FP64", shape=(-1,), nullable=True)


def test_a_file_is_a_line_of_names_and_a_row_a_line() -> None:
    text = b'city,count,amount\nBern,1,1.5\n"La ""Chaux"",\nde-Fonds",2,\n,3,-2e3\n'
    rows = [(1, 1.5, 1, "Bern"), (2, None, 2, 'La "Chaux",\nde-Fonds'), (3, -2000.0, 3, None)]
    assert [(n, None if math.isnan(amount) else amount, *rest) for n, amount, *rest in rows_of(read("csv", text))] == [
        tuple(row) for row in rows
    ]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_every_text_that_a_csv_writer_quotes_is_read_back(texts: list[str], end: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
        [["city", "count"], *([text, "1"] for text in texts)]
    )
    signature = Signature(
        inputs=(
            TensorSpec(name="city", datatype="BYTES", shape=(-1,)),
            TensorSpec(name="count", datatype="INT64", shape=(-1,)),
        ),
        outputs=(),
    )
    assert [row[1] for row in rows_of(read("csv", file.getvalue().encode(), signature))] == texts


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_a_decimal_becomes_the_nearest_float64_as_in_json(numbers: list[float]) -> None:
    texts = [repr(number) for number in numbers]
    assert np.asarray(values_of(NUMBER, texts)).tolist() == numbers
    assert np.asarray(values_of(MAYBE, [*texts, ""])).tolist()[:-1] == numbers


@pytest.mark.parametrize("text", ["1", "+1", "-1.", ".5", "1e3", "1E-3", "007", "0.1"])
def test_numbers_are_written_in_digits(text: str) -> None:
    assert values_of(NUMBER, [text]) == [float(text)]


@pytest.mark.parametrize("text", ["1_000", " 1", "1 ", "0x1", "1,5", "one", ".", "e3", "1e", "\u0661", "1\n2", "--1"])
def test_what_is_no_number_stays_text_even_where_python_would_read_one(text: str) -> None:
    assert values_of(NUMBER, [text, "2"]) == [text, 2.0]
    if text != "1e":
        assert values_of(TensorSpec(name="n", datatype="INT32", shape=(-1,)), [text]) == [text]


@pytest.mark.parametrize(
    ("text", "number"), [("nan", math.nan), ("NaN", math.nan), ("-Inf", -math.inf), ("Infinity", math.inf)]
)
def test_numbers_that_are_not_finite_are_left_for_the_model_to_refuse(text: str, number: float) -> None:
    np.testing.assert_equal(values_of(NUMBER, [text]), [number])


def test_an_empty_cell_is_missing_but_the_empty_string_for_strings_that_cannot_be() -> None:
    text = TensorSpec(name="t", datatype="BYTES", shape=(-1,))
    maybe = TensorSpec(name="t", datatype="BYTES", shape=(-1,), nullable=True, null="?")
    flag = TensorSpec(name="f", datatype="BOOL", shape=(-1,))
    assert values_of(text, ["", "a"]) == ["", "a"]
    assert values_of(maybe, ["", "a"]) == [None, "a"]
    assert values_of(NUMBER, ["", "1"]) == [None, 1.0]
    assert values_of(flag, [""]) == [None]
    np.testing.assert_equal(values_of(MAYBE, ["", "1"]), np.array([math.nan, 1.0]))
    np.testing.assert_equal(values_of(MAYBE, ["", "x"]), [math.nan, "x"])


def test_integers_and_booleans_are_strict() -> None:
    count = TensorSpec(name="n", datatype="INT64", shape=(-1,))
    flag = TensorSpec(name="f", datatype="BOOL", shape=(-1,))
    assert values_of(count, ["-7", "+8", "9223372036854775807", "1.0"]) == [-7, 8, 2**63 - 1, "1.0"]
    assert values_of(flag, ["true", "False", "1", "0", "yes"]) == [True, False, True, False, "yes"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"1,2", "row 2: expected 3 cells, got 2"),
        (b"1,2,3,4", "row 2: expected 3 cells, got 4"),
        (b"1,2,Z\xfcrich", "row 2, column `city`: expected UTF-8, got other bytes"),
    ],
)
def test_a_line_that_is_no_row_is_refused_and_the_rest_is_read(row: bytes, reason: str) -> None:
    batches = read("csv", b"amount,count,city\n1,1,Basel\n" + row + b"\n3,3,Z\xc3\xbcrich\n")
    assert refusals_of(batches) == [reason]
    assert rows_of(batches) == [(1, 1.0, 1, "Basel"), (3, 3.0, 3, "Zürich")]


def test_only_the_columns_in_use_must_be_text() -> None:
    batches = read("csv", b"count,note\n1,\xff\n", _only_count(), options=ReadOptions(ignore_extra=True))
    assert rows_of(batches) == [(1, 1)]


def test_blank_lines_and_a_byte_order_mark_are_passed_over() -> None:
    batches = read("csv", b"\n\xef\xbb\xbfcount\n".replace(b"\n", b"", 1) + b"\n1\n\n2\n\n", _only_count())
    assert rows_of(batches) == [(1, 1), (2, 2)]


def test_without_names_the_columns_are_the_models_in_order() -> None:
    assert rows_of(read("csv", b"1.5,1,Bern\n", options=ReadOptions(header=False))) == [(1, 1.5, 1, "Bern")]


def test_without_names_there_is_nothing_to_keep() -> None:
    message = "column `id`: expected a table with names, to keep it, got one without"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        read("csv", b"1.5,1,Bern\n", options=ReadOptions(header=False, keep=("id",)))


def test_kept_columns_are_text_whatever_they_look_like() -> None:
    batches = read("csv", b"id,count\n007,1\n,2\n", _only_count(), rows=1, options=ReadOptions(keep=("id", "count")))
    assert [batch.kept for batch in batches] == [{"id": ["007"], "count": ["1"]}, {"id": [""], "count": ["2"]}]


def test_batches_hold_no_more_rows_than_asked() -> None:
    batches = read("csv", b"count\n1\n2\nx,\n4\n5\n", _only_count(), rows=2)
    assert [list(batch.numbers) for batch in batches] == [[1, 2], [4], [5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "CSV: expected a line of names, got nothing"),
        (b'count\n"1"2\n', "CSV, line 2: expected RFC 4180, got ',' expected after '\"'"),
        (b'count\n1\n"2\n', "CSV, line 3: expected RFC 4180, got unexpected end of data"),
        (b"number\n1\n", "column `count`: expected in the table, got `number`"),
        (b"count,count\n1,1\n", "column `count`: expected once, got it twice"),
    ],
)
def test_a_file_that_is_no_table_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        read("csv", text, _only_count())


def _only_count() -> Signature:
    return Signature(inputs=(TABLE.inputs[1],), outputs=())
