"""Opens packages and scores them. NumPy and ONNX Runtime load when a package opens, nothing heavier ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import ModelportError
    from .scorer import Scorer, load, package_scorer

__all__ = ["ModelportError", "Scorer", "load", "package_scorer"]

_HOMES = {"ModelportError": "errors", "Scorer": "scorer", "load": "scorer", "package_scorer": "scorer"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415  only when something is asked for

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
