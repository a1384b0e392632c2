"""The data plane: finds the model, validates a request against its signature, scores it, counts it."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import msgspec

from modelport.runtime.errors import InvalidInputError, NotReadyError, UnknownNameError, named
from modelport.runtime.protocol import InferResponse, Tensor

from .counters import Counters, Served

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from modelport.runtime.package import Manifest
    from modelport.runtime.protocol import InferRequest
    from modelport.runtime.scorer import Scorer
    from modelport.runtime.scripts import Call

    from .counters import Observer
    from .slot import ModelSlot


class ModelMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is served: the package's manifest, its digest, what executes it, and the versions of that name.

    `has_script` says that documents are answered by an entry script and not by the graph.
    """

    manifest: Manifest
    digest: str
    engine: str
    versions: tuple[str, ...]
    has_script: bool


class DataPlane:
    """Answers requests for the models in `slots`. Of several versions of one name the first is the default."""

    def __init__(self, *slots: ModelSlot, observer: Observer | None = None) -> None:
        self.slots = slots
        self.observer: Observer = observer or Counters()
        self._draining = False

    def drain(self) -> None:
        """Be not ready from now on. Requests are still answered, until whoever sends them has noticed."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining

    def scorers(self) -> tuple[Scorer, ...]:
        """Return every model that is served now; raises `NotReadyError` while one of them is not loaded."""
        return tuple([slot.get() for slot in self.slots])

    def scorer(self, model: str | None = None, version: str | None = None) -> Scorer:
        """Return the model of that name and version, the only one if none is named.

        Raises `InvalidInputError` if one must be named, `UnknownNameError` if it is not there, `NotReadyError`.
        """
        if len(self.slots) == 1:
            scorer = self.slots[0].get()
            if model in (None, scorer.manifest.name) and version in (None, scorer.manifest.version):
                return scorer
        scorers = self.scorers()
        if model is None:
            raise InvalidInputError(
                f"model: expected {_listed(scorer.manifest.name for scorer in scorers)} to be named, got none",
                hint="by the header `azureml-model-deployment` or the path `/models/NAME/score`",
            )
        return _find(scorers, model, version)

    def require_ready(self, model: str | None = None, version: str | None = None) -> None:
        """Raise `NotReadyError` while a model is not loaded or the server drains, `UnknownNameError` for another."""
        scorers = self.scorers() if model is None else (self.scorer(model, version),)
        if self._draining:
            name = scorers[0].manifest.name
            raise NotReadyError(f"model `{name}`: expected to be ready, got a server that is stopping")

    def metadata(self, model: str, version: str | None = None) -> ModelMetadata:
        """Describe the model; raises `NotReadyError` or `UnknownNameError`."""
        scorer = self.scorer(model, version)
        name = scorer.manifest.name
        versions = tuple(each.manifest.version for each in self.scorers() if each.manifest.name == name)
        return ModelMetadata(
            manifest=scorer.manifest,
            digest=scorer.digest,
            engine=scorer.engine.description,
            versions=versions,
            has_script=scorer.has_script,
        )

    def infer(self, request: InferRequest) -> InferResponse:
        """Score `request` by the graph, and count it if that succeeds; the transport has failures counted.

        Raises `InvalidInputError` naming the input, what was expected and what came, `UnknownNameError` for another
        model or version, `NotReadyError`, or `ScoringError`.
        """
        begun = perf_counter_ns()
        scorer = self.scorer(request.model, request.version)
        wanted = request.wanted(scorer.signature)
        inputs = request.arrays(scorer.signature)
        scoring = perf_counter_ns()
        outputs = scorer.runner.run(inputs)
        scored = perf_counter_ns()
        self._count(scorer, inputs, begun=begun, score_ns=scored - scoring)
        return InferResponse(
            model=scorer.manifest.name,
            version=scorer.manifest.version,
            id=request.id,
            outputs=tuple([Tensor.of(spec, outputs[spec.name]) for spec in wanted]),
        )

    def run(self, text: bytes, call: Call | None, model: str | None = None, version: str | None = None) -> Any:
        """Answer a document as `Scorer.run` does, and count it if that succeeds.

        Raises what `Scorer.run` and `scorer` raise.
        """
        begun = perf_counter_ns()
        scorer = self.scorer(model, version)
        if scorer.has_script:
            answer = scorer.run(text, call=call)
            spent = perf_counter_ns() - begun
            self.observer.succeed(_served(scorer), rows=1, infer_ns=spent, score_ns=spent)
            return answer
        document = scorer.read(text)
        scoring = perf_counter_ns()
        outputs = scorer.runner.run(document.inputs)
        scored = perf_counter_ns()
        answer = document.answer(outputs)
        self._count(scorer, document.inputs, begun=begun, score_ns=scored - scoring)
        return answer

    def _count(self, scorer: Scorer, inputs: Mapping[str, NDArray[Any]], *, begun: int, score_ns: int) -> None:
        rows = len(next(iter(inputs.values()))) if scorer.signature.has_rows else 1
        self.observer.succeed(_served(scorer), rows=rows, infer_ns=perf_counter_ns() - begun, score_ns=score_ns)

    def served(self, model: str | None = None, version: str | None = None) -> Served:
        """Return how the model of that name and version is counted; what is not there is counted as no model."""
        try:
            return _served(self.scorer(model, version))
        except (InvalidInputError, UnknownNameError, NotReadyError):
            return Served("", "")

    def stop_runs(self, seconds: float) -> None:
        """Have the engines stop every run that has taken longer than `seconds`."""
        for slot in self.slots:
            slot.stop_runs(seconds)


def _served(scorer: Scorer) -> Served:
    return Served(scorer.manifest.name, scorer.manifest.version)


def _find(scorers: tuple[Scorer, ...], model: str, version: str | None) -> Scorer:
    """Return the first of `scorers` with that name, and that version if one is given."""
    versions = [scorer for scorer in scorers if scorer.manifest.name == model]
    if not versions:
        raise UnknownNameError(
            f"model: expected {_listed(scorer.manifest.name for scorer in scorers)}, got {named(model)}"
        )
    for scorer in versions:
        if version in (None, scorer.manifest.version):
            return scorer
    known = _listed(scorer.manifest.version for scorer in versions)
    raise UnknownNameError(f"model `{model}`: expected version {known}, got {named(version)}")


def _listed(names: Iterable[str]) -> str:
    distinct = [f"`{name}`" for name in dict.fromkeys(names)]
    return distinct[0] if len(distinct) == 1 else f"one of {', '.join(distinct)}"
