"""Turns compared rows into the report: figures of every output and row set, the worst rows, what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import compare
from .report import ParityReport, RowSet
from .witnesses import witnesses

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from modelport.packager.conversion import Candidate
    from modelport.runtime.package import Tolerance
    from modelport.runtime.signature import Signature

    from .compare import Comparison
    from .report import OutputComparison
    from .sides import Compared


def report_on(
    candidate: Candidate,
    compared: Sequence[Compared],
    tolerance: dict[str, Tolerance],
    *,
    signature: Signature,
    name: str,
    engine: str,
    changing: Collection[str] = (),
    failed: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> ParityReport:
    """Return the report on `compared`; `failed` are rows that the graph did not answer.

    Outputs that are `changing` from call to call are shown, and cannot fail.
    """
    results = [part.comparisons(tolerance) for part in compared]
    outputs = [_output(name, results, tolerance[name], compared[0]) for name in compared[0].got]
    failures = [_failure(output) for output in outputs if output.name not in changing and _differs(output)]
    failures += failed
    if changing:
        which = ", ".join(f"`{output.name}`" for output in outputs if output.name in changing)
        notes = [*notes, f"{which}: other values at each call; its samples check shapes and ranges"]
    return ParityReport(
        name=name,
        model=candidate.producer.model,
        reference=candidate.reference.description,
        engine=engine,
        contract=candidate.contract,
        # Outputs that are never twice the same can be compared with nothing: what is left is the graph itself.
        proof="self" if len(changing) == len(outputs) else candidate.reference.proof,
        verdict="failed" if failures else "passed",
        deterministic=not changing,
        failures=tuple(failures),
        notes=tuple(notes),
        outputs=tuple(outputs),
        row_sets=tuple(_row_set(part, result) for part, result in zip(compared, results, strict=True)),
        witnesses=witnesses(compared, results, signature),
    )


def _output(
    name: str, results: Sequence[dict[str, Comparison]], tolerance: Tolerance, first: Compared
) -> OutputComparison:
    columns = zip(*(result[name] for result in results), strict=True)
    joined = compare.Comparison(*(np.concatenate(parts) for parts in columns))
    return compare.summary(name, joined, tolerance, numbers=compare.is_number(first.got[name]))


def _differs(output: OutputComparison) -> bool:
    return bool(output.mismatches or output.over_tolerance)


def _failure(output: OutputComparison) -> str:
    if output.kind == "label":
        return (
            f"`{output.name}`: {output.mismatches:,} of {output.rows:,} labels differ ({output.ties:,} more are ties)"
        )
    return (
        f"`{output.name}`: {output.over_tolerance:,} of {output.rows:,} rows are off by more than "
        f"{output.absolute_tolerance:.3g} + {output.relative_tolerance:.3g} of the value, "
        f"at most by {output.max_absolute:.3g}"
    )


def _row_set(compared: Compared, result: dict[str, Comparison]) -> RowSet:
    numbers = {name: part for name, part in result.items() if compare.is_number(compared.got[name])}
    labels = [part for name, part in result.items() if name not in numbers]
    return RowSet(
        name=compared.name,
        rows=len(next(iter(result.values())).difference),
        label_mismatches=sum(int(np.count_nonzero(part.wrong)) for part in labels),
        ties=sum(int(np.count_nonzero(part.tied)) for part in labels),
        over_tolerance=sum(int(np.count_nonzero(part.wrong)) for part in numbers.values()),
        max_absolute=compare.bounded(max((part.difference.max(initial=0.0) for part in numbers.values()), default=0.0)),
    )
