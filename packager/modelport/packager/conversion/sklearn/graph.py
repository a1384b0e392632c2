"""Makes the ONNX graph of an estimator: one input a column, outputs under the names of their kind."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn import ensemble, impute, preprocessing, svm, tree
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from modelport.packager.conversion import graphs
from modelport.packager.errors import ConversionError

from . import binarizer, bins, encoders, ensembles, forests, hist_gradient, imputer, parsers, repairs
from .layout import MATRIX
from .reference import OUTPUTS
from .structure import branches, first_step, is_encoder, last_step, lookups, parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelport.runtime.package import Contract

    from .layout import Layout
    from .reference import Kind

_LOCALE: Final = "C.UTF-8"  # slim images have no other
_ENCODERS: Final = (preprocessing.OneHotEncoder, preprocessing.OrdinalEncoder, preprocessing.TargetEncoder)
_TREE_CLASSIFIERS: Final = (
    tree.DecisionTreeClassifier,
    tree.ExtraTreeClassifier,
    ensemble.RandomForestClassifier,
    ensemble.ExtraTreesClassifier,
)
_TREE_REGRESSORS: Final = (
    tree.DecisionTreeRegressor,
    tree.ExtraTreeRegressor,
    ensemble.RandomForestRegressor,
    ensemble.ExtraTreesRegressor,
)
_SINGLE_TREES: Final = (
    ensemble.GradientBoostingClassifier,
    ensemble.GradientBoostingRegressor,
    ensemble.AdaBoostClassifier,
    ensemble.BaggingClassifier,
    ensemble.BaggingRegressor,
)
_SHAPES: Final = {
    impute.SimpleImputer: imputer.infer_shape,
    ensemble.HistGradientBoostingClassifier: ensembles.infer_classifier_shape,
    ensemble.HistGradientBoostingRegressor: ensembles.infer_regressor_shape,
    ensemble.IsolationForest: forests.infer_isolation_shape,
    preprocessing.Binarizer: binarizer.infer_shape,
    preprocessing.KBinsDiscretizer: bins.infer_shape,
    **dict.fromkeys(_TREE_CLASSIFIERS, ensembles.infer_classifier_shape),
    **dict.fromkeys(_TREE_REGRESSORS, ensembles.infer_regressor_shape),
    **dict.fromkeys(_SINGLE_TREES, repairs.infer_single_trees),
}
_CONVERTERS: Final = {
    ensemble.HistGradientBoostingClassifier: hist_gradient.convert_classifier,
    ensemble.HistGradientBoostingRegressor: hist_gradient.convert_regressor,
    **dict.fromkeys(_TREE_CLASSIFIERS, forests.convert_classifier),
    **dict.fromkeys(_TREE_REGRESSORS, forests.convert_regressor),
    **dict.fromkeys(_SINGLE_TREES, repairs.convert_single_trees),
    ensemble.VotingClassifier: repairs.convert_voting,
    ensemble.IsolationForest: forests.convert_isolation,
    preprocessing.KBinsDiscretizer: bins.convert,
}


def make_graph(
    model: Any, kind: Kind, layout: Layout, contract: Contract, widths: Mapping[str, int]
) -> onnx.ModelProto:
    """Convert a fitted estimator under `contract`; its outputs have `widths` columns, by name.

    Raises `ConversionError` when skl2onnx knows a part of it not, or not in this contract.
    """
    proto = _convert(model, _types(model, layout, contract), layout, contract)
    del proto.metadata_props[:]
    proto.ir_version = graphs.IR_VERSION
    proto.producer_name, proto.producer_version, proto.doc_string = "modelport", "", ""
    opsets = sorted(proto.opset_import, key=lambda opset: opset.domain)  # skl2onnx gives them in a set's order
    del proto.opset_import[:]
    proto.opset_import.extend(opsets)
    graph = proto.graph
    graph.name, graph.doc_string = "model", ""
    for node in graph.node:
        if node.op_type == "StringNormalizer":
            node.attribute.append(helper.make_attribute("locale", _LOCALE))
    _name_inputs(graph, layout, contract, OUTPUTS[kind])
    _name_outputs(graph, model, kind, widths)
    if _is_boolean(model):
        graphs.wrap_output(graph, "label", "Cast", to=TensorProto.BOOL)
        graphs.declare(graph.output[0], [-1], "BOOL")
    _check(proto)
    return proto


def _convert(model: Any, types: list[tuple[str, Any]], layout: Layout, contract: Contract) -> onnx.ModelProto:
    floating = DoubleTensorType if contract == "float64" else FloatTensorType
    texts = {"null": layout.null, "missing": layout.missing}
    convert = functools.partial(
        convert_sklearn,
        model,
        name="model",
        initial_types=types,
        target_opset=graphs.TARGET_OPSETS,
        custom_parsers={ColumnTransformer: parsers.parse_columns, Pipeline: parsers.parse_pipeline},
        custom_shape_calculators={
            **_SHAPES,
            **dict.fromkeys(_ENCODERS, functools.partial(encoders.infer_shape, kind=floating)),
        },
        custom_conversion_functions={
            **_CONVERTERS,
            **dict.fromkeys(_ENCODERS, functools.partial(encoders.convert, **texts)),
            impute.SimpleImputer: functools.partial(imputer.convert, **texts),
            preprocessing.Binarizer: functools.partial(binarizer.convert, single=layout.dtype == np.float32),
        },
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return convert(options={"zipmap": False})
            except NameError:  # only some converters know the option, and only those make a ZipMap
                return convert()
    except ConversionError:
        raise
    except (MissingShapeCalculator, MissingConverter) as error:
        raise ConversionError(
            f"model: expected parts with a converter, got {_unknown_part(error, model)}",
            hint="train with another transformer or estimator",
        ) from error
    except Exception as error:  # skl2onnx raises every kind of error for what it does not know
        got = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise ConversionError(f"model: expected a conversion, got {type(error).__name__}: {got}") from error


def _unknown_part(error: Exception, model: Any) -> str:
    """Return the name of the part that skl2onnx's message shows as `<class '...'>`, else the message."""
    text = str(error)
    for part in parts(model):
        kind = f"{type(part).__module__}.{type(part).__qualname__}"
        if f"<class '{kind}'>" in text:
            return f"`{kind}`"
    return text.splitlines()[0][:300]


def _types(model: Any, layout: Layout, contract: Contract) -> list[tuple[str, Any]]:
    """Return what skl2onnx is told of its inputs: one a column where their types may differ, else one matrix."""
    kinds = layout.kinds
    floating = DoubleTensorType if contract == "float64" else FloatTensorType
    known = {"text": StringTensorType, "int": Int64TensorType, "bool": Int64TensorType, "float": floating}
    first = first_step(model)
    if layout.columns and (is_encoder(first) or isinstance(first, ColumnTransformer)):
        exact = set(range(len(kinds))) if is_encoder(first) else _encoded_only(first)
        return [
            (column.name, known[kind if kind == "text" or number in exact else "float"]([None, 1]))
            for number, (column, kind) in enumerate(zip(layout.columns, kinds, strict=True))
        ]
    if "text" in kinds and len(set(kinds)) > 1:
        inside = any(isinstance(part, ColumnTransformer) for part in parts(model))
        raise ConversionError(
            f"`{type(first).__name__}`: expected columns of one type, got text and numbers together",
            hint="put the ColumnTransformer in front of it: `make_pipeline(columns, ensemble)`"
            if inside
            else "send each column to its own transformer with a ColumnTransformer",
        )
    whole = is_encoder(first) and set(kinds) <= {"int", "bool"}
    kind = "text" if "text" in kinds else "int" if whole else "float"
    return [(MATRIX, known[kind]([None, len(kinds)]))]


def _encoded_only(transformer: ColumnTransformer) -> set[int]:
    """Return the columns that reach nothing but encoders as they are: integers stay integers for them."""
    encoded: set[int] = set()
    others: set[int] = set()
    for _, step, numbers in branches(transformer):
        (encoded if is_encoder(first_step(step)) else others).update(numbers)
    return encoded - others


def categories(model: Any, layout: Layout) -> dict[str, tuple[str | int, ...]]:
    """Return, by input, what the encoder that looks the column up has learned; nothing for columns of a matrix."""
    found: dict[str, tuple[str | int, ...]] = {}
    if not layout.columns:
        return found
    for lookup in lookups(model, range(len(layout.columns))):
        for column, values in zip(lookup.columns, lookup.encoder.categories_, strict=True):
            if layout.columns[column].kind in ("text", "int"):
                known = [value for value in values.tolist() if isinstance(value, str | int)]
                found.setdefault(layout.columns[column].name, tuple(known))
    return found


def _name_inputs(graph: onnx.GraphProto, layout: Layout, contract: Contract, outputs: tuple[str, ...]) -> None:
    """Put one typed input a column in front of what skl2onnx made, which may have changed the names."""
    wanted = {spec.name: spec.datatype for spec in layout.specs(contract)}
    if taken := sorted(wanted.keys() & set(outputs)):
        raise ConversionError(
            f"sample column `{taken[0]}`: expected another name than an output has",
            hint="leave what is to be predicted out of the sample, or rename the column",
        )
    graphs.set_aside(graph, {*wanted, *outputs})
    if len(graph.input) == 1 != len(wanted):
        graphs.concat_input(graph, graph.input[0].name, wanted)
        return
    present = {value.name: graphs.datatype_of(value) for value in graph.input}
    for inner, (name, datatype) in zip(list(present), wanted.items(), strict=True):
        graphs.rename(graph, {inner: name})
        if present[inner] != datatype:
            graphs.cast_input(graph, name, datatype)


def _name_outputs(graph: onnx.GraphProto, model: Any, kind: Kind, widths: Mapping[str, int]) -> None:
    wanted = OUTPUTS[kind]
    if kind == "labeller":
        del graph.output[1:]
    if len(graph.output) != len(wanted):
        got = ", ".join(f"`{value.name}`" for value in graph.output)
        raise ConversionError(f"model: expected the outputs {', '.join(wanted)}, got {got}")
    for value, name in zip(list(graph.output), wanted, strict=True):
        declared = graphs.shape_of(value)  # refuses what is no tensor
        graphs.rename(graph, {value.name: name})
        if name == "label":
            if len(declared) != 1 or type(last_step(model)).__name__ == "OneVsOneClassifier":  # says one, gives two
                graphs.wrap_output(graph, name, "Reshape", [-1])
        elif widths[name] == 1 != declared[-1]:  # a score for each of two classes, where the estimator has one
            first = isinstance(last_step(model), svm.SVC | svm.NuSVC)
            graphs.wrap_output(graph, name, "Gather", [0 if first else -1], axis=1)
        graphs.declare(value, [-1] if name == "label" else [-1, widths[name]])


def _is_boolean(model: Any) -> bool:
    classes = getattr(model, "classes_", None)
    return getattr(getattr(classes, "dtype", None), "kind", "") == "b"


def _check(proto: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(proto)
    except Exception as error:  # the checker raises kinds of its own, and ValueError above 2 GiB
        reason = str(error).strip().splitlines()[0][:300]
        raise ConversionError(f"model: expected a valid ONNX model, got {reason}") from error
