"""The JSON documents in which people send rows to be scored, each answered in kind.

Taken are records, one record, columns, rows of values, a split table (`columns` and `data`), any of these under `data`
or `input_data` as Azure ML's clients send them, and an inference request of the Open Inference Protocol V2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from . import strictjson
from .errors import InvalidInputError, named
from .frames import to_inputs
from .outputs import json_values, value_columns
from .protocol import InferResponse, Tensor, codec
from .signature import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from .signature import Signature

    Arrays = Mapping[str, NDArray[Any]]
    Answer = Callable[[Mapping[str, NDArray[np.generic]]], Any]

_WRAPPERS: Final = ("data", "input_data")
_SPLIT: Final = frozenset(("columns", "data", "index"))
_V2: Final = frozenset(("inputs", "id", "outputs", "parameters"))
_EXPECTED: Final = "expected records, columns, rows, any of them as `data` or `input_data`, or V2 `inputs`"


class Document(NamedTuple):
    """A document read: the model's inputs, not yet checked, and what makes the answer in kind of the outputs.

    The answer is a value that JSON can hold, once NaN is null.
    """

    inputs: Arrays
    answer: Answer


class Model(NamedTuple):
    """What a document is read for: the signature, and the name and version that a V2 answer gives."""

    signature: Signature
    name: str
    version: str


def read(model: Model, text: bytes) -> Document:
    """Return the document in `text`.

    Raises `InvalidInputError` on malformed JSON, on a document of no known kind, and on values that no input takes.
    """
    if not text:
        raise InvalidInputError("body: expected JSON, got nothing")
    value: Any = strictjson.decode(text)
    if isinstance(value, dict) and not _columns(model.signature).isdisjoint(value):
        return _read_table(model.signature, value)
    if isinstance(value, dict) and "inputs" in value and value.keys() <= _V2:
        return _read_v2(model, text)
    if isinstance(value, dict) and not value.keys() >= {"columns", "data"}:
        for wrapper in _WRAPPERS:
            if wrapper in value:
                return _read_wrapped(model.signature, value, wrapper)
    return _read_table(model.signature, value)


def _columns(signature: Signature) -> set[str]:
    """Return every name that a column of the model may have."""
    return {name for spec in signature.inputs for name in (spec.name, *spec.features)}


def _read_v2(model: Model, text: bytes) -> Document:
    request, form = codec.decode(model.name, None, text, None)
    if form.binary or any(form.outputs.values()):
        raise InvalidInputError("body: expected outputs asked for as JSON, got some asked for as bytes")
    wanted = request.wanted(model.signature)

    def answer(outputs: Arrays) -> Any:
        tensors = tuple(Tensor.of(spec, outputs[spec.name]) for spec in wanted)
        response = InferResponse(model=model.name, version=model.version, id=request.id, outputs=tensors)
        return msgspec.json.decode(codec.encode(response, form)[0])

    return Document(request.arrays(model.signature), answer)


def _read_wrapped(signature: Signature, value: dict[str, Any], wrapper: str) -> Document:
    """Return the document under `wrapper`; what stands beside it must be MLflow's `params`, and empty."""
    if extra := [name for name in value if name != wrapper and not (name == "params" and not value[name])]:
        raise InvalidInputError(f"document: expected only `{wrapper}`, got {named(extra[0])} too")
    found = _read_table(signature, value[wrapper])
    return Document(found.inputs, lambda outputs: {wrapper: found.answer(outputs)})


def _read_table(signature: Signature, value: Any) -> Document:
    if isinstance(value, list):
        return Document(to_inputs(signature, value), _in_kind(signature, value))
    if not isinstance(value, dict):
        raise InvalidInputError(f"document: {_EXPECTED}, got {shown(value)}")
    if "columns" in value and value.keys() <= _SPLIT and "columns" not in _columns(signature):
        return _read_split(signature, value)
    if _columns(signature).isdisjoint(value):
        raise InvalidInputError(f"document: {_EXPECTED}, got an object with {_keys(value)}")
    if signature.has_rows and not any(isinstance(cells, list) for cells in value.values()):
        records = _records(signature)
        return Document(to_inputs(signature, [value]), lambda outputs: records(outputs)[0])
    return Document(to_inputs(signature, value), _by_columns(signature))


def _read_split(signature: Signature, value: dict[str, Any]) -> Document:
    names, rows, index = value.get("columns"), value.get("data"), value.get("index")
    if not isinstance(names, list) or not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise InvalidInputError("document: expected `columns` and `data` as a list of names and a list of rows")
    if index is not None and (not isinstance(index, list) or len(index) != len(rows)):
        raise InvalidInputError(f"document: expected an `index` of {len(rows)} rows, got another")
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise InvalidInputError(f"row {number}: expected {len(names)} values as `columns`, got {len(row)}")
    texts = [str(name) for name in names]
    if len(set(texts)) < len(texts):
        raise InvalidInputError("document: expected each of `columns` once, got one twice")
    inputs = to_inputs(signature, {name: [row[at] for row in rows] for at, name in enumerate(texts)})
    if not signature.has_rows:
        return Document(inputs, _by_columns(signature))

    def answer(outputs: Arrays) -> dict[str, Any]:
        columns = _values(signature, outputs)
        split = {"columns": list(columns), "data": [list(row) for row in zip(*columns.values(), strict=True)]}
        return split if index is None else {**split, "index": index}

    return Document(inputs, answer)


def _in_kind(signature: Signature, value: list[Any]) -> Answer:
    if not signature.has_rows:
        return _by_columns(signature)
    return _records(signature) if value and isinstance(value[0], dict) else _rows(signature)


def _records(signature: Signature) -> Callable[[Arrays], list[dict[str, Any]]]:
    def answer(outputs: Arrays) -> list[dict[str, Any]]:
        columns = _values(signature, outputs)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    return answer


def _rows(signature: Signature) -> Answer:
    """Answer a row with the list of its outputs, with the output itself where there is only one."""

    def answer(outputs: Arrays) -> list[Any]:
        columns = list(_values(signature, outputs).values())
        return columns[0] if len(columns) == 1 else [list(row) for row in zip(*columns, strict=True)]

    return answer


def _by_columns(signature: Signature) -> Answer:
    return lambda outputs: _values(signature, outputs)


def _values(signature: Signature, outputs: Arrays) -> dict[str, list[Any]]:
    """Return every output as Python's own values: the columns that `modelport score` writes; whole, without rows."""
    if not signature.has_rows:
        return {spec.name: json_values(outputs[spec.name][np.newaxis])[0] for spec in signature.outputs}
    return {name: json_values(column) for name, column in value_columns(signature.outputs, {}, outputs).items()}


def _keys(value: dict[str, Any]) -> str:
    return ", ".join(named(name) for name in list(value)[:3]) or "nothing in it"
