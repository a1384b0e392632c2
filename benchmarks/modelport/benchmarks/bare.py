"""The least that a Python server can do around a model: Granian, a decoded body, `session.run`, an encoded answer.

Nothing is checked, counted or named; it is the lower bound that the server is measured against.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels

_DTYPES = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}


class _State:
    """The one session of a worker."""

    session: Any
    outputs: list[str]


def open_session(model: str) -> Any:
    """Return a session with a single thread and no arena, as the runtime opens one for a small model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _open(_loop: Any) -> None:
    _State.session = open_session(os.environ["BARE_MODEL"])
    _State.outputs = [output.name for output in _State.session.get_outputs()]


async def app(_scope: Any, protocol: Any) -> None:
    """Answer any request as an inference over its body."""
    request = msgspec.json.decode(await protocol())
    inputs = {
        tensor["name"]: np.array(tensor["data"], _DTYPES[tensor["datatype"]]).reshape(tensor["shape"])
        for tensor in request["inputs"]
    }
    answers = _State.session.run(_State.outputs, inputs)
    outputs = [
        {"name": name, "shape": array.shape, "data": array.ravel().tolist()}
        for name, array in zip(_State.outputs, answers, strict=True)
    ]
    protocol.response_bytes(200, [("content-type", "application/json")], msgspec.json.encode({"outputs": outputs}))


app.__rsgi_init__ = _open  # type: ignore[attr-defined]  # where Granian looks for it


def main() -> None:
    """Serve on the loopback address at the port that the first argument names."""
    Granian(
        "modelport.benchmarks.bare:app",
        port=int(sys.argv[1]),
        interface=Interfaces.RSGI,
        loop=Loops.asyncio,
        http=HTTPModes.http1,
        log_level=LogLevels.error,
    ).serve()


if __name__ == "__main__":
    main()
