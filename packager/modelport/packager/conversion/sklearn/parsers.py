"""How pipelines and ColumnTransformers are read.

skl2onnx's own parsers stumble over steps that pass everything on, misread masks and permutations of all columns, and
turn numbers beside text into text.
"""

from __future__ import annotations

import copy
from typing import Any

from skl2onnx._parse import _parse_sklearn, _parse_sklearn_pipeline

from .structure import branches, first_step, is_encoder, steps_of


def parse_pipeline(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Return the output variables of a Pipeline, without the steps that do nothing."""
    twin = copy.copy(model)
    twin.steps = steps_of(model)
    return _parse_sklearn_pipeline(scope, twin, inputs, custom_parsers)  # type: ignore[no-any-return]


def parse_columns(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Return the output variables of a ColumnTransformer over `inputs`, each of which has a known width.

    Columns go by the numbers that fit resolved, and are not merged before an encoder.
    """
    outputs = []
    for name, step, numbers in branches(model):
        columns = _picked(scope, inputs, numbers)
        if not is_encoder(first_step(step)):
            columns = [_joined(scope, columns)]
        (made,) = columns if isinstance(step, str) else _parse_sklearn(scope, step, columns, custom_parsers)
        weight = (model.transformer_weights or {}).get(name)
        outputs.append(made if weight is None else _weighted(scope, made, weight))
    return [_joined(scope, outputs)]


def _picked(scope: Any, inputs: list[Any], numbers: list[int]) -> list[Any]:
    """Return a variable for each run of columns that come from one input, in the order of `numbers`."""
    owners = [(variable, column) for variable in inputs for column in range(variable.type.shape[1])]
    runs: list[tuple[Any, list[int]]] = []
    for number in numbers:
        variable, column = owners[number]
        if runs and runs[-1][0] is variable:
            runs[-1][1].append(column)
        else:
            runs.append((variable, [column]))
    return [_sliced(scope, variable, columns) for variable, columns in runs]


def _sliced(scope: Any, variable: Any, columns: list[int]) -> Any:
    if columns == list(range(variable.type.shape[1])):
        return variable
    operator = scope.declare_local_operator("SklearnArrayFeatureExtractor")
    operator.inputs.append(variable)
    operator.column_indices = columns
    operator.outputs.append(scope.declare_local_variable("columns", type(variable.type)([None, len(columns)])))
    return operator.outputs[0]


def _joined(scope: Any, variables: list[Any]) -> Any:
    if len(variables) == 1:
        return variables[0]
    operator = scope.declare_local_operator("SklearnConcat")
    operator.inputs.extend(variables)
    operator.outputs.append(scope.declare_local_variable("joined", type(variables[0].type)([None, None])))
    return operator.outputs[0]


def _weighted(scope: Any, variable: Any, weight: float) -> Any:
    operator = scope.declare_local_operator("SklearnMultiply")
    operator.inputs.append(variable)
    operator.operand = weight
    operator.outputs.append(scope.declare_local_variable("weighted", type(variable.type)([None, None])))
    return operator.outputs[0]
