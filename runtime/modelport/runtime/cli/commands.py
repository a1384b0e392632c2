"""Finds the subcommands: entry points of the group `modelport.commands`, loaded when they are called and not before."""

from __future__ import annotations

import ast
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperGroup

from modelport.runtime.errors import UnknownNameError, named
from modelport.runtime.extras import needed_by

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP: Final = "modelport.commands"
# The way of a model comes first in the list of commands, the rest follows by name.
_FIRST: Final = ("init", "convert", "inspect", "check", "score", "serve")


class CommandGroup(TyperGroup):
    """The commands of every installed component. To list them imports none of them."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  Click's signature
        """Return the names of all commands in the order of the help."""
        return list(_installed())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import the command called `cmd_name`; raises `UnknownNameError` listing the known ones."""
        installed = _installed()
        if cmd_name not in installed:
            raise UnknownNameError(f"command {named(cmd_name)}: expected one of {', '.join(installed)}")
        return _load(installed[cmd_name])

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the list of commands with the first line of each one's docstring."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(entry)) for name, entry in _installed().items()])


def summary(entry: EntryPoint) -> str:
    """Return the first line of the docstring of the function that `entry` names, read from its source."""
    spec = find_spec(entry.module)
    if spec is None or spec.origin is None:
        return ""
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".")
    return ""


def _installed() -> Mapping[str, EntryPoint]:
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    first = [name for name in _FIRST if name in found]
    return {name: found[name] for name in (*first, *sorted(found.keys() - set(first)))}


def _load(entry: EntryPoint) -> Any:
    """Import the command; what it misses is named, whether that shows now or when it runs."""
    subject = f"command `{entry.name}`"
    with needed_by(subject):
        function = entry.load()
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(entry.name, context_settings={"help_option_names": ["-h", "--help"]})(needed_by(subject)(function))
    return typer.main.get_command(single)
