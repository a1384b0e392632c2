"""A few words over skl2onnx's containers, for the converters that are ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import TensorProto
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

if TYPE_CHECKING:
    from collections.abc import Sequence

_ELEMENTS: Final = {
    FloatTensorType: (TensorProto.FLOAT, np.float32),
    DoubleTensorType: (TensorProto.DOUBLE, np.float64),
    Int64TensorType: (TensorProto.INT64, np.int64),
    StringTensorType: (TensorProto.STRING, np.object_),
}


def node(scope: Any, container: Any, op_type: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
    """Add a node with one output and return the output's name."""
    output: str = scope.get_unique_variable_name(op_type.lower())
    finish(scope, container, op_type, inputs, output, op_domain=domain, **attributes)
    return output


def finish(scope: Any, container: Any, op_type: str, inputs: list[str], output: str, **attributes: Any) -> None:
    """Add a node whose output has a name already."""
    container.add_node(op_type, inputs, [output], name=scope.get_unique_operator_name(op_type), **attributes)


def constant(scope: Any, container: Any, name: str, values: Any, kind: Any) -> str:
    """Add a constant in the element type of `kind` (an skl2onnx type), text or int64 without one; return its name."""
    array = np.asarray(values)
    unique: str = scope.get_unique_variable_name(name)
    if array.dtype == np.object_:
        encoded = [str(value).encode() for value in array.ravel().tolist()]
        container.add_initializer(unique, TensorProto.STRING, list(array.shape), encoded)
        return unique
    element, dtype = (TensorProto.INT64, np.int64) if kind is None else _ELEMENTS[type(kind)]
    container.add_initializer(unique, element, list(array.shape), array.astype(dtype).ravel().tolist())
    return unique


def cast(scope: Any, container: Any, name: str, kind: Any) -> str:
    """Add a Cast to the element type of `kind` and return its output's name."""
    return node(scope, container, "Cast", [name], to=_ELEMENTS[type(kind)][0])


def concat(scope: Any, container: Any, variables: Sequence[Any]) -> str:
    """Return the name of one matrix that holds the columns of all variables, in the type of the first."""
    kind = variables[0].type
    names = [
        variable.full_name
        if type(variable.type) is type(kind)
        else cast(scope, container, variable.full_name, type(kind)())
        for variable in variables
    ]
    return concat_names(scope, container, names)


def concat_names(scope: Any, container: Any, names: list[str]) -> str:
    """Return the name of one matrix that holds the columns of all matrices."""
    return names[0] if len(names) == 1 else node(scope, container, "Concat", names, axis=1)
