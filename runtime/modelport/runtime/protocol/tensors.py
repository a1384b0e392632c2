"""Requests and responses between the transports and the data plane: named tensors."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.signature import shown
from modelport.runtime.values import coerce

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelport.runtime.signature import TensorSpec


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor as a request declares it, or as a response gives it.

    `data` holds the values in row-major order, flat or nested as `shape` says: an array of the datatype's dtype, an
    array of float64 or int64 where text gave decimals, or a list of whatever else the text held.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: NDArray[Any] | list[Any]

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
    """What to score. Without a `version` it is the one that is served, without `outputs` all of them."""

    model: str
    version: str | None = None
    id: str | None = None
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()


class InferResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: the requested outputs in the order in which they were requested."""

    model: str
    version: str
    id: str | None
    outputs: tuple[Tensor, ...]
