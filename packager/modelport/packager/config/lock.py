"""The lock of an environment: exact versions with hashes, and no address to fetch them from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COMMENT: Final = re.compile(r"(^|\s)#.*$", re.MULTILINE)
_REQUIREMENT: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?\s*==\s*[A-Za-z0-9][A-Za-z0-9.!+_-]*(\s*;[^#]*?)?"
    r"(\s+--hash=sha256:[0-9a-f]{64})+"
)


def trouble(path: Path) -> str | None:
    """Return why `path` is no lock in the format of pip's requirements files with hashes, or None."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8"
    except OSError as error:
        return error.strerror
    for line, requirement in _requirements(text):
        if not _REQUIREMENT.fullmatch(requirement):
            return f"line {line} is `{requirement[:60]}`"
    return None


def _requirements(text: str) -> Iterator[tuple[int, str]]:
    """Yield every requirement without comments, its continued lines joined, with the number of its first line."""
    start = 1
    parts: list[str] = []
    for number, line in enumerate(_COMMENT.sub("", text).split("\n"), 1):
        start = start if parts else number
        parts.append(line.strip().removesuffix("\\").strip())
        if not line.rstrip().endswith("\\"):
            if requirement := " ".join(filter(None, parts)):
                yield start, requirement
            parts = []
    if requirement := " ".join(filter(None, parts)):
        yield start, requirement
