"""Checks a parsed configuration against the schema, finding all problems at once."""

from __future__ import annotations

import difflib
import math
import re
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from .parse import Mapping, Node, Scalar, Sequence, shown
from .problems import Problem, refused
from .rules import broken_rules
from .schema import PackageConfig

_INVALID: Final = object()
_INT64: Final = 2**63
_WORDS: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "text",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.CustomType: "a path",
    inspect.VarTupleType: "a list",
    inspect.StructType: "a mapping",
    inspect.DictType: "a mapping",
}


def validate(document: Mapping, file: Path) -> PackageConfig:
    """Return what `document`, parsed from `file`, says; paths are still as they were written.

    Raises `InvalidConfigError` with every problem, one a line: unknown and missing fields, values of another type or
    out of bounds, fields that contradict each other, files that are not there or lie where they must not.
    """
    reading = _Reading()
    values = reading.value(inspect.type_info(PackageConfig), document, "")
    problems = [*reading.problems, *broken_rules(values, document, file.parent)]
    if problems:
        raise refused(file, problems)
    return msgspec.convert(values, PackageConfig, dec_hook=lambda _, text: Path(text))


def described(kind: inspect.Type) -> str:
    """Return what a value of this type must be, in words: `a whole number from 1 to 100`."""
    kind, means = _plain(kind)
    if means is not None:
        return means
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(map(str, kind.values))
    bounds = _bounds(kind) if isinstance(kind, inspect.IntType | inspect.FloatType) else ""
    return _WORDS[type(kind)] + bounds


def _plain(kind: inspect.Type) -> tuple[inspect.Type, str | None]:
    """Return the type without what surrounds it, and what its metadata say that it means."""
    means = None
    if isinstance(kind, inspect.UnionType):
        kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        means = (kind.extra or {}).get("means")
        kind = kind.type
    return kind, means


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    """Return the bounds in words; every number of the schema has a lower one."""
    if kind.gt is not None:
        return f" above {kind.gt:g}"
    return f" of at least {kind.ge:g}" if kind.le is None else f" from {kind.ge:g} to {kind.le:g}"


class _Reading:
    """Turns nodes into plain values, collecting problems; a value that has one is left out, or None in a list."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def value(self, kind: inspect.Type, node: Node, path: str) -> Any:
        expected = described(kind)
        kind, _ = _plain(kind)
        if isinstance(kind, inspect.StructType) and isinstance(node, Mapping):
            return self._struct(kind, node, path)
        if isinstance(kind, inspect.DictType) and isinstance(node, Mapping):
            return self._free(node, path)
        if isinstance(kind, inspect.VarTupleType) and isinstance(node, Sequence):
            items = [self.value(kind.item_type, item, f"{path}[{index}]") for index, item in enumerate(node.items)]
            return [None if item is _INVALID else item for item in items]
        found = _scalar(kind, node) if isinstance(node, Scalar) else _INVALID
        if found is _INVALID:
            self.problems.append(Problem(node.line, path, expected, shown(node), _remedy(kind, node)))
        return found

    def _struct(self, kind: inspect.StructType, node: Mapping, path: str) -> dict[str, Any]:
        fields = {field.name: field for field in kind.fields}
        values: dict[str, Any] = {}
        for name, child in node.items.items():
            place = f"{path}.{name}" if path else name
            if name not in fields:
                self.problems.append(_unknown(name, place, node.lines[name], [*fields]))
            elif (found := self.value(fields[name].type, child, place)) is not _INVALID:
                values[name] = found
        for name, field in fields.items():
            if field.required and name not in node.items:
                place = f"{path}.{name}" if path else name
                self.problems.append(Problem(node.line, place, described(field.type), "nothing"))
        return values

    def _free(self, node: Node, path: str) -> Any:
        """Return a value whose type nobody has fixed: as JSON would read it."""
        if isinstance(node, Mapping):
            return {name: self._free(child, f"{path}.{name}") for name, child in node.items.items()}
        if isinstance(node, Sequence):
            return [self._free(child, f"{path}[{index}]") for index, child in enumerate(node.items)]
        if node.meaning in ("nothing", "text"):
            return node.text if node.meaning == "text" else None
        for kind in (inspect.BoolType(), inspect.IntType(), inspect.FloatType()):
            if (found := _scalar(kind, node)) is not _INVALID:
                return found
        expected = "a value that every version of YAML reads alike"
        self.problems.append(Problem(node.line, path, expected, shown(node), "quote it if it is text"))
        return None


def _scalar(kind: inspect.Type, node: Scalar) -> Any:
    """Return the value of `node` as `kind`, or `_INVALID`."""
    if isinstance(kind, inspect.BoolType):
        return node.text == "true" if node.meaning == "true or false" else _INVALID
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return _number(kind, node)
    if node.meaning != "text":
        return _INVALID
    if isinstance(kind, inspect.LiteralType):
        return node.text if node.text in kind.values else _INVALID
    return node.text if _fits(kind, node.text) else _INVALID


def _fits(kind: inspect.Type, text: str) -> bool:
    """Return whether `text` can be a text or a path: of the asked form, or else one line that is not empty."""
    pattern = kind.pattern if isinstance(kind, inspect.StrType) else None
    return re.search(pattern or r"^[^\x00-\x1f\x7f]+\Z", text) is not None


def _number(kind: inspect.IntType | inspect.FloatType, node: Scalar) -> Any:
    whole = node.meaning == "a whole number"
    if not whole and (isinstance(kind, inspect.IntType) or node.meaning != "a number"):
        return _INVALID
    if whole and len(node.text) > len(str(-_INT64)):
        return _INVALID
    value = int(node.text) if isinstance(kind, inspect.IntType) else float(node.text)
    if not -_INT64 <= value < _INT64 if isinstance(value, int) else not math.isfinite(value):
        return _INVALID
    below = (kind.gt is not None and value <= kind.gt) or (kind.ge is not None and value < kind.ge)
    return _INVALID if below or (kind.le is not None and value > kind.le) else value


def _unknown(name: str, place: str, line: int, known: list[str]) -> Problem:
    near = difflib.get_close_matches(name, known, n=1)
    expected = f"`{near[0]}`" if near else f"one of {', '.join(known)}"
    return Problem(line, place, expected, "a field of another name")


def _remedy(kind: inspect.Type, node: Node) -> str | None:
    if not isinstance(node, Scalar) or node.meaning == "text":
        return None
    if node.meaning == "nothing":
        return "leave the field out"
    if isinstance(kind, inspect.StrType | inspect.CustomType):
        return f'{_READ_AS[node.meaning]}; quote it: "{node.text}"' if _fits(kind, node.text) else None
    if isinstance(kind, inspect.BoolType):
        return "write true or false"
    return "write plain decimal digits" if node.meaning in ("several things", "a date") else None


_READ_AS: Final = {
    "true or false": "unquoted, it is no text",
    "a whole number": "unquoted, it is a number",
    "a number": "unquoted, it is a number",
    "a date": "unquoted, it is a date",
    "several things": "unquoted, each version of YAML reads it differently",
}
