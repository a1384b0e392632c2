"""Chooses the golden samples of a package out of the rows that were compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from modelport.packager import rows as rows_of
from modelport.runtime.package import Samples, Spread
from modelport.runtime.package import samples as samples_file
from modelport.runtime.scorer import GraphRunner

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from modelport.packager.parity.measure import Measurement
    from modelport.packager.parity.sides import Compared
    from modelport.packager.rows import Rows

_FROM_SAMPLE: Final = 16
_FROM_OTHERS: Final = 4
_CALLS: Final = 4
_RUNS: Final = 64


def golden_samples(measured: Measurement) -> bytes:
    """Return the bytes of `samples.npz`: rows of every kind that was compared, on which both sides agree."""
    rows, expected = _chosen(measured)
    signature = measured.signature
    runner = GraphRunner(measured.engine, signature, measured.execution)
    inputs = rows_of.to_engine(rows, signature)
    calls = (
        [inputs]
        if signature.has_rows
        else [rows_of.one_call(inputs, i) for i in range(min(_CALLS, rows_of.count(inputs)))]
    )
    wanted = [expected] if signature.has_rows else [rows_of.one_call(expected, i) for i in range(len(calls))]
    recorded = [runner.run(call) for call in calls]
    typed = [
        {name: _as(array, recorded[i][name]) for name, array in answers.items() if name in recorded[i]}
        for i, answers in enumerate(wanted)
    ]
    spread = _spread(runner, calls, measured.changing) if measured.changing else {}
    return samples_file.encode(Samples(calls, typed, recorded, measured.tolerance, spread), signature)


def _chosen(measured: Measurement) -> tuple[Rows, Rows]:
    parts = []
    for compared in measured.compared:
        wanted = _FROM_SAMPLE if compared.name == "sample" else _FROM_OTHERS
        agreed = np.flatnonzero(_agrees(measured, compared))
        index = agreed[rows_of.spread(len(agreed), wanted)] if len(agreed) else np.arange(1)
        parts.append((rows_of.take(compared.rows, index), rows_of.take(compared.expected, index)))
    return rows_of.join([rows for rows, _ in parts]), rows_of.join([expected for _, expected in parts])


def _agrees(measured: Measurement, compared: Compared) -> NDArray[np.bool_]:
    agrees = np.ones(rows_of.count(compared.got), np.bool_)
    for name, part in compared.comparisons(measured.tolerance).items():
        if name not in measured.changing:
            agrees &= ~(part.wrong | part.tied)
    return agrees


def _as(expected: NDArray[np.generic], recorded: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return what the original gave in the shape of the graph's output; numbers stay as wide as they are."""
    if recorded.dtype.kind == "f":
        return expected.reshape(recorded.shape).astype(np.float64)
    return expected.reshape(recorded.shape).astype(recorded.dtype)


def _spread(runner: GraphRunner, calls: list[Rows], changing: Collection[str]) -> dict[str, Spread]:
    runs = [runner.run(call) for _ in range(_RUNS) for call in calls]
    found = {}
    for name in sorted(changing):
        values = np.concatenate([run[name].ravel() for run in runs])
        if values.dtype.kind in "fiu":
            wide = values.astype(np.float64)
            found[name] = Spread(float(wide.min()), float(wide.max()), float(wide.mean()), float(wide.std()))
        else:
            found[name] = Spread(0.0, 0.0, 0.0, 0.0)
    return found
