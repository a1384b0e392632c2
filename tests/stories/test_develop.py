"""An entry script is developed against a running server, which reads it again when it changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import servers
import tiny_models
from command_line import modelport

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """\
from modelport.runtime import package_scorer

def init():
    global model
    model = package_scorer()

def run(data):
    return {"said": WORD, "y": model.answer(data)}
"""


def write(path: Path, word: str) -> Path:
    path.write_text(SCRIPT.replace("WORD", repr(word)))
    return path


def test_a_script_is_read_again_when_it_changes_and_one_that_fails_changes_nothing(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    script = write(tmp_path / "mine.py", "first")
    with servers.serving(package, script=script, reload="true", log_format="text") as server:
        rows = [[1, 2, 3, 4]]
        first = server.ask("/score", rows).json
        assert first["said"] == "first"
        properties = server.ask("/v2/models/linear").json["properties"]
        assert (properties["score"], properties["infer"]) == ("script", "graph")
        write(script, "second")
        server.wait_for(re.compile(r"script `.*mine\.py`: read again"))
        assert server.ask("/score", rows).json == {**first, "said": "second"}
        script.write_text("def init():\n    raise ValueError('not today')\n\ndef run(data):\n    return 1\n")
        expected = (
            "script `mine.py`: expected `init()` to return, got ValueError: not today; what was used before stays"
        )
        server.wait_for(re.compile(re.escape(expected)))
        server.wait_for(re.compile(r'mine\.py", line 2, in init'))
        assert server.ask("/score", rows).json["said"] == "second"
        script.unlink()
        server.wait_for(re.compile(re.escape(f"script `{script}`: expected a file, got No such file or directory")))
        write(script, "third")
        server.wait_for(re.compile("read again"), after=len(server.lines) - 1)
        assert server.ask("/score", rows).json["said"] == "third"


def test_without_reload_the_script_stays_what_it_was(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    script = write(tmp_path / "mine.py", "first")
    with servers.serving(package, script=script) as server:
        write(script, "second")
        assert server.ask("/score", [[1, 2, 3, 4]]).json["said"] == "first"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("linear", "--reload"), "`--reload`: expected a `--script` with it, got none"),
        (("linear", "linear", "--script", "a.py"), "`--script`: expected one package with it, got 2"),
    ],
)
def test_what_cannot_be_asked_for_is_said(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = modelport("serve", *arguments, folder=tmp_path)
    assert done == (1, "", f"error: {message}\n\nhint: docs/settings.md lists every setting\n")


def test_a_script_that_is_not_there_is_said(tmp_path: Path) -> None:
    tiny_models.linear(tmp_path / "linear")
    done = modelport("serve", "linear", "--script", "a.py", "--port", "0", folder=tmp_path)
    assert done == (1, "", "error: script `a.py`: expected a file, got No such file or directory\n")
