"""The configuration as a whole: what it comes to, and how all its problems are told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from modelport.packager.config import Resources, TargetConfig, encode_resources, load_config, packaged_files
from modelport.packager.config.lock import trouble
from modelport.packager.errors import InvalidConfigError

LOCK = "numpy==2.4.6 \\\n    --hash=sha256:" + "0" * 64 + "\n    # via onnxruntime\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("x\n1\n")
    (tmp_path / "environment.lock").write_text(LOCK)
    (tmp_path / "score.py").write_text("def init(): ...\n")
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "modelport.yaml"
    path.write_text(text, "utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    """Return the problems of a configuration, without the file's name and with the line first."""
    path = write(folder, text)
    with pytest.raises(InvalidConfigError) as caught:
        load_config(path)
    return [line.removeprefix(f"{path}:") for line in caught.value.message.split("\n")]


def test_a_model_is_all_that_must_be_given(folder: Path) -> None:
    config = load_config(write(folder, "model: train:pipeline"))
    assert (config.model, config.name, config.version, config.contract) == ("train:pipeline", None, "1", None)
    assert config.execution.threads == 1
    assert not config.trust_pickle
    assert config.targets == ()


def test_everything_that_is_given_is_kept(folder: Path) -> None:
    config = load_config(
        write(
            folder,
            """
name: churn
version: "1.10"
model: model.onnx
sample: rows.csv
expected: ./rows.csv
contract: float64
trust_pickle: true
entry_script: score.py
environment: environment.lock
execution: {threads: 4}
resources: {cpu_cores: 2, memory_gb: 1.5}
targets:
  - name: staging
    type: aks
    settings: {namespace: models, replicas: [1, 2.5], tls: false, key: null, note: "no"}
""",
        )
    )
    assert (config.name, config.version, config.contract, config.trust_pickle) == ("churn", "1.10", "float64", True)
    assert config.execution.threads == 4
    assert (config.resources.cpu_cores, config.resources.memory_gb) == (2.0, 1.5)
    settings = {"namespace": "models", "replicas": [1, 2.5], "tls": False, "key": None, "note": "no"}
    assert config.targets == (TargetConfig(name="staging", type="aks", settings=settings),)


def test_paths_are_relative_to_the_file_and_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "modelport.yaml").write_text("model: ../model.onnx\nsample: ../rows.csv\n")
    monkeypatch.chdir(folder)
    config = load_config("inner/modelport.yaml")
    assert config.model == str(folder / "inner" / ".." / "model.onnx")
    assert config.sample is not None
    assert config.sample.samefile(folder / "rows.csv")


@pytest.mark.parametrize(
    ("given", "scales", "replicas"),
    [
        ("", True, None),
        ("autoscale_enabled: true", True, None),
        ("autoscale_enabled: false", False, 1),
        ("num_replicas: 3", False, 3),
        ("autoscale_enabled: false, num_replicas: 2", False, 2),
    ],
)
def test_replicas_scale_unless_their_number_is_given(
    folder: Path, given: str, scales: bool, replicas: int | None
) -> None:
    resources = load_config(write(folder, f"model: a:b\nresources: {{{given}}}")).resources
    assert (resources.autoscale_enabled, resources.num_replicas) == (scales, replicas)


def test_all_problems_are_told_at_once_in_the_order_of_the_file(folder: Path) -> None:
    text = """name: churn
version: 1.10
sampel: rows.csv
contract: float16
trust_pickle: yes
entry_script: gone.py
environment: [numpy]
resources:
  cpu_cores: 0
  memory_gb: 1_000
  num_replicas: 3
  autoscale_max_replicas: 4
  timeout_seconds: 1:30
  gpu_cores:
targets:
  - {name: staging, type: lambda, settings: {a: no, b: [2024-01-01]}}
  - {name: staging, type: aks, colour: red}
  - 3
"""
    positive = "a whole number of at least 1"
    alike = "a value that every version of YAML reads alike"
    about_names = "1 to 128 letters, digits, `.`, `_`, `+` or `-`, the first a letter or digit"
    assert problems(folder, text) == [
        "1: `model`: expected a path or module:attribute, got nothing",
        f'2: `version`: expected {about_names}, got `1.10` (unquoted, it is a number; quote it: "1.10")',
        "3: `sampel`: expected `sample`, got a field of another name",
        "4: `contract`: expected float32 or float64, got `float16`",
        "5: `trust_pickle`: expected true or false, got `yes` (write true or false)",
        "6: `entry_script`: expected a file, got `gone.py`: No such file or directory",
        "7: `environment`: expected the path of a lock with hashes, got a list",
        "9: `resources.cpu_cores`: expected a number above 0, got `0`",
        "10: `resources.memory_gb`: expected a number above 0, got `1_000` (write plain decimal digits)",
        "12: `resources.autoscale_max_replicas`: expected nothing where replicas do not scale by themselves, got 4",
        f"13: `resources.timeout_seconds`: expected {positive}, got `1:30` (write plain decimal digits)",
        "14: `resources.gpu_cores`: expected a whole number of at least 0, got nothing (leave the field out)",
        f"16: `targets[0].settings.a`: expected {alike}, got `no` (quote it if it is text)",
        f"16: `targets[0].settings.b[0]`: expected {alike}, got `2024-01-01` (quote it if it is text)",
        "16: `targets[0].type`: expected one of local, docker, aci, aks, kserve, iot-edge, fpga, got `lambda`",
        "17: `targets[1].colour`: expected one of name, type, settings, got a field of another name",
        "17: `targets[1].name`: expected a name of its own, got `staging` again",
        "18: `targets[2]`: expected a mapping, got `3`",
    ]


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        (
            "autoscale_enabled: true, num_replicas: 2",
            "num_replicas`: expected no fixed number where `autoscale_enabled` is true, got 2",
        ),
        (
            "autoscale_enabled: false, autoscale_target_utilization: 50",
            "autoscale_target_utilization`: expected nothing where replicas do not scale by themselves, got 50",
        ),
        (
            "autoscale_min_replicas: 5, autoscale_max_replicas: 4",
            "autoscale_max_replicas`: expected at least `autoscale_min_replicas`, 5, got 4",
        ),
        (
            "autoscale_min_replicas: 20",
            "autoscale_min_replicas`: expected at most `autoscale_max_replicas`, 10, got 20",
        ),
        ("cpu_cores_limit: 0.05", "cpu_cores_limit`: expected at least `cpu_cores`, 0.1, got 0.05"),
        ("cpu_cores_limit: 0.05, cpu_cores: 0", "cpu_cores`: expected a number above 0, got `0`"),
        ("cpu_cores: 2, cpu_cores_limit: 1.5", "cpu_cores_limit`: expected at least `cpu_cores`, 2, got 1.5"),
        ("memory_gb: 2, memory_gb_limit: 1", "memory_gb_limit`: expected at least `memory_gb`, 2, got 1"),
        (
            "autoscale_target_utilization: 101",
            "autoscale_target_utilization`: expected a whole number from 1 to 100, got `101`",
        ),
        ("scoring_timeout_ms: 1.5", "scoring_timeout_ms`: expected a whole number of at least 1, got `1.5`"),
        ("cpu_cores: 1e999", "cpu_cores`: expected a number above 0, got `1e999`"),
        (f"gpu_cores: 1{'0' * 30}", f"gpu_cores`: expected a whole number of at least 0, got `1{'0' * 30}`"),
        (f"gpu_cores: {2**63}", f"gpu_cores`: expected a whole number of at least 0, got `{2**63}`"),
    ],
)
def test_resources_keep_the_rules_of_azure_ml(folder: Path, resources: str, problem: str) -> None:
    assert problems(folder, f"model: a:b\nresources: {{{resources}}}") == [f"2: `resources.{problem}"]


def test_a_packaged_file_must_lie_in_the_folder_even_behind_a_link(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "linked.lock").symlink_to(folder / "environment.lock")
    assert problems(inner, "model: a:b\nentry_script: ../score.py\nenvironment: linked.lock\nsample: ../rows.csv") == [
        "2: `entry_script`: expected a file in the folder of the configuration, got `../score.py`",
        "3: `environment`: expected a file in the folder of the configuration, got `linked.lock`",
    ]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("gone.onnx", "No such file or directory"),
        (".", "Not a plain file"),
        ("x" * 300, "File name too long"),
        ("model.onnx/inner", "Not a directory"),
    ],
)
def test_a_model_must_be_a_file_or_an_attribute_of_a_module(folder: Path, model: str, reason: str) -> None:
    assert problems(folder, f"model: {model}") == [f"1: `model`: expected a file, got `{model}`: {reason}"]


@pytest.mark.parametrize(
    ("lock", "reason"),
    [
        ("numpy==2.4.6\n", "line 1 is `numpy==2.4.6`"),
        (LOCK + "onnxruntime>=1.30 --hash=sha256:" + "0" * 64, "line 4 is `onnxruntime>=1.30 --hash=sha256:"),
        (
            "--index-url https://example.invalid/simple\n" + LOCK,
            "line 1 is `--index-url https://example.invalid/simple`",
        ),
        ("-r other.txt\n", "line 1 is `-r other.txt`"),
        (
            LOCK + "torch @ https://example.invalid/torch.whl \\\n",
            "line 4 is `torch @ https://example.invalid/torch.whl`",
        ),
        (LOCK + "numpy \\", "line 4 is `numpy`"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_an_environment_must_be_a_lock_with_hashes_and_without_addresses(folder: Path, lock: str, reason: str) -> None:
    (folder / "environment.lock").write_text(lock, "utf-8", "surrogateescape")
    (found,) = problems(folder, "model: a:b\nenvironment: environment.lock")
    start = f"2: `environment`: expected a lock of exact versions with hashes, got `environment.lock`: {reason}"
    assert found.startswith(start)


def test_a_lock_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert trouble(tmp_path) == "Is a directory"


def test_the_lock_that_ships_with_us_is_accepted(folder: Path) -> None:
    shipped = Path(__file__).parents[3] / "packager" / "modelport" / "packager" / "scoring.lock"
    (folder / "environment.lock").write_bytes(shipped.read_bytes())
    assert load_config(write(folder, "model: a:b\nenvironment: environment.lock")).environment is not None


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "modelport.yaml"
    message = f"configuration `{path}`: expected a file that can be read, got No such file or directory"
    with pytest.raises(InvalidConfigError, match=f"(?m)^{re.escape(message)}$"):
        load_config(path)


def test_resources_become_canonical_json() -> None:
    text = encode_resources(Resources(cpu_cores=2.0, autoscale_enabled=True))
    assert text.endswith(b"}\n")
    assert json.loads(text) == {**msgspec.to_builtins(Resources()), "cpu_cores": 2.0, "autoscale_enabled": True}
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_a_package_gets_the_resources_the_script_and_the_lock(folder: Path) -> None:
    config = load_config(write(folder, "model: a:b\nentry_script: score.py\nenvironment: environment.lock"))
    assert packaged_files(config) == {
        "resources.json": ("resources", encode_resources(config.resources)),
        "score.py": ("script", b"def init(): ...\n"),
        "environment.lock": ("environment", LOCK.encode()),
    }
    assert list(packaged_files(load_config(write(folder, "model: a:b")))) == ["resources.json"]


def test_a_script_that_vanished_is_named(folder: Path) -> None:
    config = load_config(write(folder, "model: a:b\nentry_script: score.py"))
    (folder / "score.py").unlink()
    message = f"file `{folder / 'score.py'}`: expected to be read, got No such file or directory"
    with pytest.raises(InvalidConfigError, match=f"(?m)^{re.escape(message)}$"):
        packaged_files(config)
