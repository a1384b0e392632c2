"""The KServe SDK's `InferenceRESTClient`, with tensors as JSON and as bytes."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import to_np_dtype

from modelport.benchmarks.conformance import operations
from modelport.benchmarks.conformance.cases import Cases, Tensor, read_cases
from modelport.benchmarks.conformance.checks import NotOfferedError, RefusedError, report
from modelport.benchmarks.conformance.operations import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from modelport.benchmarks.conformance.operations import Request


class KServeClient:
    """The asynchronous client, one call at a time. It makes an id where none is given."""

    tells_id = True
    tells_version = False

    def __init__(self, cases: Cases, runner: asyncio.Runner, *, binary: bool) -> None:
        self._cases = cases
        self._runner = runner
        self._binary = binary
        self._client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))

    def close(self) -> None:
        """Close the connections."""
        self._runner.run(self._client.close())

    def live(self) -> bool:
        """Return whether the server lives."""
        return bool(self._run(self._client.is_server_live(self._cases.url)))

    def ready(self) -> bool:
        """Return whether the server is ready."""
        return bool(self._run(self._client.is_server_ready(self._cases.url)))

    def server(self) -> dict[str, Any]:
        """Say that there is no such call."""
        raise NotOfferedError("it has no call for metadata")

    def model_ready(self, model: str, version: str | None = None) -> bool:
        """Return whether a model is ready."""
        _no_version(version)
        return bool(self._run(self._client.is_model_ready(self._cases.url, model)))

    def model(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Say that there is no such call."""
        del model, version
        raise NotOfferedError("it has no call for metadata")

    def infer(self, request: Request) -> Answer:
        """Send a request."""
        _no_version(request.version)
        if request.gzip:
            raise NotOfferedError("it does not compress")
        asked = InferRequest(
            model_name=request.model,
            infer_inputs=[self._input(tensor) for tensor in request.inputs],
            request_id=request.id,
            parameters={"binary_data_output": True} if self._binary else None,
            request_outputs=request.outputs and [RequestedOutput(name) for name in request.outputs],
        )
        headers = {"Authorization": f"Bearer {request.key or self._cases.keys[0]}"}
        said = self._run(self._client.infer(self._cases.url, asked, model_name=request.model, headers=headers))
        return Answer([_tensor(output) for output in said.outputs], said.model_name, said.model_version, said.id)

    def _input(self, tensor: Tensor) -> Any:
        if not self._binary and tensor.datatype == "FP16":
            raise NotOfferedError("it sends FP16 as bytes only")
        made = InferInput(tensor.name, tensor.shape, tensor.datatype)
        if tensor.datatype == "BYTES" and None in tensor.data:
            raise NotOfferedError("its strings cannot be missing")
        made.set_data_from_numpy(_array(tensor), binary_data=self._binary)
        return made

    def _run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        try:
            return self._runner.run(awaited())
        except httpx.HTTPStatusError as error:
            raise RefusedError(str(error), error.response.status_code) from error


def _no_version(version: str | None) -> None:
    if version is not None:
        raise NotOfferedError("it knows no versions")


def _array(tensor: Tensor) -> Any:
    if tensor.datatype == "BYTES":
        return np.array([value.encode() for value in tensor.data], np.object_).reshape(tensor.shape)
    data = [np.nan if value is None else value for value in tensor.data]
    return np.array(data, to_np_dtype(tensor.datatype)).reshape(tensor.shape)


def _tensor(output: Any) -> Tensor:
    if output.datatype == "BYTES":
        return Tensor(output.name, output.datatype, [*output.shape], [*output.data])
    array = output.as_numpy()
    return Tensor(output.name, output.datatype, [*array.shape], array.ravel().tolist())


def main(cases: Cases) -> None:
    """Run the protocol both ways."""
    with asyncio.Runner() as runner:
        for binary in (False, True):
            client = KServeClient(cases, runner, binary=binary)
            report(operations.run(f"KServe SDK {'binary' if binary else 'JSON'}", client, cases))
            client.close()


if __name__ == "__main__":
    main(read_cases(sys.argv[1]))
