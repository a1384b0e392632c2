"""ONNX models whose tensors lie in a file outside, named from everywhere that a model can name a tensor."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CONSTANT = np.arange(4, dtype=np.float32)


def outside(name: str = "c", location: str = "weights.bin", **entries: str) -> onnx.TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def floats(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4])


def model(
    nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto], functions: tuple[onnx.FunctionProto, ...] = ()
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", [floats("x")], [floats("y")], initializers)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=list(functions))


ADD = helper.make_node("Add", ["x", "c"], ["y"])


def in_subgraph(tensor: onnx.TensorProto) -> onnx.ModelProto:
    inner = helper.make_graph([helper.make_node("Add", ["x", "c"], ["o"])], "t", [], [floats("o")], [tensor])
    return branching(inner)


def in_subgraph_constant(tensor: onnx.TensorProto) -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], ["c"], value=tensor), helper.make_node("Add", ["x", "c"], ["o"])]
    return branching(helper.make_graph(nodes, "t", [], [floats("o")]))


def branching(inner: onnx.GraphProto) -> onnx.ModelProto:
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["p"])], "e", [], [floats("p")])
    node = helper.make_node("If", ["t"], ["y"], then_branch=inner, else_branch=other)
    return model([node], [numpy_helper.from_array(np.array(True), "t")])  # noqa: FBT003  a tensor's value


def in_constant(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Constant", [], ["c"], value=tensor), ADD], [])


def in_list_of_tensors(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Odd", [], ["c"], domain="own", values=[tensor]), ADD], [])


def in_list_of_graphs(tensor: onnx.TensorProto) -> onnx.ModelProto:
    inner = helper.make_graph([], "t", [], [], [tensor])
    return model([helper.make_node("Odd", [], ["c"], domain="own", graphs=[inner]), ADD], [])


def in_sparse_initializer(tensor: onnx.TensorProto) -> onnx.ModelProto:
    made = model([ADD], [])
    made.graph.sparse_initializer.append(sparse(tensor))
    return made


def in_sparse_indices(tensor: onnx.TensorProto) -> onnx.ModelProto:
    made = model([ADD], [])
    made.graph.sparse_initializer.append(
        onnx.SparseTensorProto(values=numpy_helper.from_array(CONSTANT, "v"), indices=tensor, dims=[4])
    )
    return made


def in_sparse_attribute(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Constant", [], ["c"], sparse_value=sparse(tensor)), ADD], [])


def in_sparse_attributes(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Odd", [], ["c"], domain="own", values=[sparse(tensor)]), ADD], [])


def sparse(tensor: onnx.TensorProto) -> onnx.SparseTensorProto:
    indices = numpy_helper.from_array(np.arange(4), "i")
    return onnx.SparseTensorProto(values=tensor, indices=indices, dims=[4])


def in_function(tensor: onnx.TensorProto) -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], ["c"], value=tensor), ADD]
    function = helper.make_function("own", "F", ["x"], ["y"], nodes, [helper.make_opsetid("", 21)])
    return model([helper.make_node("F", ["x"], ["y"], domain="own")], [], (function,))


def in_function_default(tensor: onnx.TensorProto) -> onnx.ModelProto:
    function = helper.make_function("own", "F", ["x"], ["y"], [ADD], [helper.make_opsetid("", 21)])
    function.attribute_proto.append(helper.make_attribute("value", tensor))
    return model([helper.make_node("F", ["x"], ["y"], domain="own")], [], (function,))


def in_training(tensor: onnx.TensorProto) -> onnx.ModelProto:
    made = model([ADD], [])
    made.training_info.add().initialization.CopyFrom(helper.make_graph([], "t", [], [], [tensor]))
    return made


def in_training_algorithm(tensor: onnx.TensorProto) -> onnx.ModelProto:
    made = model([ADD], [])
    made.training_info.add().algorithm.CopyFrom(helper.make_graph([], "t", [], [], [tensor]))
    return made


PLACES = [value for name, value in list(globals().items()) if name.startswith("in_")]
