"""Requests and responses between the transports and the data plane: named tensors."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from modelport.runtime.errors import InvalidInputError, named
from modelport.runtime.signature import shown
from modelport.runtime.values import coerce

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelport.runtime.signature import Signature, TensorSpec


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor as a request declares it, or as a response gives it.

    `data` holds the values in row-major order, flat or nested as `shape` says: an array of the datatype's dtype, an
    array of float64 or int64 where text gave decimals, or a list of whatever else the text held.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: NDArray[Any] | list[Any]

    @classmethod
    def of(cls, spec: TensorSpec, array: NDArray[Any]) -> Tensor:
        """Return the output `spec` of a model as a tensor."""
        return cls(name=spec.name, datatype=spec.datatype, shape=array.shape, data=array)

    def to_array(self, spec: TensorSpec) -> NDArray[Any]:
        """Return the tensor as `spec` wants it, its values not yet checked.

        Raises `InvalidInputError` unless the declared datatype and shape fit the spec, and the values the declaration.
        """
        spec.check_form(self.datatype, self.shape)
        if isinstance(self.data, np.ndarray):
            data = self._shaped(self.data)
            return data if data.dtype == spec.dtype else coerce(spec, data)
        data = self._shaped(np.asarray(self.data, dtype=object))
        if not spec.nullable and (nulls := np.argwhere(data == None)).size:  # noqa: E711
            raise spec.refused(tuple(map(int, nulls[0])), "null")
        return coerce(spec, data)

    def _shaped(self, data: NDArray[Any]) -> NDArray[Any]:
        """Return `data` in the declared shape."""
        if data.shape == self.shape:
            return data
        if data.ndim != 1:
            raise InvalidInputError(
                f"input `{self.name}`: expected values nested as {list(self.shape)}, got {list(data.shape)}"
            )
        if data.dtype == object and any(isinstance(value, list) for value in data):
            raise InvalidInputError(
                f"input `{self.name}`: expected values nested as {list(self.shape)}, got lists of different lengths"
            )
        if len(data) != prod(self.shape):
            raise InvalidInputError(
                f"input `{self.name}`: expected {shown(prod(self.shape))} values for shape {shown(list(self.shape))},"
                f" got {len(data)}"
            )
        return data.reshape(self.shape)


class InferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to score. Without a `version` it is the one that is served, without `outputs` all of them.

    `timeout_us` is after how many microseconds nobody waits for the answer any more.
    """

    model: str
    version: str | None = None
    id: str | None = None
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()
    timeout_us: int | None = None

    def arrays(self, signature: Signature) -> dict[str, NDArray[Any]]:
        """Return the inputs as `signature` wants them, their values not yet checked; raises `InvalidInputError`."""
        inputs: dict[str, NDArray[Any]] = {}
        for tensor in self.inputs:
            if tensor.name in inputs:
                raise InvalidInputError(f"input `{tensor.name}`: expected once, got twice")
            inputs[tensor.name] = tensor.to_array(signature.input(tensor.name))
        return inputs

    def wanted(self, signature: Signature) -> tuple[TensorSpec, ...]:
        """Return the specs of the requested outputs, of all when none is named; raises `InvalidInputError`."""
        names = self.outputs
        if not names:
            return signature.outputs
        if len(names) > len(signature.outputs):
            raise InvalidInputError(f"outputs: expected at most {len(signature.outputs)}, got {len(names)}")
        specs = {spec.name: spec for spec in signature.outputs}
        for name in names:
            if name not in specs:
                known = ", ".join(f"`{spec.name}`" for spec in signature.outputs)
                raise InvalidInputError(f"output {named(name)}: expected one of {known}")
        if len(set(names)) < len(names):
            raise InvalidInputError(f"outputs: expected each once, got {', '.join(f'`{name}`' for name in names)}")
        return tuple(specs[name] for name in names)


class InferResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: the requested outputs in the order in which they were requested."""

    model: str
    version: str
    id: str | None
    outputs: tuple[Tensor, ...]
