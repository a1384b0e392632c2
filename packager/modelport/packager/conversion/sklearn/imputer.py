"""SimpleImputer in ONNX, for numbers of either precision and for text.

skl2onnx's own converter knows neither float64 nor missing text (it stands for missing by the layout's null here).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx.common.data_types import StringTensorType

from modelport.packager.errors import ConversionError

from .operators import cast, concat, constant, node, output_like


def infer_shape(operator: Any) -> None:
    """Give the output the inputs' type, all their columns, and the indicator's."""
    imputer = operator.raw_operator
    extra = len(imputer.indicator_.features_) if imputer.add_indicator else 0
    output_like(operator, sum(variable.type.shape[1] for variable in operator.inputs) + extra)


def convert(scope: Any, operator: Any, container: Any, null: str, missing: Any) -> None:
    """Add IsNaN (or Equal) and Where, and the indicator columns if asked for.

    In the graph, `null` stands for a missing text, which the sample holds as `missing`.
    """
    imputer = operator.raw_operator
    text = isinstance(operator.inputs[0].type, StringTensorType)
    joined = concat(scope, container, operator.inputs)
    marker = null if _same_missing(imputer.missing_values, missing) else None
    absent = _absent(scope, container, imputer, joined, marker=marker, kind=None if text else operator.inputs[0].type)
    fill = constant(scope, container, "fill", _fill(imputer, text=text), None if text else operator.outputs[0].type)
    if not imputer.add_indicator:
        container.add_node(
            "Where", [absent, fill, joined], operator.outputs[0].full_name, name=scope.get_unique_operator_name("Where")
        )
        return
    filled = node(scope, container, "Where", [absent, fill, joined])
    features = np.asarray(imputer.indicator_.features_, np.int64)
    index = constant(scope, container, "features", features, None)
    shown = node(scope, container, "Gather", [absent, index], axis=1)
    indicator = cast(scope, container, shown, operator.outputs[0].type)
    container.add_node(
        "Concat",
        [filled, indicator],
        operator.outputs[0].full_name,
        name=scope.get_unique_operator_name("Concat"),
        axis=1,
    )


def _absent(scope: Any, container: Any, imputer: Any, joined: str, *, marker: str | None, kind: Any) -> str:
    """Return the name of the booleans that say where a value is missing; `kind` is None for text."""
    value = imputer.missing_values
    if kind is None:
        if marker is None and not isinstance(value, str):
            raise ConversionError(
                f"`SimpleImputer`: expected missing text as {value!r}, which it looks for, got another in the sample",
                hint="None and NaN differ to an imputer: set `missing_values` to what the data holds",
            )
        text = np.array([value if marker is None else marker], np.object_)
        return node(scope, container, "Equal", [joined, constant(scope, container, "missing", text, None)])
    if _is_missing(value):
        return node(scope, container, "IsNaN", [joined])
    return node(scope, container, "Equal", [joined, constant(scope, container, "missing", np.array([value]), kind)])


def _same_missing(looked_for: Any, missing: Any) -> bool:
    """Return whether the imputer replaces what the sample holds where a text is missing."""
    return _is_missing(looked_for) and (looked_for is None) == (missing is None)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and bool(np.isnan(value))) or type(value).__name__ == "NAType"


def _fill(imputer: Any, *, text: bool) -> Any:
    statistics = imputer.statistics_
    if text:
        return np.array([str(value) for value in statistics.tolist()], object)
    values = np.asarray(statistics, np.float64)
    if np.isnan(values).any():
        raise ConversionError(
            "`SimpleImputer`: expected a value for each column, got a column without any value in training",
            hint="drop the empty column before training",
        )
    return values
