"""Subcommands are found by entry points, imported when they are called, and what they lack is named."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest

from modelport.runtime.cli.app import run
from modelport.runtime.cli.commands import summary

if TYPE_CHECKING:
    from pathlib import Path


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


WHEN = {"loaded": "import {}\n", "run": "def command():\n    import {}\n"}


@pytest.mark.parametrize("source", WHEN.values(), ids=WHEN)
@pytest.mark.parametrize(
    ("module", "hint"), [("pyarrow", '\nhint: pip install "modelport[parquet]"\n'), ("unheard", "")]
)
def test_a_command_that_lacks_something_says_what_to_install(
    install: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    source: str,
    module: str,
    hint: str,
) -> None:
    (install / "lacking.py").write_text(source.format(module))
    monkeypatch.setitem(sys.modules, module, None)
    assert run(["extra-command"]) == 1
    assert capsys.readouterr().err == f"error: command `extra-command`: expected `{module}` to be installed\n{hint}"


def test_convert_without_the_packagers_libraries_says_which_extra_brings_them(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('yaml', 'onnx', 'sklearn', 'skl2onnx')));"
        "from modelport.runtime.cli.app import run; sys.exit(run(['convert', 'm.onnx', '-o', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"error: command `convert`: expected `[a-z0-9]+` to be installed\n\n"
        r'hint: pip install "modelport\[packager\]"\n',
        done.stderr,
    )


@pytest.mark.parametrize("source", WHEN.values(), ids=WHEN)
def test_a_module_of_ours_that_is_missing_is_our_fault(
    install: Path, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    (install / "lacking.py").write_text(source.format("modelport.nowhere"))
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
        "modelport.runtime.extras",
    ]
