"""Packages with an entry script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sealed

if TYPE_CHECKING:
    from pathlib import Path


def put(package: Path, script: str | bytes, name: str = "score.py") -> Path:
    """Make `script` the entry script of `package`, as the file `name`."""
    (package / name).write_bytes(script.encode() if isinstance(script, str) else script)
    sealed.seal(package, {name: "script"})
    return package
