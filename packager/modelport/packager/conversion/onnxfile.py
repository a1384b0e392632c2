"""Ready ONNX models: their names stay, and what can be proven of them is what is at hand."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from modelport.packager import rows as rows_of
from modelport.packager.conversion import Candidate, Reference, drawing, graphs
from modelport.packager.errors import ConversionError
from modelport.packager.parity import domain
from modelport.runtime.engines import EngineRequest, open_engine
from modelport.runtime.errors import InvalidInputError, InvalidPackageError, ScoringError, named
from modelport.runtime.frames import to_inputs
from modelport.runtime.package import Execution, Producer, onnxwire
from modelport.runtime.scorer import GraphRunner
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelport.packager.conversion import Attempt
    from modelport.packager.rows import Rows
    from modelport.runtime.package import Contract

    from . import Arrays

_CLOSE: Final = 1e-3
_NUMBERS: Final = ("FP16", "FP32", "FP64")


class OnnxFile(msgspec.Struct, frozen=True, kw_only=True):
    """An ONNX model as it lies on disk: its bytes, and those of its external data by location."""

    data: bytes
    external_data: dict[str, bytes] = {}


def read_onnx(path: str | os.PathLike[str]) -> OnnxFile:
    """Read a model and its external data.

    Raises `ConversionError` if the file cannot be read, is no ONNX model, or refers to data outside its directory
    or through links.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
        facts = onnxwire.read_facts(data, file.name)
        if nested := next((ref for ref in facts.external if ref.nested), None):
            raise ConversionError(
                f"`{file.name}`: expected external data of the main graph's initializers only, "
                f"got {named(nested.location)} named by another tensor",
                hint="save the model again with tensors of subgraphs, functions and attributes inside the file",
            )
        external = {ref.location: _beside(file, ref.location) for ref in facts.external}
    except OSError as error:
        raise ConversionError(f"`{file}`: expected a readable ONNX model, got {error.strerror}") from error
    except InvalidPackageError as error:
        raise ConversionError(error.message, hint=error.hint) from error
    return OnnxFile(data=data, external_data=external)


def _beside(file: Path, location: str) -> bytes:
    """Read external data, refusing every way out of the model's directory (hard links too, which ORT follows)."""
    parts = location.split("/")
    path = file.parent.joinpath(*parts)
    plain = location and not location.startswith("/") and "\\" not in location and not {"", ".", ".."} & set(parts)
    if plain and not any(step.is_symlink() for step in (path, *path.parents[: len(parts) - 1])) and path.is_file():
        with path.open("rb") as opened:
            if os.fstat(opened.fileno()).st_nlink == 1:
                return opened.read()
    raise ConversionError(
        f"`{file.name}`: expected external data in plain files beside it, got `{location[:200]}`",
        hint="save the model again with its weights beside it or inside",
    )


class OnnxFileConverter:
    """The converter of models that are ONNX already."""

    name = "onnx"

    def accepts(self, model: Any) -> bool:
        """Return whether `model` is an ONNX file that was read, or an `onnx.ModelProto`."""
        return isinstance(model, OnnxFile | onnx.ModelProto)

    def candidates(
        self, model: Any, sample: Any, contract: Contract | None, expected: Mapping[str, Any] | None
    ) -> Iterator[Attempt]:
        """Yield the model as it is.

        The proof is `expected` if outputs for the sample are given, else `reference` where onnx's evaluator can run
        the graph, else `self`: the graph with and without ONNX Runtime's optimisations.
        """
        yield functools.partial(_candidate, model, sample, contract, expected)


def _candidate(
    model: OnnxFile | onnx.ModelProto, sample: Any, contract: Contract | None, expected: Mapping[str, Any] | None
) -> Candidate:
    file = OnnxFile(data=graphs.serialize(model)) if isinstance(model, onnx.ModelProto) else model
    proto = _checked(file)
    signature = _signature(proto)
    signature = _with_batch(file, signature)
    wide = any(spec.datatype == "FP64" for spec in signature.inputs)
    wanted: Contract = "float64" if wide else "float32"
    if contract and contract != wanted:
        raise ConversionError(
            f"contract: expected {wanted}, which the model's inputs carry, got {contract}",
            hint="leave the contract out",
        )
    rows = drawing.draw(signature) if sample is None else _rows(signature, sample)
    signature = _with_nulls(signature, rows)
    return Candidate(
        model=file.data,
        external_data=file.external_data,
        signature=signature,
        contract=wanted,
        reference=_reference(file, proto, signature, rows, expected),
        sample=rows,
        producer=Producer(
            framework="onnx",
            model=f"{proto.producer_name or 'unknown producer'} {proto.producer_version}".strip(),
            versions={"numpy": np.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        ),
        only_sample=True,
    )


def _checked(file: OnnxFile) -> onnx.ModelProto:
    try:
        proto = onnx.load_from_string(file.data)
        if not file.external_data:
            onnx.checker.check_model(proto)
    except Exception as error:  # the parser and the checker raise kinds of their own
        raise ConversionError(f"model: expected a valid ONNX model, got {str(error).splitlines()[0][:300]}") from error
    return proto


def _signature(proto: onnx.ModelProto) -> Signature:
    given = {tensor.name for tensor in proto.graph.initializer}
    inputs = [_spec(value) for value in proto.graph.input if value.name not in given]
    if not inputs:
        raise ConversionError("model: expected at least one input, got none")
    return Signature(inputs=tuple(inputs), outputs=tuple(_spec(value) for value in proto.graph.output), batch="none")


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    shape = graphs.shape_of(value)
    return TensorSpec(name=value.name, datatype=graphs.datatype_of(value), shape=shape)


def _with_batch(file: OnnxFile, signature: Signature) -> Signature:
    """Return the signature with what the first dimension was seen to mean."""
    tensors = (*signature.inputs, *signature.outputs)
    first = {spec.shape[0] if spec.shape else None for spec in tensors}
    if first == {-1} and _rows_stand_alone(file, signature):
        return msgspec.structs.replace(signature, batch="rows")
    if len(first) == 1 and (size := first.pop()) is not None and size > 0:
        return msgspec.structs.replace(signature, batch=f"fixed:{size}")
    return signature


def _rows_stand_alone(file: OnnxFile, signature: Signature) -> bool:
    """Return whether rows of one batch give the same answers in smaller ones, as far as drawn rows show.

    Rows that cannot be drawn (text, free dimensions) are taken at their word: the comparison on the sample decides.
    """
    with_rows = msgspec.structs.replace(signature, batch="rows")
    try:
        inputs = rows_of.to_engine({name: array[:5] for name, array in drawing.draw(with_rows).items()}, signature)
    except ConversionError:
        return True
    try:
        run = GraphRunner(_engine(file, signature), with_rows, Execution()).run
        whole = run(inputs)
        if any(not _close(whole[name], again) for name, again in run(inputs).items()):
            return True  # not deterministic: nothing to compare
        for size in (1, 2):
            part = run({name: array[:size] for name, array in inputs.items()})
            if any(not _close(whole[name][:size], array) for name, array in part.items()):
                return False
    except (ScoringError, InvalidInputError):
        return False
    return True


def _close(left: Any, right: Any) -> bool:
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    return bool(np.allclose(left, right, rtol=_CLOSE, atol=_CLOSE, equal_nan=True))


def _engine(file: OnnxFile, signature: Signature, *, optimise: bool = True) -> Any:
    outputs = tuple(spec.name for spec in signature.outputs)
    return open_engine(
        EngineRequest(model=file.data, outputs=outputs, external_data=file.external_data, optimise=optimise)
    )


def _rows(signature: Signature, sample: Any) -> Rows:
    """Return a given sample as rows; whole calls are given one at a time, and stacked here."""
    arrays = to_inputs(signature, sample)
    if signature.has_rows:
        return arrays
    return {name: array[np.newaxis] for name, array in arrays.items()}


def _with_nulls(signature: Signature, rows: Rows) -> Signature:
    inputs = tuple(
        msgspec.structs.replace(spec, nullable=spec.datatype in _NUMBERS and domain.has_missing(rows[spec.name]))
        for spec in signature.inputs
    )
    return msgspec.structs.replace(signature, inputs=inputs)


def _reference(file: OnnxFile, proto: onnx.ModelProto, signature: Signature, rows: Rows, expected: Any) -> Reference:
    if expected is not None:
        return _given(signature, rows, expected)
    if not file.external_data:
        evaluator = _evaluator(proto, signature)
        if evaluator is not None and _works(evaluator, rows):
            return Reference(
                proof="reference", description=f"onnx {onnx.__version__}'s reference evaluator", answer=evaluator
            )
    plain = GraphRunner(_engine(file, signature, optimise=False), signature, Execution())
    return Reference(
        proof="self",
        description="the same graph in ONNX Runtime without optimisations",
        answer=lambda given: _answered(plain.run, signature, given),
    )


def _answered(run: Any, signature: Signature, rows: Rows) -> Arrays:
    """Run rows at once, or whole calls one by one with their outputs stacked."""
    inputs = rows_of.to_engine(rows, signature)
    return run(inputs) if signature.has_rows else rows_of.call_by_call(run, inputs)


def _evaluator(proto: onnx.ModelProto, signature: Signature) -> Any:
    names = [spec.name for spec in signature.outputs]
    try:
        evaluator = ReferenceEvaluator(proto)
    except Exception:  # noqa: BLE001  operators that the evaluator does not know
        return None

    def run(inputs: Arrays) -> Arrays:
        return {name: np.asarray(array) for name, array in zip(names, evaluator.run(names, inputs), strict=True)}

    return lambda rows: _answered(run, signature, rows)


def _works(answer: Any, rows: Rows) -> bool:
    try:
        answer(rows_of.take(rows, slice(0, 2)))
    except Exception:  # noqa: BLE001  what it cannot run it raises in many kinds
        return False
    return True


def _given(signature: Signature, rows: Rows, expected: Any) -> Reference:
    outputs: Arrays = {}
    for spec in signature.outputs:
        if spec.name not in expected:
            raise ConversionError(f"expected outputs: expected `{spec.name}`, got {', '.join(sorted(expected))}")
        array = np.asarray(expected[spec.name])
        array = array if signature.has_rows else array[np.newaxis]
        if len(array) != rows_of.count(rows):
            raise ConversionError(
                f"expected outputs: expected {rows_of.count(rows)} rows of `{spec.name}`, as in the sample, "
                f"got {len(array)}"
            )
        outputs[spec.name] = array
    return Reference(proof="expected", description="given outputs", answer=lambda _: outputs)
