"""Runs a command line, and turns what went wrong into two lines on stderr and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Final

import typer

from modelport.runtime.errors import ModelportError

from .commands import CommandGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = "modelport"
DONE: Final = 0
YOUR_INPUT: Final = 1
OUR_FAULT: Final = 2
# A shell says 128 + the number of the signal for what a signal ended (SIGINT, SIGPIPE).
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

_app: Final = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)


def run(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name, report on stderr if it fails, and return the exit code."""
    try:
        code = _invoke(arguments)
        if sys.stdout is not None:  # closed by whoever started this
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere, quietly
        return PIPE_CLOSED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  whatever it is, the user gets a sentence
        command = [name for name in arguments[:1] if not name.startswith("-")]
        return _report(error, usage=f"`{' '.join([PROGRAM, *command, '--help'])}`")
    return code


def _invoke(arguments: Sequence[str]) -> int:
    group = typer.main.get_command(_app)
    try:
        with group.make_context(PROGRAM, list(arguments)) as context:
            group.invoke(context)
    except typer.Exit as finished:
        return finished.exit_code
    return DONE


def _report(error: Exception, *, usage: str) -> int:
    """Write on stderr what went wrong and what to do about it; return whose fault it is."""
    if os.environ.get("MODELPORT_DEBUG") == "1":
        traceback.print_exc()
    code, hint = YOUR_INPUT, None
    if isinstance(error, ModelportError):
        message, hint = error.message, error.hint
    elif isinstance(error, typer.TyperException):
        message, hint = _plain(error.format_message()), usage
    else:
        code, message = OUR_FAULT, f"internal: {type(error).__name__}: {error}"
        hint = "MODELPORT_DEBUG=1 shows where; please report it"
    sys.stderr.write(f"error: {message}\n" + (f"\nhint: {hint}\n" if hint else ""))
    return code


def _plain(message: str) -> str:
    plain = message[:1].lower() + message[1:].rstrip(".").replace("'", "`")
    return plain.replace(": Value error, ", ": ")  # the words of the library that reads choices


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"modelport {version('modelport')}")
        raise typer.Exit


@_app.callback()
def modelport(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    """Make packages of trained models, proven equal to what was trained, and score them anywhere."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(YOUR_INPUT)
