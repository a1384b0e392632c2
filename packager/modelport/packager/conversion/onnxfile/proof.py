"""What a ready model can be compared with: given outputs, onnx's own evaluator, or itself without optimisations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from modelport.packager import rows as rows_of
from modelport.packager.conversion import Reference
from modelport.packager.errors import ConversionError
from modelport.runtime.package import Execution
from modelport.runtime.scorer import GraphRunner

from .running import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelport.packager.conversion import Arrays
    from modelport.packager.rows import Rows
    from modelport.runtime.signature import Signature, TensorSpec

    from .files import OnnxFile

    Run = Callable[[Arrays], Arrays]

#: The evaluator is plain Python: at most so many rows, fewer of wide ones.
_EVALUATED_ROWS: Final = 1_000
_EVALUATED_VALUES: Final = 2_000_000


def reference_for(
    file: OnnxFile, proto: onnx.ModelProto, signature: Signature, rows: Rows, expected: Mapping[str, Any] | None
) -> Reference:
    """Return the best reference at hand: `expected` outputs for `rows`, else the evaluator, else the graph itself."""
    if expected is not None:
        outputs = _given(signature, rows, expected)
        return Reference(proof="expected", description="given outputs", answer=lambda _: outputs, most_rows=None)
    evaluate = _evaluator(proto, signature)
    if evaluate is not None and _works(evaluate, rows):
        return Reference(
            proof="reference",
            description=f"onnx {onnx.__version__}'s reference evaluator",
            answer=evaluate,
            most_rows=max(1, min(_EVALUATED_ROWS, _EVALUATED_VALUES // rows_of.width(rows))),
        )
    plain = GraphRunner(engine(file, signature, optimise=False), signature, Execution())
    return Reference(
        proof="self",
        description="the same graph in ONNX Runtime without optimisations",
        answer=lambda given: _answered(plain.run, signature, given),
    )


def _answered(run: Run, signature: Signature, rows: Rows) -> Arrays:
    """Run rows at once, or whole calls one by one with their outputs stacked."""
    inputs = rows_of.to_engine(rows, signature)
    return run(inputs) if signature.has_rows else rows_of.call_by_call(run, inputs)


def _evaluator(proto: onnx.ModelProto, signature: Signature) -> Callable[[Rows], Arrays] | None:
    names = [spec.name for spec in signature.outputs]
    try:
        evaluator = ReferenceEvaluator(proto)
    except Exception:  # noqa: BLE001  operators that the evaluator does not know
        return None

    def run(inputs: Arrays) -> Arrays:
        return {name: np.asarray(array) for name, array in zip(names, evaluator.run(names, inputs), strict=True)}

    return lambda rows: _answered(run, signature, rows)


def _works(answer: Callable[[Rows], Arrays], rows: Rows) -> bool:
    try:
        answer(rows_of.take(rows, slice(0, 2)))
    except Exception:  # noqa: BLE001  what it cannot run it raises in many kinds
        return False
    return True


def _given(signature: Signature, rows: Rows, expected: Mapping[str, Any]) -> Arrays:
    names = [spec.name for spec in signature.outputs]
    if unknown := sorted(expected.keys() - set(names)):
        raise ConversionError(f"expected outputs: expected {', '.join(names)}, got `{unknown[0]}`")
    outputs: Arrays = {}
    for spec in signature.outputs:
        if spec.name not in expected:
            raise ConversionError(
                f"expected outputs: expected `{spec.name}`, got {', '.join(sorted(expected)) or 'none'}"
            )
        array = np.asarray(expected[spec.name])
        array = array if signature.has_rows else array[np.newaxis]
        _check_given(spec, array)
        if len(array) != rows_of.count(rows):
            raise ConversionError(
                f"expected outputs: expected {rows_of.count(rows)} rows of `{spec.name}`, as in the sample, "
                f"got {len(array)}"
            )
        outputs[spec.name] = array.astype(np.float64) if spec.dtype.kind == "f" else array
    return outputs


def _check_given(spec: TensorSpec, array: np.typing.NDArray[Any]) -> None:
    kinds = {"f": "fiu", "i": "iu", "u": "iu", "b": "b", "O": "OU"}[spec.dtype.kind]
    if array.dtype.kind not in kinds or array.ndim == 0:
        raise ConversionError(
            f"expected outputs: expected `{spec.name}` as {spec.datatype}, got {array.dtype} {list(array.shape)}"
        )
