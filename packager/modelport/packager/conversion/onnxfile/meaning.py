"""What the inputs and outputs of a ready model are, and what their first dimension means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from modelport.packager import rows as rows_of
from modelport.packager.conversion import drawing, graphs
from modelport.packager.errors import ConversionError
from modelport.packager.parity import domain
from modelport.runtime.errors import InvalidInputError, ScoringError
from modelport.runtime.frames import to_inputs
from modelport.runtime.package import Execution
from modelport.runtime.scorer import GraphRunner
from modelport.runtime.signature import Signature, TensorSpec, datatype_of

from .running import engine

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from modelport.packager.rows import Rows

    from .files import OnnxFile

_CLOSE: Final = 1e-3
_TRIED_ROWS: Final = 5
_FLOATS: Final = ("FP16", "FP32", "FP64")


def meaning_of(file: OnnxFile, proto: onnx.ModelProto, sample: Any) -> tuple[Signature, Rows]:
    """Return the signature, and the sample (drawn if there is none) as rows, or as whole calls stacked.

    A first dimension that is free everywhere counts rows where rows of the sample answer alike in smaller batches.
    Raises `ConversionError` for what is no tensor, and where nothing can be drawn; `InvalidInputError` for a sample
    that does not fit.
    """
    given = {tensor.name for tensor in proto.graph.initializer}
    inputs = tuple(_spec(value) for value in proto.graph.input if value.name not in given)
    if not inputs:
        raise ConversionError("model: expected at least one input, got none")
    signature = Signature(inputs=inputs, outputs=tuple(_spec(value) for value in proto.graph.output), batch="none")
    first = {spec.shape[0] if spec.shape else None for spec in (*signature.inputs, *signature.outputs)}
    if first == {-1}:
        with_rows = msgspec.structs.replace(signature, batch="rows")
        rows = _rows(with_rows, sample)
        if _stand_alone(file, with_rows, rows):
            return _with_nulls(with_rows, rows), rows
    elif len(first) == 1 and (size := first.pop()) is not None:
        signature = msgspec.structs.replace(signature, batch=f"fixed:{size}")
    rows = _rows(signature, sample)
    return _with_nulls(signature, rows), rows


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    shape = graphs.shape_of(value)
    return TensorSpec(name=value.name, datatype=graphs.datatype_of(value), shape=shape)


def _rows(signature: Signature, sample: Any) -> Rows:
    """Return the sample as rows; whole calls are given one at a time, and stacked here."""
    if sample is None:
        return drawing.draw(signature)
    arrays = to_inputs(signature, sample)
    for spec in signature.inputs:
        array = arrays[spec.name]
        spec.check_form(datatype_of(array), array.shape)
        spec.check_values(np.where(np.isnan(array), 0, array) if array.dtype.kind == "f" else array)
    if not signature.has_rows:
        return {name: array[np.newaxis] for name, array in arrays.items()}
    lengths = {name: len(array) if array.ndim else -1 for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        shown = ", ".join(f"{length} of `{name}`" for name, length in lengths.items())
        raise ConversionError(f"sample: expected as many rows of each input, at least one, got {shown}")
    return arrays


def _stand_alone(file: OnnxFile, signature: Signature, rows: Rows) -> bool:
    """Return whether rows of one batch give about the same answers in smaller ones."""
    inputs = rows_of.to_engine(rows_of.take(rows, np.arange(_TRIED_ROWS) % rows_of.count(rows)), signature)
    run = GraphRunner(engine(file, signature), _with_nulls(signature, rows), Execution()).run
    try:
        whole = run(inputs)
        again = run(inputs)
        steady = [name for name, array in whole.items() if _close(array, again[name])]
        for size in (1, 2):
            part = run({name: array[:size] for name, array in inputs.items()})
            if not all(_close(whole[name][:size], part[name]) for name in steady):
                return False
    except (ScoringError, InvalidInputError):
        return False
    return True


def _close(left: NDArray[Any], right: NDArray[Any]) -> bool:
    if left.shape != right.shape:
        return False
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    return bool(np.allclose(left, right, rtol=_CLOSE, atol=_CLOSE, equal_nan=True))


def _with_nulls(signature: Signature, rows: Rows) -> Signature:
    inputs = tuple(
        msgspec.structs.replace(spec, nullable=spec.datatype in _FLOATS and domain.has_missing(rows[spec.name]))
        for spec in signature.inputs
    )
    return msgspec.structs.replace(signature, inputs=inputs)
