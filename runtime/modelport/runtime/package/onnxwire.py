"""What must be known of an ONNX file before an engine may see it, read from its bytes.

A walk over the protobuf wire format (https://protobuf.dev/programming-guides/encoding/) with the field numbers of
onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). The onnx library is not imported, and no field
but the few that are named here is decoded. Where decoders could read one text in two ways, it is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from modelport.runtime.errors import InvalidPackageError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_MAIN_INITIALIZER: Final = (7, 5)
_IR_VERSION, _GRAPH, _OPSET = 1, 7, 8
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_KEY: Final = 0xFFFFFFFF
_MAX_DEPTH: Final = 200
# An attribute's `floats` (field 7) and `ints` (field 8) one after the other. A tree ensemble has millions.
_NUMBERS: Final = re.compile(rb"(?:\x3d.{4}|\x40[\x80-\xff]{0,9}+[\x00-\x7f])++", re.DOTALL)
_DECIMAL: Final = re.compile(r"[0-9]{1,18}")


_Value = int | memoryview | None


class ExternalData(NamedTuple):
    """A reference of a tensor into a file beside the model; `offset` and `length` in bytes, `length` -1 for the rest.

    `nested` unless the tensor is an initializer of the model's own graph: in a subgraph, a function, an attribute, ...
    """

    location: str
    offset: int
    length: int
    nested: bool = False


class ModelFacts(NamedTuple):
    """The IR version, the operator sets by domain, and every reference to external data, of an ONNX file."""

    ir_version: int
    opsets: dict[str, int]
    external: tuple[ExternalData, ...]


def read_facts(data: bytes | memoryview, name: str = "model.onnx") -> ModelFacts:
    """Read what an ONNX file says of itself.

    Raises `InvalidPackageError` unless the bytes are one whole ModelProto with an IR version, an operator set and a
    graph.
    """
    view = memoryview(data)
    ir_version = 0
    opsets: dict[str, int] = {}
    has_graph = False
    try:
        for field, value in _fields(view):
            if field == _IR_VERSION:
                ir_version = _number(value)
            elif field == _OPSET:
                domain, version = _opset(_message(value))
                opsets[domain] = version
            elif field == _GRAPH:
                has_graph = True
        external = tuple(_external(view, "model", ()))
    except (_BrokenWireError, UnicodeDecodeError) as error:
        raise InvalidPackageError(f"`{name}`: expected an ONNX model, got other or damaged bytes ({error})") from error
    if not (ir_version and opsets and has_graph):
        raise InvalidPackageError(
            f"`{name}`: expected an ONNX model, got bytes without IR version, operator set or graph"
        )
    return ModelFacts(ir_version, opsets, external)


class _BrokenWireError(Exception):
    pass


def _fields(
    view: memoryview, skipped: re.Pattern[bytes] | None = None
) -> Iterator[tuple[int, int | memoryview | None]]:
    """Yield each field's number and value: a number, the bytes of text or message, or None for one of fixed width.

    Runs of whole fields that `skipped` matches are passed over.
    """
    position, end = 0, len(view)
    while position < end:
        if skipped is not None and (run := skipped.match(view, position)) is not None:
            position = run.end()
            continue
        key, position = _varint(view, position)
        field, wire = key >> 3, key & 7
        if field == 0 or key > _MAX_KEY:
            raise _BrokenWireError(f"field number {field}")
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
        yield field, view[position : position + size] if wire == _BYTES else None
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


def _number(value: _Value) -> int:
    if not isinstance(value, int):
        raise _BrokenWireError("other bytes where a number stands")
    return value


def _message(value: _Value) -> memoryview:
    if not isinstance(value, memoryview):
        raise _BrokenWireError("a number where text or a message stands")
    return value


def _opset(view: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for field, value in _fields(view):
        if field == 1:
            domain = bytes(_message(value)).decode()
        elif field == 2:  # noqa: PLR2004
            version = _number(value)
    return domain, version


def _external(view: memoryview, message: str, path: tuple[int, ...]) -> Iterator[ExternalData]:
    """Yield the references below a message; `path` are the numbers of the fields that led to it."""
    if message == "tensor":
        yield from _tensor(view, nested=path != _MAIN_INITIALIZER)
        return
    if len(path) > _MAX_DEPTH:
        raise _BrokenWireError(f"more than {_MAX_DEPTH} levels")
    inner = _FIELDS[message]
    for field, value in _fields(view, _NUMBERS if message == "attribute" else None):
        if (kind := inner.get(field)) is not None:
            yield from _external(_message(value), kind, (*path, field))


def _tensor(view: memoryview, *, nested: bool) -> Iterator[ExternalData]:
    entries: dict[str, str] = {}
    outside = 0
    for field, value in _fields(view):
        if field == _EXTERNAL_DATA:
            key, text = _entry(_message(value))
            if key in entries:
                raise _BrokenWireError("external data that gives one key twice")
            entries[key] = text
        elif field == _DATA_LOCATION:
            outside = _number(value)
            if outside > 1:
                raise _BrokenWireError(f"data location {outside}")
    if entries or outside:
        yield ExternalData(
            entries.get("location", ""),
            _decimal(entries.get("offset", "0")),
            _decimal(entries["length"]) if "length" in entries else -1,
            nested,
        )


def _entry(view: memoryview) -> tuple[str, str]:
    """Return key and value of a StringStringEntryProto."""
    pair = {1: "", 2: ""}
    for field, value in _fields(view):
        if field in pair:
            pair[field] = bytes(_message(value)).decode()
    return pair[1], pair[2]


def _decimal(text: str) -> int:
    if not _DECIMAL.fullmatch(text):
        raise _BrokenWireError("external data whose offset or length is no plain number")
    return int(text)
