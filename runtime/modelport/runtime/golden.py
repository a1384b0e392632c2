"""Checks an opened package against its golden samples: the gate that every target passes before it takes traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec
import numpy as np

from . import cpu
from .errors import FailedCheckError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .package import Spread, Tolerance
    from .scorer import Scorer

Verdict = Literal["identical", "within bound", "plausible", "failed"]
_DEVIATIONS: Final = 8.0


class OutputCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How one output compared: `worst` is the largest absolute difference to what was expected."""

    name: str
    verdict: Verdict
    worst: float = 0.0
    reason: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The result of scoring all golden samples.

    `identical`: the recorded bits. `within bound`: other bits, inside the recorded tolerance of what the trained model
    gave. `plausible`: the model is not deterministic and stays inside what it was seen to do. `same_cpu`: whether this
    CPU is of the recorded kind.
    """

    verdict: Verdict
    samples: int
    engine: str
    same_cpu: bool
    outputs: tuple[OutputCheck, ...]


def check(scorer: Scorer) -> Check:
    """Score every golden sample of `scorer` and compare each output with the recorded ones."""
    samples = scorer.samples
    results: dict[str, list[OutputCheck]] = {spec.name: [] for spec in scorer.signature.outputs}
    count = 0
    for inputs, expected, recorded in zip(samples.inputs, samples.expected, samples.recorded, strict=True):
        got = scorer.runner.run(inputs)
        count += len(next(iter(inputs.values()))) if scorer.signature.has_rows else 1
        for name, found in results.items():
            wanted = _Wanted(expected[name], recorded[name], samples.tolerance[name], samples.spread.get(name))
            found.append(_compare(name, got[name], wanted))
    outputs = tuple(max(found, key=_severity) for found in results.values())
    return Check(
        verdict=max(outputs, key=_severity).verdict,
        samples=count,
        engine=scorer.engine.description,
        same_cpu=cpu.fingerprint() == scorer.manifest.cpu,
        outputs=outputs,
    )


def require(scorer: Scorer) -> Check:
    """Check `scorer` and raise `FailedCheckError` naming the output unless it passes."""
    result = check(scorer)
    refuse_failed(scorer.manifest.name, result)
    return result


def refuse_failed(package: str, result: Check) -> None:
    """Raise `FailedCheckError` naming the first output that failed the check of the package of that name."""
    for output in result.outputs:
        if output.verdict == "failed":
            raise FailedCheckError(
                f"package `{package}`: output `{output.name}` does not reproduce the golden samples: {output.reason}"
            )


def _severity(output: OutputCheck) -> tuple[int, float]:
    return ("identical", "within bound", "plausible", "failed").index(output.verdict), output.worst


class _Wanted(NamedTuple):
    expected: NDArray[Any]
    recorded: NDArray[Any]
    tolerance: Tolerance
    spread: Spread | None


def _compare(name: str, got: NDArray[Any], wanted: _Wanted) -> OutputCheck:
    recorded = wanted.recorded
    if got.dtype != recorded.dtype or got.shape != recorded.shape:
        return _failed(name, f"expected {recorded.dtype} {list(recorded.shape)}, got {got.dtype} {list(got.shape)}")
    if wanted.spread is not None:
        return _plausible(name, got, wanted.spread)
    if same_bits(got, recorded):
        return OutputCheck(name=name, verdict="identical", worst=_worst(got, wanted.expected))
    if got.dtype.kind == "f":
        return _within(name, got, wanted.expected, wanted.tolerance)
    if wrong := int(np.count_nonzero(got != wanted.expected)):
        return _failed(name, f"{wrong} of {got.size} values differ", float(wrong))
    return OutputCheck(name=name, verdict="within bound")


def _within(name: str, got: NDArray[Any], expected: NDArray[Any], tolerance: Tolerance) -> OutputCheck:
    worst = _worst(got, expected)
    wide = got.astype(np.float64)
    if np.allclose(wide, expected, rtol=tolerance.relative, atol=tolerance.absolute, equal_nan=True):
        return OutputCheck(name=name, verdict="within bound", worst=worst)
    allowed = f"{tolerance.absolute:.3g} + {tolerance.relative:.3g} of the value"
    return _failed(name, f"off by {worst:.3g}, allowed {allowed}", worst)


def _failed(name: str, reason: str, worst: float = float("inf")) -> OutputCheck:
    return OutputCheck(name=name, verdict="failed", worst=worst, reason=reason)


def _worst(got: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest absolute difference: infinite where one side alone is NaN, 0 for what is no number."""
    if got.dtype.kind != "f" or got.size == 0:
        return 0.0
    left, right = got.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.where(left == right, 0.0, np.abs(left - right))
    both_nan = np.isnan(left) & np.isnan(right)
    return float(np.where(both_nan, 0.0, np.where(np.isnan(difference), np.inf, difference)).max())


def _plausible(name: str, got: NDArray[Any], spread: Spread) -> OutputCheck:
    """Check what a model that is not deterministic gives: numbers where it was seen to give them, text not at all."""
    if got.dtype.kind not in "fiu" or got.size == 0:
        return OutputCheck(name=name, verdict="plausible")
    values = got.astype(np.float64)
    noise = float(np.finfo(np.float32).eps) * max(1.0, abs(spread.mean))
    reach = _DEVIATIONS * max(spread.deviation, noise)
    low, high = min(spread.lowest, spread.mean - reach), max(spread.highest, spread.mean + reach)
    if np.all((low <= values) & (values <= high)):
        return OutputCheck(name=name, verdict="plausible")
    return _failed(name, f"expected values from {low:.3g} to {high:.3g}, got {values.min():.3g} to {values.max():.3g}")


def same_bits(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Return whether two arrays have one dtype, one shape and the same bits; strings are compared as strings."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype.kind == "O":
        return bool(left.tolist() == right.tolist())
    return left.tobytes() == right.tobytes()
