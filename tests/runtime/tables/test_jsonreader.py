"""Rows are read from JSON in each of its forms, and those that are none are named."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_io import read, refusals_of, rows_of

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.signature import Signature, TensorSpec
from modelport.runtime.tables import ReadOptions

RECORDS = b'[{"city": "Bern", "count": 1, "amount": 1.5}, {"amount": null, "count": 2, "city": "Genf"}]'
ROWS = [(1, 1.5, 1, "Bern"), (2, None, 2, "Genf")]
EMPTY = b'{"count": [], "amount": [], "city": []}'
MATRIX = Signature(inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),), outputs=())


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", RECORDS),
        ("json", b"\n\t " + RECORDS + b"\n"),
        ("json", b'[[1.5, 1, "Bern"], [null, 2, "Genf"]]'),
        ("json", b'{"count": [1, 2], "amount": [1.5, null], "city": ["Bern", "Genf"]}'),
        ("jsonl", b'{"city": "Bern", "count": 1, "amount": 1.5}\n{"amount": null, "count": 2, "city": "Genf"}'),
        ("jsonl", b'\n{"city": "Bern", "count": 1, "amount": 1.5}\r\n \n{"count": 2, "city": "Genf"}\n\n'),
        ("jsonl", b'[1.5, 1, "Bern"]\n[null, 2, "Genf"]\n'),
    ],
)
def test_each_form_gives_the_same_rows(form: str, text: bytes) -> None:
    assert rows_of(read(form, text)) == ROWS


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", b"[[1, 2], [3, 4]]"),
        ("json", b'[{"x": [1, 2]}, {"x": [3, 4]}]'),
        ("json", b'{"x": [[1, 2], [3, 4]]}'),
        ("jsonl", b"[1, 2]\n[3, 4]"),
    ],
)
def test_the_rows_of_one_matrix_are_lists_with_or_without_its_name(form: str, text: bytes) -> None:
    assert rows_of(read(form, text, MATRIX)) == [(1, [1, 2]), (2, [3, 4])]


@pytest.mark.parametrize(("form", "text"), [("json", b"[]"), ("json", EMPTY), ("jsonl", b""), ("jsonl", b"\n\n")])
def test_a_table_may_have_no_rows(form: str, text: bytes) -> None:
    assert rows_of(read(form, text)) == []


@given(st.lists(st.integers(-9, 9), max_size=12), st.integers(1, 5), st.sampled_from(["json", "jsonl"]))
def test_batches_hold_every_row_once_in_order_and_no_more_than_asked(values: list[int], rows: int, form: str) -> None:
    texts = [f"[null, {value}, null]" for value in values]
    text = "\n".join(texts) if form == "jsonl" else f"[{','.join(texts)}]"
    batches = read(form, text.encode(), rows=rows)
    assert [row[:1] + row[2:3] for row in rows_of(batches)] == list(enumerate(values, 1))
    assert all(len(batch.numbers) == rows for batch in batches[:-1])


def test_a_list_is_read_row_by_row_before_it_is_all_there() -> None:
    assert len(read("json", b'[{"count": 1}, {"count": 2}, {"count": 3}]', rows=1)) == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"count": 1, "count": 2}', "row 2: JSON: expected each key once, got `count` twice at byte 13"),
        ('{"count": 1', "row 2: JSON: unexpected end (byte 11)"),
        ("nonsense", "row 2: JSON: invalid character (byte 4)"),
        ('{"amount": 1}', "row 2, column `count`: expected INT64, got nothing"),
        ('{"count": 1, "extra": 2}', "row 2, column `extra`: expected only columns of the model, got this one too"),
        ("[1, 2, 3]", "row 2: expected a record, as the rows before, got a list"),
        ('"text"', 'row 2: expected a record, as the rows before, got "text"'),
    ],
)
def test_a_line_that_is_no_record_is_refused_and_the_rest_is_read(row: str, reason: str) -> None:
    batches = read("jsonl", f'{{"count": 1}}\n{row}\n{{"count": 3}}\n'.encode())
    assert refusals_of(batches) == [reason]
    assert rows_of(batches) == [(1, None, 1, None), (3, None, 3, None)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("[1, 2]", "row 2: expected 3 values, got 2"),
        ("7", "row 2: expected a list of 3 values, got 7"),
        ('{"count": 1}', "row 2: expected a list, as the rows before, got a record"),
    ],
)
def test_a_line_that_is_no_list_is_refused_where_the_first_was_one(row: str, reason: str) -> None:
    batches = read("jsonl", f"[null, 1, null]\n{row}\n[null, 3, null]\n".encode())
    assert refusals_of(batches) == [reason]
    assert [row[0] for row in rows_of(batches)] == [1, 3]


def test_what_the_rows_are_is_said_by_the_first_that_can_be_read() -> None:
    batches = read("json", b'[{"count: 1}, {"count": 2}]'.replace(b'{"count: 1}', b"?"))
    assert refusals_of(batches) == ["row 1: JSON: invalid character (byte 0)"]
    assert rows_of(batches) == [(2, None, 2, None)]


def test_extra_values_are_ignored_or_kept_and_null_where_a_record_lacks_them() -> None:
    text = b'[{"count": 1, "id": "a"}, {"count": 2, "note": true}]'
    (batch,) = read("json", text, options=ReadOptions(ignore_extra=True, keep=("id",)))
    assert batch.kept == {"id": ["a", None]}
    assert list(batch.numbers) == [1, 2]


def test_columns_are_kept_too() -> None:
    text = b'{"count": [1, 2], "amount": [1, 2], "city": ["a", "b"], "id": [7, 8]}'
    batches = read("json", text, rows=1, options=ReadOptions(keep=("id",)))
    assert [batch.kept for batch in batches] == [{"id": [7]}, {"id": [8]}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "JSON: expected a list of rows or an object of columns, got nothing"),
        (b"17", 'JSON: expected a list of rows or an object of columns, got "17"'),
        (b'{"count": 1}', "column `count`: expected the list of its values, got 1"),
        (b'{"count": [1], "amount": []}', "column `amount`: expected 1 rows as `count`, got 0"),
        (b'{"count": [1]}', "column `amount`: expected in the table, got `count`"),
        (b"{}", "column `amount`: expected in the table, got no columns"),
        (b'{"count": [1]', "JSON: unexpected end (byte 13)"),
        (b'[{"count": 1}', "JSON: expected `]` at the end of the list, got the end of the input"),
    ],
)
def test_a_file_that_is_no_table_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        read("json", text)


def test_rows_without_names_have_none_to_keep() -> None:
    message = "column `id`: expected records, to keep it, got rows without names"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        read("jsonl", b"[1, 2, 3]", options=ReadOptions(keep=("id",)))


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelport.runtime.tables.jsonreader.MAX_ELEMENT", 8)
    with pytest.raises(InvalidInputError, match=r"(?m)^JSON: expected rows of at most 8 bytes, got a longer one$"):
        read("jsonl", b'{"count": 1}')
