"""Golden samples: inputs, what the trained model gave for them, and what the engine gave, as plain arrays.

The file is an uncompressed `.npz` (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) whose
bytes depend on the arrays alone. A string tensor is three arrays: UTF-8 bytes, offsets, shape.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from modelport.runtime.errors import InvalidPackageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from modelport.runtime.signature import Signature

    Arrays = dict[str, NDArray[np.generic]]

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


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
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(
                member, np.ascontiguousarray(array).reshape(array.shape), (1, 0), allow_pickle=False
            )
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, member.getvalue())
    return stream.getvalue()


def decode(data: bytes, signature: Signature) -> Samples:
    """Read `samples.npz`. Raises `InvalidPackageError` unless it holds what `signature` asks for, as plain arrays."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        calls = range(int(arrays["count"]))
        return Samples(
            [{s.name: _get(arrays, f"{c}.input.{i}") for i, s in enumerate(signature.inputs)} for c in calls],
            [{s.name: _get(arrays, f"{c}.expected.{i}") for i, s in enumerate(signature.outputs)} for c in calls],
            [{s.name: _get(arrays, f"{c}.recorded.{i}") for i, s in enumerate(signature.outputs)} for c in calls],
            {s.name: Tolerance(*arrays[f"tolerance.{i}"].tolist()) for i, s in enumerate(signature.outputs)},
            {
                s.name: Spread(*arrays[f"spread.{i}"].tolist())
                for i, s in enumerate(signature.outputs)
                if f"spread.{i}" in arrays
            },
        )
    except (KeyError, ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidPackageError(f"samples: expected plain arrays for each input and output, got {error}") from error


def _put(arrays: dict[str, NDArray[np.generic]], key: str, array: NDArray[np.generic]) -> None:
    if array.dtype.kind not in "OUS":
        arrays[key] = array
        return
    texts = [str(value).encode() for value in array.ravel().tolist()]
    arrays[f"{key}.bytes"] = np.frombuffer(b"".join(texts), np.uint8)
    arrays[f"{key}.offsets"] = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    arrays[f"{key}.shape"] = np.array(array.shape, np.int64)


def _get(arrays: Mapping[str, NDArray[np.generic]], key: str) -> NDArray[np.generic]:
    if key in arrays:
        return arrays[key]
    data = arrays[f"{key}.bytes"].tobytes()
    offsets = arrays[f"{key}.offsets"].tolist()
    texts = [data[start:end].decode() for start, end in zip(offsets[:-1], offsets[1:], strict=True)]
    array = np.empty(len(texts), np.object_)
    array[:] = texts
    return array.reshape(tuple(arrays[f"{key}.shape"].tolist()))
