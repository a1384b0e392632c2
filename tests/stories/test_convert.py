"""`modelport convert` turns what was trained into a proven package, or says why not and writes nothing."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pytest
import tiny_models
from command_line import modelport
from html_reader import Reader
from sklearn.linear_model import LogisticRegression

from modelport.runtime import load
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Done

TRAIN = """\
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rows = np.load("rows.npy")
target = (rows[:, 0] + rows[:, 1] > 0.3).astype(int)
model = LogisticRegression().fit(rows, target)
number = 3


def forest():
    return make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)).fit(rows, target)


def broken():
    raise RuntimeError("no data today")
"""
ROWS = np.round(np.random.default_rng(5).normal(size=(200, 4)), 2)
TARGET = (ROWS[:, 0] + ROWS[:, 1] > 0.3).astype(int)
NAMES = "1 to 128 letters, digits, `.`, `_`, `+` or `-`, the first a letter or digit"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train.py`, `rows.npy`, the ready models `linear.onnx` and `table.onnx`, and two pickles."""
    folder = tmp_path_factory.mktemp("ready")
    (folder / "train.py").write_text(TRAIN)
    np.save(folder / "rows.npy", ROWS)
    for make in (tiny_models.linear, tiny_models.table):
        shutil.copy(make(folder / "package") / "model.onnx", folder / f"{make.__name__}.onnx")
        shutil.rmtree(folder / "package")
    model = LogisticRegression().fit(ROWS, TARGET)
    joblib.dump(model, folder / "model.joblib")
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    return folder


@pytest.fixture
def folder(ready: Path, tmp_path: Path) -> Path:
    return shutil.copytree(ready, tmp_path / "work")


def linear_answers(folder: Path) -> np.ndarray:
    """Return what `linear.onnx` answers to the rows, computed from its weights."""
    rng = np.random.default_rng(7)
    weights, bias = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    return np.load(folder / "rows.npy").astype(np.float32).astype(np.float64) @ weights + bias


def assert_written(done: Done, folder: Path, output: str) -> None:
    """Assert that the run was fine, said so on stderr alone, and named the path and the digest."""
    assert (done.code, done.out) == (0, ""), done.err
    digest = open_package(folder / output).digest
    assert re.fullmatch(rf"Wrote {re.escape(output)}: {digest}  \([0-9.]+ [kM]?B\)", done.err.splitlines()[-1])


def assert_refused(done: Done, error: str) -> None:
    """Assert that the run ended as the user's mistake, with just this error on stderr."""
    assert done == (1, "", error)


def test_a_model_of_a_module_is_converted_proven_and_packaged(folder: Path) -> None:
    done = modelport("convert", "train:model", "--sample", "rows.npy", "-o", "wine", folder=folder)
    assert_written(done, folder, "wine")
    converted, compared, *_ = done.err.splitlines()
    assert converted.startswith("Converted LogisticRegression to ONNX (contract float32, proof trained: ")
    assert re.fullmatch(r"Compared [0-9,]+ rows on onnxruntime .+: passed", compared)
    scorer = load(folder / "wine")
    assert (scorer.manifest.name, scorer.manifest.version, scorer.manifest.proof.kind) == ("wine", "1", "trained")
    rounded = ROWS.astype(np.float32).astype(np.float64)
    assert scorer.score(ROWS)["label"].tolist() == LogisticRegression().fit(ROWS, TARGET).predict(rounded).tolist()
    assert modelport("check", "wine", folder=folder).code == 0


def test_a_function_that_returns_a_model_is_called_and_labels_differ_nowhere(folder: Path) -> None:
    done = modelport("convert", "train:forest", "--sample", "rows.npy", "-o", "forest", folder=folder)
    assert_written(done, folder, "forest")
    assert re.search(r"(?m)^  label: 0 of [0-9,]+ labels differ, [0-9,]+ ties$", done.err)
    assert re.search(
        r"(?m)^  tree thresholds: [0-9,]+ of [0-9,]+ probed, [0-9,]+ by a row that arrives there$", done.err
    )
    assert open_package(folder / "forest").manifest.contract == "float64"


WRONG_MODELS = {
    "train:nothing": "module `train`: expected `nothing`, got a module without it",
    "trian:model": "model: expected a module `trian`, got none of that name",
    "train:broken": "`train:broken`: expected a function that returns a model, got RuntimeError: no data today",
    "none.onnx": "`none.onnx`: expected a readable ONNX model, got No such file or directory",
    "model": "model `model`: expected FILE.onnx, module:attribute, FILE.joblib or FILE.pkl, got something else",
    "none.yaml": "configuration `none.yaml`: expected a file that can be read, got No such file or directory",
}


@pytest.mark.parametrize("model", WRONG_MODELS)
def test_a_model_that_is_not_there_is_named(model: str, ready: Path) -> None:
    done = modelport("convert", model, "--sample", "rows.npy", "-o", "no", folder=ready)
    assert_refused(done, f"error: {WRONG_MODELS[model]}\n")
    assert not (ready / "no").exists()


def test_an_object_that_is_no_model_is_refused_naming_what_can_be_converted(ready: Path) -> None:
    done = modelport("convert", "train:number", "--sample", "rows.npy", "-o", "no", folder=ready)
    assert (done.code, done.out) == (1, "")
    pattern = (
        r"error: model of type `builtins\.int`: expected one of a framework with a converter \(.*\bsklearn\b.*\)\n"
    )
    assert re.fullmatch(pattern, done.err)


def test_a_trained_model_without_a_sample_asks_for_one(ready: Path) -> None:
    done = modelport("convert", "train:model", "-o", "no", folder=ready)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"error: `LogisticRegression`: expected a sample, got none\n\nhint: .+\n", done.err)
    assert not (ready / "no").exists()


def test_a_ready_model_needs_no_sample_and_is_named_after_its_file(folder: Path) -> None:
    done = modelport("convert", "linear.onnx", "-o", "out", folder=folder)
    assert_written(done, folder, "out")
    manifest = open_package(folder / "out").manifest
    assert (manifest.name, manifest.proof.kind) == ("linear", "reference")
    assert "proof reference: onnx " in done.err
    assert "reference, passed: " in modelport("inspect", "out", folder=folder).out


def test_a_ready_model_with_a_sample_is_compared_on_it(folder: Path) -> None:
    done = modelport("convert", "linear.onnx", "--sample", "rows.npy", "-o", "out", folder=folder)
    assert_written(done, folder, "out")
    assert open_package(folder / "out").manifest.proof.rows == len(ROWS)


def test_a_ready_model_that_takes_text_asks_for_a_sample(folder: Path) -> None:
    done = modelport("convert", "table.onnx", "-o", "out", folder=folder)
    error = "error: input `city`: expected a sample, got none to draw text from\n\nhint: give --sample FILE\n"
    assert_refused(done, error)
    (folder / "rows.json").write_text('[{"amount": 0.1, "count": 1, "city": "Bern"}]')
    done = modelport("convert", "table.onnx", "--sample", "rows.json", "-o", "out", folder=folder)
    assert_written(done, folder, "out")
    assert load(folder / "out").score([{"amount": 0.1, "count": 2, "city": "Genf"}])["total"].tolist() == [[2.1]]


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl"])
def test_a_pickle_is_read_only_if_it_is_trusted(name: str, folder: Path) -> None:
    arguments = ("convert", name, "--sample", "rows.npy", "-o", "out")
    error = (
        f"error: model `{name}`: expected a file that only holds data, got a pickle, which runs code when it is read\n"
        "\nhint: if you made it yourself, or trust who did: --trust-pickle\n"
    )
    assert_refused(modelport(*arguments, folder=folder), error)
    assert not (folder / "out").exists()
    assert_written(modelport(*arguments, "--trust-pickle", folder=folder), folder, "out")
    assert open_package(folder / "out").manifest.name == "model"


def test_a_pickle_that_is_not_trusted_never_runs(folder: Path) -> None:
    (folder / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    done = modelport("convert", "evil.pkl", "--sample", "rows.npy", "-o", "out", folder=folder)
    assert done.code == 1
    assert not (folder / "ran").exists()


def test_outputs_that_are_given_prove_a_ready_model(folder: Path) -> None:
    np.savez(folder / "outputs.npz", y=linear_answers(folder))
    done = modelport(
        *("convert", "linear.onnx", "--sample", "rows.npy", "--expected", "outputs.npz", "-o", "out"), folder=folder
    )
    assert_written(done, folder, "out")
    assert "(contract float32, proof expected: given outputs)" in done.err.splitlines()[0]
    assert "expected, passed: compared with outputs that were given\n" in modelport("inspect", "out", folder=folder).out


def test_outputs_that_differ_are_refused_and_the_page_shows_them_all_the_same(folder: Path) -> None:
    np.savez(folder / "outputs.npz", y=linear_answers(folder) + np.array([0.5, 0, 0]))
    arguments = ("convert", "linear.onnx", "--sample", "rows.npy", "--expected", "outputs.npz", "-o", "out")
    done = modelport(*arguments, "--report", "report.html", folder=folder)
    assert (done.code, done.out) == (1, "")
    assert "\nWrote report.html\n" in done.err
    error = (
        r"error: model: expected the same answers from the graph, got others: "
        r"`y`: 200 of 200 rows are off by more than .+, at most by 0\.5\n\nhint: .*--accept-parity.*\n"
    )
    assert re.search(f"(?m)^{error}\\Z", done.err)
    assert not (folder / "out").exists()
    assert Reader((folder / "report.html").read_text()).text.startswith("linear: parity failed ")


def test_a_model_that_answers_otherwise_is_packaged_only_if_that_is_accepted_and_then_says_so(folder: Path) -> None:
    arguments = ("convert", "train:forest", "--sample", "rows.npy", "--contract", "float32", "-o", "forest")
    refused = modelport(*arguments, folder=folder)
    assert (refused.code, refused.out) == (1, "")
    assert not (folder / "forest").exists()
    done = modelport(*arguments, "--accept-parity", "--report", "report.html", folder=folder)
    assert_written(done, folder, "forest")
    assert ": accepted" in done.err.splitlines()[1]
    proof = open_package(folder / "forest").manifest.proof
    assert (proof.kind, proof.passed, proof.accepted) == ("trained", False, True)
    assert proof.rows_over_tolerance > 0
    parity = json.loads((folder / "forest" / "parity.json").read_bytes())
    assert parity["verdict"] == "accepted"
    assert parity["failures"]
    shown = modelport("inspect", "forest", folder=folder).out
    assert "\n  proof      trained, accepted with its differences: compared with the trained model\n" in shown
    assert f" {proof.rows_over_tolerance:,} rows over tolerance," in shown
    assert Reader((folder / "report.html").read_text()).text.startswith("forest: parity accepted ")


def test_the_page_of_a_model_that_passes_is_written_beside_its_package(folder: Path) -> None:
    done = modelport("convert", "linear.onnx", "-o", "out", "--report", "pages/report.html", folder=folder)
    assert_written(done, folder, "out")
    assert "Wrote pages/report.html" in done.err.splitlines()
    assert Reader((folder / "pages" / "report.html").read_text()).text.startswith("linear: parity passed ")
    assert not (folder / "out" / "report.html").exists()


def test_name_and_version_are_recorded(folder: Path) -> None:
    arguments = ("convert", "linear.onnx", "-o", "out", "--name", "wine+2", "--version", "1.10")
    assert_written(modelport(*arguments, folder=folder), folder, "out")
    assert modelport("inspect", "out", folder=folder).out.startswith("wine+2 1.10 sha256:")


@pytest.mark.parametrize("flag", ["name", "version"])
@pytest.mark.parametrize("value", ["", "my wine", ".wine", "../wine", "w" * 129, "wéin"])
def test_what_can_be_no_name_is_refused(flag: str, value: str, ready: Path) -> None:
    done = modelport("convert", "linear.onnx", "-o", "no", f"--{flag}", value, folder=ready)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(rf"error: {flag}: expected {re.escape(NAMES)}, got `.*`\n", done.err)
    assert not (ready / "no").exists()


def test_a_file_whose_stem_is_no_name_wants_one(folder: Path) -> None:
    (folder / "linear.onnx").rename(folder / "my linear.onnx")
    error = f"error: name: expected {NAMES}, got `my linear`\n\nhint: give the package a name: --name\n"
    assert_refused(modelport("convert", "my linear.onnx", "-o", "out", folder=folder), error)
    done = modelport("convert", "my linear.onnx", "-o", "out", "--name", "linear", folder=folder)
    assert_written(done, folder, "out")


def test_an_output_that_is_this_very_package_is_left_and_any_other_is_refused(folder: Path) -> None:
    arguments = ("convert", "linear.onnx", "-o", "out")
    assert_written(modelport(*arguments, folder=folder), folder, "out")
    digest, inode = open_package(folder / "out").digest, (folder / "out").stat().st_ino
    assert_written(modelport(*arguments, folder=folder), folder, "out")
    other = modelport(*arguments, "--version", "2", folder=folder)
    assert (other.code, other.out) == (1, "")
    error = r"error: output `out`: expected nothing there, or the package sha256:[0-9a-f]+\.\.\., got .+"
    assert re.fullmatch(f"{error}\n\nhint: choose another output, or remove it\n", other.err)
    assert (open_package(folder / "out").digest, (folder / "out").stat().st_ino) == (digest, inode)


def test_an_output_folder_with_something_else_in_it_is_refused_and_kept(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("mine")
    done = modelport("convert", "linear.onnx", "-o", "out", folder=folder)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: output `out`: expected nothing there, or the package sha256:")
    assert [path.name for path in (folder / "out").iterdir()] == ["mine.txt"]


def test_a_refused_run_leaves_the_folder_as_it_was(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    np.savez(folder / "outputs.npz", y=linear_answers(folder) + 1)
    arguments = ("convert", "linear.onnx", "--sample", "rows.npy", "--expected", "outputs.npz")
    assert modelport(*arguments, "-o", "deep/er/out", folder=folder).code == 1
    (folder / "outputs.npz").unlink()
    assert sorted(folder.rglob("*")) == before


WRONG_FLAGS = {
    "--sample none.csv": r"error: .*`none\.csv`: expected a readable file, got No such file or directory\n",
    "--sample train.py": (
        r"error: sample `train\.py`: expected a file of type \.csv, \.parquet, \.json, \.jsonl, \.npy, \.npz, "
        r"got `\.py`\n"
    ),
    "--contract float16": r"error: invalid value for `--contract`: .+\n\nhint: `modelport convert --help`\n",
    "--threads 0": r"error: invalid value for `--threads`: .+\n\nhint: `modelport convert --help`\n",
    "--expected rows.npy": (
        r"error: expected outputs `rows\.npy`: expected an \.npz with an array an output, got `\.npy`\n"
    ),
}


@pytest.mark.parametrize("flag", WRONG_FLAGS)
def test_a_flag_that_cannot_be_is_the_users_mistake(flag: str, ready: Path) -> None:
    done = modelport("convert", "linear.onnx", "-o", "no", *flag.split(), folder=ready)
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(WRONG_FLAGS[flag], done.err)
    assert not (ready / "no").exists()


def test_without_an_output_the_help_is_named(ready: Path) -> None:
    done = modelport("convert", "linear.onnx", folder=ready)
    assert_refused(done, "error: missing option `--output` / `-o`\n\nhint: `modelport convert --help`\n")


def test_a_configuration_says_it_all_from_wherever_it_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "modelport.yaml").write_text(
        'name: wine\nversion: "2.0"\nmodel: linear.onnx\nsample: rows.npy\nresources: {cpu_cores: 2}\n'
    )
    done = modelport("convert", "work/modelport.yaml", "-o", "out", folder=tmp_path)
    assert_written(done, tmp_path, "out")
    package = open_package(tmp_path / "out")
    assert (package.manifest.name, package.manifest.version, package.manifest.proof.rows) == ("wine", "2.0", len(ROWS))
    assert json.loads((tmp_path / "out" / "resources.json").read_bytes())["cpu_cores"] == 2.0


def test_a_configuration_finds_its_module_beside_it_and_flags_win(folder: Path, tmp_path: Path) -> None:
    source = TRAIN.replace('"rows.npy"', repr(str(folder / "rows.npy")))
    (folder / "train.py").write_text(source)
    (folder / "modelport.yaml").write_text('name: wine\nversion: "2.0"\nmodel: train:model\nsample: rows.npy\n')
    done = modelport("convert", "work/modelport.yaml", "-o", "out", "--name", "beer", folder=tmp_path)
    assert_written(done, tmp_path, "out")
    manifest = open_package(tmp_path / "out").manifest
    assert (manifest.name, manifest.version, manifest.proof.kind) == ("beer", "2.0", "trained")


def test_a_configuration_with_mistakes_names_each_with_its_line(folder: Path) -> None:
    (folder / "modelport.yaml").write_text("model: linear.onnx\nversion: 1.10\nnmae: wine\n")
    done = modelport("convert", "modelport.yaml", "-o", "out", folder=folder)
    assert (done.code, done.out) == (1, "")
    assert re.search(r"(?m)^(error: )?modelport\.yaml:2: `version`: expected .+, got `1\.10` .*$", done.err)
    assert re.search(r"(?m)^(error: )?modelport\.yaml:3: `nmae`: expected `name`, .*$", done.err)
    assert not (folder / "out").exists()
