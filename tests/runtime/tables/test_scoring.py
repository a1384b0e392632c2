"""A scored table holds what the scorer gives for the same rows, and names every row that it cannot score."""

from __future__ import annotations

import io
import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import table_models
import tiny_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelport.runtime import load
from modelport.runtime.errors import InvalidInputError
from modelport.runtime.tables import Counts, ReadOptions, RefusedRow, open_reader, open_writer, score_table, scoring
from modelport.runtime.tables.batch import batch_rows
from modelport.runtime.tables.places import Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelport.runtime import Scorer


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Scorer]:
    opened: dict[str, Scorer] = {}

    def package(name: str) -> Scorer:
        if name not in opened:
            make: Callable[[Path], Path] = getattr(table_models, name, None) or getattr(tiny_models, name)
            opened[name] = load(make(tmp_path_factory.mktemp(name) / "package"))
        return opened[name]

    return package


def scored(
    scorer: Scorer, text: str | bytes, form: Any = "jsonl", options: ReadOptions | None = None, output: Any = "jsonl"
) -> tuple[list[Any], list[str], Counts]:
    """Score a table; return the rows of the output, what is said of refused rows, and the counts."""
    file, refused, seen = io.BytesIO(), [], []
    reader = open_reader(
        Source(io.BytesIO(text if isinstance(text, bytes) else text.encode()), None),
        form,
        scorer.signature,
        options or ReadOptions(),
    )
    with open_writer(file, output, scorer.signature.outputs) as writer:
        counts = score_table(
            scorer,
            reader,
            writer,
            keep=(options or ReadOptions()).keep,
            refuse=lambda row: refused.append(str(row)),
            advance=seen.append,
        )
    assert not seen or seen[-1] == counts
    lines = file.getvalue().splitlines()
    return ([json.loads(line) for line in lines] if output == "jsonl" else lines), refused, counts


cells = st.one_of(st.floats(-9, 9), st.none(), st.just("abc"))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "amount": cells,
            "count": st.one_of(st.integers(0, 9), st.just(1.5)),
            "city": st.one_of(st.text("ab"), st.just(3)),
        }
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows, size=st.integers(1, 5))
def test_good_rows_are_scored_as_alone_and_bad_ones_named_whatever_the_batch(
    packages: Callable[[str], Scorer], monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], size: int
) -> None:
    monkeypatch.setattr(scoring, "batch_rows", lambda _: size)
    scorer = packages("table")
    outputs, reasons = [], []
    for number, row in enumerate(rows, 1):
        bad = [
            f"row {number}, column `{name}`: expected {datatype}, got {json.dumps(row[name])}"
            for name, datatype, kinds in (
                ("amount", "FP64", float | None),
                ("count", "INT64", int),
                ("city", "BYTES", str),
            )
            if not isinstance(row[name], kinds)
        ]
        if bad:
            reasons.append(bad[0])
        else:
            total, town = (output.item() for output in scorer.score([row]).values())
            outputs.append({"total": None if math.isnan(total) else total, "town": town})
    found = scored(scorer, "\n".join(map(json.dumps, rows)))
    assert found == (outputs, reasons, Counts(len(outputs), len(reasons)))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_the_bits_do_not_depend_on_the_batch(
    packages: Callable[[str], Scorer], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(scoring, "batch_rows", lambda _: size)
    scorer = packages("linear")
    values = np.random.default_rng(5).normal(size=(50, 4)).astype(np.float32)
    found, _, _ = scored(scorer, "\n".join(json.dumps(row) for row in values.astype(float).tolist()))
    got = np.array([row["y"] for row in found], np.float32)
    assert got.tobytes() == scorer.score(values)["y"].tobytes()


@pytest.mark.parametrize(
    ("model", "row", "reason"),
    [
        ("table", '{"count": null}', "row 2, column `count`: expected INT64, got null"),
        (
            "table",
            '{"count": 9223372036854775808}',
            "row 2, column `count`: expected INT64, got 9223372036854775808: out of range",
        ),
        ("linear", "[1, 2, 3]", "row 2, column `x`: expected shape [4], got [3]"),
        ("linear", "7", "row 2, column `x`: expected shape [4], got []"),
        ("linear", '[1, 2, "c", 4]', 'row 2, column `x`: expected FP32, got "c" at [2]'),
        ("linear", "[1, null, 3, 4]", "row 2, column `x`: expected FP32, got NaN at [1]"),
        ("linear", "[1, 1e39, 3, 4]", "row 2, column `x`: expected FP32, got 1e+39 at [1]: out of range"),
        ("classifier", "[[1, 2]]", "row 2, column `X`: expected shape [2], got [1, 2]"),
        ("lookup", "3", "row 2: model: expected an answer, got [ONNXRuntimeError]"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_in_its_own_terms(
    packages: Callable[[str], Scorer], model: str, row: str, reason: str
) -> None:
    good = {"table": '{"count": 1}', "linear": "[1, 2, 3, 4]", "classifier": "[1, 2]", "lookup": "1"}[model]
    _, refused, counts = scored(packages(model), f"{good}\n{row}\n{good}\n")
    assert counts == Counts(2, 1)
    assert [text[: len(reason)] for text in refused] == [reason]


def test_rows_are_named_in_their_order_whatever_is_wrong_with_them(packages: Callable[[str], Scorer]) -> None:
    _, refused, _ = scored(packages("lookup"), '9\n"a"\n0\n{\n-7\n')
    assert [text.split(":")[0] for text in refused] == ["row 1", "row 2, column `index`", "row 4", "row 5"]


def test_rows_that_do_not_go_together_are_scored_apart(packages: Callable[[str], Scorer]) -> None:
    found, refused, _ = scored(packages("ragged"), "[1]\n[1, 2]\n[3, 4]\n[]\n")
    assert found == [{"y": [1.0]}, {"y": [1.0, 2.0]}, {"y": [3.0, 4.0]}, {"y": []}]
    assert refused == []


def test_bad_rows_of_arrays_are_left_out_too(packages: Callable[[str], Scorer]) -> None:
    scorer, file = packages("linear"), io.BytesIO()
    values = np.random.default_rng(5).normal(size=(5, 4)).astype(np.float32)
    values[2, 1] = np.inf
    np.savez(file, x=values, id=np.arange(5))
    found, refused, _ = scored(scorer, file.getvalue(), "npz", ReadOptions(keep=("id",)))
    assert refused == ["row 3, column `x`: expected FP32, got Infinity at [1]"]
    assert [row["id"] for row in found] == [0, 1, 3, 4]
    expected = scorer.score(values[[0, 1, 3, 4]])["y"]
    assert np.array([row["y"] for row in found], np.float32).tobytes() == expected.tobytes()


def test_kept_columns_stay_with_their_rows(packages: Callable[[str], Scorer]) -> None:
    text = "id,index\na,0\nb,9\nc,x\nd,1\n"
    found, _, _ = scored(packages("lookup"), text, "csv", ReadOptions(keep=("id",)))
    assert found == [{"id": "a", "value": 0.10000000149011612}, {"id": "d", "value": 0.20000000298023224}]


@pytest.mark.parametrize(
    ("text", "form"), [("", "jsonl"), ("[]", "json"), ("id,X.9,age,income\n", "csv"), ("{", "jsonl")]
)
def test_a_table_without_scored_rows_has_its_columns_all_the_same(
    packages: Callable[[str], Scorer], text: str, form: str
) -> None:
    options = ReadOptions(keep=("id",), ignore_extra=True)
    found, _, counts = scored(packages("classifier"), text, form, options, output="csv")
    assert found == [b"id,label,probabilities.no,probabilities.yes"]
    assert counts.scored == 0


def test_a_refusal_that_raises_ends_the_work(packages: Callable[[str], Scorer]) -> None:
    def stop(row: RefusedRow) -> None:
        raise InvalidInputError(str(row))

    scorer = packages("lookup")
    reader = open_reader(Source(io.BytesIO(b'0\n"x"\n"y"\n'), None), "jsonl", scorer.signature, ReadOptions())
    message = 'row 2, column `index`: expected INT64, got "x"'
    with (
        pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"),
        open_writer(io.BytesIO(), "jsonl", scorer.signature.outputs) as writer,
    ):
        score_table(scorer, reader, writer, refuse=stop, advance=lambda _: None)


@pytest.mark.parametrize(
    ("sizes", "rows"), [([4], 4096), ([4, 8, 600_000], 27), ([1 << 40], 1), ([], 4096), ([0], 4096)]
)
def test_a_batch_has_as_many_rows_as_fit_the_memory(sizes: list[int], rows: int) -> None:
    assert batch_rows(sizes) == rows
