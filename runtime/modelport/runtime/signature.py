"""What a model accepts and returns: named, typed, shaped tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
import numpy as np

from .errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]

#: The NumPy type of each datatype of the Open Inference Protocol. Strings are object arrays of `str`.
DTYPES: Final[dict[str, np.dtype[np.generic]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
_DATATYPES: Final = {dtype: name for name, dtype in DTYPES.items()}


def datatype_of(array: NDArray[np.generic]) -> Datatype:
    """Return the datatype of an array; strings of any kind are `BYTES`.

    Raises `InvalidInputError` for a dtype that the protocol has no name for (complex, datetime, ...).
    """
    if array.dtype.kind in "OUS":
        return "BYTES"
    try:
        return _DATATYPES[array.dtype.newbyteorder("=")]  # type: ignore[return-value]
    except KeyError:
        known = ", ".join(DTYPES)
        raise InvalidInputError(f"array: expected a dtype of {known}, got {array.dtype}") from None


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input or output, in the terms of the Open Inference Protocol.

    A dimension of -1 accepts any length. `nullable` accepts NaN (floats) or null (strings, which the graph sees as
    the string `null`). `features` names the columns of a matrix input. `categories` lists what the model was trained
    on; with `closed` nothing else is accepted. `labels` names what an output's columns, or its values, stand for.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    nullable: bool = False
    null: str | None = None
    features: tuple[str, ...] = ()
    categories: tuple[str | int, ...] = ()
    closed: bool = False
    labels: tuple[str | int | bool, ...] = ()

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The NumPy type of this tensor's elements."""
        return DTYPES[self.datatype]

    def check(self, array: NDArray[np.generic]) -> None:
        """Raise `InvalidInputError` unless `array` has this spec's datatype and shape, and only values that it allows."""
        if (got := datatype_of(array)) != self.datatype:
            raise InvalidInputError(f"input `{self.name}`: expected {self.datatype}, got {got}")
        if not fits(array.shape, self.shape):
            raise InvalidInputError(
                f"input `{self.name}`: expected shape {list(self.shape)}, got {list(array.shape)}",
                hint="a dimension of -1 accepts any length" if -1 in self.shape else None,
            )
        self.check_values(array)

    def check_values(self, array: NDArray[np.generic]) -> None:
        """Raise `InvalidInputError` on infinities, on NaN where not nullable, and on categories outside a closed list.

        The first offending element is named by its index.
        """
        if self.datatype in ("FP16", "FP32", "FP64"):
            finite = np.isfinite(array)
            if not finite.all():
                bad = np.isinf(array) if self.nullable else ~finite
                if bad.any():
                    self._refuse(array, bad)
        elif self.closed:
            known: set[object] = set(self.categories)
            if self.nullable:
                known.add(self.null)
            bad = np.array([value not in known for value in array.ravel().tolist()], np.bool_).reshape(array.shape)
            if bad.any():
                self._refuse(array, bad)

    def refused(self, index: tuple[int, ...], got: str) -> InvalidInputError:
        """Return the error that says what was `got` at `index` instead of a value of this tensor."""
        what = f"one of {len(self.categories)} known categories" if self.closed else self.datatype
        null = got in ("null", "NaN")
        return InvalidInputError(
            f"input `{self.name}`: expected {what}, got {got} at {list(index)}",
            hint="a missing value is accepted only where the signature says `nullable`" if null else None,
        )

    def _refuse(self, array: NDArray[np.generic], bad: NDArray[np.bool_]) -> None:
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise self.refused(index, shown(array[index]))


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model's inputs and outputs, and what its first dimension means.

    `batch` is `rows` (the first dimension counts independent rows), `fixed:N` (exactly N rows) or `none` (scored as it
    is). `rows_identical` says whether a row gives the same bits in any batch, as scored by this runtime; null without
    rows.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: str = "rows"
    rows_identical: bool | None = None

    @property
    def has_rows(self) -> bool:
        """Whether the first dimension counts independent rows, any number of them."""
        return self.batch == "rows"

    @property
    def is_table(self) -> bool:
        """Whether each input is one column of a table: shape [-1, 1] or [-1]."""
        return self.has_rows and all(spec.shape in ((-1, 1), (-1,)) for spec in self.inputs)

    def input(self, name: str) -> TensorSpec:
        """Return the input called `name`; raises `InvalidInputError` naming the known ones."""
        for spec in self.inputs:
            if spec.name == name:
                return spec
        known = ", ".join(f"`{spec.name}`" for spec in self.inputs)
        raise InvalidInputError(f"input `{name}`: expected one of {known}")


def fits(shape: tuple[int, ...], spec: tuple[int, ...]) -> bool:
    """Return whether `shape` is one that `spec` allows, where -1 allows any length."""
    return len(shape) == len(spec) and all(want in (-1, got) for got, want in zip(shape, spec, strict=True))


def shown(value: object) -> str:
    """Return `value` as an error message shows it: JSON-like, at most 40 characters."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return f'"{value[:37]}..."' if len(value) > 40 else f'"{value}"'  # noqa: PLR2004
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "NaN"
        if np.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    text = str(value)
    return f"{text[:37]}..." if len(text) > 40 else text  # noqa: PLR2004
