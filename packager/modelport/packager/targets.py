"""Where packages go: the protocol that every target keeps, and the registry that finds one by name."""

from __future__ import annotations

import hashlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec

from modelport.runtime import strictjson
from modelport.runtime.errors import MissingExtraError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelport.runtime.package import Package

GROUP: Final = "modelport.targets"
#: The types that a configuration may name whether or not the distribution that brings them is installed.
TYPES: Final = ("local", "docker", "aci", "aks", "kserve", "iot-edge", "fpga")


class TargetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a target would deploy, before it does: the type of the target and files by name."""

    target: str
    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """What names this plan: the same target and files give the same digest."""
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        text = strictjson.canonical({"target": self.target, "files": sums})
        return f"sha256:{hashlib.sha256(text).hexdigest()}"


class Target(Protocol):
    """Brings packages to one kind of place. Planning touches nothing; acting on the plan is the other method."""

    def plan(self, package: Package, settings: Mapping[str, Any]) -> TargetPlan:
        """Return what would be deployed; raises `InvalidSettingError` naming the setting that does not fit."""

    def apply(self, plan: TargetPlan) -> str:
        """Do what `plan` says and return where the package is now, for people to read."""


def find_target(name: str) -> Target:
    """Return the target of the type `name`.

    Raises `UnknownNameError` listing the installed ones, `MissingExtraError` if the target's own needs are missing.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        installed = f"one of {', '.join(sorted(found))}" if found else "an installed one, of which there is none"
        raise UnknownNameError(f"target `{name}`: expected {installed}")
    try:
        return cast("Target", found[name].load()())
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"target `{name}`: expected {error.name} to be installed", hint=f'pip install "modelport[{name}]"'
        ) from error


def known_types() -> tuple[str, ...]:
    """Return the types that a configuration may name: modelport's own, and those that are installed beside them."""
    return tuple(dict.fromkeys((*TYPES, *sorted(entry.name for entry in entry_points(group=GROUP)))))
