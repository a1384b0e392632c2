"""What a client of the Open Inference Protocol can do, and what must come of it, whichever client it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Protocol

from .checks import DiffersError, NotOfferedError, holds, refused, results, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .cases import Cases, Tensor
    from .checks import Result

CONTRACT: Final = "Open Inference Protocol V2"
UNKNOWN: Final = "unknown"
_NONE: Final = NotOfferedError("it only infers")


class Request(NamedTuple):
    """An inference request; without `outputs` all are asked for."""

    model: str
    inputs: list[Tensor]
    version: str | None = None
    id: str | None = None
    outputs: list[str] | None = None
    key: str | None = None
    gzip: bool = False


class Answer(NamedTuple):
    """What a client gives for one; `model`, `version` and `id` are None where it does not tell them."""

    outputs: list[Tensor]
    model: str | None = None
    version: str | None = None
    id: str | None = None


class Client(Protocol):
    """A client. What it has not raises `NotOfferedError`, what the server refuses `RefusedError`.

    `tells_id` and `tells_version` say whether its answers do.
    """

    tells_id: bool
    tells_version: bool

    def live(self) -> bool:
        """Return whether the server lives."""

    def ready(self) -> bool:
        """Return whether the server is ready."""

    def server(self) -> dict[str, Any]:
        """Return the server's metadata."""

    def model_ready(self, model: str, version: str | None = None) -> bool:
        """Return whether a model is ready."""

    def model(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Return a model's metadata."""

    def infer(self, request: Request) -> Answer:
        """Send a request."""


class OnlyInfers:
    """A client that has no call but for inference."""

    def live(self) -> NoReturn:
        """Say that there is no such call."""
        raise _NONE

    def ready(self) -> NoReturn:
        """Say that there is no such call."""
        raise _NONE

    def server(self) -> NoReturn:
        """Say that there is no such call."""
        raise _NONE

    def model_ready(self, _model: str, _version: str | None = None) -> NoReturn:
        """Say that there is no such call."""
        raise _NONE

    def model(self, _model: str, _version: str | None = None) -> NoReturn:
        """Say that there is no such call."""
        raise _NONE


def _server_live(client: Client, _cases: Cases) -> None:
    same("live", client.live(), expected=True)


def _server_ready(client: Client, _cases: Cases) -> None:
    same("ready", client.ready(), expected=True)


def _server_metadata(client: Client, _cases: Cases) -> None:
    said = client.server()
    same("name", said["name"], "modelport")
    same("extensions", said["extensions"], ["binary_tensor_data"])
    holds(f"version: expected some, got {said['version']!r}", condition=said["version"])


def _model_ready(client: Client, cases: Cases) -> None:
    for model in cases.metadata:
        same(f"`{model}` ready", client.model_ready(model), expected=True)


def _model_ready_version(client: Client, cases: Cases) -> None:
    same("ready", client.model_ready("iris", cases.version), expected=True)


def _model_not_ready(client: Client, _cases: Cases) -> None:
    same("ready", client.model_ready(UNKNOWN), expected=False)


def _model_metadata(client: Client, cases: Cases) -> None:
    for model, expected in cases.metadata.items():
        _same_metadata(client.model(model), expected)


def _model_metadata_version(client: Client, cases: Cases) -> None:
    _same_metadata(client.model("iris", cases.version), cases.metadata["iris"])


def _model_metadata_unknown(client: Client, _cases: Cases) -> None:
    refused(lambda: client.model(UNKNOWN), status=404, words="`unknown`")


def _infers(name: str) -> Callable[[Client, Cases], None]:
    """Return the operation that sends a call and compares every bit of every output."""

    def operation(client: Client, cases: Cases) -> None:
        call = cases.calls[name]
        answer = client.infer(Request(call.model, call.inputs))
        same("model", answer.model, answer.model and call.model)
        _same_outputs(answer.outputs, call.outputs)

    return operation


def _infer_version(client: Client, cases: Cases) -> None:
    call = cases.calls["matrix"]
    answer = client.infer(Request(call.model, call.inputs, version=cases.version))
    if client.tells_version:
        same("version", answer.version, cases.version)
    _same_outputs(answer.outputs, call.outputs)


def _infer_id(client: Client, cases: Cases) -> None:
    call = cases.calls["matrix"]
    answer = client.infer(Request(call.model, call.inputs, id="request-42"))
    if client.tells_id:
        same("id", answer.id, "request-42")
    _same_outputs(answer.outputs, call.outputs)


def _infer_outputs(client: Client, cases: Cases) -> None:
    """Ask for each output alone, and for all of them the other way round."""
    call = cases.calls["matrix"]
    by_name = {output.name: output for output in call.outputs}
    for names in ([name] for name in by_name):
        answer = client.infer(Request(call.model, call.inputs, outputs=names))
        _same_outputs(answer.outputs, [by_name[name] for name in names])
    names = [*reversed(by_name)]
    answer = client.infer(Request(call.model, call.inputs, outputs=names))
    _same_outputs(answer.outputs, [by_name[name] for name in names])


def _infer_gzip(client: Client, cases: Cases) -> None:
    call = cases.calls["many rows"]
    _same_outputs(client.infer(Request(call.model, call.inputs, gzip=True)).outputs, call.outputs)


def _refuses_datatype(client: Client, cases: Cases) -> None:
    call = cases.calls["matrix"]
    inputs = [call.inputs[0]._replace(datatype="FP64")]
    refused(lambda: client.infer(Request(call.model, inputs)), status=400, words="input `X`: expected FP32, got FP64")


def _refuses_shape(client: Client, cases: Cases) -> None:
    call = cases.calls["matrix"]
    tensor = call.inputs[0]
    rows = tensor.shape[0]
    inputs = [tensor._replace(shape=[rows, 3], data=tensor.data[: 3 * rows])]
    words = f"input `X`: expected shape [-1, 4], got [{rows}, 3]"
    refused(lambda: client.infer(Request(call.model, inputs)), status=400, words=words)


def _refuses_missing_input(client: Client, cases: Cases) -> None:
    call = cases.calls["table"]
    words = f"input `{call.inputs[0].name}`: expected a tensor, got none of that name"
    refused(lambda: client.infer(Request(call.model, call.inputs[1:])), status=400, words=words)


def _refuses_output(client: Client, cases: Cases) -> None:
    call = cases.calls["matrix"]
    asked = Request(call.model, call.inputs, outputs=[UNKNOWN])
    refused(lambda: client.infer(asked), status=400, words="`unknown`")


def _refuses_model(client: Client, cases: Cases) -> None:
    asked = Request(UNKNOWN, cases.calls["matrix"].inputs)
    refused(lambda: client.infer(asked), status=404, words="`unknown`")


def _refuses_version(client: Client, cases: Cases) -> None:
    call = cases.calls["matrix"]
    asked = Request(call.model, call.inputs, version="99")
    refused(lambda: client.infer(asked), status=404, words="`99`")


def _refuses_key(client: Client, cases: Cases) -> None:
    call = cases.calls["matrix"]
    asked = Request(call.model, call.inputs, key="another-key-1234567890")
    refused(lambda: client.infer(asked), status=401, words="header `Authorization`")


def _takes_second_key(client: Client, cases: Cases) -> None:
    call = cases.calls["matrix"]
    _same_outputs(client.infer(Request(call.model, call.inputs, key=cases.keys[1])).outputs, call.outputs)


def _same_metadata(said: dict[str, Any], expected: dict[str, Any]) -> None:
    same("name", said["name"], expected["name"])
    same("versions", said["versions"], expected["versions"])
    same("platform", said["platform"], expected["platform"])
    for side in ("inputs", "outputs"):
        told = [{name: tensor[name] for name in ("name", "datatype", "shape")} for tensor in said[side]]
        same(side, told, expected[side])


def _same_outputs(got: list[Tensor], expected: list[Tensor]) -> None:
    same("outputs", [tensor.name for tensor in got], [tensor.name for tensor in expected])
    for one, other in zip(got, expected, strict=True):
        same(f"datatype of `{one.name}`", one.datatype, other.datatype)
        same(f"shape of `{one.name}`", one.shape, other.shape)
        same(f"values of `{one.name}`", len(one.data), len(other.data))
        pairs = zip(map(_exact, one.data), map(_exact, other.data), strict=True)
        wrong = [place for place, (value, known) in enumerate(pairs) if value != known]
        if wrong:
            place = wrong[0]
            raise DiffersError(
                f"`{one.name}`: {len(wrong)} values differ; at {place}: expected {other.data[place]!r}, "
                f"got {one.data[place]!r}"
            )


def _exact(value: Any) -> tuple[type, Any]:
    """Return what tells values apart that are equal: 0.0 and -0.0, 1 and True."""
    return type(value), value.hex() if isinstance(value, float) else value


def run(name: str, client: Client, cases: Cases) -> Iterator[Result]:
    """Run every operation with the client of that name."""
    return results(CONTRACT, name, OPERATIONS, client, cases)


#: Every operation by its name.
OPERATIONS: Final[dict[str, Callable[[Client, Cases], None]]] = {
    "server live": _server_live,
    "server ready": _server_ready,
    "server metadata": _server_metadata,
    "model ready": _model_ready,
    "model ready, of a version": _model_ready_version,
    "model ready, of an unknown name": _model_not_ready,
    "model metadata": _model_metadata,
    "model metadata, of a version": _model_metadata_version,
    "model metadata, of an unknown name": _model_metadata_unknown,
    "infer, a matrix": _infers("matrix"),
    "infer, a table": _infers("table"),
    "infer, a model with an entry script": _infers("scripted"),
    "infer, missing values": _infers("missing"),
    "infer, every datatype but FP16": _infers("types"),
    "infer, FP16": _infers("half"),
    "infer, strings of all scripts": _infers("strings"),
    "infer, no rows": _infers("no rows"),
    "infer, 10,000 rows": _infers("many rows"),
    "infer, compressed by gzip": _infer_gzip,
    "infer, of a version": _infer_version,
    "infer, with an id": _infer_id,
    "infer, chosen outputs": _infer_outputs,
    "refused: another datatype": _refuses_datatype,
    "refused: another shape": _refuses_shape,
    "refused: a missing input": _refuses_missing_input,
    "refused: an unknown output": _refuses_output,
    "refused: an unknown model": _refuses_model,
    "refused: an unknown version": _refuses_version,
    "refused: another key": _refuses_key,
    "the second key": _takes_second_key,
}
