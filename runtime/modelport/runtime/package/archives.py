"""Reads a package out of a tar or zip that nobody may be trusted with, into memory and never onto a disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import InvalidPackageError, named

from . import tars, zips
from .files import MAX_LEVELS, check_count, empty_directory, too_deep
from .manifest import MANIFEST, check_apart, parents
from .members import damages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import BufferedReader
    from pathlib import Path

    from .members import Member

_HEAD: Final = 512
_MAX_NAME: Final = 4096
_DRIVE: Final = re.compile(r"[A-Za-z]:")


class Archive:
    """A tar, compressed by gzip or not, or a zip, recognised by its content.

    The package lies at its top or in one directory that holds everything.
    """

    kind: Final = "an archive"

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self.path = path
        self._file = file

    def files(self) -> dict[str, Member]:
        """Return every file by its name relative to the package, in the order in which the archive holds them.

        Raises `InvalidPackageError` for a damaged archive, for entries that are no plain files, and for names that
        leave the package or get in each other's way.
        """
        subject = f"package `{self.path}`"
        with damages(subject):
            files, directories = self._listed()
        check_apart(subject, files)
        top = _top(files)
        if unneeded := sorted(directories.difference(*map(parents, files))):
            raise empty_directory(f"{unneeded[0].removeprefix(top)}/")
        members = (member._replace(name=name.removeprefix(top)) for name, member in files.items())
        return {member.name: member for member in members}

    def _listed(self) -> tuple[dict[str, Member], set[str]]:
        """Return the files by their names, and the names of the directories."""
        files: dict[str, Member] = {}
        directories: set[str] = set()
        for count, member in enumerate(self._members(), 1):
            check_count(self.path, count)
            name = member.name.removeprefix("./")
            if member.data is None and name == ".":
                continue
            _check_name(name)
            if member.data is None:
                directories.add(name)
            elif files.setdefault(name, member) is not member:
                raise InvalidPackageError(f"{named(name)}: expected one entry of this name, got two")
        return files, directories

    def _members(self) -> Iterator[Member]:
        head = self._file.read(_HEAD)
        for begins, members in (
            (tars.begins, tars.members),
            (tars.begins_compressed, tars.compressed_members),
            (zips.begins, zips.members),
        ):
            if begins(head):
                return members(self._file)
        raise InvalidPackageError(
            f"package `{self.path}`: expected a directory, a .tar or a .zip, got another file",
            hint="`modelport convert MODEL -o DIR` makes a package",
        )


def _check_name(name: str) -> None:
    if got := _oddity(name):
        raise InvalidPackageError(f"{named(name)}: expected a name inside the package, got {got}")
    if name.count("/") > MAX_LEVELS:  # one more than in a package: the directory that may hold everything
        raise too_deep(name)


def _oddity(name: str) -> str | None:
    """Return what is wrong with the name of an entry; whether the package may have it is the manifest's to say."""
    steps = name.split("/")
    oddities = {
        f"one of more than {_MAX_NAME} characters": len(name) > _MAX_NAME,
        "one that cannot be shown": not name.isprintable(),
        "an absolute one": name.startswith("/"),
        "one of a Windows drive": _DRIVE.match(name),
        "one with a backslash": "\\" in name,
        "one that leads out of it": ".." in steps,
        "one with an empty step": "" in steps or "." in steps,
    }
    return next((got for got, found in oddities.items() if found), None)


def _top(names: Iterable[str]) -> str:
    """Return the directory that holds everything, with its slash, or nothing if the package lies at the top."""
    tops = {name.partition("/")[0] for name in names}
    return "" if len(tops) != 1 or MANIFEST in tops else f"{tops.pop()}/"
