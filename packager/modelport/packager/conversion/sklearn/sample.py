"""Takes a sample apart: a data frame column by column, an array as it is, a list of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelport.packager.errors import ConversionError

from .layout import MATRIX, Column, Layout, is_missing, kind_of
from .structure import columns_of, is_encoder, parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from modelport.packager.rows import Rows

_WIDE: Final[dict[str, Any]] = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}
_NULL: Final = "<null>"
_TABLE: Final = 2


def layout_of(sample: Any, model: Any) -> Layout:
    """Take a sample apart: a 2-D array, a pandas data frame, or a list of texts.

    Raises `ConversionError` for anything else, for no rows, for columns of a type that has no tensor, and for
    infinities.
    """
    if hasattr(sample, "iloc") and hasattr(sample, "columns"):
        layout = _of_frame(sample, model)
    else:
        layout = _of_array(_as_array(sample), model)
    for name, array in layout.rows.items():
        if array.dtype.kind == "f" and np.isinf(array).any():
            row, column = np.argwhere(np.isinf(array))[0].tolist()
            where = f"row {row}" if layout.columns else f"[{row}, {column}]"
            raise ConversionError(
                f"sample `{name}`: expected finite numbers, got {array[row, column]} at {where}",
                hint="a package accepts no infinity: leave such rows out, or train on missing values in their place",
            )
    return layout


def _of_frame(frame: Any, model: Any) -> Layout:
    if len(frame) == 0 or len(frame.columns) == 0:
        raise ConversionError(f"sample: expected rows and columns, got shape {list(frame.shape)}")
    columns: list[Column] = []
    rows: Rows = {}
    absent: list[Any] = []
    fitted = columns_of(model)
    unknown = [] if fitted is None else [str(name) for name in frame.columns if name not in fitted]
    for name in frame.columns if fitted is None else [name for name in frame.columns if name in fitted]:
        if not isinstance(name, str) or not name or list(frame.columns).count(name) > 1:
            raise ConversionError(
                f"sample: expected each column to have a name of its own, got `{name}`",
                hint="rename the data frame's columns, or give an array",
            )
        series = frame[name]
        values = _values(name, series)
        columns.append(Column(name, kind_of(values), series.dtype))
        rows[name] = values.reshape(-1, 1)
        if values.dtype.kind == "O" and type(series.dtype).__name__ != "CategoricalDtype":
            absent += series[series.isna()].tolist()
    missing, null = _missing_of(absent, model), _null_for(rows, model)
    return Layout(rows, tuple(columns), missing, null, left_out=tuple(unknown))


def _of_array(matrix: NDArray[Any], model: Any) -> Layout:
    flat = matrix.ndim == 1 and matrix.dtype.kind in "OU"
    matrix = matrix.reshape(-1, 1) if flat else matrix
    if matrix.ndim != _TABLE or 0 in matrix.shape:
        raise ConversionError(
            f"sample: expected rows and columns, got shape {list(matrix.shape)}",
            hint="give some rows of the training data",
        )
    missing: Any = np.nan
    dtype = matrix.dtype
    if dtype.kind in "OU":
        missing = _missing_of([value for value in matrix.ravel().tolist() if is_missing(value)], model)
        matrix = _texts(matrix.ravel().tolist(), None).reshape(matrix.shape)
    elif dtype.kind not in _WIDE or (dtype.kind == "u" and matrix.max() > np.iinfo(np.int64).max):
        raise ConversionError(f"sample: expected numbers or text, got {dtype}", hint="give float64, int64 or text")
    else:
        matrix = matrix.astype(_WIDE[dtype.kind])
    rows = {MATRIX: matrix}
    features = () if flat else tuple(str(name) for name in getattr(model, "feature_names_in_", ()))
    return Layout(rows, (), missing, _null_for(rows, model), dtype, flat, features)


def _as_array(sample: Any) -> NDArray[Any]:
    module = type(sample).__module__.partition(".")[0]
    if module == "scipy":
        raise ConversionError("sample: expected a dense array, got a sparse one", hint="give `sample.toarray()`")
    if module in ("polars", "pyarrow"):
        raise ConversionError(
            f"sample: expected a pandas data frame or an array, got a table of {module}",
            hint="give `sample.to_pandas()`",
        )
    if isinstance(sample, dict) or (isinstance(sample, list) and sample and isinstance(sample[0], dict)):
        raise ConversionError(
            f"sample: expected a pandas data frame or an array, got a {type(sample).__name__} of records or columns",
            hint="give `pandas.DataFrame(sample)`",
        )
    try:
        array = np.asarray(sample)
        if array.dtype.kind == "U":  # numpy turns [["a", None]] into text
            array = np.asarray(sample, np.object_)
    except ValueError as error:
        raise ConversionError("sample: expected rows of one length, got rows of different lengths") from error
    return array


def _values(name: str, series: Any) -> NDArray[Any]:
    """Return a column as float64, int64, bool, or objects of str and None."""
    kind = getattr(series.dtype, "kind", "O")
    if type(series.dtype).__name__ == "CategoricalDtype":
        kind = getattr(series.cat.categories.dtype, "kind", "O")
    absent = series.isna()
    if kind == "b" and absent.any():
        raise ConversionError(
            f"sample column `{name}`: expected a boolean in every row, got some missing",
            hint='train and score with `.astype("Float64")`: the wire has no missing boolean',
        )
    if kind in "iu" and absent.any():  # pandas' nullable integers
        kind = "f"
    if kind == "u" and series.max() > np.iinfo(np.int64).max:
        raise ConversionError(f"sample column `{name}`: expected integers of 64 bits, got {series.max()}")
    if kind in _WIDE:
        missing = {"na_value": np.nan} if kind == "f" else {}
        return np.asarray(series.to_numpy(dtype=_WIDE[kind], **missing))
    if kind not in "OUT":
        raise _no_tensor(str(series.dtype), name)
    return _texts([None if missing else value for value, missing in zip(series, absent, strict=True)], name)


def _texts(values: list[Any], name: str | None) -> NDArray[Any]:
    """Return text as objects of str and None."""
    texts = np.empty(len(values), np.object_)
    for i, value in enumerate(values):
        if isinstance(value, str):
            texts[i] = str(value)
        elif not is_missing(value):
            raise _no_tensor(f"{type(value).__name__} among objects", name)
    return texts


def _no_tensor(got: str, name: str | None) -> ConversionError:
    if name is None:
        return ConversionError(
            f"sample: expected an array of numbers or of text, got {got}",
            hint="give a data frame: it has a type for each column",
        )
    return ConversionError(
        f"sample column `{name}`: expected numbers, booleans or text, got {got}",
        hint="turn dates into numbers and mixed columns into one type before training",
    )


def _missing_of(values: list[Any], model: Any) -> Any:
    """Return what stands for a missing text: what the sample holds, else what the model was trained on, else NaN.

    Raises `ConversionError` if the sample holds more than one such thing.
    """
    kinds = {type(value).__name__: value for value in values}
    if len(kinds) > 1:
        raise ConversionError(
            f"sample: expected one kind of missing text, got {' and '.join(sorted(kinds))}",
            hint="estimators tell None from NaN: use one of them, for example `frame.fillna(np.nan)`",
        )
    if kinds:
        return values[0]
    learned = any(value is None for value in _categories(model))
    sought = any(getattr(part, "missing_values", np.nan) is None for part in parts(model))
    return None if learned or sought else np.nan


def _null_for(rows: Rows, model: Any) -> str:
    """Return a text that neither a row nor a category is, to stand for a missing one inside the graph."""
    taken = set(_categories(model))
    for array in rows.values():
        if array.dtype.kind == "O":
            taken.update(array.ravel().tolist())
    candidates = (_NULL, *(f"<null {number}>" for number in range(len(taken) + 1)))
    return next(null for null in candidates if null not in taken)


def _categories(model: Any) -> Iterable[Any]:
    for part in parts(model):
        if is_encoder(part):
            for categories in getattr(part, "categories_", ()):
                yield from categories.tolist()
