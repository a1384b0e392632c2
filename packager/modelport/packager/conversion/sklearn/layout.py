"""How a sample's columns become a graph's inputs, and rows become again what the estimator takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from modelport.packager.errors import ConversionError
from modelport.runtime.signature import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from modelport.packager.rows import Rows
    from modelport.runtime.package import Contract
    from modelport.runtime.signature import Datatype

MATRIX: Final = "X"
_WIDE: Final[dict[str, Any]] = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_, "O": np.object_}
_NULLS: Final = ("", "\x00", "<null>", "<modelport:null>")


class Column(NamedTuple):
    """One column of a data frame: its name, kind (`float`, `int`, `bool`, `text`) and pandas dtype."""

    name: str
    kind: str
    dtype: Any


class Layout(NamedTuple):
    """The sample taken apart: `rows`, and how they were laid out.

    `columns` is empty for an array sample, which becomes the one input `X`; `dtype` is then the array's, and
    `features` the names of its columns where the estimator knows them. `missing` is what the sample holds where a text
    is missing (None or NaN: estimators tell them apart), `null` the text that stands for it inside the graph.
    """

    rows: Rows
    columns: tuple[Column, ...]
    dtype: Any
    features: tuple[str, ...]
    missing: Any
    null: str

    def original(self, rows: Rows) -> Any:
        """Return `rows` as the estimator takes them: a data frame with the sample's dtypes, or an array."""
        if self.columns:
            return _frame(self.columns, rows, self.missing)
        matrix = rows[MATRIX]
        if matrix.dtype.kind == "O":
            return _with_missing(matrix, self.missing)
        return matrix.astype(self.dtype)

    def datatype(self, kind: str, contract: Contract) -> Datatype:
        """Return the wire's datatype of a column of `kind`."""
        floating: Datatype = "FP64" if contract == "float64" else "FP32"
        known: dict[str, Datatype] = {"float": floating, "int": "INT64", "bool": "BOOL", "text": "BYTES"}
        return known[kind]

    def specs(self, contract: Contract) -> tuple[TensorSpec, ...]:
        """Return the inputs, with nothing said yet of nulls and categories."""
        if self.columns:
            return tuple(
                TensorSpec(name=column.name, datatype=self.datatype(column.kind, contract), shape=(-1, 1))
                for column in self.columns
            )
        matrix = self.rows[MATRIX]
        datatype = self.datatype(_kind(matrix), contract)
        return (TensorSpec(name=MATRIX, datatype=datatype, shape=(-1, matrix.shape[1]), features=self.features),)


def layout_of(sample: Any, model: Any) -> Layout:
    """Take a sample apart: a 2-D array, or a pandas data frame.

    Raises `ConversionError` for anything else, for no rows, and for columns of a type that has no tensor.
    """
    if hasattr(sample, "iloc") and hasattr(sample, "columns"):
        columns, rows = _columns(sample)
        absent = _missing_of([value for name in rows for value in _absent(sample[name])])
        return Layout(rows, columns, None, (), absent, _null_for(_texts(rows)))
    if type(sample).__module__.startswith("scipy.sparse"):
        raise ConversionError("sample: expected a dense array, got a sparse one", hint="give `sample.toarray()`")
    matrix = np.asarray(sample)
    if matrix.ndim != 2 or matrix.shape[0] == 0 or matrix.shape[1] == 0:  # noqa: PLR2004
        raise ConversionError(
            f"sample: expected rows and columns, got shape {list(matrix.shape)}",
            hint="give some rows of the training data",
        )
    missing = np.nan
    if matrix.dtype.kind in "OU":
        missing = _missing_of([value for value in matrix.ravel().tolist() if _is_missing(value)])
        matrix = _text_matrix(matrix)
    elif matrix.dtype.kind not in "biuf":
        raise ConversionError(f"sample: expected numbers or text, got {matrix.dtype}")
    features = tuple(str(name) for name in getattr(model, "feature_names_in_", ()))
    dtype = matrix.dtype
    wide: NDArray[Any] = matrix.astype(_WIDE[matrix.dtype.kind])
    return Layout({MATRIX: wide}, (), dtype, features, missing, _null_for(_texts({MATRIX: wide})))


def _columns(frame: Any) -> tuple[tuple[Column, ...], Rows]:
    if len(frame) == 0 or len(frame.columns) == 0:
        raise ConversionError(f"sample: expected rows and columns, got shape {list(frame.shape)}")
    columns: list[Column] = []
    rows: Rows = {}
    for name in frame.columns:
        if not isinstance(name, str) or not name or name in rows:
            raise ConversionError(
                f"sample: expected each column to have a name of its own, got `{name}`",
                hint="rename the data frame's columns",
            )
        series = frame[name]
        values = _values(name, series)
        columns.append(Column(name, _kind(values), series.dtype))
        rows[name] = values.reshape(-1, 1)
    return tuple(columns), rows


def _values(name: str, series: Any) -> NDArray[Any]:
    """Return a column as float64, int64, bool, or objects of str and None."""
    kind = getattr(series.dtype, "kind", "O")
    if type(series.dtype).__name__ == "CategoricalDtype":
        kind = series.cat.categories.dtype.kind
        kind = "f" if kind == "i" and series.isna().any() else kind
    missing = series.isna()
    if kind in "iub" and missing.any():  # pandas' nullable integers and booleans
        kind = "f"
    if kind in "iu":
        return np.asarray(series.to_numpy(dtype=np.int64))
    if kind == "b":
        return np.asarray(series.to_numpy(dtype=np.bool_))
    if kind == "f":
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    values = series.astype(object).to_numpy()
    texts = np.empty(len(values), np.object_)
    for i, (value, absent) in enumerate(zip(values, missing, strict=True)):
        if absent:
            texts[i] = None
        elif isinstance(value, str):
            texts[i] = str(value)
        else:
            raise ConversionError(
                f"sample column `{name}`: expected numbers, booleans or text, got {type(value).__name__}",
                hint="turn dates into numbers and mixed columns into one type before training",
            )
    return texts


def _text_matrix(matrix: NDArray[Any]) -> NDArray[Any]:
    texts = np.empty(matrix.shape, np.object_)
    for index, value in np.ndenumerate(matrix):
        if _is_missing(value):
            texts[index] = None
        elif isinstance(value, str):
            texts[index] = str(value)
        else:
            raise ConversionError(
                f"sample: expected an array of numbers or of text, got {type(value).__name__} among objects",
                hint="give a data frame: it has a type for each column",
            )
    return texts


def _frame(columns: Sequence[Column], rows: Rows, missing: Any) -> Any:
    import pandas as pd  # noqa: PLC0415  there, since the sample is a data frame

    series = {}
    for column in columns:
        values = rows[column.name].reshape(-1)
        if column.kind == "float" and getattr(column.dtype, "kind", "f") in "iub":  # pandas' nullable integers
            values = np.array([None if np.isnan(v) else v for v in values.astype(np.float64)], np.object_)
        elif column.kind == "text":
            values = _with_missing(values, missing)
        series[column.name] = pd.Series(values, dtype=column.dtype)
    return pd.DataFrame(series)


def _with_missing(texts: NDArray[Any], missing: Any) -> NDArray[Any]:
    filled = texts.copy()
    filled[np.equal(texts, np.array(None, np.object_))] = missing
    return filled


def _absent(series: Any) -> list[Any]:
    """Return the missing values of a column of text, as they are."""
    if getattr(series.dtype, "kind", "O") in "iufb" or type(series.dtype).__name__ == "CategoricalDtype":
        return []
    values: list[Any] = series[series.isna()].tolist()
    return values


def _missing_of(values: list[Any]) -> Any:
    """Return what stands for a missing text; raises `ConversionError` for more than one such thing."""
    kinds = {type(value).__name__: value for value in values}
    if len(kinds) > 1:
        raise ConversionError(
            f"sample: expected one kind of missing text, got {' and '.join(sorted(kinds))}",
            hint="estimators tell None from NaN: use one of them, for example `frame.fillna(np.nan)`",
        )
    return next(iter(kinds.values()), np.nan)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and bool(np.isnan(value))) or type(value).__name__ == "NAType"


def _kind(values: NDArray[Any]) -> str:
    return {"f": "float", "i": "int", "b": "bool", "O": "text"}.get(values.dtype.kind, "int")


def _texts(rows: Rows) -> set[object]:
    return {value for array in rows.values() if array.dtype.kind == "O" for value in array.ravel().tolist()}


def _null_for(taken: set[object]) -> str:
    """Return a text that no row uses, to stand for a missing one inside the graph."""
    return next(null for null in (*_NULLS, *(f"<null:{i}>" for i in range(len(taken) + 1))) if null not in taken)
