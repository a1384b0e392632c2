"""Measures a candidate against its reference, on every set of rows, and gives the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from modelport.packager import rows as rows_of
from modelport.packager.errors import ConversionError
from modelport.runtime.engines import EngineRequest, open_engine
from modelport.runtime.package import Execution, Tolerance
from modelport.runtime.scorer import GraphRunner

from . import compare, domain, probes, sets, stability
from .report import ParityReport, RowSet, Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from modelport.packager.conversion import Candidate
    from modelport.packager.rows import Rows
    from modelport.runtime.engines import Engine
    from modelport.runtime.signature import Signature

    from .compare import Arrays, Comparison
    from .report import Value

_WITNESSES: Final = 12
_MORE_THREADS: Final = 2
_STABILITY_ROWS: Final = 1000


class Compared(NamedTuple):
    """One set of rows with both answers; `rows` are as the contract lets them in."""

    name: str
    rows: Rows
    expected: Arrays
    got: Arrays
    margin: NDArray[np.float64] | None


class Measurement(NamedTuple):
    """A candidate after its comparison: the report, and what goes into the package."""

    candidate: Candidate
    report: ParityReport
    signature: Signature
    execution: Execution
    tolerance: dict[str, Tolerance]
    compared: tuple[Compared, ...]
    engine: Engine


def measure(candidate: Candidate, name: str, *, threads: int = 1) -> Measurement:
    """Compare `candidate` with its reference.

    Raises `InvalidPackageError` if the engine cannot load the graph, `ConversionError` if the original does not answer
    its own sample.
    """
    engine = _open(candidate, threads)
    sample, signature = candidate.sample, candidate.signature
    if not candidate.only_sample:
        sample = sets.sample_set(sample)
        signature = domain.with_domain(signature, sample, candidate.reference.answer, candidate.null)
    sample = rows_of.under_contract(sample, candidate.contract)
    run = _runner(engine, signature)
    inputs = rows_of.to_engine(rows_of.take(sample, rows_of.spread(rows_of.count(sample), _STABILITY_ROWS)), signature)
    deterministic = stability.is_deterministic(run, inputs)
    batches = stability.check_batches(run, inputs) if signature.has_rows else None
    more = _runner(_open(candidate, _MORE_THREADS), signature)
    changed = stability.check_threads(run, more, inputs, _MORE_THREADS)
    notes = list(candidate.notes)
    compared, signature, thresholds = _compared(candidate, signature, sample, run, notes)
    tolerance = {
        spec.name: compare.tolerance_for(spec.name, compared[0].expected[spec.name]) for spec in signature.outputs
    }
    report = _report(
        candidate, compared, tolerance, notes, name=name, engine=engine.description, deterministic=deterministic
    )
    pad = batches is not None and not batches.identical and batches.identical_padded
    identical = batches.identical or batches.identical_padded if batches else None
    return Measurement(
        candidate,
        msgspec.structs.replace(report, thresholds=thresholds, batches=batches, threads=changed),
        msgspec.structs.replace(signature, rows_identical=identical),
        Execution(threads=threads, pad=pad),
        tolerance,
        compared,
        engine,
    )


def _open(candidate: Candidate, threads: int) -> Engine:
    outputs = tuple(spec.name for spec in candidate.signature.outputs)
    return open_engine(
        EngineRequest(
            model=candidate.model, outputs=outputs, external_data=dict(candidate.external_data), threads=threads
        )
    )


def _runner(engine: Engine, signature: Signature) -> Callable[[Arrays], Arrays]:
    """Return a function that runs arrays in chunks, never padded; whole calls one by one, stacked."""
    chunked = msgspec.structs.replace(signature, rows_identical=True if signature.has_rows else None)
    run = GraphRunner(engine, chunked, Execution()).run
    return run if signature.has_rows else lambda calls: rows_of.call_by_call(run, calls)


def _compared(
    candidate: Candidate, signature: Signature, sample: Rows, run: Callable[[Arrays], Arrays], notes: list[str]
) -> tuple[tuple[Compared, ...], Signature, Any]:
    def both(name: str, rows: Rows) -> Compared:
        rows = rows_of.under_contract(rows, candidate.contract)
        expected = candidate.reference.answer(rows)
        margin = candidate.reference.margin(rows) if candidate.reference.margin else None
        return _aligned(name, rows, expected, run(rows_of.to_engine(rows, signature)), margin)

    try:
        found = [both("sample", sample)]
    except Exception as error:
        raise ConversionError(
            f"sample: expected rows that the original answers, got {type(error).__name__}: {error}",
            hint="give rows as the model was trained on",
        ) from error
    if candidate.only_sample:
        return tuple(found), signature, None
    found += _generated(sets.drawn_sets(sample, _looked_up(signature)), both, notes)
    signature = _narrowed(signature, sample, both, found, notes)
    if cells := domain.open_cells(signature, sample):
        found += _generated([("unknown categories", sets.unknown_set(sample, cells))], both, notes)
    rows, thresholds = probes.probe(candidate.trees, sample)
    if rows is not None:
        found += _generated([("tree thresholds", rows)], both, notes)
    return tuple(found), signature, thresholds


def _looked_up(signature: Signature) -> set[str]:
    return {spec.name for spec in signature.inputs if spec.categories}


def _generated(
    drawn: Iterator[tuple[str, Rows]] | Sequence[tuple[str, Rows]],
    both: Callable[[str, Rows], Compared],
    notes: list[str],
) -> list[Compared]:
    found = []
    for name, rows in drawn:
        try:
            found.append(both(name, rows))
        except Exception as error:  # noqa: BLE001  the original does not know such rows: no fault of the conversion
            first, *_ = (str(error) or type(error).__name__).splitlines()
            notes.append(f"rows `{name}` were left out: {first[:200]}")
    return found


def _narrowed(
    signature: Signature, sample: Rows, both: Callable[[str, Rows], Compared], found: list[Compared], notes: list[str]
) -> Signature:
    """Compare rows with missing values; what differs only there, and the sample never shows, is refused as missing."""
    refused: set[str] = set()
    cells = domain.nullable_cells(signature, sample)
    shown = {name for name, _ in cells if domain.has_missing(sample[name])}
    for name in sorted({name for name, _ in cells} - shown):
        own = [cell for cell in cells if cell[0] == name]
        try:
            compared = both("missing values", sets.missing_set(sample, own))
            agrees = not any(part.wrong.any() for part in _comparisons(compared, None).values())
        except Exception:  # noqa: BLE001  the original refuses some of these rows
            agrees = False
        if not agrees:
            refused.add(name)
            notes.append(f"`{name}`: missing values are refused, since the original and the graph differ on them")
    if kept := [cell for cell in cells if cell[0] not in refused]:
        found += _generated([("missing values", sets.missing_set(sample, kept))], both, notes)
    return domain.without_nulls(signature, refused)


def _aligned(name: str, rows: Rows, expected: Arrays, got: Arrays, margin: NDArray[np.float64] | None) -> Compared:
    shaped = {output: compare.shaped_like(expected[output], array) for output, array in got.items()}
    for output, array in got.items():
        if shaped[output].shape != array.shape:
            shape = list(shaped[output].shape)
            raise ConversionError(f"output `{output}`: expected shape {shape}, got {list(array.shape)} from the graph")
    return Compared(name, rows, shaped, got, margin)


def _comparisons(compared: Compared, tolerance: dict[str, Tolerance] | None) -> dict[str, Comparison]:
    return {
        name: compare.compare(
            compared.expected[name],
            got,
            tolerance[name] if tolerance else compare.tolerance_for(name, compared.expected[name]),
            compared.margin,
            numbers=compare.is_number(got),
        )
        for name, got in compared.got.items()
    }


def _report(
    candidate: Candidate,
    compared: tuple[Compared, ...],
    tolerance: dict[str, Tolerance],
    notes: list[str],
    *,
    name: str,
    engine: str,
    deterministic: bool,
) -> ParityReport:
    results = [_comparisons(part, tolerance) for part in compared]
    outputs = []
    for output, array in compared[0].got.items():
        joined = compare.Comparison(
            *(np.concatenate(parts) for parts in zip(*(r[output] for r in results), strict=True))
        )
        outputs.append(compare.summary(output, joined, tolerance[output], numbers=compare.is_number(array)))
    failures = tuple(_failure(output) for output in outputs if output.mismatches or output.over_tolerance)
    if not deterministic:
        notes.append("the model is not deterministic: its samples check shapes and ranges")
        failures = ()
    return ParityReport(
        name=name,
        model=candidate.producer.model,
        reference=candidate.reference.description,
        engine=engine,
        contract=candidate.contract,
        proof=candidate.reference.proof,
        verdict="failed" if failures else "passed",
        deterministic=deterministic,
        failures=failures,
        notes=tuple(notes),
        outputs=tuple(outputs),
        row_sets=tuple(_row_set(part, result) for part, result in zip(compared, results, strict=True)),
        witnesses=_witnesses(compared, results),
    )


def _failure(output: Any) -> str:
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


def _witnesses(compared: tuple[Compared, ...], results: list[dict[str, Comparison]]) -> tuple[Witness, ...]:
    """Return the worst rows: wrong ones first, by difference; without any, the largest differences inside tolerance."""
    worst: list[tuple[bool, float, int, str, int]] = []
    for number, result in enumerate(results):
        for output, part in result.items():
            order = np.lexsort((-part.difference, ~part.wrong))[:_WITNESSES]
            worst += [
                (bool(part.wrong[row]), float(part.difference[row]), number, output, int(row))
                for row in order.tolist()
                if part.difference[row] > 0 and not part.tied[row]
            ]
    worst.sort(key=lambda entry: (not entry[0], -entry[1], entry[2], entry[3], entry[4]))
    wrong = sum(entry[0] for entry in worst)
    return tuple(
        Witness(
            rows=compared[number].name,
            output=output,
            inputs=_shown_inputs(compared[number].rows, row),
            expected=_value(compared[number].expected[output][row]),
            got=_value(compared[number].got[output][row]),
            difference=compare.bounded(difference),
        )
        for _, difference, number, output, row in worst[: _WITNESSES if wrong else 3]
    )


def _shown_inputs(rows: Rows, row: int) -> dict[str, Value]:
    shown: dict[str, Value] = {}
    for name, array in rows.items():
        values = np.atleast_1d(array[row]).ravel()
        for column, value in enumerate(values.tolist()):
            key = name if len(values) == 1 else f"{name}[{column}]"
            shown[key] = _plain(value)
    return shown


def _value(value: Any) -> Value:
    array = np.asarray(value)
    if array.ndim == 0 or array.size == 1:
        return _plain(array.ravel()[0].item() if array.dtype.kind != "O" else array.ravel()[0])
    return [_plain(item) for item in array.ravel().tolist()]


def _plain(value: Any) -> str | int | float | bool | None:
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
