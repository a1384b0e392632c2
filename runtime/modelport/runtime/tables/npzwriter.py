"""Writes outputs as NumPy's `.npz`: an array an output, with its own name, rank and type; strings of fixed width."""

from __future__ import annotations

import tempfile
import zipfile
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import numpy as np

from modelport.runtime.errors import OutputError
from modelport.runtime.outputs import array_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from modelport.runtime.outputs import Column, Columns
    from modelport.runtime.signature import TensorSpec


_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class NpzWriter:
    """Writes an `.npz` file. Until it is finished the rows lie in a temporary files: an array's head says how many."""

    def __init__(self, file: IO[bytes], specs: Sequence[TensorSpec]) -> None:
        self._file = file
        self._specs = specs
        self._arrays: dict[str, _SpilledArray] = {}

    def write(self, kept: Columns, outputs: Mapping[str, NDArray[np.generic]]) -> None:
        """Append rows; raises `OutputError` where rows of one array have different shapes."""
        for name, column in array_columns(self._specs, kept, outputs).items():
            if name not in self._arrays:
                self._arrays[name] = _SpilledArray(name)
            self._arrays[name].append(_plain_array(column))

    def finish(self) -> None:
        """Write the archive."""
        with zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in self._arrays.items():
                with _member(archive, name) as member:
                    array.write_to(member)

    def close(self) -> None:
        """Remove the temporary files."""
        for array in self._arrays.values():
            array.close()


def write_whole(file: IO[bytes], outputs: Mapping[str, NDArray[np.generic]]) -> None:
    """Write arrays as they are, for a model that does not score rows."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in outputs.items():
            with _member(archive, name) as member:
                np.lib.format.write_array(member, _plain_array(array), allow_pickle=False)


class _Chunk(NamedTuple):
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]


class _SpilledArray:
    def __init__(self, name: str) -> None:
        self._name = name
        self._chunks: list[_Chunk] = []
        self._spill = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`

    def append(self, rows: NDArray[np.generic]) -> None:
        """Put `rows` behind those that are there."""
        shape = self._chunks[0].shape[1:] if self._chunks else rows.shape[1:]
        if rows.shape[1:] != shape:
            raise OutputError(
                f"output `{self._name}`: expected rows of shape {list(shape)}, as before, got {list(rows.shape[1:])}",
                hint="write json or jsonl",
            )
        self._chunks.append(_Chunk(rows.dtype, rows.shape))
        self._spill.write(rows.tobytes())

    def close(self) -> None:
        """Remove the temporary file."""
        self._spill.close()

    def write_to(self, file: IO[bytes]) -> None:
        """Write the whole array as a `.npy` file: strings as wide as the longest."""
        dtype = np.result_type(*(chunk.dtype for chunk in self._chunks))
        shape = (sum(chunk.shape[0] for chunk in self._chunks), *self._chunks[0].shape[1:])
        head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, head)
        for rows in self._read():
            file.write(rows.astype(dtype).tobytes())

    def _read(self) -> Iterator[NDArray[np.generic]]:
        self._spill.seek(0)
        for chunk in self._chunks:
            data = self._spill.read(int(np.prod(chunk.shape)) * chunk.dtype.itemsize)
            yield np.frombuffer(data, chunk.dtype).reshape(chunk.shape) if data else np.zeros(chunk.shape, chunk.dtype)


def _plain_array(column: Column) -> NDArray[np.generic]:
    """Return a column without Python objects: strings of fixed width, missing ones empty; missing numbers NaN."""
    array = np.asarray(column)
    if array.dtype.kind != "O":
        return array
    values = array.ravel().tolist()
    if values and all(value is None or isinstance(value, int | float) for value in values):
        return array.astype(np.float64)
    texts = ["" if value is None else str(value) for value in values]
    return np.array(texts, np.str_).reshape(array.shape)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
    entry.external_attr = 0o644 << 16
    return archive.open(entry, "w", force_zip64=True)
