"""Reads arrays from NumPy's `.npz`, a zip of arrays, row by row or whole. Arrays of Python objects are refused unread.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import contextlib
import math
import sys
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from modelport.runtime.errors import InvalidInputError, named, printable, shortened
from modelport.runtime.signature import shown

from .batch import Batch
from .layout import by_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from modelport.runtime.signature import Signature

    from .layout import ReadOptions
    from .places import Source

_SUFFIX: Final = ".npy"
_MOST_DIMENSIONS: Final = 64  # NumPy's own limit
_UNNAMED: Final = "arr_0"  # what numpy.savez calls an array that was given without a name


class NpzReader:
    """Reads an `.npz` file of arrays with a row each along their first dimension."""

    def __init__(self, source: Source, signature: Signature, options: ReadOptions) -> None:
        self._file = source.file
        self._signature = signature
        self._options = options
        self._done = 0.0

    def batches(self, rows: int) -> Iterator[Batch]:
        """Yield all rows in their order, at most `rows` at a time."""
        with _opened(self._file) as archive, contextlib.ExitStack() as stack:
            names = _names(archive, self._signature)
            layout = by_names(self._signature, list(names), self._options)
            used = dict.fromkeys([*(slot.column for slot in layout.slots), *self._options.keep])
            arrays = {name: stack.enter_context(_member(archive, names[name], name)) for name in used}
            count = _common_length(arrays)
            for start in range(0, count, rows):
                stop = min(start + rows, count)
                parts = {name: array.read(stop - start) for name, array in arrays.items()}
                self._done = stop / count
                kept = {name: parts[name] for name in self._options.keep}
                yield Batch(layout, range(start + 1, stop + 1), parts, kept)

    def fraction(self) -> float | None:
        """Return how many of the rows were read."""
        return self._done


def read_whole(source: Source, signature: Signature) -> dict[str, NDArray[np.generic]]:
    """Return every array of an `.npz` file by the name of its input, for a model that does not score rows."""
    with _opened(source.file) as archive:
        found = {}
        for name, file in _names(archive, signature).items():
            with _member(archive, file, name) as array:
                found[name] = array.read(array.shape[0]) if array.shape else array.read_scalar()
        return found


class _ArrayStream:
    """An array that is read row by row."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        self._file = file
        self.shape, fortran, self._dtype = _header(file, name)
        # Column by column is no order to read rows in: such an array is read at once.
        self._whole: NDArray[np.generic] | None = None
        self._at = 0
        if fortran and len(self.shape) > 1:
            self._whole = self._next(self.shape[::-1]).T

    def read(self, rows: int) -> NDArray[np.generic]:
        """Return the next `rows` rows."""
        if self._whole is None:
            return self._next((rows, *self.shape[1:]))
        self._at += rows
        return self._whole[self._at - rows : self._at]

    def read_scalar(self) -> NDArray[np.generic]:
        """Return the one value of an array without dimensions."""
        return self._next(())

    def _next(self, shape: tuple[int, ...]) -> NDArray[np.generic]:
        size = math.prod(shape) * self._dtype.itemsize
        data = self._file.read(size)
        if len(data) != size:
            raise InvalidInputError(f"array {named(self.name)}: expected {size} more bytes, got {len(data)}")
        array = np.frombuffer(data, self._dtype).reshape(shape) if size else np.zeros(shape, self._dtype)
        if self._dtype.kind == "U" and not _is_unicode(array):
            raise InvalidInputError(f"array {named(self.name)}: expected Unicode text, got other numbers")
        return array


@contextlib.contextmanager
def _opened(file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidInputError(f"npz: expected a zip of arrays, got {error}") from error


@contextlib.contextmanager
def _member(archive: zipfile.ZipFile, file: str, name: str) -> Iterator[_ArrayStream]:
    with archive.open(file) as member:
        yield _ArrayStream(member, name)


def _names(archive: zipfile.ZipFile, signature: Signature) -> dict[str, str]:
    """Return the members of the archive by the names of their arrays; one array without a name is the one input."""
    found = {name.removesuffix(_SUFFIX): name for name in archive.namelist() if name.endswith(_SUFFIX)}
    if list(found) == [_UNNAMED] and len(signature.inputs) == 1:
        return {signature.inputs[0].name: found[_UNNAMED]}
    return found


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Return shape, order (whether column by column) and type from an array's header."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # a header is Python's own notation: damaged, it raises many kinds
        reason = printable(shortened(str(error) or type(error).__name__, 200))
        raise InvalidInputError(f"array {named(name)}: expected a NumPy array, got {reason}") from error
    if dtype.hasobject:
        raise InvalidInputError(
            f"array {named(name)}: expected plain values, got Python objects",
            hint="a pickle runs code when it is read; save strings with `array.astype(str)`",
        )
    largest = max((size for size in shape if size), default=0)
    if min(shape, default=0) < 0 or not dtype.itemsize or len(shape) > _MOST_DIMENSIONS or largest > sys.maxsize // 64:
        raise InvalidInputError(
            f"array {named(name)}: expected a NumPy array, got shape {shown(list(shape))} of {dtype}"
        )
    return shape, fortran, dtype


def _is_unicode(array: NDArray[np.generic]) -> bool:
    """Return whether every character of an array of strings is one; NumPy takes any four bytes for one."""
    codes = np.frombuffer(array.tobytes(), np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    return not (codes > sys.maxunicode).any()


def _common_length(arrays: dict[str, _ArrayStream]) -> int:
    lengths: dict[str, int] = {}
    for name, array in arrays.items():
        if not array.shape:
            raise InvalidInputError(f"array {named(name)}: expected rows, got a single value")
        lengths[name] = array.shape[0]
    first, length = next(iter(lengths.items()))
    for name, other in lengths.items():
        if other != length:
            raise InvalidInputError(f"array {named(name)}: expected {length} rows as {named(first)}, got {other}")
    return length
