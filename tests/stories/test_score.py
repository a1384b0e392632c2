"""`modelport score`, from a file to a file, as people and pipes use it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import table_models
import tiny_models
from command_line import COMMAND, environment, modelport
from pyarrow import parquet

from modelport.runtime import load

if TYPE_CHECKING:
    from pathlib import Path

AGES = np.array([[0.1, 2], [3.3, -4e10], [np.nan, 1], [1 / 3, 1e-20], [16777217, 0.3]])
SUMMARY = re.compile(r"Scored (.+) with (\S+) 1 sha256:[0-9a-f]{12}\.\.\. \(proof self\) -> (.+)\n")


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return table_models.classifier(tmp_path / "classifier")


@pytest.fixture
def lookup(tmp_path: Path) -> Path:
    return table_models.lookup(tmp_path / "lookup")


def write_table(path: Path, values: Any) -> Path:
    """Write the columns `age`, `income` in the format that the name says."""
    columns = {"age": values[:, 0], "income": values[:, 1]}
    cells = [[None if np.isnan(value) else value for value in row] for row in values.tolist()]
    records = [dict(zip(columns, row, strict=True)) for row in cells]
    if path.suffix == ".npz":
        np.savez(path, **columns)
    elif path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([list(columns), *cells])
    else:
        path.write_text(json.dumps(records) if path.suffix == ".json" else "\n".join(map(json.dumps, records)))
    return path


def read_results(path: Path) -> tuple[list[str], np.ndarray]:
    """Return labels and probabilities as another program than ours reads them."""
    if path.suffix == ".npz":
        found = np.load(path)
        return found["label"].tolist(), found["probabilities"]
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        return table["label"].to_pylist(), np.array(table["probabilities"].to_pylist(), np.float32)
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text(), newline="")))
        matrix = [[float(row[f"probabilities.{label}"] or "nan") for label in ("no", "yes")] for row in rows]
    else:
        text = path.read_text()
        rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
        matrix = [[np.nan if value is None else value for value in row["probabilities"]] for row in rows]
    return [row["label"] for row in rows], np.array(matrix, np.float64).astype(np.float32)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("csv", "parquet"), ("parquet", "npz"), ("npz", "jsonl"), ("jsonl", "csv"), ("json", "json")],
)
def test_a_table_in_any_format_gives_the_bits_of_the_scorer(
    tmp_path: Path, classifier: Path, given: str, wanted: str
) -> None:
    table = write_table(tmp_path / f"rows.{given}", AGES)
    done = modelport("score", classifier, table, "-o", f"out.{wanted}", folder=tmp_path)
    digest = load(classifier).digest
    assert done == (0, "", f"Scored 5 rows with classifier 1 {digest[:19]}... (proof self) -> out.{wanted}\n")
    labels, probabilities = read_results(tmp_path / f"out.{wanted}")
    expected = load(classifier).score(AGES)
    assert labels == expected["label"].tolist()
    np.testing.assert_array_equal(probabilities, expected["probabilities"])


def test_without_an_output_the_results_are_data_on_stdout_in_the_format_of_the_input(
    tmp_path: Path, lookup: Path
) -> None:
    done = modelport("score", lookup, "-", "--input-format", "csv", folder=tmp_path, given="index\n0\n1\n2\n")
    assert (done.code, done.out) == (0, "value\n0.10000000149011612\n0.20000000298023224\ninf\n")
    assert SUMMARY.fullmatch(done.err)
    done = modelport("score", lookup, "-", "--input-format", "jsonl", folder=tmp_path, given="2\n0\n")
    assert done.out == '{"value":"Infinity"}\n{"value":0.10000000149011612}\n'


@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_binary_formats_pass_through_pipes(tmp_path: Path, lookup: Path, form: str) -> None:
    file = io.BytesIO()
    if form == "npz":
        np.savez(file, index=np.array([1]))
    else:
        parquet.write_table(pa.table({"index": [1]}), file)
    command = [str(COMMAND), "score", str(lookup), "-", "--input-format", form, "--output-format", form]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True, check=True, cwd=tmp_path)
    found: Any = np.load(io.BytesIO(done.stdout)) if form == "npz" else parquet.read_table(io.BytesIO(done.stdout))
    assert np.asarray(found["value"]).tolist() == [np.float32(0.2)]


def test_results_stream_before_the_input_ends(tmp_path: Path, lookup: Path) -> None:
    command = [str(COMMAND), "score", str(lookup), "-", "--input-format", "jsonl"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"1\n" * 5000)
        process.stdin.flush()
        assert process.stdout.readline() == b'{"value":0.20000000298023224}\n'
        process.stdin.close()
        assert process.stdout.read().count(b"\n") == 4999


def test_by_default_the_first_row_that_cannot_be_scored_ends_it_without_an_output(tmp_path: Path, lookup: Path) -> None:
    (tmp_path / "rows.csv").write_text("index\n0\nabc\n1\nx\n")
    done = modelport("score", lookup, "rows.csv", "-o", "out.csv", folder=tmp_path)
    assert done == (
        1,
        "",
        (
            'error: row 2, column `index`: expected INT64, got "abc"\n\n'
            "hint: `--on-error skip` leaves out the rows that cannot be scored\n"
        ),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lookup", "rows.csv"]


def test_rows_that_cannot_be_scored_are_left_out_counted_and_logged(tmp_path: Path, lookup: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,index\na,0\nb,abc\nc\nd,7\ne,1\n")
    done = modelport(
        *("score", lookup, "rows.csv", "-o", "out.csv", "--on-error", "skip", "--errors", "bad.jsonl", "--keep", "id"),
        folder=tmp_path,
    )
    assert done.code == 0
    assert (tmp_path / "out.csv").read_text() == "id,value\na,0.10000000149011612\ne,0.20000000298023224\n"
    first, second, third, summary = done.err.splitlines()
    assert first == 'skipped row 2, column `index`: expected INT64, got "abc"'
    assert second == "skipped row 3: expected 2 cells, got 1"
    assert third.startswith("skipped row 4: model: expected an answer, got [ONNXRuntimeError]")
    assert re.fullmatch(r"Scored 2 rows \(3 skipped\) with lookup 1 sha256:\S+ \(proof self\) -> out.csv", summary)
    assert [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()] == [
        {"row": 2, "column": "index", "reason": 'expected INT64, got "abc"'},
        {"row": 3, "column": None, "reason": "expected 2 cells, got 1"},
        {"row": 4, "column": None, "reason": third.removeprefix("skipped row 4: ")},
    ]


def test_of_many_rows_that_cannot_be_scored_twenty_are_named_and_all_are_logged(tmp_path: Path, lookup: Path) -> None:
    done = modelport(
        *("score", lookup, "-", "--input-format", "jsonl", "--on-error", "skip", "--errors", "bad.jsonl"),
        folder=tmp_path,
        given='"x"\n' * 5000,
    )
    assert done.err.count("skipped row") == 20
    assert "Scored 0 rows (5,000 skipped)" in done.err
    assert len((tmp_path / "bad.jsonl").read_text().splitlines()) == 5000


def test_columns_of_others_are_refused_unless_ignored_or_kept(tmp_path: Path, classifier: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,age,income\n7,1,2\n")
    assert modelport("score", classifier, "rows.csv", folder=tmp_path) == (
        1,
        "",
        (
            "error: column `id`: expected only columns of the model, got this one too\n\n"
            "hint: `--ignore-extra` leaves such columns out, `--keep COLUMN` copies one to the output\n"
        ),
    )
    ignored = modelport("score", classifier, "rows.csv", "--ignore-extra", folder=tmp_path)
    assert ignored.out.splitlines()[0] == "label,probabilities.no,probabilities.yes"
    kept = modelport("score", classifier, "rows.csv", "--keep", "id", "--keep", "age", folder=tmp_path)
    assert kept.out.splitlines()[0] == "id,age,label,probabilities.no,probabilities.yes"
    assert kept.out.splitlines()[1].startswith("7,1,no,")


def test_a_csv_file_without_names_is_read_in_the_models_order(tmp_path: Path, classifier: Path) -> None:
    named = modelport("score", classifier, "-", "--input-format", "csv", folder=tmp_path, given="income,age\n2,1\n")
    bare = modelport("score", classifier, "-", "--input-format", "csv", "--no-header", folder=tmp_path, given="1,2\n")
    assert bare.out == named.out != ""


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["rows.txt"],
            (
                "error: input `rows.txt`: expected a name that ends in .json, .jsonl, .csv, .parquet, .npz\n\n"
                "hint: `--input-format` says what it is\n"
            ),
        ),
        (
            ["rows.csv", "-o", "out"],
            (
                "error: output `out`: expected a name that ends in .json, .jsonl, .csv, .parquet, .npz\n\n"
                "hint: `--output-format` says what it is\n"
            ),
        ),
        (["rows.csv"], "error: input `rows.csv`: expected a file, got nothing there\n"),
        (
            ["rows.csv", "--errors", "bad.jsonl"],
            "error: `--errors`: expected `--on-error skip` with it, got `--on-error stop`\n",
        ),
        (
            ["rows.csv", "--on-error", "skip", "-o", "out.csv", "--errors", "out.csv"],
            "error: `--errors`: expected another file than the output, got the same\n",
        ),
        (
            ["rows.csv", "--on-error", "ignore"],
            (
                "error: invalid value for `--on-error`: `ignore` is not one of `stop`, `skip`\n\n"
                "hint: `modelport score --help`\n"
            ),
        ),
        (
            ["rows.csv", "--engine", "warp"],
            "error: engine `warp`: expected one of onnxruntime\n",
        ),
        (
            ["rows.csv", "--digest", "sha256:00"],
            "error: package `lookup`: expected digest `sha256:00`, got DIGEST\n",
        ),
        ([], "error: missing argument `INPUT`\n\nhint: `modelport score --help`\n"),
    ],
)
def test_what_cannot_be_asked_for_is_said(tmp_path: Path, lookup: Path, arguments: list[str], error: str) -> None:
    done = modelport("score", "lookup", *arguments, folder=tmp_path)
    assert done == (1, "", error.replace("DIGEST", load(lookup).digest))


def test_an_execution_provider_comes_from_the_environment_too(tmp_path: Path, lookup: Path) -> None:
    settings = {"MODELPORT_PROVIDERS": "cpu, warp"}
    done = modelport("score", lookup, "-", "--input-format", "json", folder=tmp_path, given="[0]", settings=settings)
    assert done.code == 1
    assert done.err.startswith("error: execution provider `warp`: expected one of ")


def test_a_model_without_rows_is_scored_whole(tmp_path: Path) -> None:
    package = tiny_models.state(tmp_path / "state")
    np.savez(tmp_path / "call.npz", x=np.array([1, 2], np.float32), state=np.array(0.5))
    done = modelport("score", package, "call.npz", "-o", "out.npz", folder=tmp_path)
    assert re.fullmatch(r"Scored one call with state 1 sha256:\S+ \(proof self\) -> out.npz\n", done.err)
    found = np.load(tmp_path / "out.npz")
    assert {name: (found[name].shape, found[name].item()) for name in found.files} == {
        "sum": ((), 3.5),
        "last": ((), 2.0),
    }


@pytest.mark.parametrize(("given", "wanted", "kind"), [("csv", "npz", "input"), ("npz", "csv", "output")])
def test_a_model_without_rows_takes_and_gives_arrays_only(tmp_path: Path, given: str, wanted: str, kind: str) -> None:
    package = tiny_models.fixed(tmp_path / "fixed")
    done = modelport("score", package, f"call.{given}", "-o", f"out.{wanted}", folder=tmp_path)
    assert done == (1, "", f"error: {kind}: expected npz for a model without rows (batch fixed:4), got csv\n")


def test_a_model_whose_rows_depend_on_the_batch_says_so(tmp_path: Path) -> None:
    package = tiny_models.noisy(tmp_path / "noisy")
    done = modelport("score", package, "-", "--input-format", "json", folder=tmp_path, given="[[0, 0]]")
    note = "note: the last bits of this model's answers depend on the rows scored together\n"
    assert done.err.startswith(note)


def test_a_reader_that_leaves_early_ends_it_quietly(tmp_path: Path, lookup: Path) -> None:
    (tmp_path / "rows.csv").write_text("index\n" + "0\n" * 20_000)
    with subprocess.Popen(
        [str(COMMAND), "score", str(lookup), "rows.csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"value\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_no_output_behind(tmp_path: Path, lookup: Path, number: int, code: int) -> None:
    command = [str(COMMAND), "score", str(lookup), "-", "--input-format", "jsonl", "-o", "out.csv"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        process.stdin.write(b"0\n" * 100_000)  # more than a pipe holds: it was being read when this came back
        process.stdin.flush()
        assert any(path.name.endswith(".partial") for path in tmp_path.iterdir())
        process.send_signal(number)
        assert process.wait(60) == code
    assert [path.name for path in tmp_path.iterdir()] == ["lookup"]


def test_a_terminal_shows_how_far_it_went(tmp_path: Path, lookup: Path) -> None:
    (tmp_path / "rows.csv").write_text("index\n0\n")
    terminal, side = os.openpty()
    command = [str(COMMAND), "score", str(lookup), "rows.csv", "-o", "out.csv"]
    subprocess.run(command, stderr=side, cwd=tmp_path, check=True, env=environment())
    os.close(side)
    text = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert re.match(r"\r\x1b\[K\[#{30}\] 100%  1 rows, [\d,]+ a second\r\x1b\[KScored 1 row with lookup 1 ", text)


def test_memory_does_not_grow_with_the_table(tmp_path: Path, lookup: Path) -> None:
    peaks = []
    for rows in (20_000, 400_000):
        (tmp_path / "rows.csv").write_text("index\n" + "1\n" * rows)
        command = [str(COMMAND), "score", str(lookup), "rows.csv", "-o", "out.npz"]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        assert status == 0
        peaks.append(usage.ru_maxrss)
    assert peaks[1] - peaks[0] < 8 * 1024  # kB


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_standard_stream_that_is_closed_and_not_needed_changes_nothing(tmp_path: Path, closed: str) -> None:
    tiny_models.table(tmp_path / "table")
    (tmp_path / "rows.csv").write_text("amount,count,city\n1,2,Bern\n")
    command = f"{shlex.quote(str(COMMAND))} score table rows.csv -o out.csv {closed}"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "out.csv").read_text().startswith("total,town\n")
