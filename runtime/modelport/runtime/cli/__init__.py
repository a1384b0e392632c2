"""The command `modelport`. It needs Typer, the extra `cli`; what is started as a module does not."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line in `sys.argv` and exit: 0 done, 1 the user's input (usage errors too), 2 our fault."""
    if sys.stderr is None:  # closed by whoever started this: talk goes nowhere, data is another matter
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  for as long as the process lives
    try:
        from .app import run  # noqa: PLC0415  Typer may be missing
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        sys.stderr.write(
            'error: the `modelport` command needs Typer, which is not installed\n\nhint: pip install "modelport[cli]"\n'
        )
        sys.exit(1)
    sys.exit(run(sys.argv[1:]))
