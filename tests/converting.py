"""What the tests of conversion share: candidates that were never measured, and packages that were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from modelport.packager import convert
from modelport.packager import rows as rows_of
from modelport.packager.conversion import converter_for
from modelport.runtime import load
from modelport.runtime.engines import EngineRequest, open_engine
from modelport.runtime.package import Execution
from modelport.runtime.scorer import GraphRunner

if TYPE_CHECKING:
    from pathlib import Path

    from modelport.packager import Converted
    from modelport.packager.conversion import Candidate
    from modelport.runtime.scorer import Scorer


def candidate(model: Any, sample: Any, contract: Any = None) -> Candidate:
    """Return the first way to convert `model`, made."""
    return next(iter(converter_for(model).candidates(model, sample, contract, None)))()


def both(made: Candidate, rows: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the original and the graph of a candidate answer for rows under its contract."""
    rows = rows_of.under_contract(rows, made.contract)
    outputs = tuple(spec.name for spec in made.signature.outputs)
    runner = GraphRunner(open_engine(EngineRequest(model=made.model, outputs=outputs)), nullable(made), Execution())
    return made.reference.answer(rows), runner.run(rows_of.to_engine(rows, nullable(made)))


def nullable(made: Candidate) -> Any:
    """Return the candidate's signature with every input nullable, as if parity had found it so."""
    inputs = tuple(msgspec.structs.replace(s, nullable=True, null=made.null) for s in made.signature.inputs)
    return msgspec.structs.replace(made.signature, inputs=inputs)


def packaged(model: Any, sample: Any, path: Path, **options: Any) -> tuple[Converted, Scorer]:
    """Convert `model` to a package at `path` and open it."""
    made = convert(model, sample, output=path, **options)
    return made, load(path, digest=made.digest)


def same_labels(got: Any, expected: Any) -> bool:
    """Return whether two arrays of labels are equal, whatever their dtypes."""
    return bool(np.array_equal(np.asarray(got), np.asarray(expected)))
