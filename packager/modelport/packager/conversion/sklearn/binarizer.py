"""Binarizer in ONNX: 1 where a value is above the threshold, compared in float64 as scikit-learn compares."""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx.common.data_types import DoubleTensorType

from .operators import cast, concat, constant, finish, node


def infer_shape(operator: Any) -> None:
    """Give the output the input's columns and type."""
    given = [variable.type for variable in operator.inputs]
    columns = sum(kind.shape[1] for kind in given)
    operator.outputs[0].type = type(given[0])([given[0].shape[0], columns])


def convert(scope: Any, operator: Any, container: Any, *, single: bool) -> None:
    """Compare in float64, and give the answer in the output's own type.

    `single` says that the estimator is given float32: NumPy then rounds the threshold to it first (NEP 50).
    """
    output = operator.outputs[0]
    limit = operator.raw_operator.threshold
    wide = cast(scope, container, concat(scope, container, operator.inputs), DoubleTensorType())
    threshold = constant(
        scope, container, "threshold", [float(np.float32(limit)) if single else limit], DoubleTensorType()
    )
    above = node(scope, container, "Greater", [wide, threshold])
    finish(scope, container, "Identity", [cast(scope, container, above, output.type)], output.full_name)
