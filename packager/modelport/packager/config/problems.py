"""What is wrong with a configuration: every problem with its place, and the error that lists them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from modelport.packager.errors import InvalidConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Problem(msgspec.Struct, frozen=True):
    """One thing that is not as it should be: the field's path (empty for the whole file), its line, and what to do."""

    line: int
    field: str
    expected: str
    got: str
    remedy: str | None = None

    def described(self, file: Path) -> str:
        """Return the problem in one line that begins with the place, as compilers write it."""
        subject = f"`{self.field}`: " if self.field else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{file}:{self.line}: {subject}expected {self.expected}, got {self.got}{remedy}"


def refused(file: Path, problems: Iterable[Problem]) -> InvalidConfigError:
    """Return the error that lists `problems`, one a line, in the order of the file."""
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.field))
    return InvalidConfigError("\n".join(problem.described(file) for problem in ordered))
