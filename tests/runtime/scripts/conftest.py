"""Fixtures for tests of entry scripts."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import scripted
import tiny_models

from modelport.runtime.scripts import MODEL_DIR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what entry scripts that were started leave in the environment."""
    monkeypatch.setenv(MODEL_DIR, "")
    monkeypatch.delenv(MODEL_DIR)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What scripts say to their `witness`."""
    witness = ModuleType("witness")
    said: list[Any] = []
    vars(witness)["say"] = said.append
    monkeypatch.setitem(sys.modules, "witness", witness)
    return said


@pytest.fixture
def scripted_package(tmp_path: Path) -> Callable[..., Path]:
    """Make a package of the linear model with the given script, each call another."""

    def make(script: str | bytes, name: str = "score.py") -> Path:
        return scripted.put(tiny_models.linear(tmp_path / f"package{len(list(tmp_path.iterdir()))}"), script, name)

    return make
