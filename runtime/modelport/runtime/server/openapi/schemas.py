"""JSON Schemas of what a model takes and gives, from its signature; examples from its golden samples.

The dialect is OpenAPI 3.0's (https://spec.openapis.org/oas/v3.0.3#schema-object), where null is `nullable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from modelport.runtime import documents
from modelport.runtime.outputs import json_values
from modelport.runtime.protocol import json_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from modelport.runtime.scorer import Scorer
    from modelport.runtime.signature import Signature, TensorSpec

    Schema = dict[str, Any]

EXAMPLE_ROWS: Final = 2
#: Values beyond which there is no example: a picture is not read, but would make descriptions of many megabytes.
MOST_VALUES: Final = 4096
_FORMATS: Final = {"FP32": "float", "FP64": "double", "INT32": "int32", "INT64": "int64"}
_INFINITIES: Final = {"type": "string", "enum": ["Infinity", "-Infinity"]}


def value(spec: TensorSpec, *, output: bool = False) -> Schema:
    """Return the schema of one element of `spec`. Of an output any float may be NaN or infinite."""
    schema: Schema
    if spec.datatype == "BOOL":
        schema = {"type": "boolean"}
    elif spec.datatype == "BYTES":
        schema = {"type": "string"}
    elif spec.datatype.startswith("FP"):
        schema = {"type": "number", **_range(np.finfo(spec.dtype))}
    else:
        schema = {"type": "integer", **_range(np.iinfo(spec.dtype))}
    if spec.datatype in _FORMATS:
        schema["format"] = _FORMATS[spec.datatype]
    if output and spec.datatype.startswith("FP"):
        return {"anyOf": [{"type": "number", "nullable": True}, _INFINITIES]}
    if spec.nullable:
        schema["nullable"] = True
    if spec.closed:
        schema["enum"] = [*spec.categories, *([None] if spec.nullable else [])]
    return schema


def nested(schema: Schema, shape: tuple[int, ...]) -> Schema:
    """Return the schema of lists of `schema` nested as `shape`, where -1 is any length."""
    for size in reversed(shape):
        schema = {"type": "array", "items": schema, **({} if size < 0 else {"minItems": size, "maxItems": size})}
    return schema


def record(signature: Signature) -> Schema:
    """Return the schema of a row with names."""
    columns = {spec.name: (spec, shape) for spec, shape in _columns(signature)}
    required = [name for name, (spec, _) in columns.items() if not spec.nullable]
    return {
        "type": "object",
        "properties": {name: nested(value(spec), shape) for name, (spec, shape) in columns.items()},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def is_flat(signature: Signature) -> bool:
    """Return whether every value of a record is one element: with lists in it, one record alone means columns."""
    return all(shape == () for _, shape in _columns(signature))


def answer(signature: Signature) -> Schema:
    """Return the schema of what a row is answered with."""
    return {
        "type": "object",
        "properties": {spec.name: nested(value(spec, output=True), _row_shape(spec)) for spec in signature.outputs},
        "required": [spec.name for spec in signature.outputs],
        "additionalProperties": False,
    }


def whole(specs: tuple[TensorSpec, ...], *, output: bool = False) -> Schema:
    """Return the schema of every tensor whole, by name: what a model without rows takes and gives."""
    return {
        "type": "object",
        "properties": {spec.name: nested(value(spec, output=output), spec.shape) for spec in specs},
        "required": [spec.name for spec in specs],
        "additionalProperties": False,
    }


def tensor(spec: TensorSpec, *, output: bool = False) -> Schema:
    """Return the schema of a tensor as the Open Inference Protocol writes it, its values flat."""
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": [spec.name]},
            "shape": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "minItems": len(spec.shape),
                "maxItems": len(spec.shape),
            },
            "datatype": {"type": "string", "enum": [spec.datatype]},
            "parameters": {"type": "object"},
            "data": {"type": "array", "items": value(spec, output=output)},
        },
        "required": ["name", "shape", "datatype", "data"],
    }


def example(scorer: Scorer) -> tuple[Any, Any]:
    """Return a document that the model takes, from its golden samples, and what it answers; None if it is large."""
    signature = scorer.signature
    inputs, expected = _sample(scorer)
    if _are_large(inputs, expected):
        return None, None
    if not signature.has_rows:
        document: Any = {name: _plain(array[np.newaxis])[0] for name, array in inputs.items()}
    else:
        columns = {name: _plain(array) for name, array in _cells(signature, inputs)}
        document = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    model = documents.Model(signature, scorer.manifest.name, scorer.manifest.version)
    return document, _without_nan(documents.read(model, msgspec.json.encode(document)).answer(expected))


def tensors(scorer: Scorer) -> tuple[list[Any], list[Any]] | None:
    """Return inputs and outputs of a golden sample as tensors of the Open Inference Protocol; None if it is large."""
    inputs, expected = _sample(scorer)
    if _are_large(inputs, expected):
        return None
    return (
        [_tensor(spec, inputs[spec.name]) for spec in scorer.signature.inputs],
        [_tensor(spec, expected[spec.name]) for spec in scorer.signature.outputs],
    )


def _sample(scorer: Scorer) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]]:
    inputs, recorded = scorer.samples.inputs[0], scorer.samples.recorded[0]
    if not scorer.signature.has_rows:
        return inputs, recorded
    return _first_rows(inputs), _first_rows(recorded)


def _are_large(*sides: Mapping[str, NDArray[Any]]) -> bool:
    return any(sum(array.size for array in side.values()) > MOST_VALUES for side in sides)


def _first_rows(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: array[:EXAMPLE_ROWS] for name, array in arrays.items()}


def _tensor(spec: TensorSpec, array: NDArray[Any]) -> dict[str, Any]:
    data = [_without_nan(item) for item in json_tensors.encode(array)]
    return {"name": spec.name, "shape": list(array.shape), "datatype": spec.datatype, "data": data}


def _columns(signature: Signature) -> Iterator[tuple[TensorSpec, tuple[int, ...]]]:
    """Yield every column that a record has, with the shape of one value of it."""
    for spec in signature.inputs:
        if len(signature.inputs) == 1 and spec.features:
            for name in spec.features:
                yield _renamed(spec, name), ()
        else:
            yield spec, _row_shape(spec)


def _cells(signature: Signature, inputs: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    for spec in signature.inputs:
        array = inputs[spec.name]
        if len(signature.inputs) == 1 and spec.features:
            for position, name in enumerate(spec.features):
                yield name, array[:, position]
        else:
            yield spec.name, array.reshape(-1) if _row_shape(spec) == () else array


def _row_shape(spec: TensorSpec) -> tuple[int, ...]:
    return () if spec.shape[1:] == (1,) else spec.shape[1:]


def _renamed(spec: TensorSpec, name: str) -> TensorSpec:
    return msgspec.structs.replace(spec, name=name, features=(), shape=(-1,))


def _plain(array: NDArray[Any]) -> list[Any]:
    """Return values as JSON has them: NaN is null."""
    return [_without_nan(item) for item in json_values(array)]


def _without_nan(item: Any) -> Any:
    if isinstance(item, list):
        return [_without_nan(each) for each in item]
    if isinstance(item, dict):
        return {name: _without_nan(each) for name, each in item.items()}
    return None if isinstance(item, float) and np.isnan(item) else item


def _range(limits: np.finfo[Any] | np.iinfo[Any]) -> Schema:
    if isinstance(limits, np.iinfo):
        return {"minimum": int(limits.min), "maximum": int(limits.max)}
    return {} if limits.bits > 32 else {"minimum": float(limits.min), "maximum": float(limits.max)}  # noqa: PLR2004
