"""What executes a model's graph: the protocol that every engine keeps, and the registry that finds one by name."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, Protocol, cast

import msgspec

from modelport.runtime.errors import MissingExtraError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

GROUP: Final = "modelport.engines"
DEFAULT: Final = "onnxruntime"
# The default is found without a search through the installed distributions' metadata.
_BUILT_IN: Final = {DEFAULT: ("modelport.runtime.engines.ort", "OrtEngine")}


class EngineRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine is made from: a model's verified bytes and how to run them.

    `files` are all files of the package by name, for engines that bring their own form of the model. `providers` are
    names such as `cpu` or `cuda`, the first that fits is used; empty leaves the choice to the engine.
    With `inputs`, the graph must have just these; `requires` is the oldest ONNX Runtime that runs it.
    `optimise` false runs the graph as it is written, to compare with. `share` is a directory of this user alone through
    which processes that open the same large model have its weights in memory once; empty shares nothing.
    """

    model: bytes
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] | None = None
    requires: str = ""
    external_data: dict[str, bytes] = {}
    files: dict[str, bytes] = {}
    threads: int = 1
    optimise: bool = True
    providers: tuple[str, ...] = ()
    share: str = ""


class Engine(Protocol):
    """An opened model. `run` may be called from several threads at once."""

    @property
    def description(self) -> str:
        """Name, version and execution provider in use, such as `onnxruntime 1.32.0 (cpu)`."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Sequence[NDArray[np.generic]]:
        """Execute the graph on checked inputs; the outputs come in the order that was requested.

        Raises `ScoringError` when the engine fails, `DeadlineExceededError` when it was told to stop.
        """

    def stop(self, seconds: float) -> None:
        """Stop every run that has taken longer than `seconds`, as far as the engine can; called from another thread."""


class EngineFactory(Protocol):
    """What an entry point of the group `modelport.engines` names: makes an engine, usually the engine's class."""

    def __call__(self, request: EngineRequest) -> Engine:
        """Open the model; raises `InvalidPackageError` if the engine cannot."""


def open_engine(request: EngineRequest, name: str = DEFAULT) -> Engine:
    """Open `request` with the engine called `name`.

    Raises `UnknownNameError` listing the known ones, `MissingExtraError` if the engine lacks a library, and what the
    engine raises.
    """
    return _factory(name)(request)


def _factory(name: str) -> EngineFactory:
    if (built_in := _BUILT_IN.get(name)) is not None:
        module, attribute = built_in
        return cast("EngineFactory", getattr(import_module(module), attribute))
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted({*found, *_BUILT_IN}))
        raise UnknownNameError(f"engine `{name}`: expected one of {known}")
    try:
        return cast("EngineFactory", found[name].load())
    except ImportError as error:
        raise MissingExtraError(
            f"engine `{name}`: expected its libraries to be installed, got {error}",
            hint=f"install what `{found[name].value.partition(':')[0]}` imports",
        ) from error
