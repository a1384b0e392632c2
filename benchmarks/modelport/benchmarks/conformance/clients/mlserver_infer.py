"""MLServer's command for batches, `mlserver infer`: a file of requests becomes a file of answers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelport.benchmarks.conformance import operations
from modelport.benchmarks.conformance.asking import answer_of
from modelport.benchmarks.conformance.cases import Cases, Tensor, read_cases
from modelport.benchmarks.conformance.checks import NotOfferedError, RefusedError, report
from modelport.benchmarks.conformance.operations import Answer, OnlyInfers

if TYPE_CHECKING:
    from modelport.benchmarks.conformance.operations import Request

_COMMAND: Final = Path(sys.executable).with_name("mlserver")


class MLServerInfer(OnlyInfers):
    """Sends a request without an id as two of half its rows, which the command puts together and takes apart again."""

    tells_id = True
    tells_version = True

    def __init__(self, cases: Cases, *, binary: bool) -> None:
        self._cases = cases
        self._binary = binary

    def infer(self, request: Request) -> Answer:
        """Send a request."""
        if request.version is not None:
            raise NotOfferedError("it knows no versions")
        if request.gzip:
            raise NotOfferedError("it does not compress")
        if not self._binary and any(None in tensor.data for tensor in request.inputs):
            raise NotOfferedError("its JSON has no word for what is missing")
        parts = _halves(request.inputs) if request.id is None else [request.inputs]
        answers = [answer_of(said) for said in self._ask(request, parts)]
        outputs = _joined([answer.outputs for answer in answers])
        return answers[0]._replace(outputs=[self._as_answered(request.model, output) for output in outputs])

    def _as_answered(self, model: str, output: Tensor) -> Tensor:
        """Return an output as it was answered: the command writes a vector as a column."""
        described = next(each for each in self._cases.metadata[model]["outputs"] if each["name"] == output.name)
        return output._replace(shape=output.shape[: len(described["shape"])])

    def _ask(self, request: Request, parts: list[list[Tensor]]) -> list[Any]:
        with tempfile.TemporaryDirectory() as folder:
            asked, answered = Path(folder, "asked.jsonl"), Path(folder, "answered.jsonl")
            asked.write_text("".join(f"{json.dumps(_body(request, part))}\n" for part in parts), encoding="utf-8")
            options = {
                "--url": f"{self._cases.host}:{self._cases.port}",
                "--model-name": request.model,
                "--input-data-path": asked,
                "--output-data-path": answered,
                "--batch-size": len(parts),
                "--retries": 1,
                "--request-headers": f"Authorization: Bearer {request.key or self._cases.keys[0]}",
            }
            command = [str(_COMMAND), "infer", *(str(word) for pair in options.items() for word in pair)]
            if self._binary:
                command.append("--binary-data")
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  our own words
            lines = [json.loads(line) for line in answered.read_text(encoding="utf-8").splitlines()]
        if len(lines) != len(parts):
            raise NotOfferedError(f"it gives up itself: {_reason(done.stdout)}")
        for line in lines:
            if "error" in line:
                raise RefusedError(line["error"]["msg"])
        return sorted(lines, key=lambda line: int(line["parameters"]["batch_index"]))


def _body(request: Request, inputs: list[Tensor]) -> dict[str, Any]:
    body: dict[str, Any] = {"inputs": [tensor.described() for tensor in inputs]}
    if request.id is not None:
        body["id"] = request.id
    if request.outputs is not None:
        body["outputs"] = [{"name": name} for name in request.outputs]
    return body


def _halves(inputs: list[Tensor]) -> list[list[Tensor]]:
    """Return the first and the second half of the rows; all of them where there are no two."""
    rows = min(tensor.shape[0] for tensor in inputs)
    if rows <= 1:
        return [inputs]
    return [[_rows(tensor, 0, rows // 2) for tensor in inputs], [_rows(tensor, rows // 2, rows) for tensor in inputs]]


def _rows(tensor: Tensor, start: int, stop: int) -> Tensor:
    width = len(tensor.data) // tensor.shape[0]
    return tensor._replace(shape=[stop - start, *tensor.shape[1:]], data=tensor.data[start * width : stop * width])


def _joined(parts: list[list[Tensor]]) -> list[Tensor]:
    return [
        tensors[0]._replace(
            shape=[sum(tensor.shape[0] for tensor in tensors), *tensors[0].shape[1:]],
            data=[value for tensor in tensors for value in tensor.data],
        )
        for tensors in zip(*parts, strict=True)
    ]


def _reason(log: str) -> str:
    """Return the last of its own words on what failed."""
    found = [line.partition("failed to ")[2] for line in log.splitlines() if "failed to " in line]
    return found[-1] if found else "no words"


def main(cases: Cases) -> None:
    """Run the protocol both ways."""
    for binary in (False, True):
        client = MLServerInfer(cases, binary=binary)
        report(operations.run(f"mlserver infer {'binary' if binary else 'JSON'}", client, cases))


if __name__ == "__main__":
    main(read_cases(sys.argv[1]))
