"""What goes over the wire: tensors to a request's bytes, a reply's bytes to arrays or to the error that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from modelport.runtime.errors import (
    InvalidInputError,
    ModelportError,
    NotReadyError,
    UnknownNameError,
    printable,
    shortened,
)
from modelport.runtime.protocol import binary_tensors
from modelport.runtime.signature import DTYPES, Signature, TensorSpec

from .errors import OverloadedError, ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .transport import Reply

    Arrays = dict[str, NDArray[Any]]

JSON_LENGTH: Final = "inference-header-content-length"
# Stands for a missing text on the way to the request; no text that anybody has.
_MISSING: Final = "\0modelport: a text is missing\0"
_ERRORS: Final[dict[int, type[ModelportError]]] = {
    400: InvalidInputError,
    404: UnknownNameError,
    413: InvalidInputError,
    415: InvalidInputError,
    422: InvalidInputError,
    429: OverloadedError,
    503: NotReadyError,
}


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Any] = {}


class _Output(_Tensor):
    data: Any = None


class _Metadata(msgspec.Struct):
    inputs: tuple[_Tensor, ...]
    outputs: tuple[_Tensor, ...]
    properties: dict[str, str] = {}


class _Answer(msgspec.Struct):
    outputs: tuple[_Output, ...]


def signature_of(reply: Reply) -> Signature:
    """Return the signature that a model's metadata say; raises the error that the reply is.

    A server that does not say whether values may be missing is left to refuse them itself.
    """
    found = _decoded(_checked(reply).body, _Metadata)
    inputs = tuple(_spec(tensor) for tensor in found.inputs)
    rows = all(spec.shape[:1] == (-1,) for spec in inputs)
    return Signature(
        inputs=inputs,
        outputs=tuple(TensorSpec(name=each.name, datatype=_known(each), shape=each.shape) for each in found.outputs),
        batch=found.properties.get("batch", "rows" if rows else "none"),
    )


def request_of(inputs: Mapping[str, NDArray[Any]], signature: Signature) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a request: tensors as bytes, but as JSON text of which some is missing."""
    described: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for spec in signature.inputs:
        array = inputs[spec.name]
        tensor: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": array.shape}
        if array.dtype == np.object_ and _MISSING in (texts := array.ravel().tolist()):
            tensor["data"] = [None if text == _MISSING else text for text in texts]
        else:
            parts.append(binary_tensors.encode(array))
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        described.append(tensor)
    text = msgspec.json.encode({"inputs": described, "parameters": {"binary_data_output": True}})
    headers = {"content-type": "application/octet-stream", JSON_LENGTH: str(len(text))}
    return b"".join((text, *parts)), headers


def answers_of(reply: Reply) -> Arrays:
    """Return the outputs by name; raises the error that the reply is."""
    body = _checked(reply).body
    length = reply.headers.get(JSON_LENGTH, str(len(body)))
    if not (length.isascii() and length.isdigit()):
        raise ServerError(f"server: expected a number as `{JSON_LENGTH}`, got {length!r}", status=reply.status)
    answer = _decoded(body[: int(length)], _Answer)
    rest = memoryview(body)[int(length) :]
    arrays: Arrays = {}
    try:
        for output in answer.outputs:
            size = output.parameters.get("binary_data_size")
            if size is None:
                values = np.array(output.data, DTYPES[output.datatype])
            else:
                values = binary_tensors.decode(output.name, output.datatype, output.shape, rest[:size])
                rest = rest[size:]
            arrays[output.name] = values.reshape(output.shape)
    except (InvalidInputError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ServerError(f"server: expected the protocol's tensors, got {error}", status=reply.status) from error
    return arrays


def _spec(tensor: _Tensor) -> TensorSpec:
    known: dict[str, Any] = {
        key: tensor.parameters[key] for key in ("nullable", "features") if key in tensor.parameters
    }
    if tensor.datatype.startswith("FP"):
        known.setdefault("nullable", True)
    if tensor.datatype == "BYTES":
        known |= {"nullable": True, "null": _MISSING}  # the server is left to judge
    return TensorSpec(name=tensor.name, datatype=_known(tensor), shape=tensor.shape, **known)


def _known(tensor: _Tensor) -> Any:
    if tensor.datatype not in DTYPES:
        raise ServerError(f"server: expected one of {', '.join(DTYPES)} for `{tensor.name}`, got {tensor.datatype}")
    return tensor.datatype


def _checked(reply: Reply) -> Reply:
    if reply.status == 200:  # noqa: PLR2004
        return reply
    message = _said(reply.body)
    kind = _ERRORS.get(reply.status)
    if kind is not None:
        raise kind(message)
    raise ServerError(f"server: expected an answer, got HTTP {reply.status}: {message}", status=reply.status)


def _said(body: bytes) -> str:
    """Return the text of an error body, whatever it is."""
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:
        said = None
    text = said.get("error") if isinstance(said, dict) else None
    return printable(shortened(text if isinstance(text, str) else body.decode("utf-8", "replace"), 2000)) or "nothing"


def _decoded(text: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise ServerError(f"server: expected an answer of the protocol, got {error}") from error
