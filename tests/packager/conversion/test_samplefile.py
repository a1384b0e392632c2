"""A sample comes from a table or from plain arrays, value for value; anything else is refused."""

from __future__ import annotations

import io
import json
import pickle
import re
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from modelport.packager.conversion.samplefile import read_expected, read_sample
from modelport.packager.errors import ConversionError
from modelport.runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

DECIMALS = [0.1, -1.7976931348623157e308, 5e-324, 123456.789, 2.2250738585072014e-308, 0.30000000000000004]
RECORDS: list[dict[str, Any]] = [
    {"city": "Bern", "age": 41.5, "visits": 3},
    {"city": "Zürich", "age": None, "visits": -7},
]
COLUMNS = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}
LINES = "".join(f"{json.dumps(record)}\n" for record in RECORDS)
TABLES = {
    "rows.csv": b"city,age,visits\nBern,41.5,3\n" + "Zürich,,-7\n".encode(),
    "rows.json": json.dumps(RECORDS).encode(),
    "columns.json": json.dumps(COLUMNS).encode(),
    "rows.jsonl": LINES.encode(),
    "gaps.jsonl": f"\n{LINES}\n\n".encode(),
    "ROWS.JSONL": LINES.replace("\n", "\r\n").encode(),
}


def put(directory: Path, name: str, content: bytes | str) -> Path:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def assert_the_rows(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == ["city", "age", "visits"]
    assert frame["city"].tolist() == ["Bern", "Zürich"]
    assert frame["age"].dtype == np.float64
    assert (frame["age"][0], bool(np.isnan(frame["age"][1]))) == (41.5, True)
    assert (frame["visits"].dtype, frame["visits"].tolist()) == (np.int64, [3, -7])


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_text_keeps_names_order_and_kinds(name: str, tmp_path: Path) -> None:
    assert_the_rows(read_sample(put(tmp_path, name, TABLES[name])))


def test_a_parquet_file_keeps_them_too(tmp_path: Path) -> None:
    pd.DataFrame(RECORDS).to_parquet(tmp_path / "rows.parquet")
    assert_the_rows(read_sample(tmp_path / "rows.parquet"))


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl"])
def test_decimals_are_read_to_the_last_bit(suffix: str, tmp_path: Path) -> None:
    content = {
        ".csv": "a\n" + "\n".join(map(repr, DECIMALS)),
        ".json": json.dumps({"a": DECIMALS}),
        ".jsonl": "\n".join(json.dumps({"a": value}) for value in DECIMALS),
    }[suffix]
    assert read_sample(put(tmp_path, f"rows{suffix}", content))["a"].tolist() == DECIMALS


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl"])
def test_text_that_looks_like_a_date_stays_text(suffix: str, tmp_path: Path) -> None:
    content = {
        ".csv": "date\n2020-01-01\n",
        ".json": '[{"date": "2020-01-01"}]',
        ".jsonl": '{"date": "2020-01-01"}',
    }[suffix]
    assert read_sample(put(tmp_path, f"rows{suffix}", content))["date"].tolist() == ["2020-01-01"]


def test_integers_are_not_rounded_on_their_way(tmp_path: Path) -> None:
    large = 2**53 + 1
    assert read_sample(put(tmp_path, "rows.json", f'[{{"a": {large}}}]'))["a"].tolist() == [large]


def test_an_array_is_itself_whatever_its_dtype(tmp_path: Path) -> None:
    given = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.save(tmp_path / "rows.npy", given)
    got = read_sample(tmp_path / "rows.npy")
    assert (got.dtype, got.tolist()) == (np.float32, given.tolist())


def test_a_file_of_one_x_is_an_array_and_others_are_inputs_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", X=np.eye(2))
    np.savez_compressed(tmp_path / "named.npz", b=np.zeros(2), a=np.array(["é", "z"]))
    assert read_sample(tmp_path / "one.npz").tolist() == np.eye(2).tolist()
    named = read_sample(tmp_path / "named.npz")
    assert {name: array.tolist() for name, array in named.items()} == {"b": [0.0, 0.0], "a": ["é", "z"]}


@pytest.mark.parametrize(("name", "got"), [("rows.xlsx", ".xlsx"), ("rows.pkl", ".pkl"), ("rows", "rows")])
def test_a_file_of_another_type_is_refused_naming_those_that_are_read(name: str, got: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, "a\n1\n")
    message = f"sample `{path}`: expected a file of type .csv, .parquet, .json, .jsonl, .npy, .npz, got `{got}`"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        read_sample(path)


@pytest.mark.parametrize("name", ["rows.csv", "rows.json", "rows.jsonl"])
def test_a_table_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    message = f"sample `{path}`: expected a readable file, got No such file or directory"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        read_sample(path)


@pytest.mark.parametrize("name", ["rows.npy", "rows.npz"])
def test_arrays_that_are_not_there_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConversionError, match=rf"(?m)^.*`.*/{name}`: expected a readable file, got No such file or directory$"
    ):
        read_sample(tmp_path / name)


NO_TABLES = {
    "empty.csv": (b"", r"No columns to parse from file"),
    "ragged.csv": (b"a,b\n1,2\n1,2,3,4\n", r".*Expected 2 fields in line 3, saw 4"),
    "latin1.csv": (b"a\n\xe9\n", r".*utf-8.*"),
    "cut.json": (b'[{"a": 1', r"JSON: .+"),
    "empty.json": (b"", r"JSON: .+"),
    "twice.json": (b'[{"a": 1, "a": 2}]', r"JSON: expected each key once, got `a` twice at byte 10"),
    "nan.json": (b'[{"a": NaN}]', r"JSON: .+"),
    "values.json": (b"[[1, 2], [3, 4]]", r"JSON: expected `object`, got `array` - at `\$\[0\]`"),
    "lengths.json": (b'{"a": [1, 2], "b": [1]}', r".*same length"),
    "deep.json": (b"[" * 100_000, r"JSON: expected at most 64 levels, got more at byte 64"),
    "cut.jsonl": (b'{"a": 1}\n{"a": \n', r".*JSON: .+"),
    "twice.jsonl": (b'{"a": 1, "a": 2}\n', r".*JSON: expected each key once, got `a` twice at byte 9"),
    "list.jsonl": (b"[1, 2]\n", r".*JSON: expected `object`, got `array`"),
    "empty.parquet": (b"", r".+"),
    "other.parquet": (b"PAR1 and not much more", r".+"),
}


@pytest.mark.parametrize("name", NO_TABLES)
def test_what_is_no_table_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    content, reason = NO_TABLES[name]
    path = put(tmp_path, name, content)
    with pytest.raises(ConversionError, match=f"(?m)^sample `{re.escape(str(path))}`: expected a table, got {reason}$"):
        read_sample(path)


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def flipped(data: bytes) -> bytes:
    """Change one byte in the middle of the numbers."""
    middle = data.index(b"\x00\x00\xf0?")
    return data[:middle] + b"\x01" + data[middle + 1 :]


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was run",))


NO_ARRAYS = {
    "objects.npz": saved(X=np.array([Evil()], object)),
    "pickle.npy": pickle.dumps(Evil()),
    "pickle.npz": pickle.dumps(Evil()),
    "inside.npz": zipped("X.npy", b"\x93NUMPY\x01\x00"),
    "text.npy": b"1,2,3\n",
    "empty.npy": b"",
    "empty.npz": b"",
    "flipped.npz": flipped(saved(X=np.ones(64))),
}


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_what_holds_more_or_less_than_plain_arrays_is_refused_and_never_run(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, NO_ARRAYS[name])
    with pytest.raises(ConversionError, match=f"(?m)^.*`{re.escape(str(path))}`: expected plain arrays, got .+$"):
        read_sample(path)


def test_an_array_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.ones((4, 4)))
    path = put(tmp_path, "rows.npy", (tmp_path / "rows.npy").read_bytes()[:-8])
    with pytest.raises(ConversionError, match=f"(?m)^.*`{re.escape(str(path))}`: expected plain arrays, got .+$"):
        read_sample(path)


def test_without_pandas_a_table_says_what_to_install_and_arrays_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    path = put(tmp_path, "rows.json", "[]")
    message = f"sample `{path}`: expected pandas to be installed"
    with pytest.raises(MissingExtraError, match=f"(?m)^{re.escape(message)}$") as caught:
        read_sample(path)
    assert caught.value.hint == "pip install pandas"
    np.save(tmp_path / "rows.npy", np.eye(2))
    assert read_sample(tmp_path / "rows.npy").shape == (2, 2)


def test_expected_outputs_are_arrays_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "outputs.npz", X=np.eye(2), label=np.array(["a", "b"]))
    assert {name: array.tolist() for name, array in read_expected(tmp_path / "outputs.npz").items()} == {
        "X": [[1.0, 0.0], [0.0, 1.0]],
        "label": ["a", "b"],
    }


@pytest.mark.parametrize(("name", "got"), [("outputs.npy", ".npy"), ("outputs.csv", ".csv"), ("outputs", "outputs")])
def test_expected_outputs_of_another_type_are_refused(name: str, got: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, "a\n1\n")
    message = f"expected outputs `{path}`: expected an .npz with an array an output, got `{got}`"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        read_expected(path)


def test_only_an_empty_cell_of_csv_is_missing_as_in_the_tables_that_are_scored(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("city,n\nNA,1\nnull,2\n,3\n")
    frame = read_sample(path)
    assert frame["city"].isna().tolist() == [False, False, True]
    assert frame["city"].tolist()[:2] == ["NA", "null"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2,3\n4,5,6\n", "expected a table, got Length of header or names does not match length of data."),
        ("a,b\n1,2\n3\n", "expected a table, got 2 cells in row 2, got 1"),
        ("a,a\n1,2\n", "expected a table, got each column once, got `a` twice"),
    ],
)
def test_a_csv_file_whose_cells_do_not_fit_its_names_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(ConversionError, match=rf"^sample `.*rows\.csv`: {re.escape(message)}"):
        read_sample(path)


def test_arrays_that_are_damaged_or_none_are_refused(tmp_path: Path) -> None:
    damaged, empty, other = tmp_path / "damaged.npz", tmp_path / "empty.npy", tmp_path / "other.npz"
    np.savez_compressed(damaged, X=np.arange(1000.0))
    data = bytearray(damaged.read_bytes())
    data[137] ^= 0xFF
    damaged.write_bytes(data)
    np.savez(tmp_path / "nothing.npz")
    empty.write_bytes((tmp_path / "nothing.npz").read_bytes())
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "text")
    for path in (damaged, other):
        with pytest.raises(ConversionError, match=rf"^`.*{path.name}`: expected plain arrays, got .+$"):
            read_sample(path)
    with pytest.raises(ConversionError, match=r"^`.*empty\.npy`: expected plain arrays, got "):
        read_sample(empty)
