"""Compares two answers, output by output: labels exactly with ties apart, numbers within a tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from modelport.runtime.package import Tolerance

from .report import Histogram, OutputComparison

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

TIE: Final = 1e-6
PROBABILITY: Final = Tolerance(1e-5, 0.0)
_RELATIVE: Final = 1e-5
_OF_DEVIATION: Final = 1e-5
_EDGES: Final = tuple(10.0**power for power in range(-16, 3))


class Comparison(NamedTuple):
    """One output over some rows: per row, its largest absolute difference and how it counts.

    For labels `difference` is 0 or 1. `wrong` rows are mismatches or over tolerance, `tied` mismatches that are ties.
    """

    difference: NDArray[np.float64]
    relative: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    tied: NDArray[np.bool_]


def is_number(array: NDArray[Any]) -> bool:
    """Return whether an output is compared as numbers rather than exactly."""
    return array.dtype.kind == "f"


def tolerance_for(name: str, expected: NDArray[Any]) -> Tolerance:
    """Return the tolerance of an output: 1e-5 for probabilities, else 1e-5 of its deviation and of its value.

    Where the output is constant, its largest value stands for the deviation.
    """
    if not is_number(expected):
        return Tolerance(0.0, 0.0)
    if name == "probabilities":
        return PROBABILITY
    finite = expected[np.isfinite(expected)].astype(np.float64)
    largest = float(np.abs(finite).max(initial=0.0))
    scale = (float(np.std(finite / largest)) or 1.0) * largest if largest else 0.0
    return Tolerance(bounded(_OF_DEVIATION * scale), _RELATIVE)


def compare(
    expected: NDArray[Any],
    got: NDArray[Any],
    tolerance: Tolerance,
    behind: NDArray[np.float64] | None,
    *,
    numbers: bool,
) -> Comparison:
    """Compare one output row by row; a label that is not `behind` the best one by more than `TIE` is a tie."""
    rows = len(got)
    if numbers:
        return _numbers(
            expected.reshape(rows, -1).astype(np.float64), got.reshape(rows, -1).astype(np.float64), tolerance
        )
    differs = np.asarray((expected.reshape(rows, -1) != got.reshape(rows, -1)).any(axis=1), np.bool_)
    tied = differs & (behind < TIE) if behind is not None else np.zeros(rows, np.bool_)
    return Comparison(np.asarray(differs, np.float64), np.zeros(rows), differs & ~tied, tied)


def _numbers(expected: NDArray[np.float64], got: NDArray[np.float64], tolerance: Tolerance) -> Comparison:
    same = np.asarray((expected == got) | (np.isnan(expected) & np.isnan(got)), np.bool_)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        absolute = np.where(same, 0.0, np.abs(got - expected))
        absolute = np.where(np.isnan(absolute), np.inf, absolute)
        relative = np.where(same, 0.0, absolute / np.abs(expected))
        relative = np.where(np.isnan(relative), np.inf, relative)
        over = absolute > tolerance.absolute + tolerance.relative * np.abs(np.nan_to_num(expected))
    rows = len(expected)
    if expected.shape[1] == 0:
        return Comparison(np.zeros(rows), np.zeros(rows), np.zeros(rows, np.bool_), np.zeros(rows, np.bool_))
    worst = [np.asarray(part.max(axis=1)) for part in (absolute, relative)]
    return Comparison(worst[0], worst[1], np.asarray(over.any(axis=1)), np.zeros(rows, np.bool_))


def summary(name: str, comparison: Comparison, tolerance: Tolerance, *, numbers: bool) -> OutputComparison:
    """Return the figures of one output over all its rows."""
    difference = comparison.difference
    wrong, tied = int(np.count_nonzero(comparison.wrong)), int(np.count_nonzero(comparison.tied))
    if not numbers:
        return OutputComparison(name=name, kind="label", rows=len(difference), mismatches=wrong, ties=tied)
    return OutputComparison(
        name=name,
        kind="number",
        rows=len(difference),
        over_tolerance=wrong,
        absolute_tolerance=tolerance.absolute,
        relative_tolerance=tolerance.relative,
        max_absolute=bounded(difference.max(initial=0.0)),
        p999_absolute=bounded(np.quantile(difference, 0.999, method="higher") if len(difference) else 0.0),
        max_relative=bounded(comparison.relative[comparison.difference > tolerance.absolute].max(initial=0.0)),
        histogram=histogram(difference),
    )


def histogram(difference: NDArray[np.float64]) -> Histogram:
    """Count differences by decade."""
    positive = difference[difference > 0]
    counts = np.bincount(np.searchsorted(_EDGES, positive, side="right"), minlength=len(_EDGES) + 1)
    return Histogram(zero=int(np.count_nonzero(difference == 0)), edges=_EDGES, counts=tuple(counts.tolist()))


def bounded(value: float) -> float:
    """Return a number that JSON can hold: an infinite difference as the largest float64."""
    return float(min(value, np.finfo(np.float64).max))
