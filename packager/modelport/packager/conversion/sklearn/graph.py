"""Makes the ONNX graph of an estimator: one input a column, outputs under the names of their kind."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import onnx
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from modelport.packager.conversion import graphs
from modelport.packager.errors import ConversionError

from . import hist_gradient, imputer
from .adapt import adapted, is_encoder
from .layout import MATRIX
from .reference import OUTPUTS

if TYPE_CHECKING:
    from modelport.runtime.package import Contract

    from .layout import Layout
    from .reference import Kind

_SHAPES: Final = {
    SimpleImputer: imputer.infer_shape,
    HistGradientBoostingClassifier: hist_gradient.infer_classifier_shape,
    HistGradientBoostingRegressor: hist_gradient.infer_regressor_shape,
}
_CONVERTERS: Final = {
    HistGradientBoostingClassifier: hist_gradient.convert_classifier,
    HistGradientBoostingRegressor: hist_gradient.convert_regressor,
}


class Graph(NamedTuple):
    """An ONNX model and what was repaired to make it."""

    model: onnx.ModelProto
    notes: tuple[str, ...]


def make_graph(model: Any, kind: Kind, layout: Layout, contract: Contract) -> Graph:
    """Convert a fitted estimator under `contract`.

    Raises `ConversionError` when skl2onnx knows a part of it not, or not in this contract.
    """
    twin, notes = adapted(model, contract, layout.null)
    types = _inner_types(model, layout, contract)
    proto = _convert(twin, types, layout)
    del proto.metadata_props[:]
    proto.producer_name, proto.producer_version, proto.doc_string = "modelport", "", ""
    graph = proto.graph
    graph.name, graph.doc_string = "model", ""
    _name_outputs(graph, kind)
    if _is_boolean(model):
        _as_boolean(graph, "label")
    _name_inputs(graph, layout, contract)
    onnx.checker.check_model(proto)
    return Graph(proto, notes)


def _convert(model: Any, types: list[tuple[str, Any]], layout: Layout) -> onnx.ModelProto:
    impute = functools.partial(imputer.convert, null=layout.null, missing=layout.missing)
    convert = functools.partial(
        convert_sklearn,
        model,
        name="model",
        initial_types=types,
        target_opset=graphs.TARGET_OPSETS,
        custom_shape_calculators=_SHAPES,
        custom_conversion_functions={SimpleImputer: impute, **_CONVERTERS},
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                proto = convert(options={"zipmap": False})
            except NameError:  # only some converters know the option, and only those make a ZipMap
                proto = convert()
    except ConversionError:
        raise
    except (MissingShapeCalculator, MissingConverter) as error:
        raise ConversionError(
            f"model: expected parts with a converter, got {_unknown_type(error)}",
            hint="train with another transformer or estimator",
        ) from error
    except Exception as error:  # skl2onnx raises every kind of error for what it does not know
        got = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise ConversionError(f"model: expected a conversion, got {type(error).__name__}: {got}") from error
    proto.ir_version = graphs.IR_VERSION
    return proto


def _unknown_type(error: Exception) -> str:
    text = str(error)
    start = text.find("<class '")
    return f"`{text[start + 8 : text.find(chr(39), start + 8)]}`" if start >= 0 else text.splitlines()[0]


def _inner_types(model: Any, layout: Layout, contract: Contract) -> list[tuple[str, Any]]:
    floating = DoubleTensorType if contract == "float64" else FloatTensorType
    known = {"text": StringTensorType, "int": Int64TensorType, "bool": Int64TensorType, "float": floating}
    first = _first_step(model)
    if layout.columns and isinstance(first, ColumnTransformer):
        looked_up = _looked_up(first, [column.name for column in layout.columns])
        return [
            (
                column.name,
                known[column.kind if column.kind == "text" or column.name in looked_up else "float"]([None, 1]),
            )
            for column in layout.columns
        ]
    if layout.columns:
        kinds = {column.kind for column in layout.columns}
        width = len(layout.columns)
    else:
        matrix = layout.rows[MATRIX]
        kinds, width = {{"f": "float", "O": "text"}.get(matrix.dtype.kind, "int")}, matrix.shape[1]
    if "text" in kinds and len(kinds) > 1:
        raise ConversionError(
            f"`{type(first).__name__}`: expected columns of one type, got text and numbers together",
            hint="send each column to its own transformer with a ColumnTransformer",
        )
    whole = "text" if "text" in kinds else "int" if kinds <= {"int", "bool"} and is_encoder(first) else "float"
    return [(MATRIX, known[whole]([None, width]))]


def _first_step(model: Any) -> Any:
    model = getattr(model, "best_estimator_", model)
    while isinstance(model, Pipeline):
        model = model.steps[0][1]
    return model


def _looked_up(transformer: ColumnTransformer, names: list[str]) -> set[str]:
    """Return the columns that an encoder looks up."""
    found: set[str] = set()
    for _, step, columns in transformer.transformers_:
        if is_encoder(_first_step(step)):
            found |= set(_named(columns, names))
    return found


def categories(model: Any, layout: Layout) -> dict[str, tuple[str | int, ...]]:
    """Return, by input, what the encoder of a ColumnTransformer that looks the column up has learned."""
    first = _first_step(model)
    if not layout.columns or not isinstance(first, ColumnTransformer):
        return {}
    names = [column.name for column in layout.columns]
    found: dict[str, tuple[str | int, ...]] = {}
    for _, step, columns in first.transformers_:
        encoder = _last_step(step)
        if is_encoder(encoder) and _first_step(step) is encoder:
            for column, values in zip(_named(columns, names), encoder.categories_, strict=True):
                found[column] = tuple(value for value in values.tolist() if isinstance(value, str | int))
    return found


def _last_step(model: Any) -> Any:
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model


def _named(columns: Any, names: list[str]) -> list[str]:
    chosen = [columns] if isinstance(columns, str | int) else list(columns)
    return [names[column] if isinstance(column, int) else str(column) for column in chosen]


def _name_outputs(graph: onnx.GraphProto, kind: Kind) -> None:
    wanted = OUTPUTS[kind]
    if kind == "labeller":
        del graph.output[1:]
    if len(graph.output) != len(wanted):
        got = ", ".join(f"`{value.name}`" for value in graph.output)
        raise ConversionError(f"model: expected the outputs {', '.join(wanted)}, got {got}")
    for value in graph.output:
        graphs.shape_of(value)  # refuses what is no tensor
    graphs.rename(graph, _renames(graph, dict(zip([value.name for value in graph.output], wanted, strict=True))))


def _renames(graph: onnx.GraphProto, names: dict[str, str]) -> dict[str, str]:
    """Return `names`, moving away any other value that already has a wanted name."""
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    away = {name: f"{name}_inner" for name in used & set(names.values()) if name not in names}
    return {**names, **away}


def _is_boolean(model: Any) -> bool:
    classes = getattr(model, "classes_", None)
    return getattr(getattr(classes, "dtype", None), "kind", "") == "b"


def _as_boolean(graph: onnx.GraphProto, name: str) -> None:
    """Give the output `name` as booleans, as the estimator does."""
    inner = f"{name}_as_int64"
    graphs.rename(graph, {name: inner})
    graph.node.append(helper.make_node("Cast", [inner], [name], name=f"cast_{name}", to=TensorProto.BOOL))
    for value in graph.output:
        if value.name == inner:
            value.name = name
            value.type.tensor_type.elem_type = TensorProto.BOOL


def _name_inputs(graph: onnx.GraphProto, layout: Layout, contract: Contract) -> None:
    """Put one typed input a column in front of what skl2onnx made."""
    wanted = {spec.name: spec.datatype for spec in layout.specs(contract)}
    present = {value.name: graphs.datatype_of(value) for value in graph.input}
    if layout.columns and set(present) == {MATRIX} and set(wanted) != {MATRIX}:
        if MATRIX in wanted:
            graphs.rename(graph, {MATRIX: f"{MATRIX}_matrix"})
        graphs.concat_input(graph, graph.input[0].name, wanted)
        return
    for name, datatype in wanted.items():
        if present.get(name, datatype) != datatype:
            graphs.cast_input(graph, name, datatype)
