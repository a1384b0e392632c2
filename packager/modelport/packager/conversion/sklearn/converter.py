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

from modelport.packager import rows as rows_of
from modelport.packager.conversion import Candidate, Reference, graphs
from modelport.packager.errors import ConversionError
from modelport.runtime.package import Producer
from modelport.runtime.signature import Signature, TensorSpec

from . import reference
from .contracts import contracts_for
from .graph import categories, make_graph
from .refused import refuse_known_wrong
from .sample import layout_of
from .structure import is_vectorizer, lookups, numbered, parts, unwrapped
from .thresholds import tree_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelport.packager.conversion import Attempt
    from modelport.packager.rows import Cell, Rows
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
    ) -> Iterator[Attempt]:
        """Yield one way a contract, the one that the model needs first."""
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what estimators say of names and types is not for the user of convert
            subject = _subject(model, layout_of(sample, model))
            wanted = (contract,) if contract else contracts_for(subject.numbered, subject.layout)
        for each in wanted:
            yield functools.partial(subject.candidate, each)


class _Subject(msgspec.Struct, frozen=True):
    """A fitted estimator with its sample: what every candidate has in common."""

    model: Any
    kind: Kind
    layout: Layout
    widths: dict[str, int]

    def candidate(self, contract: Contract) -> Candidate:
        """Return the graph under `contract`, and what it is to be compared with."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._candidate(self.numbered, contract)

    @property
    def numbered(self) -> Any:
        """The estimator that answers, to read, with its columns numbered as in the layout."""
        return numbered(unwrapped(self.model), list(self.layout.rows))

    def _candidate(self, inner: Any, contract: Contract) -> Candidate:
        proto = make_graph(inner, self.kind, self.layout, contract, self.widths)
        labels = reference.classes(self.model, self.kind)
        known = categories(inner, self.layout)
        return Candidate(
            model=graphs.serialize(proto),
            signature=Signature(
                inputs=tuple(
                    msgspec.structs.replace(spec, categories=known.get(spec.name, ()))
                    for spec in self.layout.specs(contract)
                ),
                outputs=tuple(_output(value, labels) for value in proto.graph.output),
            ),
            contract=contract,
            reference=Reference(
                proof="trained",
                description=f"{_described(self.model)} (scikit-learn {sklearn.__version__})",
                answer=self.answer,
                behind=functools.partial(reference.behind, inner),
            ),
            sample=self.layout.rows,
            null=self.layout.null,
            producer=_producer(self.model),
            trees=tree_groups(unwrapped(self.model), self.layout),
            looked_up=_looked_up(inner, self.layout),
            notes=(*_unused(proto.graph), *_left_out(self.layout), *_text_notes(inner)),
        )

    def answer(self, rows: Rows) -> Arrays:
        """Return what the estimator answers."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return reference.answer(self.model, self.kind, self.layout.original(rows))


def _subject(model: Any, layout: Layout) -> _Subject:
    kind = reference.kind_of(model)
    subject = _Subject(model, kind, layout, {})
    try:
        answers = subject.answer(rows_of.take(layout.rows, slice(0, 2)))
    except ConversionError:
        raise
    except Exception as error:
        raise ConversionError(
            f"sample: expected rows that `{type(model).__name__}` answers, got {type(error).__name__}: {error}",
            hint="give rows as the model was trained on",
        ) from error
    widths = {name: array.shape[1] for name, array in answers.items() if array.ndim > 1}
    return msgspec.structs.replace(subject, widths=widths)


def _check_fitted(model: Any) -> None:
    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError) as error:
        raise ConversionError(
            f"`{type(model).__name__}`: expected a fitted estimator, got one that was never fitted"
        ) from error


def _producer(model: Any) -> Producer:
    return Producer(
        framework="scikit-learn",
        model=_described(model),
        versions={
            "numpy": np.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "scikit-learn": sklearn.__version__,
            "skl2onnx": skl2onnx.__version__,
        },
    )


def _looked_up(model: Any, layout: Layout) -> frozenset[Cell]:
    cells = layout.cells
    return frozenset(cells[column] for lookup in lookups(model, range(len(cells))) for column in lookup.columns)


def _unused(graph: onnx.GraphProto) -> list[str]:
    used = {name for node in graph.node for name in node.input}
    names = [value.name for value in graph.input if value.name not in used]
    return [f"`{name}`: an input of the package since the sample has it; the model does not use it" for name in names]


def _left_out(layout: Layout) -> list[str]:
    return [f"`{name}`: left out of the sample, since the model was trained without it" for name in layout.left_out]


def _text_notes(model: Any) -> list[str]:
    lowering = {type(part).__name__ for part in parts(model) if is_vectorizer(part) and part.lowercase}
    return [f"`{name}`: `\u0130` is lowered to `i`, which Python lowers to `i` and a dot" for name in sorted(lowering)]


def _output(value: onnx.ValueInfoProto, labels: tuple[Any, ...]) -> TensorSpec:
    named = labels if value.name in ("label", "probabilities") else ()
    return TensorSpec(name=value.name, datatype=graphs.datatype_of(value), shape=graphs.shape_of(value), labels=named)


def _described(model: Any) -> str:
    steps = getattr(model, "steps", None)
    if steps:
        return " -> ".join(_described(step) for _, step in steps)
    return type(model).__name__ if not isinstance(model, str) else model
