"""From a trained model to a proven package: convert, compare, plan, write."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from modelport.packager.config import ENVIRONMENT, RESOURCES, Resources, encode_resources
from modelport.packager.conversion import converter_for, graphs
from modelport.packager.conversion.sources import default_name, opened
from modelport.packager.environment import scoring_lock
from modelport.packager.errors import ConversionError, ParityError
from modelport.packager.package import PackagePlan, plan_package, write_package
from modelport.packager.package.golden import golden_samples
from modelport.packager.package.statistics import statistics
from modelport.packager.parity.measure import measure
from modelport.packager.parity.page import write_page
from modelport.runtime import cpu, strictjson
from modelport.runtime.errors import InvalidPackageError, named
from modelport.runtime.package import MAX_THREADS, check_name, onnxwire

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from modelport.packager.conversion import Attempt
    from modelport.packager.parity.measure import Measurement
    from modelport.packager.parity.report import ParityReport
    from modelport.packager.rows import Rows
    from modelport.runtime.errors import ModelportError
    from modelport.runtime.package import Contract, Role


class Converted(NamedTuple):
    """A package that was written: where, its digest, and the comparison that it rests on."""

    path: Path
    digest: str
    report: ParityReport
    plan: PackagePlan


def convert(
    model: Any,
    sample: Any = None,
    *,
    output: str | os.PathLike[str],
    name: str | None = None,
    version: str = "1",
    contract: Contract | None = None,
    expected: Mapping[str, Any] | None = None,
    accept_parity: bool = False,
    report: str | os.PathLike[str] | None = None,
    threads: int = 1,
    extra: Mapping[str, tuple[Role, bytes]] | None = None,
) -> Converted:
    """Convert a trained model to a package at `output`, proven equal to what was trained.

    `model` is a fitted scikit-learn estimator, an `onnx.ModelProto`, or the path of an `.onnx` file. `sample` holds
    rows as the model was trained on: a 2-D array gives one input `X` [-1, n], a data frame one input [-1, 1] a column.
    `name` is by default the stem of the model's file, or else the output's name. `contract` (`float32`, `float64`) is
    chosen from model and sample if not given.
    `expected` holds outputs by name for the sample, to prove a ready ONNX model. `report` is where the comparison is
    written as a page, whatever its verdict. `extra` holds further files by name, or other ones than the scoring lock
    and the default resources.

    Raises `ConversionError` if there is no conversion, `ParityError` (with the report) if every conversion answers
    differently and `accept_parity` is false, `OutputExistsError` or `WriteError`; then no package is written.
    """
    plan, measured = plan_conversion(
        model,
        sample,
        name=name if name is not None else default_name(model, output),
        version=version,
        contract=contract,
        expected=expected,
        accept_parity=accept_parity,
        threads=threads,
        extra=extra,
        report=report,
    )
    return Converted(write_package(plan, output), plan.digest, measured.report, plan)


def plan_conversion(
    model: Any,
    sample: Any,
    *,
    name: str,
    version: str,
    contract: Contract | None,
    expected: Mapping[str, Any] | None,
    accept_parity: bool,
    threads: int,
    extra: Mapping[str, tuple[Role, bytes]] | None,
    report: str | os.PathLike[str] | None,
) -> tuple[PackagePlan, Measurement]:
    """Do all of `convert` but the writing of the package."""
    check_name("name", name)
    check_name("version", version)
    if contract not in (None, "float32", "float64"):
        raise ConversionError(f"contract: expected float32 or float64, got {named(contract)}")
    if not 1 <= threads <= MAX_THREADS:
        raise ConversionError(f"threads: expected 1 to {MAX_THREADS}, got {threads}")
    found = opened(model)
    measured = _best(converter_for(found).candidates(found, sample, contract, expected), name, threads)
    if measured.report.verdict == "failed" and accept_parity:
        measured = measured._replace(report=msgspec.structs.replace(measured.report, verdict="accepted"))
    if report is not None:
        write_page(measured.report, Path(report))
    if measured.report.verdict == "failed":
        raise ParityError(
            f"model: expected the same answers from the graph, got others: {'; '.join(measured.report.failures)}",
            report=measured.report,
            hint=_remedy(measured),
        )
    return _planned(measured, name, version, extra or {}), measured


def _best(attempts: Iterator[Attempt], name: str, threads: int) -> Measurement:
    """Return the first candidate that passes, else the first that could be measured, with why the others were not."""
    first: Measurement | None = None
    failed: list[ModelportError] = []
    for attempt in attempts:
        try:
            measured = measure(attempt(), name, threads=threads)
        except (ConversionError, InvalidPackageError) as error:  # a graph that does not load is no candidate
            failed.append(error)
            continue
        if measured.report.verdict == "passed":
            return _noted(measured, [error.message for error in failed] + _failures(first))
        first = first or measured
    if first is not None:
        return _noted(first, [error.message for error in failed])
    if not failed:
        raise ConversionError("model: expected a way to convert it, got none from its converter")
    reason = next((each for each in failed if isinstance(each, ConversionError)), failed[0])
    raise ConversionError(reason.message, hint=reason.hint) from reason


def _remedy(measured: Measurement) -> str:
    ways = "--report FILE shows the rows; --accept-parity packages it all the same and records the differences"
    if measured.candidate.reference.proof == "trained" and _is_single(measured.candidate.sample):
        return f"numbers that float32 holds may be too coarse: give the sample as float64; {ways}"
    return ways


def _is_single(sample: Rows) -> bool:
    """Return whether the sample has decimals, and none that float32 does not hold."""
    floats = [array for array in sample.values() if array.dtype.kind == "f"]
    with np.errstate(over="ignore"):
        return bool(floats) and all(np.array_equal(array.astype(np.float32), array, equal_nan=True) for array in floats)


def _failures(measured: Measurement | None) -> list[str]:
    return [] if measured is None else [f"{measured.report.contract}: {text}" for text in measured.report.failures]


def _noted(measured: Measurement, others: list[str]) -> Measurement:
    """Return the measurement with notes of what came of the contracts that were tried beside it."""
    notes = (*measured.report.notes, *(f"another contract was tried: {text}" for text in others))
    return measured._replace(report=msgspec.structs.replace(measured.report, notes=notes))


def _planned(measured: Measurement, name: str, version: str, extra: Mapping[str, tuple[Role, bytes]]) -> PackagePlan:
    candidate, report = measured.candidate, measured.report
    files: dict[str, tuple[Role, bytes]] = {
        "model.onnx": ("model", candidate.model),
        **{location: ("external-data", data) for location, data in candidate.external_data.items()},
        ENVIRONMENT: ("environment", scoring_lock()),
        RESOURCES: ("resources", encode_resources(Resources())),
        "parity.json": ("parity", strictjson.canonical(report)),
        "samples.npz": ("samples", golden_samples(measured)),
        "statistics.json": (
            "statistics",
            statistics(None if candidate.drawn else candidate.sample, measured.signature),
        ),
        **extra,
    }
    versions = {**candidate.producer.versions, "modelport": importlib.metadata.version("modelport")}
    facts = onnxwire.read_facts(candidate.model)
    return plan_package(
        name=name,
        version=version,
        signature=measured.signature,
        contract=candidate.contract,
        execution=measured.execution,
        deterministic=report.deterministic,
        cpu=cpu.fingerprint(),
        proof=report.proof_summary,
        producer=msgspec.structs.replace(candidate.producer, versions=versions),
        requires=graphs.requirements(facts.ir_version, facts.opsets),
        files=files,
    )
