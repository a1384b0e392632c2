"""Packages with an entry script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import sealed

from modelport.runtime.errors import ModelportError, ScriptError

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = "def init(): pass\n"
ECHO = f"{PLAIN}def run(data): return data"


def put(package: Path, script: str | bytes, name: str = "score.py") -> Path:
    """Make `script` the entry script of `package`, as the file `name`."""
    (package / name).write_bytes(script.encode() if isinstance(script, str) else script)
    sealed.seal(package, {name: "script"})
    return package


def refused(message: str, error: type[ModelportError] = ScriptError) -> Any:
    """Expect an error with just that message."""
    return pytest.raises(error, match=f"(?m)^{re.escape(message)}$")
