"""KBinsDiscretizer in ONNX: as many edges as are not above a value, counted in float64 as scikit-learn compares."""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx.common.data_types import DoubleTensorType

from .operators import cast, concat, constant, finish, node


def infer_shape(operator: Any) -> None:
    """Give the output a column a feature, or one a bin, in the input's type."""
    bins, given = operator.raw_operator, operator.inputs[0]
    columns = len(bins.n_bins_) if bins.encode == "ordinal" else int(sum(bins.n_bins_))
    operator.outputs[0].type = type(given.type)([given.get_first_dimension(), columns])


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the number of each value's bin, and a column a bin unless the bins are to stay numbers."""
    bins, output = operator.raw_operator, operator.outputs[0]
    inner = [np.asarray(edges[1:-1], np.float64) for edges in bins.bin_edges_]
    most = max(map(len, inner)) + 1
    edges = np.array([np.pad(each, (0, most - len(each)), constant_values=np.inf) for each in inner])
    wide = cast(scope, container, concat(scope, container, operator.inputs), DoubleTensorType())
    axis = constant(scope, container, "axis", np.array([2]), None)
    values = node(scope, container, "Unsqueeze", [wide, axis])
    above = node(
        scope, container, "GreaterOrEqual", [values, constant(scope, container, "edges", edges, DoubleTensorType())]
    )
    passed = cast(scope, container, above, output.type)
    if bins.encode == "ordinal":
        finish(scope, container, "ReduceSum", [passed, axis], output.full_name, keepdims=0)
        return
    number = node(scope, container, "ReduceSum", [passed, axis], keepdims=1)
    numbers = constant(scope, container, "numbers", np.arange(most), output.type)
    hot = cast(scope, container, node(scope, container, "Equal", [number, numbers]), output.type)
    flat = node(
        scope, container, "Reshape", [hot, constant(scope, container, "flat", np.array([-1, most * len(inner)]), None)]
    )
    kept = np.concatenate([most * i + np.arange(count) for i, count in enumerate(bins.n_bins_)])
    finish(scope, container, "Gather", [flat, constant(scope, container, "kept", kept, None)], output.full_name, axis=1)
