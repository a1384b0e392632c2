"""MLServer's types and codecs, as its documentation sends them: requests built by codecs, over a plain HTTP client."""

from __future__ import annotations

import gzip
import sys
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pandas as pd
from mlserver.codecs import NumpyCodec, PandasCodec, StringCodec
from mlserver.types import (
    InferenceErrorResponse,
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataServerResponse,
    RequestOutput,
)

from modelport.benchmarks.conformance import operations
from modelport.benchmarks.conformance.cases import Cases, Tensor, read_cases
from modelport.benchmarks.conformance.checks import NotOfferedError, RefusedError, report
from modelport.benchmarks.conformance.operations import Answer

if TYPE_CHECKING:
    from modelport.benchmarks.conformance.operations import Request

_DTYPES = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}


class MLServerTypes:
    """Builds every tensor with `NumpyCodec` or `StringCodec`; with `pandas`, tables of columns with `PandasCodec`."""

    tells_id = True
    tells_version = True

    def __init__(self, cases: Cases, client: httpx.Client, *, pandas: bool = False) -> None:
        self._cases = cases
        self._client = client
        self._pandas = pandas

    def live(self) -> bool:
        """Return whether the server lives."""
        return bool(self._client.get("/v2/health/live").is_success)

    def ready(self) -> bool:
        """Return whether the server is ready."""
        return bool(self._client.get("/v2/health/ready").is_success)

    def server(self) -> dict[str, Any]:
        """Return the server's metadata, as its type reads them."""
        return _dumped(MetadataServerResponse.model_validate_json(self._got("/v2")))

    def model_ready(self, model: str, version: str | None = None) -> bool:
        """Return whether a model is ready."""
        return bool(self._client.get(f"{_path(model, version)}/ready").is_success)

    def model(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Return a model's metadata, as its type reads them."""
        return _dumped(MetadataModelResponse.model_validate_json(self._got(_path(model, version))))

    def infer(self, request: Request) -> Answer:
        """Send a request."""
        asked = self._request(request.inputs)
        asked.id = request.id
        asked.outputs = request.outputs and [RequestOutput(name=name) for name in request.outputs]
        content = asked.model_dump_json().encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {request.key or self._cases.keys[0]}"}
        if request.gzip:
            content, headers["Content-Encoding"] = gzip.compress(content), "gzip"
        path = f"{_path(request.model, request.version)}/infer"
        said = InferenceResponse.model_validate_json(
            _checked(self._client.post(path, content=content, headers=headers))
        )
        return Answer([_tensor(output) for output in said.outputs], said.model_name, said.model_version, said.id)

    def _request(self, inputs: list[Tensor]) -> InferenceRequest:
        if self._pandas:
            return PandasCodec.encode_request(_frame(inputs), use_bytes=False)
        return InferenceRequest(inputs=[_encoded(tensor) for tensor in inputs])

    def _got(self, path: str) -> bytes:
        return _checked(self._client.get(path, headers=self._cases.authorization))


def _encoded(tensor: Tensor) -> Any:
    if tensor.datatype == "BYTES":
        if tensor.shape[1:] != [1]:
            raise NotOfferedError("its codec makes one column of strings")
        return StringCodec.encode_input(tensor.name, tensor.data, use_bytes=False)
    return NumpyCodec.encode_input(tensor.name, _array(tensor))


def _frame(inputs: list[Tensor]) -> Any:
    if any(tensor.shape[1:] != [1] for tensor in inputs):
        raise NotOfferedError("its codec is for tables of columns")
    columns = {}
    for tensor in inputs:
        strings = tensor.datatype == "BYTES"
        columns[tensor.name] = pd.Series(tensor.data, dtype=object) if strings else pd.Series(_array(tensor).ravel())
    return pd.DataFrame(columns)


def _array(tensor: Tensor) -> Any:
    dtype = _DTYPES.get(tensor.datatype, tensor.datatype.lower())
    return np.array([np.nan if value is None else value for value in tensor.data], dtype).reshape(tensor.shape)


def _tensor(output: Any) -> Tensor:
    datatype = output.datatype
    if datatype == "BYTES":
        return Tensor(output.name, datatype, output.shape, StringCodec.decode_output(output))
    return Tensor(output.name, datatype, output.shape, NumpyCodec.decode_output(output).ravel().tolist())


def _dumped(said: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = said.model_dump(mode="json")
    return dumped


def _checked(response: httpx.Response) -> bytes:
    if response.is_error:
        raise RefusedError(InferenceErrorResponse.model_validate_json(response.content).error, response.status_code)
    return bytes(response.content)


def _path(model: str, version: str | None) -> str:
    return f"/v2/models/{model}" + (f"/versions/{version}" if version else "")


def main(cases: Cases) -> None:
    """Run the protocol with either kind of codec."""
    with httpx.Client(base_url=cases.url, timeout=60) as client:
        report(operations.run("MLServer types", MLServerTypes(cases, client), cases))
        report(operations.run("MLServer PandasCodec", MLServerTypes(cases, client, pandas=True), cases))


if __name__ == "__main__":
    main(read_cases(sys.argv[1]))
