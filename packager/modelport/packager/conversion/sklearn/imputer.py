"""SimpleImputer in ONNX, for numbers of either precision and for text.

skl2onnx's own converter knows neither float64 nor missing text (it stands for missing by the layout's null here).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx.common.data_types import StringTensorType

from modelport.packager.errors import ConversionError

from .layout import is_missing
from .operators import cast, concat, constant, finish, node


def infer_shape(operator: Any) -> None:
    """Give the output the inputs' type, all their columns, and the indicator's."""
    imputer = operator.raw_operator
    columns = sum(variable.type.shape[1] for variable in operator.inputs)
    extra = len(imputer.indicator_.features_) if imputer.add_indicator else 0
    kind = type(operator.inputs[0].type)
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), columns + extra])


def convert(scope: Any, operator: Any, container: Any, *, null: str, missing: Any) -> None:
    """Add IsNaN (or Equal) and Where, and the indicator columns if asked for.

    In the graph, `null` stands for a missing text, which the sample holds as `missing`.
    """
    imputer, output = operator.raw_operator, operator.outputs[0]
    text = isinstance(operator.inputs[0].type, StringTensorType)
    kind = None if text else output.type
    joined = concat(scope, container, operator.inputs)
    sought = _sought_text(imputer.missing_values, null=null, missing=missing) if text else imputer.missing_values
    absent = _absent(scope, container, joined, sought, kind)
    fill = constant(scope, container, "fill", _fill(imputer, text=text), kind)
    if not imputer.add_indicator:
        finish(scope, container, "Where", [absent, fill, joined], output.full_name)
        return
    filled = node(scope, container, "Where", [absent, fill, joined])
    features = np.asarray(imputer.indicator_.features_, np.int64)
    shown = node(scope, container, "Gather", [absent, constant(scope, container, "features", features, None)], axis=1)
    finish(scope, container, "Concat", [filled, cast(scope, container, shown, output.type)], output.full_name, axis=1)


def _absent(scope: Any, container: Any, joined: str, sought: Any, kind: Any) -> str:
    """Return the name of the booleans that say where a value is what is sought; nowhere for None."""
    if sought is None:
        return node(scope, container, "Not", [node(scope, container, "Equal", [joined, joined])])
    if is_missing(sought):
        return node(scope, container, "IsNaN", [joined])
    dtype = np.object_ if kind is None else np.float64
    return node(
        scope, container, "Equal", [joined, constant(scope, container, "sought", np.array([sought], dtype), kind)]
    )


def _sought_text(sought: Any, *, null: str, missing: Any) -> str | None:
    """Return the text that the graph must look for; None where the sample misses text as the imputer does not seek it.

    None and NaN differ to an imputer.
    """
    if isinstance(sought, str):
        return sought
    return null if is_missing(sought) and (sought is None) == (missing is None) else None


def _fill(imputer: Any, *, text: bool) -> Any:
    statistics = imputer.statistics_.tolist()
    if any(is_missing(value) for value in statistics):
        raise ConversionError(
            "`SimpleImputer`: expected a value for each column, got a column without any value in training",
            hint="drop the empty column before training",
        )
    return np.array(statistics, np.object_ if text else np.float64)
