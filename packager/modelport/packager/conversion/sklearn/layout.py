"""How a sample's columns become a graph's inputs, and rows become again what the estimator takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from modelport.runtime.signature import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from modelport.packager.rows import Rows
    from modelport.runtime.package import Contract
    from modelport.runtime.signature import Datatype

MATRIX: Final = "X"
_KINDS: Final = {"f": "float", "i": "int", "b": "bool", "O": "text"}


class Column(NamedTuple):
    """One column of a data frame: its name, kind (`float`, `int`, `bool`, `text`) and pandas dtype."""

    name: str
    kind: str
    dtype: Any

    def datatype(self, contract: Contract) -> Datatype:
        """Return the wire's datatype: of a column that holds no more than float32, `FP32` under either contract."""
        narrow = isinstance(self.dtype, np.dtype) and self.dtype in (np.float32, np.float16)
        return datatype(self.kind, "float32" if narrow else contract)


class Layout(NamedTuple):
    """The sample taken apart: `rows`, and how they were laid out.

    `columns` is empty for an array sample, which becomes the one input `X`; `dtype` is then the array's, `flat` says
    that it was a list of texts, and `features` names its columns where the estimator knows them. `missing` is what the
    sample holds where a text is missing (None or NaN: estimators tell them apart), `null` the text that stands for it
    inside the graph, `left_out` what of the sample's columns the estimator does not know.
    """

    rows: Rows
    columns: tuple[Column, ...]
    missing: Any
    null: str
    dtype: Any = None
    flat: bool = False
    features: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of every column, of a matrix too."""
        return tuple(kind_of(array) for array in self.rows.values() for _ in range(array.shape[1]))

    @property
    def cells(self) -> tuple[tuple[str, int], ...]:
        """Input and column number of every column."""
        return tuple((name, column) for name, array in self.rows.items() for column in range(array.shape[1]))

    def original(self, rows: Rows) -> Any:
        """Return `rows` as the estimator takes them: a data frame with the sample's dtypes, or an array."""
        if self.columns:
            return _frame(self.columns, rows, self.missing)
        matrix = rows[MATRIX]
        if matrix.dtype.kind != "O":
            return matrix.astype(self.dtype)
        texts = _with_missing(matrix, self.missing)
        return texts[:, 0] if self.flat else texts

    def specs(self, contract: Contract) -> tuple[TensorSpec, ...]:
        """Return the inputs, with nothing said yet of nulls and categories."""
        if self.columns:
            return tuple(
                TensorSpec(name=column.name, datatype=column.datatype(contract), shape=(-1, 1))
                for column in self.columns
            )
        matrix = self.rows[MATRIX]
        shape = (-1, matrix.shape[1])
        kind = datatype(kind_of(matrix), contract)
        return (TensorSpec(name=MATRIX, datatype=kind, shape=shape, features=self.features),)


def datatype(kind: str, contract: Contract) -> Datatype:
    """Return the wire's datatype of a column of `kind`."""
    floating: Datatype = "FP64" if contract == "float64" else "FP32"
    known: dict[str, Datatype] = {"float": floating, "int": "INT64", "bool": "BOOL", "text": "BYTES"}
    return known[kind]


def kind_of(values: NDArray[Any]) -> str:
    """Return the kind of a column or matrix of rows."""
    return _KINDS[values.dtype.kind]


def is_missing(value: Any) -> bool:
    """Return whether `value` is None, NaN or pandas' NA."""
    return value is None or (isinstance(value, float) and bool(np.isnan(value))) or type(value).__name__ == "NAType"


def _frame(columns: Sequence[Column], rows: Rows, missing: Any) -> Any:
    import pandas as pd  # noqa: PLC0415  there, since the sample is a data frame

    series = {column.name: _series(column, rows[column.name].reshape(-1), missing) for column in columns}
    return pd.DataFrame(series)


def _series(column: Column, values: NDArray[Any], missing: Any) -> Any:
    """Return what a data frame makes a column of the sample's dtype of."""
    import pandas as pd  # noqa: PLC0415

    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        return values.astype(dtype, copy=False)
    if type(dtype).__name__ == "CategoricalDtype":  # it would make a category that it does not know a missing value
        dtype = dtype.categories.dtype if column.kind == "text" else values.dtype
    if column.kind == "text":
        return pd.Series(_with_missing(values, missing), dtype=dtype)
    if (
        column.kind == "float" and dtype.kind in "iub"
    ):  # pandas' nullable integers and booleans, which had missing values
        whole = bool(np.all(np.isnan(values) | (values == np.round(values))))
        objects = np.array([None if np.isnan(value) else value for value in values.tolist()], np.object_)
        return pd.Series(objects, dtype=dtype if whole else "Float64")
    return pd.Series(values, dtype=dtype)


def _with_missing(texts: NDArray[Any], missing: Any) -> NDArray[Any]:
    filled = texts.copy()
    filled[np.equal(texts, np.array(None, np.object_))] = missing
    return filled
