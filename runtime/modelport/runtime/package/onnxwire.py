"""What must be known of an ONNX file before an engine may see it, read from its bytes.

A walk over the protobuf wire format (https://protobuf.dev/programming-guides/encoding/) with the field numbers of
onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). The onnx library is not imported, and no field
but the few that are named here is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from modelport.runtime.errors import InvalidPackageError

# Messages and the fields through which a tensor can be reached; the rest is skipped.
_FIELDS: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_IR_VERSION, _GRAPH, _OPSET = 1, 7, 8
_EXTERNAL_DATA: Final = 13
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH: Final = 200


class ExternalData(NamedTuple):
    """A reference of a tensor into a file beside the model; `offset` and `length` in bytes, `length` -1 for the rest."""

    location: str
    offset: int
    length: int


class ModelFacts(NamedTuple):
    """The IR version, the operator sets by domain, and every reference to external data, of an ONNX file."""

    ir_version: int
    opsets: dict[str, int]
    external: tuple[ExternalData, ...]


def read_facts(data: bytes | memoryview, name: str = "model.onnx") -> ModelFacts:
    """Read what an ONNX file says of itself.

    Raises `InvalidPackageError` unless the bytes are one whole ModelProto with an IR version, an operator set and a graph.
    """
    view = memoryview(data)
    ir_version = 0
    opsets: dict[str, int] = {}
    has_graph = False
    try:
        for field, value in _fields(view):
            if field == _IR_VERSION and isinstance(value, int):
                ir_version = value
            elif field == _OPSET and not isinstance(value, int):
                domain, version = _opset(value)
                opsets[domain] = version
            elif field == _GRAPH:
                has_graph = True
        external = tuple(_external(view, "model", 0))
    except (_BrokenWireError, UnicodeDecodeError, ValueError) as error:
        raise InvalidPackageError(f"`{name}`: expected an ONNX model, got other or damaged bytes ({error})") from error
    if not (ir_version and opsets and has_graph):
        raise InvalidPackageError(
            f"`{name}`: expected an ONNX model, got bytes without IR version, operator set or graph"
        )
    return ModelFacts(ir_version, opsets, external)


class _BrokenWireError(Exception):
    pass


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position, end = 0, len(view)
    while position < end:
        key, position = _varint(view, position)
        field, wire = key >> 3, key & 7
        if field == 0:
            raise _BrokenWireError("field number 0")
        if wire == _VARINT:
            value, position = _varint(view, position)
            yield field, value
            continue
        if wire == _BYTES:
            size, position = _varint(view, position)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise _BrokenWireError(f"wire type {wire}")
        if size > end - position:
            raise _BrokenWireError(f"a field of {size} bytes where {end - position} are left")
        yield field, view[position : position + size]
        position += size


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for count in range(10):
        if position >= len(view):
            raise _BrokenWireError("an unfinished number")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:  # noqa: PLR2004  the high bit says that more follows
            return value, position
    raise _BrokenWireError("a number of more than 10 bytes")


def _opset(view: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for field, value in _fields(view):
        if field == 1 and not isinstance(value, int):
            domain = bytes(value).decode()
        elif field == 2 and isinstance(value, int):  # noqa: PLR2004
            version = value
    return domain, version


def _external(view: memoryview, message: str, depth: int) -> Iterator[ExternalData]:
    if depth > _MAX_DEPTH:
        raise _BrokenWireError(f"more than {_MAX_DEPTH} levels")
    if message == "tensor":
        yield from _tensor(view)
        return
    inner = _FIELDS[message]
    for field, value in _fields(view):
        if (kind := inner.get(field)) is not None:
            if isinstance(value, int):
                raise _BrokenWireError(f"a number where a {kind} stands")
            yield from _external(value, kind, depth + 1)


def _tensor(view: memoryview) -> Iterator[ExternalData]:
    entries: dict[str, str] = {}
    location, stored_outside = 14, False
    for field, value in _fields(view):
        if field == _EXTERNAL_DATA and not isinstance(value, int):
            pair = {number: bytes(text).decode() for number, text in _fields(value) if not isinstance(text, int)}
            entries[pair.get(1, "")] = pair.get(2, "")
        elif field == location:
            stored_outside = value == 1
    if entries or stored_outside:
        yield ExternalData(
            entries.get("location", ""), int(entries.get("offset", "0")), int(entries.get("length", "-1"))
        )
