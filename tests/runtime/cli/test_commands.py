"""Subcommands are found by entry points, imported when they are called, and what they lack is named."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest

from modelport.runtime.cli.app import run
from modelport.runtime.cli.commands import extra_of, summary

if TYPE_CHECKING:
    from pathlib import Path

REQUIREMENTS = [
    "numpy<3,>=1.26",
    'typer<1,>=0.15; extra == "cli"',
    'modelport[cli]; extra == "parquet"',
    'pyarrow>=17; extra == "parquet"',
    "PyYAML>=6; python_version > '3' and extra == 'packager'",
    'protobuf>=6; extra == "packager"',
    'scikit_learn>=1.5; extra == "sklearn"',
]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place on the path with a distribution that brings the command `extra-command`."""
    info = tmp_path / "demo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[modelport.commands]\nextra-command = lacking:command\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lacking", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("pyarrow.parquet", "parquet"),
        ("typer", "cli"),
        ("yaml", "packager"),
        ("google.protobuf", "packager"),
        ("sklearn.pipeline", "sklearn"),
        ("numpy", None),
        ("unheard", None),
    ],
)
def test_the_extra_that_brings_a_module_is_found_in_the_metadata(module: str, extra: str | None) -> None:
    assert extra_of(module, REQUIREMENTS) == extra


@pytest.mark.parametrize(
    ("module", "hint"), [("pyarrow", 'pip install "modelport[parquet]"'), ("unheard", "pip install unheard")]
)
def test_a_command_whose_module_lacks_something_says_what_to_install(
    install: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str, hint: str
) -> None:
    (install / "lacking.py").write_text(f"import {module}\n")
    monkeypatch.setitem(sys.modules, module, None)
    assert run(["extra-command"]) == 1
    assert capsys.readouterr().err == (
        f"error: command `extra-command`: expected the module `{module}`, which is not installed\n\nhint: {hint}\n"
    )


def test_a_module_of_ours_that_is_missing_is_our_fault(install: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (install / "lacking.py").write_text("import modelport.nowhere\n")
    assert run(["extra-command"]) == 2
    assert capsys.readouterr().err.startswith("error: internal: ModuleNotFoundError: No module named 'modelport.")


def test_the_summary_is_read_without_importing(install: Path) -> None:
    (install / "lacking.py").write_text(
        'import unheard\n\ndef other():\n    """Other."""\n\ndef command():\n    """Do it.\n\n    All."""\n'
    )
    assert summary(EntryPoint("extra-command", "lacking:command", "modelport.commands")) == "Do it"
    assert summary(EntryPoint("extra-command", "lacking:missing", "modelport.commands")) == ""
    assert summary(EntryPoint("extra-command", "nowhere_at_all:command", "modelport.commands")) == ""


def test_the_help_imports_no_command() -> None:
    code = (
        "import sys\nfrom modelport.runtime.cli.app import run\nrun(['--help'])\n"
        "print(*sorted(name for name in sys.modules if name.startswith('modelport.') or name == 'numpy'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == [
        "modelport.packager",
        "modelport.runtime",
        "modelport.runtime.cli",
        "modelport.runtime.cli.app",
        "modelport.runtime.cli.commands",
        "modelport.runtime.errors",
    ]
