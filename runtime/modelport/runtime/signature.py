"""What a model accepts and returns: named, typed, shaped tensors."""

from __future__ import annotations

import json
from math import isfinite, isnan
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import numpy as np

from .errors import InvalidInputError, named, printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

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
_FLOATS: Final = frozenset(("FP16", "FP32", "FP64"))
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

    def no_rows(self) -> NDArray[np.generic]:
        """Return this tensor as it is for a batch of no rows."""
        return np.zeros((0, *(max(size, 0) for size in self.shape[1:])), self.dtype)

    def check(self, array: NDArray[np.generic]) -> None:
        """Raise `InvalidInputError` unless `array` has this spec's dtype and shape, and only values that it allows."""
        if array.dtype != self.dtype or not fits(array.shape, self.shape):
            self.check_form(datatype_of(array), array.shape)
            # what is left is another byte order, or strings of fixed width: engines misread both
            raise InvalidInputError(
                f"input `{self.name}`: expected {self.datatype} as {self.dtype}, got {array.dtype}",
                hint="`modelport.runtime.values.coerce` converts",
            )
        self.check_values(array)

    def check_form(self, datatype: str, shape: tuple[int, ...]) -> None:
        """Raise `InvalidInputError` unless a tensor of `datatype` and `shape` fits, whatever its values."""
        if datatype != self.datatype:
            got = printable(shortened(datatype, 40))
            raise InvalidInputError(f"input `{self.name}`: expected {self.datatype}, got {got}")
        if not fits(shape, self.shape):
            raise InvalidInputError(
                f"input `{self.name}`: expected shape {list(self.shape)}, got {shown(list(shape))}",
                hint="a dimension of -1 accepts any length" if -1 in self.shape else None,
            )

    def check_values(self, array: NDArray[np.generic]) -> None:
        """Raise `InvalidInputError` on what the datatype alone does not rule out, naming the first such element.

        Infinities, NaN where not nullable, strings that are no Unicode text, categories outside a closed list.
        """
        if self.datatype in _FLOATS:
            if array.size == 1:  # a row of a table: NumPy's own way costs ten times as much
                value = array.item()
                if isfinite(value) or (self.nullable and isnan(value)):
                    return
            finite = np.isfinite(array)
            if not finite.all():
                self._refuse_first(array, np.isinf(array) if self.nullable else ~finite)
            return
        if self.datatype == "BYTES" and not _all_text(array):
            self._refuse_first(array, _each(array, lambda value: not _is_text(value)))
        if self.closed:
            known: set[object] = {*self.categories, self.null} if self.nullable else set(self.categories)
            self._refuse_first(array, _each(array, lambda value: value not in known))

    def refused(self, index: tuple[int, ...], got: str) -> InvalidInputError:
        """Return the error that says what was `got` at `index` instead of a value of this tensor."""
        what = f"one of {len(self.categories)} known categories" if self.closed else self.datatype
        null = got in ("null", "NaN")
        return InvalidInputError(
            f"input `{self.name}`: expected {what}, got {got} at {list(index)}",
            hint="a missing value is accepted only where the signature says `nullable`" if null else None,
        )

    def _refuse_first(self, array: NDArray[np.generic], bad: NDArray[np.bool_]) -> None:
        if bad.any():
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
        raise InvalidInputError(f"input {named(name)}: expected one of {known}")


def fits(shape: tuple[int, ...], spec: tuple[int, ...]) -> bool:
    """Return whether `shape` is one that `spec` allows, where -1 allows any length."""
    if len(shape) != len(spec):
        return False
    for got, want in zip(shape, spec, strict=True):  # noqa: SIM110  `all` costs twice as much, for every input
        if (got != want) if want >= 0 else (got < 0):
            return False
    return True


def shown(value: object) -> str:
    """Return `value` as an error message shows it: JSON-like, printable, at most 40 characters and quotes."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return printable(json.dumps(shortened(value, 40), ensure_ascii=False))
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "NaN"
        if np.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    return printable(shortened(str(value), 40))


def _each(array: NDArray[np.generic], test: Callable[[object], bool]) -> NDArray[np.bool_]:
    return np.array([test(value) for value in array.ravel().tolist()], np.bool_).reshape(array.shape)


def _all_text(array: NDArray[np.generic]) -> bool:
    values = array.ravel().tolist()
    return all(isinstance(value, str) for value in values) and _is_text("".join(values))


def _is_text(value: object) -> bool:
    """Return whether `value` is a string that UTF-8 can carry, and so reach the engine: no lone surrogates."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
