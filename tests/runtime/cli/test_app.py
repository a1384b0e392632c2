"""Whatever goes wrong, the user reads a sentence on stderr and the exit code says whose fault it is."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from modelport.runtime.cli.app import run

if TYPE_CHECKING:
    from pathlib import Path

MODULE = '''
import typer
from modelport.runtime.errors import InvalidInputError

def demo(what: str = "done") -> None:
    """Do what is asked.

    And no more.
    """
    if what == "done":
        typer.echo("data")
    elif what == "input":
        raise InvalidInputError("input `x`: expected FP32, got BYTES", hint="give numbers")
    elif what == "plain":
        raise InvalidInputError("input `x`: expected FP32, got BYTES")
    elif what == "fault":
        raise ZeroDivisionError("of ours")
    elif what == "interrupt":
        raise KeyboardInterrupt
    elif what == "pipe":
        raise BrokenPipeError
    else:
        raise typer.Exit(7)
'''


@pytest.fixture(autouse=True)
def _demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution that brings the command `demo`."""
    info = tmp_path / "demo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[modelport.commands]\ndemo = demo_commands:demo\n")
    (tmp_path / "demo_commands.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "demo_commands", raising=False)
    monkeypatch.delenv("MODELPORT_DEBUG", raising=False)


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["demo"], 0, "data\n", ""),
        (["demo", "--what", "input"], 1, "", "error: input `x`: expected FP32, got BYTES\n\nhint: give numbers\n"),
        (["demo", "--what", "plain"], 1, "", "error: input `x`: expected FP32, got BYTES\n"),
        (["demo", "--what", "interrupt"], 130, "", ""),
        (["demo", "--what", "other"], 7, "", ""),
        (
            ["demo", "--what", "fault"],
            2,
            "",
            "error: internal: ZeroDivisionError: of ours\n\nhint: MODELPORT_DEBUG=1 shows where; please report it\n",
        ),
        (["demo", "--what"], 1, "", "error: option `--what` requires an argument\n\nhint: `modelport demo --help`\n"),
        (
            ["demo", "--wat"],
            1,
            "",
            "error: no such option: --wat (Possible options: --what)\n\nhint: `modelport demo --help`\n",
        ),
        (["demo", "more"], 1, "", "error: got unexpected extra argument(s) (more)\n\nhint: `modelport demo --help`\n"),
        (["--wat"], 1, "", "error: no such option: --wat\n\nhint: `modelport --help`\n"),
        (
            ["demmo"],
            1,
            "",
            "error: command `demmo`: expected one of init, convert, inspect, check, score, serve, demo\n",
        ),
        (["--version"], 0, f"modelport {version('modelport')}\n", ""),
    ],
)
def test_a_command_line_ends_with(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, out: str, err: str
) -> None:
    assert run(arguments) == code
    assert capsys.readouterr() == (out, err)


def test_a_trace_is_there_for_who_asks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELPORT_DEBUG", "1")
    assert run(["demo", "--what", "fault"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert "ZeroDivisionError: of ours\nerror: internal: ZeroDivisionError: of ours\n" in err


def test_the_help_lists_the_way_of_a_model_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    names = re.findall(r"^  ([a-z]\S*)", out.partition("Commands:\n")[2], re.MULTILINE)
    assert names == ["init", "convert", "inspect", "check", "score", "serve", *sorted(names[6:])]
    assert "  demo     Do what is asked\n" in out


def test_no_command_at_all_is_a_usage_error_with_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: modelport [OPTIONS] COMMAND [ARGS]...\n")


def test_a_commands_help_is_its_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "-h"]) == 0
    assert capsys.readouterr().out.startswith(
        "Usage: modelport demo [OPTIONS]\n\n  Do what is asked.\n\n  And no more.\n\n"
    )


def test_without_typer_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from modelport.runtime.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        'error: the `modelport` command needs Typer, which is not installed\n\nhint: pip install "modelport[cli]"\n'
    )


def test_a_module_of_ours_that_is_missing_is_not_called_typer() -> None:
    code = (
        "import sys; sys.modules['modelport.runtime.cli.commands'] = None;"
        "from modelport.runtime.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: import of modelport.runtime.cli.commands")


def test_a_pipe_that_is_closed_ends_the_command_quietly(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from modelport.runtime.cli.app import run;"
        "sys.exit(run(['demo', '--what', 'pipe']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (141, "", "")
