"""What is written reads back as the same bits, in every format."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from pyarrow import parquet
from table_io import write

from modelport.runtime.errors import OutputError
from modelport.runtime.signature import TensorSpec
from modelport.runtime.tables.npzwriter import write_whole

FORMATS = ["json", "jsonl", "csv", "parquet", "npz"]
VALUE = TensorSpec(name="value", datatype="FP32", shape=(-1, 1))
LABEL = TensorSpec(name="label", datatype="BYTES", shape=(-1,), labels=("no", "yes"))
PARTS = TensorSpec(name="p", datatype="FP32", shape=(-1, 2), labels=("no", "yes"))


def read_back(form: str, data: bytes, name: str) -> Any:
    """Return a column as another program than ours reads it."""
    if form == "npz":
        return np.load(io.BytesIO(data))[name].reshape(-1)
    if form == "parquet":
        return parquet.read_table(io.BytesIO(data))[name].to_numpy()
    if form == "csv":
        texts = [row[name] for row in csv.DictReader(io.StringIO(data.decode(), newline=""))]
        return [float(text or "nan") for text in texts]
    rows = json.loads(data) if form == "json" else [json.loads(line) for line in data.splitlines()]
    return [math.nan if row[name] is None else float(row[name]) for row in rows]


def floats(width: int) -> Any:
    dtype = np.dtype(f"f{width // 8}")
    return st_numpy.arrays(dtype, st.tuples(st.integers(0, 8), st.just(1)), elements=st.floats(width=width))


@pytest.mark.parametrize("form", FORMATS)
@given(first=floats(32), second=floats(32))
@example(
    first=np.array([[0.1], [np.nan], [np.inf], [-np.inf], [-0.0], [1e-45]], np.float32), second=np.ones((1, 1), "f")
)
def test_float32_reads_back_as_the_same_bits(form: Any, first: Any, second: Any) -> None:
    data = write(form, (VALUE,), ({}, {"value": first}), ({}, {"value": second}))
    found = np.asarray(read_back(form, data, "value"), np.float64).astype(np.float32)
    expected = np.concatenate([first, second]).reshape(-1)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    numbers = ~np.isnan(expected)
    assert found[numbers].tobytes() == expected[numbers].tobytes()


@pytest.mark.parametrize("form", FORMATS)
@given(array=floats(64))
def test_float64_reads_back_as_the_same_bits(form: Any, array: Any) -> None:
    data = write(form, (TensorSpec(name="value", datatype="FP64", shape=(-1, 1)),), ({}, {"value": array}))
    found, expected = np.asarray(read_back(form, data, "value"), np.float64), array.reshape(-1)
    numbers = ~np.isnan(expected)
    assert found[numbers].tobytes() == expected[numbers].tobytes()


texts = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=6)


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "npz"])
@given(first=texts, second=texts)
def test_strings_read_back_as_they_are(form: Any, first: list[str], second: list[str]) -> None:
    parts = [({}, {"label": np.array([*part, ""], object)[:-1]}) for part in (first, second)]
    data = write(form, (LABEL,), *parts)
    if form == "csv":
        found = [row["label"] for row in csv.DictReader(io.StringIO(data.decode(), newline=""))]
    elif form == "json":
        found = [row["label"] for row in json.loads(data)]
    elif form == "npz":
        found = np.load(io.BytesIO(data))["label"].tolist()
    else:
        found = parquet.read_table(io.BytesIO(data))["label"].to_pylist()
    assert found == first + second


BOTH = {"label": np.array(["no", "yes"], object), "p": np.array([[0.75, 0.25], [0.5, 0.5]], np.float32)}


def test_json_is_a_list_of_records_a_line_each() -> None:
    expected = '[\n{"id":7,"label":"no","p":[0.75,0.25]},\n{"id":8,"label":"yes","p":[0.5,0.5]}\n]\n'
    assert write("json", (LABEL, PARTS), ({"id": [7, 8]}, BOTH)).decode() == expected
    assert write("json", (LABEL, PARTS)) == b"[]\n"


def test_jsonl_is_a_record_a_line() -> None:
    expected = '{"id":null,"label":"no","p":[0.75,0.25]}\n{"id":[1],"label":"yes","p":[0.5,0.5]}\n'
    assert write("jsonl", (LABEL, PARTS), ({"id": [None, [1]]}, BOTH)).decode() == expected


def test_csv_has_a_column_for_each_label_of_a_matrix() -> None:
    kept = {"id": [{"a": 1}, None], "ok": [True, False]}
    expected = 'id,ok,label,p.no,p.yes\n"{""a"":1}",true,no,0.75,0.25\n,false,yes,0.5,0.5\n'
    assert write("csv", (LABEL, PARTS), (kept, BOTH)).decode() == expected


def test_csv_has_a_column_for_each_position_of_a_matrix_without_labels() -> None:
    matrix = TensorSpec(name="y", datatype="BOOL", shape=(-1, 2))
    data = write("csv", (matrix,), ({}, {"y": np.array([[True, False]])}), ({}, {"y": np.array([[False, False]])}))
    assert data == b"y.0,y.1\ntrue,false\nfalse,false\n"


def test_columns_of_one_name_are_told_apart() -> None:
    specs = (
        TensorSpec(name="p", datatype="FP32", shape=(-1, 2), labels=(1, True)),
        TensorSpec(name="p.1", datatype="INT64", shape=(-1,)),
        TensorSpec(name="p.true", datatype="INT64", shape=(-1,)),
    )
    outputs = {"p": np.zeros((1, 2), np.float32), "p.1": np.array([1]), "p.true": np.array([2])}
    kept = {"p.1": ["kept"], "id": ["a"], "input.p.1": ["too"]}
    names = write("csv", specs, (kept, outputs)).decode().splitlines()[0]
    assert names == "input.p.1,id,input.input.p.1,p.1,p.true,p.1#2,p.true#2"


@pytest.mark.parametrize("form", FORMATS)
def test_a_kept_column_makes_way_for_an_output(form: Any) -> None:
    data = write(form, (LABEL,), ({"label": ["kept"]}, {"label": np.array(["no"], object)}))
    if form == "npz":
        assert sorted(np.load(io.BytesIO(data)).files) == ["input.label", "label"]
    elif form == "parquet":
        assert parquet.read_table(io.BytesIO(data)).to_pylist() == [{"input.label": "kept", "label": "no"}]
    else:
        assert b"input.label" in data


def test_a_text_with_a_carriage_return_is_quoted() -> None:
    assert write("csv", (LABEL,), ({}, {"label": np.array(["a\rb"], object)})) == b'"label"\n"a\rb"\n'


def test_csv_cannot_hold_more_than_a_list_a_row() -> None:
    spec = TensorSpec(name="y", datatype="FP32", shape=(-1, 2, 2))
    message = "output `y`: expected at most a list of values a row, got shape [2, 2]"
    with pytest.raises(OutputError, match=f"(?m)^{re.escape(message)}$") as caught:
        write("csv", (spec,), ({}, {"y": np.zeros((1, 2, 2), np.float32)}))
    assert caught.value.hint == "write json, jsonl, parquet or npz"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("csv", "csv: expected 2 columns in every row, got 3"),
        ("npz", "output `y`: expected rows of shape [2], as before, got [3]"),
        (
            "parquet",
            "column `y`: expected fixed_size_list<item: float>[2], as before, got fixed_size_list<item: float>[3]",
        ),
    ],
)
def test_rows_of_other_widths_fit_json_only(form: Any, message: str) -> None:
    spec = TensorSpec(name="y", datatype="FP32", shape=(-1, -1))
    parts = [({}, {"y": np.zeros((1, width), np.float32)}) for width in (2, 3)]
    with pytest.raises(OutputError, match=f"(?m)^{re.escape(message)}$") as caught:
        write(form, (spec,), *parts)
    assert caught.value.hint == "write json or jsonl"
    assert write("jsonl", (spec,), *parts) == b'{"y":[0.0,0.0]}\n{"y":[0.0,0.0,0.0]}\n'


def test_parquet_keeps_types_and_shapes() -> None:
    specs = (PARTS, TensorSpec(name="n", datatype="UINT8", shape=(-1, 1)), LABEL)
    outputs = {**BOTH, "n": np.array([[1], [2]], np.uint8)}
    data = write("parquet", specs, ({"id": np.array([1, 2], np.int16), "none": [None, None]}, outputs))
    table = parquet.read_table(io.BytesIO(data))
    assert table.schema.equals(
        pa.schema(
            {
                "id": pa.int16(),
                "none": pa.string(),
                "p": pa.list_(pa.float32(), 2),
                "n": pa.uint8(),
                "label": pa.string(),
            }
        )
    )
    assert table["p"].to_pylist() == [[0.75, 0.25], [0.5, 0.5]]


def test_parquet_row_groups_gather_batches() -> None:
    part = ({}, {"value": np.zeros((30_000, 1), np.float32)})
    metadata = parquet.ParquetFile(io.BytesIO(write("parquet", (VALUE,), part, part, part, part))).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [90_000, 30_000]


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([[1], ["a"]], "column `id`: expected values of one type, got "),
        ([[1], [2**70]], "column `id`: expected values of one type, got "),
        ([[None, 1, "a"]], "column `id`: expected values of one type, got "),
        ([np.array([1]), np.array([1.5])], "column `id`: expected int64, as before, got double"),
    ],
)
def test_parquet_columns_have_one_type(kept: list[Any], message: str) -> None:
    with pytest.raises(OutputError, match=f"(?m)^{re.escape(message)}") as caught:
        write("parquet", (VALUE,), *(({"id": ids}, {"value": np.zeros((len(ids), 1), "f")}) for ids in kept))
    assert caught.value.hint == "write json or jsonl"


def test_npz_keeps_rank_and_type_and_makes_plain_arrays_of_kept_columns() -> None:
    kept = {"text": ["a", None], "number": [1, None], "many": np.array([[1, 2], [3, 4]]), "mixed": [1, "a"]}
    data = np.load(io.BytesIO(write("npz", (VALUE, LABEL), (kept, {**BOTH, "value": np.ones((2, 1), np.float32)}))))
    assert {name: data[name].tolist() for name in ("text", "many", "mixed")} == {
        "text": ["a", ""],
        "many": [[1, 2], [3, 4]],
        "mixed": ["1", "a"],
    }
    np.testing.assert_array_equal(data["number"], [1, np.nan])
    assert data["value"].shape == (2, 1)
    assert data["value"].dtype == np.float32


def test_npz_bytes_depend_on_the_arrays_alone() -> None:
    data = write("npz", (LABEL,), ({}, {"label": np.array(["a", "bcd"], object)}))
    halves = [({}, {"label": np.array([text], object)}) for text in ("a", "bcd")]
    assert write("npz", (LABEL,), *halves) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [entry.date_time for entry in archive.infolist()] == [(1980, 1, 1, 0, 0, 0)]


def test_arrays_that_are_no_rows_are_written_whole() -> None:
    file = io.BytesIO()
    write_whole(file, {"sum": np.array(1.5), "names": np.array([["a", "b"]], object)})
    found = np.load(io.BytesIO(file.getvalue()))
    assert found["sum"].shape == ()
    assert found["names"].tolist() == [["a", "b"]]


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_kept_arrays_of_any_type_are_written_as_text(form: Any) -> None:
    kept = {"when": np.array(["2024-05-01"], "M8[D]"), "raw": np.array([b"ab\xff"])}
    data = write(form, (VALUE,), (kept, {"value": np.zeros((1, 1), np.float32)}))
    assert b"2024-05-01" in data
    assert "ab\ufffd".encode() in data
