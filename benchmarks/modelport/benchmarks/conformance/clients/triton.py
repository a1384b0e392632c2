"""NVIDIA's tritonclient over HTTP, with tensors as JSON and as bytes."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from modelport.benchmarks.conformance import operations
from modelport.benchmarks.conformance.cases import Cases, Tensor, read_cases
from modelport.benchmarks.conformance.checks import NotOfferedError, RefusedError, report
from modelport.benchmarks.conformance.operations import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelport.benchmarks.conformance.operations import Request


class TritonClient:
    """`InferenceServerClient`; an empty id is none to it, an empty version neither."""

    tells_id = True
    tells_version = True

    def __init__(self, cases: Cases, *, binary: bool) -> None:
        self._client = triton.InferenceServerClient(f"{cases.host}:{cases.port}", network_timeout=60)
        self._cases = cases
        self._binary = binary

    def live(self) -> bool:
        """Return whether the server lives."""
        return bool(self._client.is_server_live())

    def ready(self) -> bool:
        """Return whether the server is ready."""
        return bool(self._client.is_server_ready())

    def server(self) -> dict[str, Any]:
        """Return the server's metadata."""
        with _refusals():
            said: dict[str, Any] = self._client.get_server_metadata(headers=self._cases.authorization)
        return said

    def model_ready(self, model: str, version: str | None = None) -> bool:
        """Return whether a model is ready."""
        return bool(self._client.is_model_ready(model, version or ""))

    def model(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Return a model's metadata."""
        with _refusals():
            said: dict[str, Any] = self._client.get_model_metadata(
                model, version or "", headers=self._cases.authorization
            )
        return said

    def infer(self, request: Request) -> Answer:
        """Send a request."""
        inputs = [self._input(tensor) for tensor in request.inputs]
        with _refusals():
            result = self._client.infer(
                request.model,
                inputs,
                model_version=request.version or "",
                request_id=request.id or "",
                outputs=self._outputs(request),
                headers={"Authorization": f"Bearer {request.key or self._cases.keys[0]}"},
                request_compression_algorithm="gzip" if request.gzip else None,
            )
        said = result.get_response()
        return Answer(
            [_tensor(result, output) for output in said["outputs"]],
            said["model_name"],
            said["model_version"],
            said.get("id"),
        )

    def _outputs(self, request: Request) -> list[Any] | None:
        """Return what is asked for; with none named, all come as bytes, so for JSON they are named."""
        names = request.outputs
        if names is None and not self._binary and request.model in self._cases.metadata:
            names = [output["name"] for output in self._cases.metadata[request.model]["outputs"]]
        return names and [triton.InferRequestedOutput(name, binary_data=self._binary) for name in names]

    def _input(self, tensor: Tensor) -> Any:
        if not self._binary and None in tensor.data:
            raise NotOfferedError("its JSON has no word for what is missing")
        if not self._binary and tensor.datatype == "FP16":
            raise NotOfferedError("it sends FP16 as bytes only")
        made = triton.InferInput(tensor.name, tensor.shape, tensor.datatype)
        made.set_data_from_numpy(_array(tensor), binary_data=self._binary)
        return made


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except InferenceServerException as error:
        status = error.status()
        raise RefusedError(error.message(), int(status) if str(status).isdigit() else None) from error


def _array(tensor: Tensor) -> Any:
    if tensor.datatype == "BYTES":
        if None in tensor.data:
            raise NotOfferedError("its strings cannot be missing")
        return np.array(tensor.data, np.object_).reshape(tensor.shape)
    data = [np.nan if value is None else value for value in tensor.data]
    return np.array(data, triton_to_np_dtype(tensor.datatype)).reshape(tensor.shape)


def _tensor(result: Any, output: dict[str, Any]) -> Tensor:
    array = result.as_numpy(output["name"])
    values = [value.decode() if isinstance(value, bytes) else value for value in array.ravel().tolist()]
    return Tensor(output["name"], output["datatype"], [*array.shape], values)


def main(cases: Cases) -> None:
    """Run the protocol both ways."""
    for binary in (False, True):
        client = TritonClient(cases, binary=binary)
        report(operations.run(f"tritonclient {'binary' if binary else 'JSON'}", client, cases))


if __name__ == "__main__":
    main(read_cases(sys.argv[1]))
