"""The least runtime for MLServer around ONNX Runtime: nothing is checked, every tensor is as the request says."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

_DTYPES = {"BYTES": object, "INT64": np.int64, "FP64": np.float64}
_DATATYPES = {"bool": "BOOL", "float32": "FP32"}


class OnnxRuntime(MLModel):  # type: ignore[misc]  # it ships no types
    """Scores by the model at the `uri` of its settings, with a single thread."""

    async def load(self) -> bool:
        """Open the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = self.settings.parameters.uri
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Score a request."""
        inputs = {
            each.name: np.array(each.data.root, _DTYPES[each.datatype]).reshape(each.shape) for each in payload.inputs
        }
        outputs = zip(self._names, self._session.run(self._names, inputs), strict=True)
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[_output(name, array) for name, array in outputs],
        )


def _output(name: str, array: Any) -> ResponseOutput:
    return ResponseOutput(
        name=name, shape=list(array.shape), datatype=_DATATYPES[array.dtype.name], data=array.ravel().tolist()
    )
