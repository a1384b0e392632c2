"""The files that a project begins with: what they may hold, what they say of every field, and how they are written."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.packager.config import PackageConfig, load_config
from modelport.packager.errors import ConversionError, OutputExistsError, WriteError
from modelport.packager.scaffold import plan_scaffold, write_scaffold

DOCS = Path(__file__).parents[2] / "docs" / "modelport-yaml.md"
LOCK = f"numpy==2.4.6 --hash=sha256:{'0' * 64}\n"
FIXED = "#  # num_replicas: 1"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that was written, and beside it every file that it names in comments."""
    (tmp_path / "linear.onnx").write_bytes(b"onnx")
    scaffold = plan_scaffold(str(tmp_path / "linear.onnx"), tmp_path)
    (path, _) = write_scaffold(scaffold)
    for name in ("rows.csv", "outputs.npz"):
        (tmp_path / name).write_text("x\n1\n")
    (tmp_path / "environment.lock").write_text(LOCK)
    return path


def uncommented(text: str) -> str:
    """Return `text` with the `#` of every field in a comment taken away; one space behind it is prose."""
    return re.sub(r"(?m)^#(?=\w| {2})", "", text)


def defaults() -> dict[str, tuple[str, str]]:
    """Return the default of every field by its path, and what it means, as docs/modelport-yaml.md says them."""
    rows = re.findall(r"^\| `([\w.\[\]]+)` \| .*? \| (.*?) \| (.+) \|$", DOCS.read_text("utf-8"), re.MULTILINE)
    return {path: (default, meaning) for path, default, meaning in rows}


def written(text: str) -> dict[str, tuple[str, str]]:
    """Return the value and the explanation of every field in a text with all fields uncommented, by its path."""
    found: dict[str, tuple[str, str]] = {}
    parent = ""
    for line in text.splitlines():
        field = re.fullmatch(r"(  - | {4}| {2})?(?:# )?(\w+):(?: (\S.*?))?(?: +# (.+))?", line)
        if field is None:
            assert re.match(r"$|#$|# ", line), line
        elif field[3] is None:
            parent = field[2]
        else:
            path = f"{parent}{'[]' if parent == 'targets' else ''}.{field[2]}" if field[1] else field[2]
            found[path] = (field[3], field[4])
    return found


def test_every_field_is_there_with_an_explanation_of_one_line_and_its_default(config: Path) -> None:
    found = written(uncommented(config.read_text("utf-8")))
    known = defaults()
    assert found.keys() == known.keys()
    for path, (value, explanation) in found.items():
        default = known[path][0]
        assert explanation, path
        if default == f"`{json.loads(value) if value.startswith(chr(34)) else value}`" or path.startswith("targets"):
            continue
        assert "(default: " in explanation or path in ("name", "model", "entry_script"), path


def test_with_every_field_uncommented_it_is_valid_and_says_the_defaults(config: Path) -> None:
    config.write_text(uncommented(config.read_text("utf-8")), "utf-8")
    full = load_config(config)
    plain = PackageConfig(model="m:m")
    assert (full.version, full.execution, full.trust_pickle) == (plain.version, plain.execution, plain.trust_pickle)
    given = msgspec.structs.replace(full.resources, cpu_cores_limit=None, memory_gb_limit=None, autoscale_enabled=None)
    assert given == plain.resources
    folder = config.parent
    assert (full.sample, full.expected) == (folder / "rows.csv", folder / "outputs.npz")
    assert (full.contract, full.environment) == ("float64", folder / "environment.lock")
    assert [(target.name, target.type) for target in full.targets] == [("staging", "aks")]


def test_a_fixed_number_of_replicas_stands_in_for_the_five_fields_above_it(config: Path) -> None:
    lines = config.read_text("utf-8").splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith(FIXED))
    above = lines[at - 5 : at]
    assert all(line.startswith("#  autoscale_") for line in above)
    lines[at - 5 : at + 1] = [lines[at].replace("#  # ", "#  ", 1)]
    config.write_text(uncommented("\n".join(lines)), "utf-8")
    assert load_config(config).resources.num_replicas == 1


def choices(lines: list[str]) -> list[set[int]]:
    """Return for every field in a comment which lines to uncomment for it alone: with its parent, a target whole."""
    found: list[set[int]] = []
    parent = -1
    for index, line in enumerate(lines):
        if re.match(r"#\w+: ", line):
            found.append({index})
        elif re.match(r"#\w+:$", line):
            parent = index
        elif line.startswith("#    "):
            found[-1].add(index)
        elif line.startswith("#  ") and not line.startswith(FIXED):
            found.append({parent, index})
    return found


def test_every_field_can_be_uncommented_by_itself(config: Path) -> None:
    lines = config.read_text("utf-8").splitlines()
    cases = choices(lines)
    assert len(cases) == 6 + 1 + 18 + 1
    for chosen in cases:
        text = "\n".join(uncommented(line) if index in chosen else line for index, line in enumerate(lines))
        config.write_text(text, "utf-8")
        load_config(config)


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=30)
    | st.sampled_from(
        ["no", "1.10", "~", "#x", "a: b", "a #b", "- x", "'", '"', "\\", "%x", "{", "*a", "&a", "!x", "$name"]
    )
)
def test_whatever_a_file_is_called_the_configuration_names_it(stem: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        model = Path(directory, f"{stem}.onnx")
        model.write_bytes(b"onnx")
        path, _ = write_scaffold(plan_scaffold(str(model), Path(directory), name="1.10", sample=None))
        found = load_config(path)
    assert (found.model, found.name) == (str(model), "1.10")


@pytest.mark.parametrize("stem", ["two\nlines", "a\tb", "\udcff"])
def test_a_file_whose_name_is_no_line_of_text_is_refused(
    stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"{stem}.onnx").write_bytes(b"onnx")
    shown = stem.encode("unicode_escape").decode()
    message = f"model `{shown}.onnx`: expected one line of UTF-8 text, got other characters"
    with pytest.raises(ConversionError, match=f"^{re.escape(message)}$"):
        plan_scaffold(f"{stem}.onnx", Path(), name="linear")


def test_what_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    model = tmp_path / "linear.onnx"
    model.write_bytes(b"onnx")
    scaffold = plan_scaffold(str(model), tmp_path / "deep" / "er")
    broken = scaffold._replace(files={**scaffold.files, "no/score.py": ""})
    message = f"output `{tmp_path}/deep/er`: expected a directory that can be written to, got No such file or directory"
    with pytest.raises(WriteError, match=f"^{re.escape(message)}$"):
        write_scaffold(broken)
    assert [path.name for path in tmp_path.iterdir()] == ["linear.onnx"]


def test_a_file_that_comes_in_between_is_kept_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "linear.onnx"
    model.write_bytes(b"onnx")
    scaffold = plan_scaffold(str(model), tmp_path)
    (tmp_path / "score.py").write_text("mine")
    monkeypatch.setattr("os.path.lexists", lambda _: False)
    message = f"file `{tmp_path}/score.py`: expected none there, got one"
    with pytest.raises(OutputExistsError, match=f"^{re.escape(message)}"):
        write_scaffold(scaffold)
    assert (tmp_path / "score.py").read_text() == "mine"
    assert not (tmp_path / "modelport.yaml").exists()
