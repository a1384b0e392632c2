"""Reads a sample, or expected outputs, from the file that a user names."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelport.packager.errors import ConversionError
from modelport.runtime.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

_TABLES: Final = {".csv": "read_csv", ".parquet": "read_parquet", ".json": "read_json", ".jsonl": "read_json"}


def read_sample(path: Path) -> Any:
    """Return a data frame (`.csv`, `.parquet`, `.json`, `.jsonl`), an array (`.npy`, `.npz` of `X`) or a dict of them.

    Raises `ConversionError`, or `MissingExtraError` where pandas is needed and missing.
    """
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        arrays = _arrays(path)
        return next(iter(arrays.values())) if suffix == ".npy" or list(arrays) == ["X"] else arrays
    if suffix not in _TABLES:
        known = ", ".join((*_TABLES, ".npy", ".npz"))
        raise ConversionError(f"sample `{path}`: expected a file of type {known}, got `{suffix or path.name}`")
    try:
        import pandas as pd  # noqa: PLC0415  only for samples in tables
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"sample `{path}`: expected pandas to be installed", hint="pip install pandas"
        ) from error
    options = {"lines": True} if suffix == ".jsonl" else {}
    try:
        return getattr(pd, _TABLES[suffix])(path, **options)
    except ImportError as error:
        raise MissingExtraError(
            f"sample `{path}`: expected pyarrow to be installed", hint='pip install "modelport[parquet]"'
        ) from error
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise ConversionError(
            f"sample `{path}`: expected a readable table, got {type(error).__name__}: {error}"
        ) from error


def read_expected(path: Path) -> dict[str, Any]:
    """Return the expected outputs by name from an `.npz` file."""
    if path.suffix.lower() != ".npz":
        raise ConversionError(
            f"expected outputs `{path}`: expected an .npz with an array an output, got `{path.suffix}`"
        )
    return _arrays(path)


def _arrays(path: Path) -> dict[str, Any]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {path.stem: loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConversionError(f"`{path}`: expected plain arrays, got {type(error).__name__}: {error}") from error
