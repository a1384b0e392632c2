"""Golden samples: inputs, what the trained model gave for them, and what the engine gave, as plain arrays.

The file is an uncompressed `.npz` (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) whose
bytes depend on the arrays alone. A string tensor is three arrays: UTF-8 bytes, offsets, shape.
"""

from __future__ import annotations

import io
import zipfile
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from modelport.runtime.errors import InvalidInputError, InvalidPackageError, printable, shortened
from modelport.runtime.signature import fits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from modelport.runtime.signature import Signature, TensorSpec

    Arrays = dict[str, NDArray[np.generic]]

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_MAX_CALLS: Final = 1_000_000


class Tolerance(NamedTuple):
    """How far an output may lie from the expected one: |got - expected| <= absolute + relative * |expected|.

    Labels and strings are compared exactly.
    """

    absolute: float
    relative: float


class Spread(NamedTuple):
    """What an output of a model that is not deterministic was seen to be: lowest, highest, mean, standard deviation."""

    lowest: float
    highest: float
    mean: float
    deviation: float


class Samples(NamedTuple):
    """Golden samples.

    With rows, `inputs` holds one batch; without, a list of whole calls. `expected` is what the proof rests on,
    `recorded` the engine's own answer on the CPU that the manifest names; both are laid out as `inputs`. `spread` is
    there for outputs of models that are not deterministic.
    """

    inputs: Sequence[Arrays]
    expected: Sequence[Arrays]
    recorded: Sequence[Arrays]
    tolerance: dict[str, Tolerance]
    spread: dict[str, Spread]


def encode(samples: Samples, signature: Signature) -> bytes:
    """Return the bytes of `samples.npz`; the same samples give the same bytes."""
    arrays: dict[str, NDArray[np.generic]] = {"count": np.array(len(samples.inputs), np.int64)}
    for call in range(len(samples.inputs)):
        for index, spec in enumerate(signature.inputs):
            _put(arrays, f"{call}.input.{index}", samples.inputs[call][spec.name])
        for index, spec in enumerate(signature.outputs):
            _put(arrays, f"{call}.expected.{index}", samples.expected[call][spec.name])
            _put(arrays, f"{call}.recorded.{index}", samples.recorded[call][spec.name])
    for index, spec in enumerate(signature.outputs):
        arrays[f"tolerance.{index}"] = np.array(samples.tolerance[spec.name], np.float64)
        if spec.name in samples.spread:
            arrays[f"spread.{index}"] = np.array(samples.spread[spec.name], np.float64)
    return _zipped(arrays)


def decode(data: bytes, signature: Signature) -> Samples:
    """Read `samples.npz`.

    Raises `InvalidPackageError` unless it holds, as plain arrays, calls that `signature` accepts and answers that it
    allows.
    """
    try:
        samples = _samples(_unzipped(data), signature)
        _check(samples, signature)
    except _OddSamplesError as error:
        raise InvalidPackageError(f"samples: {error}") from error
    except InvalidInputError as error:
        raise InvalidPackageError(f"samples: {error.message}") from error
    except Exception as error:  # what zipfile and NumPy raise on damaged bytes has many kinds
        reason = printable(shortened(str(error) or type(error).__name__, 200))
        raise InvalidPackageError(f"samples: expected plain arrays for each input and output, got {reason}") from error
    return samples


class _OddSamplesError(Exception):
    pass


def _zipped(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            portable = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
            np.lib.format.write_array(member, portable, (1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, member.getvalue())
    return stream.getvalue()


def _unzipped(data: bytes) -> Arrays:
    """Return the arrays, none of which takes more memory than the file has bytes."""
    arrays: Arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
            raise _OddSamplesError("expected members stored as they are, got a compressed or encrypted one")
        if sum(member.file_size for member in members) > len(data):
            raise _OddSamplesError(f"expected members within its {len(data)} bytes, got some that overlap")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays or name == member.filename:
                raise _OddSamplesError("expected members `NAME.npy`, each once, got another or one twice")
            arrays[name] = _array(archive.read(member))
    return arrays


def _array(data: bytes) -> NDArray[np.generic]:
    """Return the array of a `.npy` of format 1.0 in C order, whose size must be what its header says."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise _OddSamplesError("expected arrays of `.npy` format 1.0, got another")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "biuf" or fortran or dtype.newbyteorder("<") != dtype:
        raise _OddSamplesError(f"expected plain little-endian arrays in C order, got {shortened(str(dtype), 80)}")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise _OddSamplesError("expected as many bytes as the array's shape says, got others")
    return np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape)


def _samples(arrays: Mapping[str, NDArray[np.generic]], signature: Signature) -> Samples:
    count = int(arrays["count"].reshape(()))
    if not 1 <= count <= _MAX_CALLS:
        raise _OddSamplesError(f"expected 1 to {_MAX_CALLS} calls, got {count}")

    def calls(kind: str, specs: Sequence[TensorSpec]) -> list[Arrays]:
        return [
            {spec.name: _get(arrays, f"{call}.{kind}.{i}") for i, spec in enumerate(specs)} for call in range(count)
        ]

    names = [spec.name for spec in signature.outputs]
    return Samples(
        calls("input", signature.inputs),
        calls("expected", signature.outputs),
        calls("recorded", signature.outputs),
        {name: Tolerance(*_numbers(arrays, f"tolerance.{i}")) for i, name in enumerate(names)},
        {name: Spread(*_numbers(arrays, f"spread.{i}")) for i, name in enumerate(names) if f"spread.{i}" in arrays},
    )


def _check(samples: Samples, signature: Signature) -> None:
    for inputs, expected, recorded in zip(samples.inputs, samples.expected, samples.recorded, strict=True):
        for spec in signature.inputs:
            spec.check(inputs[spec.name])
        rows = {len(array) for array in (*inputs.values(), *recorded.values())} if signature.has_rows else {1}
        if len(rows) > 1:
            raise _OddSamplesError(f"expected as many rows of every input and output, got {sorted(rows)}")
        for spec in signature.outputs:
            _check_output(spec, expected[spec.name], recorded[spec.name])


def _check_output(spec: TensorSpec, expected: NDArray[np.generic], recorded: NDArray[np.generic]) -> None:
    if recorded.dtype != spec.dtype or not fits(recorded.shape, spec.shape):
        raise _OddSamplesError(
            f"output `{spec.name}`: expected {spec.datatype} {list(spec.shape)}, "
            f"got {recorded.dtype} {list(recorded.shape)}"
        )
    if expected.shape != recorded.shape or expected.dtype.kind != recorded.dtype.kind:
        raise _OddSamplesError(
            f"output `{spec.name}`: expected the original's answers as {recorded.dtype} {list(recorded.shape)}, "
            f"got {expected.dtype} {list(expected.shape)}"
        )


def _numbers(arrays: Mapping[str, NDArray[np.generic]], key: str) -> Iterator[float]:
    values = arrays[key]
    if values.dtype != np.float64 or values.ndim != 1 or not np.isfinite(values).all():
        raise _OddSamplesError(f"expected finite numbers as `{key}`, got others")
    return iter(values.tolist())


def _put(arrays: Arrays, key: str, array: NDArray[np.generic]) -> None:
    if array.dtype.kind not in "OUS":
        arrays[key] = array
        return
    texts = [value if isinstance(value, bytes) else str(value).encode() for value in array.ravel().tolist()]
    arrays[f"{key}.bytes"] = np.frombuffer(b"".join(texts), np.uint8)
    arrays[f"{key}.offsets"] = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    arrays[f"{key}.shape"] = np.array(array.shape, np.int64)


def _get(arrays: Mapping[str, NDArray[np.generic]], key: str) -> NDArray[np.generic]:
    if key in arrays:
        return arrays[key]
    data = arrays[f"{key}.bytes"].tobytes()
    offsets = arrays[f"{key}.offsets"].tolist()
    shape = tuple(arrays[f"{key}.shape"].tolist())
    if offsets[0] != 0 or offsets[-1] != len(data) or min(shape, default=0) < 0:
        raise _OddSamplesError(f"expected `{key}` to be strings one after the other, got other offsets or shape")
    array = np.empty(len(offsets) - 1, np.object_)
    array[:] = [data[start:end].decode() for start, end in pairwise(offsets)]
    return array.reshape(shape)
