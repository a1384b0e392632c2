"""Reads a sample, or expected outputs, from the file that a user names."""

from __future__ import annotations

import csv
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelport.packager.errors import ConversionError
from modelport.runtime import strictjson
from modelport.runtime.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def read_sample(path: Path) -> Any:
    """Return a data frame (`.csv`, `.parquet`, `.json`, `.jsonl`), an array (`.npy`, `.npz` of `X`) or a dict of them.

    Raises `ConversionError`, or `MissingExtraError` where pandas is needed and missing.
    """
    check_sample(path)
    suffix = path.suffix.lower()
    if suffix in _ARRAYS:
        arrays = _arrays(path)
        return next(iter(arrays.values())) if suffix == ".npy" or list(arrays) == ["X"] else arrays
    try:
        return _TABLES[suffix](path)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"sample `{path}`: expected pandas to be installed", hint="pip install pandas"
        ) from error
    except ImportError as error:  # what pandas raises without an engine for Parquet
        raise MissingExtraError(
            f"sample `{path}`: expected pyarrow to be installed", hint='pip install "modelport[parquet]"'
        ) from error
    except OSError as error:
        reason = error.strerror or str(error).strip().splitlines()[0]
        raise ConversionError(f"sample `{path}`: expected a readable file, got {reason}") from error
    except (ValueError, Warning, InvalidInputError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConversionError(f"sample `{path}`: expected a table, got {reason}") from error


def check_sample(path: Path) -> None:
    """Raise `ConversionError` unless there is a file at `path`, readable and of a type that `read_sample` knows."""
    suffix = path.suffix.lower()
    if suffix not in (*_TABLES, *_ARRAYS):
        known = ", ".join((*_TABLES, *_ARRAYS))
        raise ConversionError(f"sample `{path}`: expected a file of type {known}, got `{suffix or path.name}`")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConversionError(f"sample `{path}`: expected a readable file, got {error.strerror}") from error


def read_expected(path: Path) -> dict[str, Any]:
    """Return the expected outputs by name from an `.npz` file."""
    if path.suffix.lower() != ".npz":
        raise ConversionError(
            f"expected outputs `{path}`: expected an .npz with an array an output, got `{path.suffix or path.name}`"
        )
    return _arrays(path)


def _csv(path: Path) -> Any:
    import pandas as pd  # noqa: PLC0415  only for samples in tables

    # Only an empty cell is missing, as in the tables that are scored; the parser of pandas 2 is off by a bit.
    exact: dict[str, Any] = {} if int(pd.__version__.partition(".")[0]) >= 3 else {"float_precision": "round_trip"}  # noqa: PLR2004
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more cells than there are names
        frame = pd.read_csv(path, index_col=False, keep_default_na=False, na_values=[""], low_memory=False, **exact)
    with path.open(encoding="utf-8-sig", newline="") as file:
        names, *rows = csv.reader(file)
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise InvalidInputError(f"each column once, got `{twice[0]}` twice")
    for number, row in enumerate(rows, 1):
        if row and len(row) != len(names):
            raise InvalidInputError(f"{len(names)} cells in row {number}, got {len(row)}")
    return frame


def _parquet(path: Path) -> Any:
    import pandas as pd  # noqa: PLC0415

    return pd.read_parquet(path)


def _json(path: Path) -> Any:
    """Read records or columns; unlike pandas' own reader, nothing is turned into dates or other numbers."""
    import pandas as pd  # noqa: PLC0415

    return pd.DataFrame(strictjson.decode(path.read_bytes(), list[dict[str, Any]] | dict[str, list[Any]]))


def _json_lines(path: Path) -> Any:
    import pandas as pd  # noqa: PLC0415

    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    return pd.DataFrame([strictjson.decode(line, dict[str, Any]) for line in lines])


_TABLES: Final[dict[str, Callable[[Path], Any]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".json": _json,
    ".jsonl": _json_lines,
}
_ARRAYS: Final = (".npy", ".npz")


def _arrays(path: Path) -> dict[str, Any]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {path.stem: loaded}
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise ConversionError(f"`{path}`: expected a readable file, got {error.strerror or error}") from error
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds on damaged bytes
        raise ConversionError(f"`{path}`: expected plain arrays, got {str(error) or type(error).__name__}") from error
    if not arrays:
        raise ConversionError(f"`{path}`: expected plain arrays, got none")
    if other := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ConversionError(f"`{path}`: expected plain arrays, got `{other[0]}`")
    return arrays
