"""Converts fitted scikit-learn estimators: which graphs to try, and what each must be compared with."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from modelport.packager.conversion import Candidate, Reference, graphs
from modelport.packager.errors import ConversionError
from modelport.runtime.package import Producer
from modelport.runtime.signature import Signature, TensorSpec

from . import reference
from .contracts import contracts_for
from .graph import categories, make_graph
from .layout import layout_of
from .refused import refuse_known_wrong
from .thresholds import tree_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelport.packager.rows import Rows
    from modelport.runtime.package import Contract

    from .layout import Layout
    from .reference import Arrays, Kind


class SklearnConverter:
    """The converter of scikit-learn."""

    name = "sklearn"

    def accepts(self, model: Any) -> bool:
        """Return whether `model` is an estimator; the framework of a pipeline's last step does not matter."""
        return isinstance(model, BaseEstimator)

    def candidates(
        self, model: Any, sample: Any, contract: Contract | None, expected: Mapping[str, Any] | None
    ) -> Iterator[Candidate]:
        """Yield one candidate a contract, the one that the model needs first."""
        if expected is not None:
            raise ConversionError(
                "expected outputs: expected none beside the trained model, which answers itself, got some"
            )
        _check_fitted(model)
        refuse_known_wrong(model)
        if sample is None:
            raise ConversionError(
                f"`{type(model).__name__}`: expected a sample, got none",
                hint="give some rows of the training data: they say what the columns are and what to prove",
            )
        layout = layout_of(sample, model)
        kind = reference.kind_of(model)
        failed: ConversionError | None = None
        made = 0
        for wanted in (contract,) if contract else contracts_for(model, layout):
            try:
                yield _candidate(model, kind, layout, wanted)
                made += 1
            except ConversionError as error:
                failed = failed or error
        if not made and failed:
            raise failed


def _check_fitted(model: Any) -> None:
    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError) as error:
        raise ConversionError(
            f"`{type(model).__name__}`: expected a fitted estimator, got one that was never fitted"
        ) from error


def _candidate(model: Any, kind: Kind, layout: Layout, contract: Contract) -> Candidate:
    graph = make_graph(model, kind, layout, contract)
    labels = reference.classes(model, kind)
    known = categories(model, layout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the estimator says of feature names is not for the user of convert
        trees = tree_groups(model, layout)
    return Candidate(
        model=graphs.serialize(graph.model),
        signature=Signature(
            inputs=tuple(
                msgspec.structs.replace(spec, categories=known.get(spec.name, ())) for spec in layout.specs(contract)
            ),
            outputs=tuple(_output(value, labels) for value in graph.model.graph.output),
            batch="rows",
        ),
        contract=contract,
        reference=Reference(
            proof="trained",
            description=f"{_described(model)} (scikit-learn {sklearn.__version__})",
            answer=functools.partial(_answer, model, kind, layout),
            margin=functools.partial(_margin, model, kind, layout) if kind in ("classifier", "scorer") else None,
        ),
        sample=layout.rows,
        null=layout.null,
        producer=Producer(
            framework="scikit-learn",
            model=_described(model),
            versions={
                "numpy": np.__version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
                "scikit-learn": sklearn.__version__,
                "skl2onnx": skl2onnx.__version__,
            },
        ),
        trees=trees,
        notes=graph.notes,
    )


def _answer(model: Any, kind: Kind, layout: Layout, rows: Rows) -> Arrays:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reference.answer(model, kind, layout.original(rows))


def _margin(model: Any, kind: Kind, layout: Layout, rows: Rows) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reference.margin(model, kind, layout.original(rows))


def _output(value: onnx.ValueInfoProto, labels: tuple[Any, ...]) -> TensorSpec:
    named = labels if value.name in ("label", "probabilities") else ()
    return TensorSpec(name=value.name, datatype=graphs.datatype_of(value), shape=graphs.shape_of(value), labels=named)


def _described(model: Any) -> str:
    steps = getattr(model, "steps", None)
    if steps:
        return " -> ".join(_described(step) for _, step in steps)
    return type(model).__name__ if not isinstance(model, str) else model
