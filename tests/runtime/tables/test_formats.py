"""A table's format is its name's extension, or what was said."""

from __future__ import annotations

import io
import re
import sys

import pytest
from table_io import TABLE

from modelport.runtime.errors import InvalidSettingError, MissingExtraError
from modelport.runtime.tables import FORMATS, format_of, open_writer


@pytest.mark.parametrize("form", FORMATS)
def test_the_extension_says_the_format(form: str) -> None:
    assert format_of(f"some.where/rows.{form}", "input") == form
    assert format_of(f"ROWS.{form.upper()}", "input") == form


def test_a_standard_stream_has_a_format_of_its_own_only_as_output() -> None:
    assert format_of("-", "output", "csv") == "csv"
    with pytest.raises(InvalidSettingError):
        format_of("-", "input")


@pytest.mark.parametrize("place", ["rows.txt", "rows", "csv", "-"])
def test_an_unknown_extension_is_refused(place: str) -> None:
    message = f"input `{place}`: expected a name that ends in .json, .jsonl, .csv, .parquet, .npz"
    with pytest.raises(InvalidSettingError, match=f"(?m)^{re.escape(message)}$") as caught:
        format_of(place, "input")
    assert caught.value.hint == "`--input-format` says what it is"


def test_a_missing_pyarrow_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "modelport.runtime.tables.parquetwriter", raising=False)
    with (
        pytest.raises(
            MissingExtraError, match=r"(?m)^format `parquet`: expected pyarrow, which is not installed$"
        ) as caught,
        open_writer(io.BytesIO(), "parquet", TABLE.outputs),
    ):
        pytest.fail("opened")
    assert caught.value.hint == 'pip install "modelport[parquet]"'
