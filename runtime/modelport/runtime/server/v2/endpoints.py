"""What the protocol answers: each endpoint decodes, asks the data plane and encodes."""

from __future__ import annotations

from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any

from modelport.runtime.errors import DeadlineExceededError
from modelport.runtime.protocol import codec, wire
from modelport.runtime.server.responses import BINARY, JSON, Response, ok

if TYPE_CHECKING:
    from modelport.runtime.dataplane import DataPlane
    from modelport.runtime.server.request import Head
    from modelport.runtime.server.routes import Route
    from modelport.runtime.signature import TensorSpec

_JSON_LENGTH = "inference-header-content-length"
_SERVER = wire.ServerMetadata(name="modelport", version=version("modelport"), extensions=("binary_tensor_data",))


def look(plane: DataPlane, route: Route) -> Response:
    """Answer an endpoint that only reads; raises `NotReadyError` or `UnknownNameError`."""
    match route.endpoint:
        case "server":
            return ok(_SERVER)
        case "live":
            return ok({"live": True})
        case "ready":
            plane.require_ready()
            return ok({"live": True, "ready": True})
        case "model ready":
            plane.require_ready(route.model, route.version)
            return ok({"name": route.model, "ready": True})
        case _:
            return ok(_describe(plane, route))


def infer(plane: DataPlane, route: Route, head: Head, body: bytes) -> Response:
    """Answer an inference request; raises what `DataPlane.infer` raises, and the same on a body that is none."""
    request, form = codec.decode(route.model or "", route.version, body, head.header(_JSON_LENGTH))
    _check_time(request.timeout_us, head.arrived)
    content, json_length = codec.encode(plane.infer(request), form)
    if json_length is None:
        return Response(200, JSON, content)
    return Response(200, (*BINARY, (_JSON_LENGTH, str(json_length))), content)


def _check_time(timeout: int | None, arrived: float) -> None:
    """Raise `DeadlineExceededError` if a request has waited longer than whoever sent it does."""
    if timeout is not None and arrived and (waited := (perf_counter() - arrived) * 1e6) > timeout:
        raise DeadlineExceededError(
            f"request: expected its turn within {timeout} microseconds, as its `timeout` says, got {waited:.0f}"
        )


def _describe(plane: DataPlane, route: Route) -> wire.ModelMetadata:
    found = plane.metadata(route.model or "", route.version)
    manifest = found.manifest
    return wire.ModelMetadata(
        name=manifest.name,
        versions=found.versions,
        platform="onnx_onnxv1",
        inputs=_tensors(manifest.signature.inputs),
        outputs=_tensors(manifest.signature.outputs),
        properties={
            "digest": found.digest,
            "engine": found.engine,
            "proof": manifest.proof.kind,
            "parity": "accepted" if manifest.proof.accepted else "passed",
            "contract": manifest.contract,
            "batch": manifest.signature.batch,
            "infer": "graph",
            "score": "script" if found.has_script else "graph",
        },
    )


def _tensors(specs: tuple[TensorSpec, ...]) -> tuple[wire.TensorMetadata, ...]:
    return tuple(wire.TensorMetadata(spec.name, spec.datatype, spec.shape, _said(spec)) for spec in specs)


def _said(spec: TensorSpec) -> dict[str, Any]:
    """Return what a spec says beside the protocol's own fields, where it says something."""
    fields = ("nullable", "null", "features", "categories", "closed", "labels")
    return {name: value for name in fields if (value := getattr(spec, name))}
