"""A model of others ends in a process of its own: what started that goes on, and says what happened."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import sealed
import tiny_models
from command_line import COMMAND, environment, modelport
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from pathlib import Path


def endless() -> bytes:
    """Return a model that adds up for ever."""
    ones = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    body = helper.make_graph(
        [helper.make_node("Identity", ["more"], ["more_"]), helper.make_node("Add", ["sum", "one"], ["sum_"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", 1]),
        ],
        [
            helper.make_tensor_value_info("more_", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_", TensorProto.FLOAT, ["n", 1]),
        ],
        [ones],
    )
    turns = helper.make_tensor("turns", TensorProto.INT64, [], [2**62])
    always = helper.make_tensor("always", TensorProto.BOOL, [], [True])
    node = helper.make_node("Loop", ["turns", "always", "x"], ["y"], body=body)
    return _model(node, [turns, always])


def huge() -> bytes:
    """Return a model that wants a terabyte for one constant."""
    size = helper.make_tensor("size", TensorProto.INT64, [1], [2**38])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Add", ["x", "zero"], ["y"]),
    ]
    return _model(nodes, [size])


def _model(nodes: object, constants: list[onnx.TensorProto]) -> bytes:
    graph = helper.make_graph(
        nodes if isinstance(nodes, list) else [nodes],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def test_a_model_that_never_ends_is_not_converted(tmp_path: Path) -> None:
    (tmp_path / "endless.onnx").write_bytes(endless())
    done = modelport("convert", "endless.onnx", "-o", "out", "--limit-seconds", "3", folder=tmp_path)
    message = "error: model: expected one that loads and runs within 3 s, got no end\n"
    assert done == (1, "", f"{message}\nhint: `--limit-seconds` gives it more time\n")
    assert [path.name for path in tmp_path.iterdir()] == ["endless.onnx"]


def test_a_model_that_wants_more_memory_than_there_is_is_not_converted(tmp_path: Path) -> None:
    (tmp_path / "huge.onnx").write_bytes(huge())
    np.save(tmp_path / "rows.npy", np.ones((2, 1), np.float32))
    command = ("convert", "huge.onnx", "-o", "out", "--sample", "rows.npy", "--limit-memory-gb", "2")
    done = modelport(*command, folder=tmp_path)
    assert done.code == 1
    assert re.match(r"error: sample: expected rows that the original answers, got .* std::bad_alloc\n", done.err)
    assert not (tmp_path / "out").exists()


def test_a_package_whose_model_never_ends_is_refused_by_check(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    text = (package / "model.onnx").read_bytes()
    proto = onnx.load_from_string(text)
    loop = onnx.load_from_string(endless())
    node = next(node for node in loop.graph.node if node.op_type == "Loop")
    first = proto.graph.node[0]
    node.input[2], node.output[0] = first.output[0], "summed"
    for other in list(proto.graph.node)[1:]:
        for position, name in enumerate(other.input):
            if name == first.output[0]:
                other.input[position] = "summed"
    if len(proto.graph.node) == 1:
        first.output[0], node.input[2], node.output[0] = "plain", "plain", proto.graph.output[0].name
    proto.graph.node.insert(1, node)
    proto.graph.initializer.extend(loop.graph.initializer)
    (package / "model.onnx").write_bytes(proto.SerializeToString())
    sealed.seal(package)
    done = modelport("check", package, "--limit-seconds", "3", folder=tmp_path)
    message = "error: model: expected one that loads and runs within 3 s, got no end\n"
    assert done == (1, "", f"{message}\nhint: `--limit-seconds` gives it more time\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_command_and_its_process(tmp_path: Path, number: int, code: int) -> None:
    (tmp_path / "endless.onnx").write_bytes(endless())
    command = [str(COMMAND), "convert", "endless.onnx", "-o", "out"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        while process.poll() is None:
            with open(children, encoding="ascii") as file:  # noqa: PTH123
                if file.read().strip():
                    break
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read()  # ends with the last process that has it
        assert process.wait(60) == code, said
