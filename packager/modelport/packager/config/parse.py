"""YAML as we accept it: one mapping, each key once, no anchors, aliases, tags or directives, bounded, lines kept.

Scalars are not converted here: what a plain word means depends on the field that it is for, and where YAML 1.1 and
1.2 differ on it (`no`, `017`, `1_000`, `1:30`, a date) nobody decides but the writer, by quoting it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import yaml

from .problems import Problem, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES: Final = 256 << 10
MAX_DEPTH: Final = 16
_YAML_ORG: Final = "tag:yaml.org,2002:"

Meaning = Literal["text", "true or false", "a whole number", "a number", "nothing", "a date", "several things"]


class Scalar(msgspec.Struct, frozen=True):
    """One value as it was written, and what it means as it stands; a quoted one is text."""

    text: str
    meaning: Meaning
    line: int


class Sequence(msgspec.Struct, frozen=True):
    """A list."""

    items: tuple[Node, ...]
    line: int


class Mapping(msgspec.Struct, frozen=True):
    """A mapping; the lines of its keys are kept beside it."""

    items: dict[str, Node]
    lines: dict[str, int]
    line: int


Node = Scalar | Sequence | Mapping


def parse(text: bytes, file: Path) -> Mapping:
    """Return the mapping that `text` is; `file` is what errors call it.

    Raises `InvalidConfigError` naming the line of what is not accepted.
    """
    if len(text) > MAX_BYTES:
        raise refused(file, [Problem(1, "", f"at most {MAX_BYTES:,} bytes", f"{len(text):,}")])
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise refused(file, [Problem(line, "", "UTF-8", f"the byte 0x{text[error.start]:02x}")]) from error
    try:
        return _Reader(decoded, file).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        got = " ".join(filter(None, (error.context, error.problem)))
        raise refused(file, [Problem(mark.line + 1 if mark else 1, "", "YAML", got)]) from error
    except yaml.reader.ReaderError as error:
        line, got = decoded.count("\n", 0, error.position) + 1, f"the character {decoded[error.position]!a}"
        raise refused(file, [Problem(line, "", "characters that YAML allows", got)]) from error


class _Reader:
    """Builds nodes from PyYAML's events, which come one by one: what is refused is refused before more is read."""

    def __init__(self, text: str, file: Path) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._resolver = yaml.resolver.Resolver()
        self._file = file

    def document(self) -> Mapping:
        """Read the one document that there must be."""
        next(self._events)  # the stream's start
        start = next(self._events)
        if not isinstance(start, yaml.DocumentStartEvent):
            raise self._refused(start, "a mapping", "an empty file")
        if start.version or start.tags:
            raise self._refused(start, "YAML without directives", "a directive")
        root = self._node(next(self._events), 1)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._refused(after, "one document", "a second one")
        if not isinstance(root, Mapping):
            raise refused(self._file, [Problem(root.line, "", "a mapping", shown(root))])
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            raise self._refused(event, "the value itself", f"the alias `*{event.anchor}`")
        if anchor := getattr(event, "anchor", None):
            raise self._refused(event, "a value without an anchor", f"`&{anchor}`")
        if tag := getattr(event, "tag", None):
            raise self._refused(event, "a value without a tag", f"`{tag.replace(_YAML_ORG, '!!')}`")
        if depth > MAX_DEPTH:
            raise self._refused(event, f"at most {MAX_DEPTH} levels", "more")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        return (
            self._sequence(event, depth) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(event, depth)
        )

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if found := _UNUSABLE.search(event.value):
            raise self._refused(event, "text", f"the character {found.group()!a}")
        meaning = self._meaning(event.value) if event.implicit[0] else "text"
        return Scalar(event.value, meaning, _line(event))

    def _sequence(self, start: yaml.Event, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Sequence(tuple(items), _line(start))

    def _mapping(self, start: yaml.Event, depth: int) -> Mapping:
        items: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar) or not key.text or key.text == "<<":
                raise self._refused(event, "a name as key", shown(key))
            if key.text in items:
                raise self._refused(event, "each key once", f"`{key.text}` again, first on line {lines[key.text]}")
            lines[key.text] = key.line
            items[key.text] = self._node(next(self._events), depth + 1)
        return Mapping(items, lines, _line(start))

    def _meaning(self, text: str) -> Meaning:
        """Return what a plain scalar is, `several things` where YAML 1.1 (which PyYAML reads), 1.2 and JSON differ."""
        resolved: str = self._resolver.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        tag = resolved.removeprefix(_YAML_ORG)
        for meaning, pattern, tags in _MEANINGS:
            if tag in tags and pattern.fullmatch(text):
                return meaning
        if tag == "timestamp":
            return "a date"
        return "text" if tag == "str" and not _NUMBER_OF_1_2.fullmatch(text) else "several things"

    def _refused(self, event: yaml.Event, expected: str, got: str) -> Exception:
        return refused(self._file, [Problem(_line(event), "", expected, got)])


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


#: What neither JSON nor a path can hold.
_UNUSABLE: Final = re.compile("[\x00\ud800-\udfff]")
#: Numbers of YAML 1.2's core schema that version 1.1 reads as text.
_NUMBER_OF_1_2: Final = re.compile(r"0o[0-7]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
#: What every version of YAML and JSON read alike: the meaning, its form, and what PyYAML calls it.
_MEANINGS: Final[tuple[tuple[Meaning, re.Pattern[str], tuple[str, ...]], ...]] = (
    ("nothing", re.compile(r"|~|null"), ("null",)),
    ("true or false", re.compile(r"true|false"), ("bool",)),
    ("a whole number", re.compile(r"-?(0|[1-9][0-9]*)"), ("int",)),
    ("a number", re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?"), ("float", "str")),
)


def shown(node: Node) -> str:
    """Return `node` as an error message shows it, at most 60 characters of it."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if node.meaning == "nothing":
        return "nothing"
    if not node.text:
        return "an empty text"
    text = node.text if len(node.text) <= _SHOWN else f"{node.text[:_SHOWN]}..."
    return repr(text) if not text.isprintable() else f"`{text}`"


_SHOWN: Final = 60
