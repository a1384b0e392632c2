"""ONNX Runtime as an engine: one session, one thread unless told otherwise, its telemetry off."""

from __future__ import annotations

import os
import re
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before it loads: read once by the library

import msgspec
import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from modelport.runtime.errors import (
    DeadlineExceededError,
    InvalidPackageError,
    MissingExtraError,
    ScoringError,
    UnknownNameError,
    UnscorableInputError,
    named,
    printable,
    shortened,
)

from . import sharing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from . import EngineRequest

_SUFFIX: Final = "ExecutionProvider"
# The wheel that brings a provider (https://onnxruntime.ai/docs/execution-providers/).
_WHEELS: Final = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "openvino": "onnxruntime-openvino",
    "dml": "onnxruntime-directml",
    "qnn": "onnxruntime-qnn",
    "rocm": "onnxruntime-rocm",
    "migraphx": "onnxruntime-rocm",
}
_SMALL_MODEL: Final = 32 << 20


class OrtEngine:
    """A model opened by ONNX Runtime."""

    def __init__(self, request: EngineRequest) -> None:
        _check_version(request.requires)
        providers = _providers(request.providers)
        try:
            self._session = _open(request, [name for _, name in providers])
        except Exception as error:  # damaged models raise more than ONNX Runtime's own kinds (UnicodeDecodeError)
            raise InvalidPackageError(
                f"model: expected one that ONNX Runtime {onnxruntime.__version__} loads, got {_first_line(error)}"
            ) from error
        _check_names(request, self._session)
        self._outputs = list(request.outputs)
        self._running: dict[int, tuple[float, Any]] = {}
        # The public `run` validates again what the scorer has checked; the raw session is private, so it may be absent.
        raw = getattr(self._session, "_sess", None)
        self._run: Any = raw.run if raw is not None else self._session.run
        self._used = self._session.get_providers()
        if missing := [short for short, name in providers if name not in self._used]:
            raise MissingExtraError(
                f"execution provider `{missing[0]}`: expected it to start, got a session on {_short(self._used[0])}",
                hint="its driver or libraries are missing: ONNX Runtime's log says which",
            )

    @property
    def description(self) -> str:
        """Name, version and execution provider in use."""
        return f"onnxruntime {onnxruntime.__version__} ({_short(self._used[0])})"

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Sequence[NDArray[np.generic]]:
        """Execute the graph; raises `ScoringError` when a kernel fails, `DeadlineExceededError` when it was stopped."""
        options = onnxruntime.RunOptions()
        begun = perf_counter()
        self._running[id(options)] = (begun, options)
        try:
            results = self._run(self._outputs, dict(inputs), options)
            return [np.asarray(result) for result in results]  # of a sequence of tensors there may be no array
        except Exception as error:
            if options.terminate:
                spent = perf_counter() - begun
                raise DeadlineExceededError(
                    f"model: expected an answer in time, got none after {spent:.3g} s"
                ) from error
            kind = UnscorableInputError if isinstance(error, InvalidArgument) else ScoringError
            raise kind(f"model: expected an answer, got {_first_line(error)}") from error
        finally:
            del self._running[id(options)]

    def stop(self, seconds: float) -> None:
        """Stop every run that has taken longer than `seconds`, at its next node."""
        latest = perf_counter() - seconds
        for begun, options in list(self._running.values()):
            if begun < latest:
                options.terminate = True


def open_session(model: bytes | str, options: Any, providers: Sequence[str] = ("CPUExecutionProvider",)) -> Any:
    """Open a model, from its bytes or a path; raises what ONNX Runtime raises."""
    return onnxruntime.InferenceSession(
        model,
        options,
        providers=list(providers),
        enable_fallback=0,  # it prints, and runs on another provider than was asked for
    )


def _open(request: EngineRequest, providers: list[str]) -> Any:
    """Open the model, through its shared form where it is large enough to be worth that and has one."""
    alone = providers == ["CPUExecutionProvider"]
    if request.share and alone and _size(request) >= _SMALL_MODEL:
        directory = sharing.saved(request, onnxruntime.__version__)
        if directory is not None:
            options = options_of(msgspec.structs.replace(request, external_data={}, optimise=False))
            return open_session(sharing.model_in(directory), sharing.options_for(options, directory), providers)
    session = open_session(request.model, options_of(request), providers)
    if hasattr(session, "_model_bytes"):
        session._model_bytes = None  # noqa: SLF001  kept for a fallback that is off: a copy of the model a process
    return session


def _size(request: EngineRequest) -> int:
    return len(request.model) + sum(map(len, request.external_data.values()))


def _check_version(oldest: str) -> None:
    """Raise `MissingExtraError` if the installed ONNX Runtime is older than `oldest`; empty asks for none."""
    if _numbers(oldest) > _numbers(onnxruntime.__version__):
        raise MissingExtraError(
            f"model: expected ONNX Runtime {oldest} or newer, got {onnxruntime.__version__}",
            hint=f'pip install "onnxruntime>={oldest}"',
        )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _check_names(request: EngineRequest, session: Any) -> None:
    """Raise `InvalidPackageError` unless the graph has what is asked of it, and no other input."""
    for kind, wanted, values in (
        ("input", request.inputs, session.get_inputs()),
        ("output", request.outputs, session.get_outputs()),
    ):
        found = [value.name for value in values]
        if missing := [name for name in wanted or () if name not in found]:
            raise InvalidPackageError(
                f"model: expected an {kind} {named(missing[0])}, as the signature says, "
                f"got {', '.join(map(named, found))}"
            )
    if request.inputs is not None and (
        extra := [name for name in (value.name for value in session.get_inputs()) if name not in request.inputs]
    ):
        raise InvalidPackageError(f"model: expected the inputs of the signature alone, got {named(extra[0])} too")


def options_of(request: EngineRequest) -> Any:
    """Return how a session runs `request`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a failure is raised, with its text
    if not request.optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Else bytes that happen to hold `ORTM` would be read as another format than the one that was verified.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if _size(request) < _SMALL_MODEL:
        options.enable_cpu_mem_arena = False  # 10 to 15 % faster on small models
        options.enable_mem_pattern = False
    if request.external_data:
        names = list(request.external_data)
        buffers = [request.external_data[name] for name in names]
        options.add_external_initializers_from_files_in_memory(names, buffers, [len(data) for data in buffers])
    return options


def _providers(wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Return (short name, ONNX Runtime's name) of each wanted provider; the CPU when none is wanted."""
    available = {_short(name): name for name in onnxruntime.get_available_providers()}
    for name in wanted:
        if name not in available:
            known = ", ".join(sorted(available))
            wheel = _WHEELS.get(name)
            if wheel is None:
                raise UnknownNameError(f"execution provider `{name}`: expected one of {known}")
            raise MissingExtraError(
                f"execution provider `{name}`: expected one of {known}",
                hint=f"install `{wheel}` in place of `onnxruntime`",
            )
    return [(name, available[name]) for name in dict.fromkeys(wanted or ("cpu",))]


def _short(name: str) -> str:
    return name.removesuffix(_SUFFIX).lower()


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return printable(shortened(text.splitlines()[0], 300))
