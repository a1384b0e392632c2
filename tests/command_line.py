"""Runs the installed `modelport` command as people do, for tests: `from command_line import modelport`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND = Path(sys.executable).with_name("modelport")


class Done(NamedTuple):
    """What a run came to."""

    code: int
    out: str
    err: str


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without settings of ours, but those that are given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELPORT_")}
    return {**inherited, **(settings or {})}


def modelport(
    *arguments: object, folder: Path, given: str | bytes = "", settings: Mapping[str, str] | None = None
) -> Done:
    """Run `modelport` with `arguments` in `folder`, with `given` on standard input."""
    content = given.encode() if isinstance(given, str) else given
    command = [str(COMMAND), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, input=content, env=environment(settings), capture_output=True, timeout=120, check=False
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())
