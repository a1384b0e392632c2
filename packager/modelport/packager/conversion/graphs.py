"""Small surgery on ONNX graphs, and what may be known of them before they run."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

import onnx
from onnx import TensorProto, helper

from modelport.packager.errors import ConversionError
from modelport.runtime.package import Requirements

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from modelport.runtime.signature import Datatype

#: The opsets and the IR version that converters aim at: old enough for the runtimes of devices.
TARGET_OPSETS: Final = {"": 21, "ai.onnx.ml": 3}
IR_VERSION: Final = 10

DATATYPES: Final[dict[int, Datatype]] = {
    TensorProto.BOOL: "BOOL",
    TensorProto.UINT8: "UINT8",
    TensorProto.UINT16: "UINT16",
    TensorProto.UINT32: "UINT32",
    TensorProto.UINT64: "UINT64",
    TensorProto.INT8: "INT8",
    TensorProto.INT16: "INT16",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.FLOAT16: "FP16",
    TensorProto.FLOAT: "FP32",
    TensorProto.DOUBLE: "FP64",
    TensorProto.STRING: "BYTES",
}
ELEMENT_TYPES: Final = {datatype: element for element, datatype in DATATYPES.items()}

# The first ONNX Runtime for an operator set of ONNX or of ai.onnx.ml, and for an IR version
# (https://onnxruntime.ai/docs/reference/compatibility.html).
_OPSET_RUNTIME: Final = (
    (15, "1.10"),
    (16, "1.11"),
    (17, "1.12"),
    (18, "1.14"),
    (19, "1.15"),
    (20, "1.17"),
    (21, "1.18"),
    (22, "1.21"),
    (23, "1.23"),
    (24, "1.24"),
)
_ML_RUNTIME: Final = ((2, "1.10"), (3, "1.12"), (4, "1.17"), (5, "1.20"))
_IR_RUNTIME: Final = ((8, "1.10"), (9, "1.15"), (10, "1.18"), (11, "1.23"), (12, "1.24"))


def requirements(ir_version: int, opsets: Mapping[str, int]) -> Requirements:
    """Return what a runtime must know to run a model of this IR version and these operator sets."""
    wanted = (
        _first(_OPSET_RUNTIME, opsets.get("", 1)),
        _first(_ML_RUNTIME, opsets.get("ai.onnx.ml", 1)),
        _first(_IR_RUNTIME, ir_version),
    )
    return Requirements(
        onnxruntime=max(wanted, key=lambda text: tuple(map(int, text.split(".")))),
        ir_version=ir_version,
        opsets=dict(opsets),
    )


def _first(table: tuple[tuple[int, str], ...], version: int) -> str:
    for known, runtime in table:
        if version <= known:
            return runtime
    return table[-1][1]


def serialize(model: onnx.ModelProto) -> bytes:
    """Return the model's bytes; the same model gives the same bytes."""
    return bytes(model.SerializeToString(deterministic=True))


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename values of the main graph wherever they are made or used, subgraphs included."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    _rename_nodes(graph.node, names)


def _rename_nodes(nodes: Any, names: Mapping[str, str]) -> None:
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                if graph.node:
                    _rename_nodes(graph.node, names)
                    for value in graph.output:
                        value.name = names.get(value.name, value.name)


def set_aside(graph: onnx.GraphProto, names: Collection[str]) -> None:
    """Give every value that has one of `names` another name, so that they are free."""
    for name in sorted(_used(graph) & set(names)):
        rename(graph, {name: _free(graph, f"{name}_inner", names)})


def cast_input(graph: onnx.GraphProto, name: str, datatype: Datatype) -> None:
    """Give the input `name` another datatype, casting it to the one that the graph wants right after."""
    (value,) = [value for value in graph.input if value.name == name]
    wanted = value.type.tensor_type.elem_type
    inner = _free(graph, f"{name}_as_{DATATYPES[wanted].lower()}")
    _rename_nodes(graph.node, {name: inner})
    value.type.tensor_type.elem_type = ELEMENT_TYPES[datatype]
    graph.node.insert(0, helper.make_node("Cast", [name], [inner], name=f"cast_{name}", to=wanted))


def concat_input(graph: onnx.GraphProto, name: str, columns: Mapping[str, Datatype]) -> None:
    """Replace the matrix input `name` [-1, n] by one input [-1, 1] for each of n columns, in their order."""
    (matrix,) = [value for value in graph.input if value.name == name]
    wanted = matrix.type.tensor_type.elem_type
    graph.input.remove(matrix)
    nodes, parts = [], []
    for column, datatype in columns.items():
        graph.input.append(helper.make_tensor_value_info(column, ELEMENT_TYPES[datatype], [None, 1]))
        part = column
        if ELEMENT_TYPES[datatype] != wanted:
            part = _free(graph, f"{column}_as_{DATATYPES[wanted].lower()}", columns)
            nodes.append(helper.make_node("Cast", [column], [part], name=f"cast_{column}", to=wanted))
        parts.append(part)
    nodes.append(helper.make_node("Concat", parts, [name], name=f"concat_{name}", axis=1))
    for node in reversed(nodes):
        graph.node.insert(0, node)


def wrap_output(
    graph: onnx.GraphProto, name: str, op_type: str, operands: Sequence[int] = (), **attributes: Any
) -> None:
    """Put an operator behind the output `name`, which keeps its name; `operands` are its second input."""
    inner = _free(graph, f"{name}_before_{op_type.lower()}")
    (value,) = [output for output in graph.output if output.name == name]
    rename(graph, {name: inner})
    value.name = name
    inputs = [inner]
    if operands:
        inputs.append(_free(graph, f"{inner}_operands"))
        graph.initializer.append(helper.make_tensor(inputs[1], TensorProto.INT64, [len(operands)], operands))
    graph.node.append(helper.make_node(op_type, inputs, [name], name=f"{op_type.lower()}_{name}", **attributes))


def _used(graph: onnx.GraphProto) -> set[str]:
    used = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    return used | {name for node in graph.node for name in (*node.input, *node.output)}


def _free(graph: onnx.GraphProto, name: str, taken: Collection[str] = ()) -> str:
    """Return `name`, with a number behind it if the graph or `taken` has it already."""
    used = {*_used(graph), *taken}
    return next(free for number in count() if (free := f"{name}{number or ''}") not in used)


def declare(value: onnx.ValueInfoProto, shape: Sequence[int], datatype: Datatype | None = None) -> None:
    """Say what shape (-1 for any length), and if given what datatype, an input or output has."""
    element = ELEMENT_TYPES[datatype] if datatype else value.type.tensor_type.elem_type
    dims = [None if size < 0 else size for size in shape]
    value.CopyFrom(helper.make_tensor_value_info(value.name, element, dims))


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the shape of a graph's input or output, -1 for what is not fixed.

    Raises `ConversionError` for what is no tensor (sequences, maps, optionals) or has no known rank.
    """
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        what = (kind or "nothing").removesuffix("_type")
        raise ConversionError(
            f"`{value.name}`: expected a tensor, got a {what}",
            hint="for a classifier, convert without ZipMap (`options={'zipmap': False}`); otherwise export tensors",
        )
    if not value.type.tensor_type.HasField("shape"):
        raise ConversionError(
            f"`{value.name}`: expected a known rank, got none",
            hint="run `onnx.shape_inference.infer_shapes` on the model",
        )
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else -1 for dim in dims)


def datatype_of(value: onnx.ValueInfoProto) -> Datatype:
    """Return the datatype of a tensor; raises `ConversionError` for one that the protocol has no name for."""
    element = value.type.tensor_type.elem_type
    if element not in DATATYPES:
        raise ConversionError(
            f"`{value.name}`: expected one of {', '.join(ELEMENT_TYPES)}, got {TensorProto.DataType.Name(element)}",
            hint="cast it inside the model",
        )
    return DATATYPES[element]
