"""Reads a model from disk with its external data, which must lie beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
import onnx
from onnx import TensorProto

from modelport.packager.errors import ConversionError
from modelport.runtime.errors import InvalidPackageError, named
from modelport.runtime.package import PLAIN_NAME, onnxwire

#: The files that a package has itself.
OWN_FILES: Final = (
    "environment.lock",
    "manifest.json",
    "manifest.sha256",
    "model.onnx",
    "parity.json",
    "resources.json",
    "samples.npz",
    "score.py",
    "statistics.json",
)


class OnnxFile(msgspec.Struct, frozen=True, kw_only=True):
    """An ONNX model as it lies on disk: its bytes, and those of its external data by location."""

    data: bytes
    external_data: dict[str, bytes] = {}


def read_onnx(path: str | os.PathLike[str]) -> OnnxFile:
    """Read a model and its external data.

    Raises `ConversionError` if the file cannot be read, is no ONNX model, or refers to data outside its directory
    or through links.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
        facts = onnxwire.read_facts(data, file.name)
        if nested := next((ref for ref in facts.external if ref.nested), None):
            raise ConversionError(
                f"`{file.name}`: expected external data of the main graph's initializers only, "
                f"got {named(nested.location)} named by another tensor",
                hint="save the model again with tensors of subgraphs, functions and attributes inside the file",
            )
        locations = dict.fromkeys(reference.location for reference in facts.external)
        for location in locations:
            _check_location(file, location)
        external = {location: _beside(file, location) for location in locations}
    except OSError as error:
        raise ConversionError(f"`{file}`: expected a readable ONNX model, got {error.strerror}") from error
    except InvalidPackageError as error:
        raise ConversionError(error.message, hint=error.hint) from error
    return OnnxFile(data=data, external_data=external)


def _check_location(file: Path, location: str) -> None:
    """Raise `ConversionError` if a package cannot hold external data of that name beside its own files."""
    plain = all(PLAIN_NAME.fullmatch(part) for part in location.split("/"))
    if location in OWN_FILES or (not plain and (file.parent / location).is_file()):
        raise ConversionError(
            f"`{file.name}`: expected external data under another name, got {named(location)}",
            hint="save the model again with its weights in a file such as `weights.bin`",
        )


def parsed(file: OnnxFile) -> onnx.ModelProto:
    """Return the model with its external data inside; raises `ConversionError` unless it is a valid one."""
    try:
        proto = onnx.load_from_string(file.data)
        for tensor in proto.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                _embed(tensor, file.external_data)
        onnx.checker.check_model(proto)
    except Exception as error:  # the parser and the checker raise kinds of their own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise ConversionError(f"model: expected a valid ONNX model, got {reason}") from error
    return proto


def _beside(file: Path, location: str) -> bytes:
    """Read external data, refusing every way out of the model's directory (hard links too, which ORT follows)."""
    parts = location.split("/")
    path = file.parent.joinpath(*parts)
    plain = location and not location.startswith("/") and "\\" not in location and not {"", ".", ".."} & set(parts)
    if plain and not any(step.is_symlink() for step in (path, *path.parents[: len(parts) - 1])) and path.is_file():
        with path.open("rb") as opened:
            if os.fstat(opened.fileno()).st_nlink == 1:
                return opened.read()
    raise ConversionError(
        f"`{file.name}`: expected external data in plain files beside it, got {named(location)}",
        hint="save the model again with its weights beside it or inside",
    )


def _embed(tensor: TensorProto, external: dict[str, bytes]) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    data = external[entries["location"]]
    offset = int(entries.get("offset", "0"))
    tensor.raw_data = data[offset : offset + int(entries["length"])] if "length" in entries else data[offset:]
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]
