"""What fields must keep between them, and what the files that they name must be."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Any, Final

import msgspec

from modelport.packager.targets import known_types

from . import lock
from .parse import Mapping, Node, Sequence
from .problems import Problem
from .schema import Resources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Place = tuple[str | int, ...]
    #: Where a rule is broken, what was expected there and what is.
    Broken = tuple[Place, str, str]

#: What only replicas that scale by themselves have.
_SCALING: Final = (
    "autoscale_min_replicas",
    "autoscale_max_replicas",
    "autoscale_refresh_seconds",
    "autoscale_target_utilization",
)
#: What must not be above what.
_ORDERED: Final = (
    ("autoscale_min_replicas", "autoscale_max_replicas"),
    ("cpu_cores", "cpu_cores_limit"),
    ("memory_gb", "memory_gb_limit"),
)
_FILES: Final = ("model", "sample", "expected", "entry_script", "environment")
#: Copied into the package as they are, so they must belong to it.
_PACKAGED: Final = ("entry_script", "environment")
_MODULE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def broken_rules(values: dict[str, Any], document: Mapping, folder: Path) -> Iterator[Problem]:
    """Yield what is wrong between the valid fields in `values`, which hold what was given and no defaults.

    `document` is where they come from, and `folder` what their paths are relative to.
    """
    resources, written = values.get("resources", {}), document.items.get("resources")
    for place, expected, got in (
        *_replicas(resources),
        *_orders(resources, written if isinstance(written, Mapping) else None),
        *_targets(values.get("targets", [])),
        *_files(values, folder),
    ):
        yield Problem(_line(document, place), _written(place), expected, got)


def is_module_attribute(model: str) -> bool:
    """Return whether `model` names an attribute of a module rather than a file."""
    return _MODULE.fullmatch(model) is not None


def _replicas(resources: dict[str, Any]) -> Iterator[Broken]:
    replicas, scales = resources.get("num_replicas"), resources.get("autoscale_enabled")
    if replicas is not None and scales is True:
        yield ("resources", "num_replicas"), "no fixed number where `autoscale_enabled` is true", str(replicas)
    if replicas is not None or scales is False:
        for field in _SCALING:
            if field in resources:
                expected = "nothing where replicas do not scale by themselves"
                yield ("resources", field), expected, str(resources[field])


def _orders(resources: dict[str, Any], written: Mapping | None) -> Iterator[Broken]:
    """Compare fields that bound each other, one that is not written with its default."""
    defaults = msgspec.structs.asdict(Resources())
    bound = {field: default for field, default in defaults.items() if field not in (written.items if written else ())}
    bound |= resources
    for low, high in _ORDERED:
        least, most = bound.get(low), bound.get(high)
        if least is None or most is None or least <= most:
            continue
        if high in resources:
            yield ("resources", high), f"at least `{low}`, {least:g}", f"{most:g}"
        else:
            yield ("resources", low), f"at most `{high}`, {most:g}", f"{least:g}"


def _targets(given: list[dict[str, Any] | None]) -> Iterator[Broken]:
    known = known_types()
    names: set[str] = set()
    for index, target in enumerate(given):
        name, kind = (target or {}).get("name"), (target or {}).get("type")
        if name is not None and name in names:
            yield ("targets", index, "name"), "a name of its own", f"`{name}` again"
        names.add(name or "")
        if kind is not None and kind not in known:
            yield ("targets", index, "type"), f"one of {', '.join(known)}", f"`{kind}`"


def _files(values: dict[str, Any], folder: Path) -> Iterator[Broken]:
    for field in _FILES:
        if field not in values or (field == "model" and is_module_attribute(values[field])):
            continue
        path = folder / values[field]
        if (found := _missing(path)) is not None:
            yield (field,), "a file", f"`{values[field]}`: {found}"
        elif field in _PACKAGED and not path.resolve().is_relative_to(folder.resolve()):
            yield (field,), "a file in the folder of the configuration", f"`{values[field]}`"
        elif field == "environment" and (found := lock.trouble(path)):
            yield (field,), "a lock of exact versions with hashes", f"`{values[field]}`: {found}"


def _missing(path: Path) -> str | None:
    """Return why there is no plain file at `path`, or None."""
    try:
        return None if stat.S_ISREG(path.stat().st_mode) else "Not a plain file"
    except OSError as error:
        return error.strerror


def _line(document: Mapping, place: Place) -> int:
    """Return the line of the key or the list's item at `place`."""
    node: Node = document
    line = node.line
    for step in place:
        if isinstance(step, str) and isinstance(node, Mapping):
            line, node = node.lines[step], node.items[step]
        elif isinstance(node, Sequence):
            node = node.items[int(step)]
            line = node.line
    return line


def _written(place: Place) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")
