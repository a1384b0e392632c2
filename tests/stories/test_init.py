"""`modelport init` writes what a project begins with: as it stands it makes a package that answers the same."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest
import tiny_models
from command_line import modelport
from sklearn.linear_model import LogisticRegression

from modelport.runtime import ModelportError, load
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Done

    from modelport.runtime import Scorer

#: A module that leaves a trace when it is imported.
TRAIN = """\
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

Path("imported").touch()
rows = np.load(Path(__file__).with_name("rows.npy"))
model = LogisticRegression().fit(rows, np.where(rows.sum(axis=1) > 0, "yes", "no"))
"""
ROWS = np.round(np.random.default_rng(5).normal(size=(200, 4)), 2)
NAMES = "1 to 128 letters, digits, `.`, `_`, `+` or `-`, the first a letter or digit"
HEAVY = {"sklearn", "skl2onnx", "onnx", "onnxruntime", "pandas", "joblib", "pyarrow", "torch", "tensorflow"}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train.py`, the rows, a ready model and a pickle."""
    folder = tmp_path_factory.mktemp("ready")
    (folder / "train.py").write_text(TRAIN)
    np.save(folder / "rows.npy", ROWS)
    shutil.copy(tiny_models.linear(folder / "package") / "model.onnx", folder / "linear.onnx")
    shutil.rmtree(folder / "package")
    joblib.dump(LogisticRegression().fit(ROWS, (ROWS[:, 0] > 0).astype(int)), folder / "churn.joblib")
    return folder


@pytest.fixture
def folder(ready: Path, tmp_path: Path) -> Path:
    return shutil.copytree(ready, tmp_path / "wine")


def follow(done: Done, folder: Path, start: str = "modelport convert") -> list[str]:
    """Run the command that begins so among those that were printed, and return its words."""
    command = shlex.split(next(line for line in done.err.splitlines() if line.startswith(f"  {start}")))
    ended = modelport(*command[1:], folder=folder)
    assert ended.code == 0, ended.err
    return command


def fields(config: Path) -> dict[str, str]:
    """Return the fields of a written configuration that are not commented out, as they are written."""
    return dict(re.findall(r"(?m)^(\w+): (.*?) +# .+$", config.read_text("utf-8")))


def test_it_says_what_it_wrote_and_the_commands_that_come_next(folder: Path) -> None:
    before = {path.name for path in folder.iterdir()}
    done = modelport("init", "linear.onnx", "--sample", "rows.npy", folder=folder)
    said = (
        "Wrote modelport.yaml\nWrote score.py\n"
        "Next:\n  modelport convert modelport.yaml -o linear\n  modelport serve linear\n"
    )
    assert done == (0, "", said)
    assert {path.name for path in folder.iterdir()} - before == {"modelport.yaml", "score.py"}
    written = {"name": "linear", "model": "linear.onnx", "entry_script": "score.py", "sample": "rows.npy"}
    assert fields(folder / "modelport.yaml") == written
    assert follow(done, folder)[-1] == "linear"
    assert modelport("inspect", "linear", folder=folder).out.startswith("linear 1 sha256:")
    assert modelport("check", "linear", folder=folder).code == 0
    assert (folder / "linear" / "score.py").read_bytes() == (folder / "score.py").read_bytes()


DOCUMENTS = {
    "rows": [[1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4]],
    "records": [{"x": [1, 2, 3, 4]}, {"x": [0, 0, 0, 0.5]}],
    "a record": {"x": 1},
    "columns": {"x": [[1, 2, 3, 4]]},
    "rows as Azure ML sends them": {"data": [[1, 2, 3, 4]]},
    "rows as its studio sends them": {"input_data": [[1, 2, 3, 4]]},
    "a split table": {"input_data": {"columns": ["x"], "index": [7], "data": [[[1, 2, 3, 4]]]}},
    "an inference request": {
        "id": "a",
        "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}],
    },
    "no rows": [],
    "rows that are too short": [[1, 2, 3]],
    "a value that is none": [[1, 2, 3, None]],
    "no document": {"rows": 1},
}
TEXTS = {**{name: json.dumps(value) for name, value in DOCUMENTS.items()}, "nothing": "", "half a document": '[{"x"'}


@pytest.fixture(scope="module")
def both(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scorer, Scorer]:
    """The package without a script, and the one that `init` and the command that it prints make of the same model."""
    folder = shutil.copytree(ready, tmp_path_factory.mktemp("both") / "work")
    done = modelport("convert", "linear.onnx", "--sample", "rows.npy", "-o", "plain", folder=folder)
    assert done.code == 0, done.err
    follow(modelport("init", "linear.onnx", "--sample", "rows.npy", folder=folder), folder)
    return load(folder / "plain"), load(folder / "linear")


def outcome(scorer: Scorer, text: str) -> Any:
    """Return what `scorer` answers, or the error that it raises with its words."""
    try:
        return scorer.run(text)
    except ModelportError as error:
        return type(error), error.message, error.hint


@pytest.mark.parametrize("name", TEXTS)
def test_the_script_answers_what_the_package_answers_without_one(name: str, both: tuple[Scorer, Scorer]) -> None:
    plain, scripted = both
    assert (plain.start() is None, scripted.start() is None) == (True, False)
    assert outcome(scripted, TEXTS[name]) == outcome(plain, TEXTS[name])


def test_the_documents_that_people_send_are_answered_and_not_refused(both: tuple[Scorer, Scorer]) -> None:
    refused = [name for name, text in TEXTS.items() if isinstance(outcome(both[1], text), tuple)]
    assert refused == [
        *("a record", "rows that are too short", "a value that is none", "no document", "nothing", "half a document")
    ]


def test_the_script_runs_unchanged_under_a_server_that_is_not_ours(both: tuple[Scorer, Scorer], folder: Path) -> None:
    follow(modelport("init", "linear.onnx", folder=folder), folder)
    code = "import json, score; score.init(); print(json.dumps([score.run(text) for text in %r]))"
    texts = [TEXTS["rows"], TEXTS["an inference request"]]
    done = subprocess.run(
        [sys.executable, "-B", "-c", code % texts],
        cwd=folder / "linear",
        env={**os.environ, "AZUREML_MODEL_DIR": str(folder / "linear")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [both[0].run(text) for text in texts]


def test_a_module_is_not_imported_and_the_package_is_called_like_the_folder(folder: Path) -> None:
    done = modelport("init", "train:model", folder=folder)
    said = (
        "Wrote modelport.yaml\nWrote score.py\n"
        "Next: set `sample` in modelport.yaml to rows as the model was trained on, then\n"
        "  modelport convert modelport.yaml -o wine\n  modelport serve wine\n"
    )
    assert done == (0, "", said)
    assert not (folder / "imported").exists()
    config = folder / "modelport.yaml"
    assert fields(config) == {"name": "wine", "model": "train:model", "entry_script": "score.py"}
    config.write_text(config.read_text("utf-8").replace("#sample: rows.csv", "sample: rows.npy"), "utf-8")
    follow(done, folder)
    scorer = load(folder / "wine")
    assert (scorer.manifest.name, scorer.manifest.proof.kind) == ("wine", "trained")
    rows = json.dumps(ROWS.tolist())
    assert scorer.run(rows) == scorer.answer(rows)
    assert {label for label, _ in scorer.run(rows)} == {"yes", "no"}


def test_a_module_that_is_nowhere_is_taken_by_its_syntax(folder: Path) -> None:
    assert modelport("init", "models.churn:make", "--name", "churn+2", folder=folder).code == 0
    assert fields(folder / "modelport.yaml")["model"] == "models.churn:make"
    assert fields(folder / "modelport.yaml")["name"] == "churn+2"


def test_what_is_trusted_is_said_with_the_command_and_not_written_down(folder: Path) -> None:
    done = modelport("init", "churn.joblib", "--sample", "rows.npy", folder=folder)
    said = "Next:\n  modelport convert modelport.yaml -o churn --trust-pickle\n  modelport serve churn\n"
    assert done == (0, "", f"Wrote modelport.yaml\nWrote score.py\n{said}")
    assert "trust_pickle" not in fields(folder / "modelport.yaml")
    follow(done, folder)
    assert open_package(folder / "churn").manifest.name == "churn"


def test_another_directory_is_made_and_paths_are_seen_from_it(folder: Path) -> None:
    done = modelport("init", "linear.onnx", "--sample", "rows.npy", "-o", "models/my wine", folder=folder)
    said = (
        "Wrote models/my wine/modelport.yaml\nWrote models/my wine/score.py\n"
        "Next:\n  modelport convert 'models/my wine/modelport.yaml' -o linear\n  modelport serve linear\n"
    )
    assert done == (0, "", said)
    written = fields(folder / "models" / "my wine" / "modelport.yaml")
    assert (written["model"], written["sample"]) == ("../../linear.onnx", "../../rows.npy")
    follow(done, folder)


def test_paths_are_right_through_links_to_directories(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (folder / "here").symlink_to(tmp_path / "far" / "away")
    (folder / "data").symlink_to(folder)
    done = modelport("init", "data/linear.onnx", "--sample", "data/rows.npy", "-o", "here", folder=folder)
    assert fields(folder / "here" / "modelport.yaml")["model"] == "../../wine/linear.onnx"
    follow(done, folder)


def test_the_package_goes_where_nothing_is_yet(folder: Path) -> None:
    (folder / "linear").mkdir()
    (folder / "linear-2").write_text("")
    done = modelport("init", "linear.onnx", folder=folder)
    assert done.err.endswith("  modelport convert modelport.yaml -o linear-3\n  modelport serve linear-3\n")
    follow(done, folder)


@pytest.mark.parametrize("standing", [("score.py",), ("modelport.yaml",), ("modelport.yaml", "score.py")])
def test_nothing_is_overwritten_and_then_nothing_is_written(standing: tuple[str, ...], folder: Path) -> None:
    for name in standing:
        (folder / name).write_text("mine")
    before = sorted(folder.iterdir())
    said = "\n".join(f"file `{name}`: expected none there, got one" for name in standing)
    hint = "nothing is overwritten: remove it, or name another directory with --output"
    assert modelport("init", "linear.onnx", folder=folder) == (1, "", f"error: {said}\n\nhint: {hint}\n")
    assert sorted(folder.iterdir()) == before
    assert {(folder / name).read_text() for name in standing} == {"mine"}


def test_a_link_into_nowhere_is_not_followed(folder: Path) -> None:
    (folder / "score.py").symlink_to("elsewhere.py")
    done = modelport("init", "linear.onnx", folder=folder)
    assert done.err.startswith("error: file `score.py`: expected none there, got one\n")
    assert not (folder / "elsewhere.py").exists()
    assert not (folder / "modelport.yaml").exists()


SOMETHING = "expected FILE.onnx, module:attribute, FILE.joblib or FILE.pkl, got something else"
WRONG = {
    "none.onnx": "`none.onnx`: expected a readable ONNX model, got No such file or directory",
    "none.joblib": "model `none.joblib`: expected a readable file, got No such file or directory",
    "sub/none.pkl": "model `sub/none.pkl`: expected a readable file, got No such file or directory",
    "sub/model": f"model `sub/model`: {SOMETHING}",
    "train.py": f"model `train.py`: {SOMETHING}",
    "train:": f"model `train:`: {SOMETHING}",
    "sub/train:model": f"model `sub/train:model`: {SOMETHING}",
    "modelport.yaml": f"model `modelport.yaml`: {SOMETHING}",
    "linear.onnx --sample none.csv": "sample `none.csv`: expected a readable file, got No such file or directory",
    "linear.onnx --sample train.py": (
        "sample `train.py`: expected a file of type .csv, .parquet, .json, .jsonl, .npy, .npz, got `.py`"
    ),
    "linear.onnx --name .wine": f"name: expected {NAMES}, got `.wine`",
    "linear.onnx -o train.py": "output `train.py`: expected a directory that can be written to, got Not a directory",
    "train:model -o new": (
        "model `train:model`: expected the module `train` in `new`, got it in the working directory\n\n"
        "hint: it is looked for beside modelport.yaml: leave out --output"
    ),
    "models:churn -o .wine": f"name: expected {NAMES}, got `.wine`\n\nhint: give the package a name: --name",
    "": "missing argument `model`\n\nhint: `modelport init --help`",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_what_cannot_be_is_named_and_nothing_is_written(arguments: str, ready: Path) -> None:
    before = sorted(ready.iterdir())
    assert modelport("init", *arguments.split(), folder=ready) == (1, "", f"error: {WRONG[arguments]}\n")
    assert sorted(ready.iterdir()) == before


@pytest.mark.parametrize("model", ["train:model", "linear.onnx", "churn.joblib"])
def test_it_loads_nothing_heavy(model: str, folder: Path) -> None:
    code = f"from modelport.runtime.cli.app import run\nassert run(['init', '{model}', '--sample', 'rows.npy']) == 0"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "modelport.packager.scaffold.scaffold" in loaded
    assert loaded.isdisjoint(HEAVY)
