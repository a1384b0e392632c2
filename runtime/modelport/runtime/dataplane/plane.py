"""The data plane: validates a request against the signature, scores it, counts it."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import msgspec

from modelport.runtime.errors import InvalidInputError, NotReadyError, UnknownNameError, named
from modelport.runtime.protocol import InferResponse, Tensor

from .counters import Counters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelport.runtime.package import Manifest
    from modelport.runtime.protocol import InferRequest
    from modelport.runtime.scorer import Scorer
    from modelport.runtime.signature import Signature, TensorSpec

    from .slot import ModelSlot


class ModelMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is served: the package's manifest, its digest, and what executes it."""

    manifest: Manifest
    digest: str
    engine: str


class DataPlane:
    """Answers requests for the model in `slot`."""

    def __init__(self, slot: ModelSlot, counters: Counters | None = None) -> None:
        self.slot = slot
        self.counters = counters or Counters()
        self._draining = False

    def drain(self) -> None:
        """Be not ready from now on. Requests are still answered, until whoever sends them has noticed."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining

    def require_ready(self, model: str | None = None, version: str | None = None) -> None:
        """Raise `NotReadyError` while no model is loaded or the server drains, `UnknownNameError` for another model."""
        scorer = self._scorer(model, version)
        if self._draining:
            raise NotReadyError(f"model `{scorer.manifest.name}`: expected to be ready, got a server that is stopping")

    def metadata(self, model: str, version: str | None = None) -> ModelMetadata:
        """Describe the model; raises `NotReadyError` or `UnknownNameError`."""
        scorer = self._scorer(model, version)
        return ModelMetadata(manifest=scorer.manifest, digest=scorer.digest, engine=scorer.engine.description)

    def infer(self, request: InferRequest) -> InferResponse:
        """Score `request`, and count it if that succeeds; failures are counted where they surface, in the transport.

        Raises `InvalidInputError` naming the input, what was expected and what came, `UnknownNameError` for another
        model or version, `NotReadyError`, or `ScoringError`.
        """
        begun = perf_counter_ns()
        scorer = self._scorer(request.model, request.version)
        wanted = _wanted(scorer.signature, request.outputs)
        inputs = _inputs(scorer.signature, request.inputs)
        scoring = perf_counter_ns()
        outputs = scorer.runner.run(inputs)
        scored = perf_counter_ns()
        rows = len(next(iter(inputs.values()))) if scorer.signature.has_rows else 1
        self.counters.succeed(rows=rows, infer_ns=scored - begun, score_ns=scored - scoring)
        return InferResponse(
            model=scorer.manifest.name,
            version=scorer.manifest.version,
            id=request.id,
            outputs=tuple([_tensor(spec, outputs[spec.name]) for spec in wanted]),
        )

    def _scorer(self, model: str | None, version: str | None) -> Scorer:
        scorer = self.slot.get()
        if model is not None and model != scorer.manifest.name:
            raise UnknownNameError(f"model: expected `{scorer.manifest.name}`, got {named(model)}")
        if version is not None and version != scorer.manifest.version:
            raise UnknownNameError(
                f"model `{scorer.manifest.name}`: expected version `{scorer.manifest.version}`, got {named(version)}"
            )
        return scorer


def _wanted(signature: Signature, names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """Return the specs of the requested outputs, of all when none is named."""
    if not names:
        return signature.outputs
    if len(names) > len(signature.outputs):
        raise InvalidInputError(f"outputs: expected at most {len(signature.outputs)}, got {len(names)}")
    specs = {spec.name: spec for spec in signature.outputs}
    for name in names:
        if name not in specs:
            known = ", ".join(f"`{spec.name}`" for spec in signature.outputs)
            raise InvalidInputError(f"output {named(name)}: expected one of {known}")
    if len(set(names)) < len(names):
        raise InvalidInputError(f"outputs: expected each once, got {', '.join(f'`{name}`' for name in names)}")
    return tuple(specs[name] for name in names)


def _inputs(signature: Signature, tensors: tuple[Tensor, ...]) -> dict[str, NDArray[Any]]:
    inputs: dict[str, NDArray[Any]] = {}
    for tensor in tensors:
        if tensor.name in inputs:
            raise InvalidInputError(f"input `{tensor.name}`: expected once, got twice")
        inputs[tensor.name] = tensor.to_array(signature.input(tensor.name))
    return inputs


def _tensor(spec: TensorSpec, array: NDArray[Any]) -> Tensor:
    return Tensor(name=spec.name, datatype=spec.datatype, shape=array.shape, data=array)
