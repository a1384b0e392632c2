"""Between the bytes of an inference request or response and the data plane's tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from modelport.runtime import strictjson
from modelport.runtime.errors import InvalidInputError, named, shortened
from modelport.runtime.signature import shown

from . import binary_tensors, json_tensors, wire
from .tensors import InferRequest, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .tensors import InferResponse


_MOST_DIMENSIONS: Final = 64  # NumPy's own limit
_LARGEST_SIZE: Final = 2**63 - 1
_NULL: Final = msgspec.Raw(b"null")


class Form(NamedTuple):
    """How a response's outputs are wanted: as bytes or as JSON, each by its name, and `binary` for all others."""

    binary: bool
    outputs: dict[str, bool]


def decode(model: str, version: str | None, body: bytes, json_length: str | None) -> tuple[InferRequest, Form]:
    """Return the request in `body`, and how its answer is wanted.

    `json_length` is the header `Inference-Header-Content-Length`: so many bytes of JSON stand before the binary
    tensors. Raises `InvalidInputError` on malformed JSON, lengths that lie, and values that are no array.
    """
    if not body:
        raise InvalidInputError("body: expected JSON, got nothing")
    size = len(body) if json_length is None else _header_length(json_length, len(body))
    request = strictjson.decode(body[:size], wire.Request)
    binary = memoryview(body)[size:]
    inputs: list[Tensor] = []
    for tensor in request.inputs:
        data, binary = _data(tensor, binary)
        inputs.append(Tensor(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape, data=data))
    if binary:
        raise InvalidInputError(f"body: expected it to end with the last tensor, got {len(binary)} bytes more")
    return (
        InferRequest(
            model=model,
            version=version,
            id=request.id,
            inputs=tuple(inputs),
            outputs=tuple(output.name for output in request.outputs),
            timeout_us=_timeout(request.parameters.get("timeout")),
        ),
        Form(
            binary=request.parameters.get("binary_data_output") is True,
            outputs={
                output.name: output.parameters["binary_data"] is True
                for output in request.outputs
                if "binary_data" in output.parameters
            },
        ),
    )


def encode(response: InferResponse, form: Form) -> tuple[bytes, int | None]:
    """Return the body of `response`, and how much of it is JSON; None when all is."""
    outputs: list[wire.ResponseOutput] = []
    parts: list[bytes] = []
    for tensor in response.outputs:
        values: NDArray[Any] = tensor.data  # type: ignore[assignment] # a model gives arrays
        if form.outputs.get(tensor.name, form.binary):
            parts.append(binary_tensors.encode(values))
            outputs.append(
                wire.ResponseOutput(
                    tensor.name, tensor.datatype, tensor.shape, parameters={"binary_data_size": len(parts[-1])}
                )
            )
        else:
            data = json_tensors.encode(values)
            outputs.append(wire.ResponseOutput(tensor.name, tensor.datatype, tensor.shape, data=data))
    text = msgspec.json.encode(wire.Response(response.model, response.version, tuple(outputs), response.id))
    return (b"".join((text, *parts)), len(text)) if parts else (text, None)


def _timeout(value: Any) -> int | None:
    """Return Triton's request parameter `timeout`, in microseconds; 0 is none."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInputError(
            f"parameter `timeout`: expected microseconds as an integer from 0 up, got {shown(value)}"
        )
    return value or None


def _check_shape(tensor: wire.RequestInput) -> None:
    """Raise `InvalidInputError` unless the shape is one that an array can have: before anything is computed from it."""
    if len(tensor.shape) > _MOST_DIMENSIONS:
        raise InvalidInputError(
            f"input {named(tensor.name)}: expected at most {_MOST_DIMENSIONS} dimensions, got {len(tensor.shape)}"
        )
    if min(tensor.shape, default=0) < 0:
        raise InvalidInputError(
            f"input {named(tensor.name)}: expected no dimension below 0, got {shown(list(tensor.shape))}"
        )
    if max(tensor.shape, default=0) > _LARGEST_SIZE:
        raise InvalidInputError(
            f"input {named(tensor.name)}: expected no dimension above {_LARGEST_SIZE}, got {shown(list(tensor.shape))}"
        )


def _header_length(value: str, size: int) -> int:
    length = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else -1  # noqa: PLR2004  2 ** 64
    if not 0 < length <= size:
        raise InvalidInputError(
            f"header `Inference-Header-Content-Length`: expected 1 to {size}, the bytes of the body,"
            f" got `{shortened(value, 40)}`"
        )
    return length


def _data(tensor: wire.RequestInput, binary: memoryview) -> tuple[NDArray[Any] | list[Any], memoryview]:
    """Return a tensor's values, and what is left of the bytes after the JSON."""
    _check_shape(tensor)
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if not tensor.data:
            raise InvalidInputError(f"input {named(tensor.name)}: expected `data` or `binary_data_size`, got neither")
        return json_tensors.decode(tensor.name, tensor.datatype, tensor.data), binary
    if tensor.data and tensor.data != _NULL:  # so KServe's client writes a tensor of no bytes
        raise InvalidInputError(f"input {named(tensor.name)}: expected `data` or `binary_data_size`, got both")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
        raise InvalidInputError(
            f"input {named(tensor.name)}: expected a `binary_data_size` from 0 to {len(binary)},"
            f" the bytes left, got {named(size)}"
        )
    return binary_tensors.decode(tensor.name, tensor.datatype, tensor.shape, binary[:size]), binary[size:]
