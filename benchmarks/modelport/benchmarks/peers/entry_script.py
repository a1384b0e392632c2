"""The least entry script around ONNX Runtime: records in, records out. Azure ML's server and ours run it as it is."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import onnxruntime

_DTYPES = {"tensor(string)": object, "tensor(int64)": np.int64, "tensor(double)": np.float64}


class _State:
    """What `init` leaves to `run`."""

    session: Any
    inputs: list[tuple[str, Any]]


def init() -> None:
    """Open the model with a single thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.onnx")  # noqa: PTH118  as such scripts do
    _State.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    _State.inputs = [(each.name, _DTYPES[each.type]) for each in _State.session.get_inputs()]


def run(data: str) -> list[dict[str, Any]]:
    """Score records."""
    records = json.loads(data)
    inputs = {name: np.array([[record[name]] for record in records], dtype) for name, dtype in _State.inputs}
    labels, probabilities = _State.session.run(["label", "probabilities"], inputs)
    pairs = zip(labels.tolist(), probabilities.tolist(), strict=True)
    return [{"label": label, "probabilities": each} for label, each in pairs]
