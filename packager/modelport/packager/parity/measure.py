"""Measures a candidate against its reference, on every set of rows, and gives the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from modelport.packager import rows as rows_of
from modelport.packager.errors import ConversionError
from modelport.runtime.engines import EngineRequest, open_engine
from modelport.runtime.errors import ScoringError
from modelport.runtime.package import Execution
from modelport.runtime.scorer import GraphRunner

from . import sets, stability
from .trial import Trial
from .verdict import report_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelport.packager.conversion import Candidate
    from modelport.packager.rows import Rows
    from modelport.runtime.engines import Engine
    from modelport.runtime.package import Tolerance
    from modelport.runtime.signature import Signature

    from .compare import Arrays
    from .report import ParityReport
    from .sides import Compared
    from .stability import Stability

_MORE_THREADS: Final = 2


class Measurement(NamedTuple):
    """A candidate after its comparison: the report, and what goes into the package."""

    candidate: Candidate
    report: ParityReport
    signature: Signature
    execution: Execution
    tolerance: dict[str, Tolerance]
    compared: tuple[Compared, ...]
    changing: frozenset[str]
    engine: Engine


def measure(candidate: Candidate, name: str, *, threads: int = 1) -> Measurement:
    """Compare `candidate` with its reference.

    Raises `InvalidPackageError` if the engine cannot load the graph, `ConversionError` if the original or the graph
    does not answer the sample.
    """
    engine = _open(candidate, threads)
    sample = sets.sample_set(candidate.sample, candidate.reference.most_rows)
    _check_range(candidate, sample)
    trial = Trial(candidate, sample, lambda signature: _runner(engine, signature))
    trial.run()
    signature = trial.domain.signature
    stable = _stability(candidate, engine, threads, signature, sample)
    report = report_on(
        candidate,
        trial.compared,
        trial.tolerance,
        signature=signature,
        name=name,
        engine=engine.description,
        changing=stable.changing,
        failed=trial.failed,
        notes=trial.notes,
    )
    return Measurement(
        candidate,
        msgspec.structs.replace(report, thresholds=trial.thresholds, batches=stable.batches, threads=stable.threads),
        msgspec.structs.replace(signature, rows_identical=stable.rows_identical),
        Execution(threads=threads, pad=stable.pad),
        trial.tolerance,
        tuple(trial.compared),
        stable.changing,
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


def _stability(candidate: Candidate, engine: Engine, threads: int, signature: Signature, sample: Rows) -> Stability:
    """Return what the engine does to the bits, on rows of the sample as the graph takes them."""
    index = stability.some_rows(rows_of.count(sample), with_rows=signature.has_rows)
    rows = rows_of.under_contract(rows_of.take(sample, index), candidate.contract)
    one = engine if threads == 1 else _open(candidate, 1)
    try:
        return stability.check(
            _runner(engine, signature),
            _runner(one, signature),
            _runner(_open(candidate, _MORE_THREADS), signature),
            rows_of.to_engine(rows, signature),
            more_threads=_MORE_THREADS,
            with_rows=signature.has_rows,
        )
    except ScoringError as error:  # rows that it answered together
        raise ConversionError(f"model: expected an answer in every batch, got {error.message}") from error


def _check_range(candidate: Candidate, sample: Rows) -> None:
    """Raise `ConversionError` if `float32` cannot hold the sample."""
    if candidate.contract == "float64":
        return
    largest = float(np.finfo(np.float32).max)
    for name, array in sample.items():
        if array.dtype.kind == "f" and np.any(np.abs(array) > largest):
            raise ConversionError(
                f"sample `{name}`: expected numbers that float32 holds, got {array[np.abs(array) > largest][0]}",
                hint="give them as float64 and ask for the contract float64",
            )
