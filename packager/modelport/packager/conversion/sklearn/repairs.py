"""Estimators that skl2onnx converts right once a parameter or the type of their input is another."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

from .operators import cast, finish
from .structure import is_single_tree


def convert_voting(scope: Any, operator: Any, container: Any) -> None:
    """Convert a VotingClassifier: with weights as an array, however `transform` would flatten."""
    twin = copy.copy(operator.raw_operator)
    twin.flatten_transform = False
    twin.weights = None if twin.weights is None else np.asarray(twin.weights)
    operator.raw_operator = twin
    get_converter(operator.type)(scope, operator, container)


def convert_single_trees(scope: Any, operator: Any, container: Any) -> None:
    """Convert an ensemble of trees that round their input to float32; a Cast stands there if it is float64."""
    given = operator.inputs[0]
    if isinstance(given.type, DoubleTensorType) and is_single_tree(operator.raw_operator):
        rounded = scope.declare_local_variable("rounded", FloatTensorType(given.type.shape))
        rounded.init_status(is_fed=True)
        narrow = cast(scope, container, given.full_name, FloatTensorType())
        finish(scope, container, "Identity", [narrow], rounded.full_name)
        operator.inputs.set_element(0, rounded)
    get_converter(operator.type)(scope, operator, container)


def infer_single_trees(operator: Any) -> None:
    """Give the outputs the types that the stock converter makes of a float32 input."""
    get_shape_calculator(operator.type)(operator)
    for variable in operator.outputs:
        if is_single_tree(operator.raw_operator) and isinstance(variable.type, DoubleTensorType):
            variable.type = FloatTensorType(variable.type.shape)
