"""The client that comes with the runtime."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from modelport.benchmarks.conformance import operations
from modelport.benchmarks.conformance.cases import Cases, Tensor, read_cases
from modelport.benchmarks.conformance.checks import NotOfferedError, RefusedError, report
from modelport.benchmarks.conformance.operations import Answer, OnlyInfers
from modelport.runtime.client import Model, ServerError
from modelport.runtime.errors import ModelportError
from modelport.runtime.signature import DTYPES

if TYPE_CHECKING:
    from modelport.benchmarks.conformance.operations import Request


class OwnClient(OnlyInfers):
    """`Model`: one address, one model, and all its outputs."""

    tells_id = False
    tells_version = False

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def infer(self, request: Request) -> Answer:
        """Send a request."""
        if request.id or request.outputs or request.gzip:
            raise NotOfferedError("it has no ids, asks for every output, and does not compress")
        if not self._fits(request):
            raise NotOfferedError(
                "it knows the signature: it makes the datatypes and refuses what lacks an input itself"
            )
        url = f"{self._cases.url}/v2/models/{request.model}"
        if request.version is not None:
            url += f"/versions/{request.version}"
        headers = {"Authorization": f"Bearer {request.key or self._cases.keys[0]}"}
        try:
            with Model(url, headers=headers, attempts=1) as model:
                outputs = model.score({tensor.name: _array(tensor) for tensor in request.inputs})
        except ServerError as error:
            raise RefusedError(error.message, error.status) from error
        except ModelportError as error:
            raise RefusedError(error.message) from error
        return Answer([_tensor(name, array, self._cases.metadata[request.model]) for name, array in outputs.items()])

    def _fits(self, request: Request) -> bool:
        """Return whether the inputs have the names and datatypes of the model, if it is there."""
        said = self._cases.metadata.get(request.model)
        given = [(tensor.name, tensor.datatype) for tensor in request.inputs]
        return said is None or given == [(tensor["name"], tensor["datatype"]) for tensor in said["inputs"]]


def _array(tensor: Tensor) -> Any:
    dtype = DTYPES[tensor.datatype]
    data = tensor.data if dtype == np.object_ else [np.nan if value is None else value for value in tensor.data]
    return np.array(data, dtype).reshape(tensor.shape)


def _tensor(name: str, array: Any, metadata: dict[str, Any]) -> Tensor:
    datatype = next(output["datatype"] for output in metadata["outputs"] if output["name"] == name)
    return Tensor(name, datatype, [*array.shape], array.ravel().tolist())


def main(cases: Cases) -> None:
    """Run the protocol."""
    report(operations.run("modelport.runtime.client", OwnClient(cases), cases))


if __name__ == "__main__":
    main(read_cases(sys.argv[1]))
