"""The converter of models that are ONNX already."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnxruntime

from modelport.packager.conversion import Candidate, graphs
from modelport.packager.errors import ConversionError
from modelport.runtime.package import Producer

from .files import OnnxFile, parsed
from .meaning import meaning_of
from .proof import reference_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelport.packager.conversion import Attempt
    from modelport.runtime.package import Contract


_DRAWN: Final = ("no sample was given: rows were drawn from the signature, and say nothing of real data",)


class OnnxFileConverter:
    """Takes a model as it is."""

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
    proto = parsed(file)
    signature, rows = meaning_of(file, proto, sample)
    wanted: Contract = "float64" if any(spec.datatype == "FP64" for spec in signature.inputs) else "float32"
    if contract and contract != wanted:
        raise ConversionError(
            f"contract: expected {wanted}, which the model's inputs carry, got {contract}",
            hint="leave the contract out",
        )
    if expected is not None and sample is None:
        raise ConversionError("expected outputs: expected a sample that they belong to, got none")
    producer = f"{proto.producer_name or 'a producer without a name'} {proto.producer_version}".strip()
    return Candidate(
        model=file.data,
        external_data=file.external_data,
        signature=signature,
        contract=wanted,
        reference=reference_for(file, proto, signature, rows, expected),
        sample=rows,
        producer=Producer(
            framework="onnx",
            model=producer,
            versions={"numpy": np.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        ),
        only_sample=True,
        drawn=sample is None,
        notes=_DRAWN if sample is None else (),
    )
