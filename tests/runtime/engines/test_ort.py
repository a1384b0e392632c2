"""ONNX Runtime runs what was verified, where it was asked to, and says in our words why it cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from outside_data import ADD, CONSTANT, model

from modelport.runtime.engines import EngineRequest, open_engine, ort
from modelport.runtime.errors import InvalidPackageError, MissingExtraError, ScoringError, UnknownNameError

PLUS = model([ADD], [numpy_helper.from_array(CONSTANT, "c")])


def request(made: onnx.ModelProto | bytes = PLUS, **settings: Any) -> EngineRequest:
    data = made if isinstance(made, bytes) else made.SerializeToString()
    return EngineRequest(model=data, outputs=("y",), **settings)


def answer(asked: EngineRequest) -> list[Any]:
    (got,) = open_engine(asked).run({"x": np.zeros((1, 4), np.float32)})
    return list(got.tolist())


def test_it_answers_and_names_itself() -> None:
    assert answer(request()) == [CONSTANT.tolist()]
    description = f"onnxruntime {onnxruntime.__version__} (cpu)"
    assert open_engine(request(providers=("cpu", "cpu"))).description == description


def test_a_graph_as_written_gives_the_same_answer() -> None:
    assert answer(request(optimise=False)) == [CONSTANT.tolist()]


def test_a_large_model_keeps_its_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ort.options_of(request()).enable_cpu_mem_arena
    monkeypatch.setattr(ort, "_SMALL_MODEL", 10)
    assert ort.options_of(request()).enable_cpu_mem_arena
    assert answer(request()) == [CONSTANT.tolist()]


def test_threads_are_as_many_as_the_package_says() -> None:
    assert ort.options_of(request(threads=3)).intra_op_num_threads == 3
    assert ort.options_of(request()).intra_op_num_threads == 1
    assert answer(request(threads=2)) == [CONSTANT.tolist()]


def test_a_provider_of_another_wheel_says_which_to_install() -> None:
    with pytest.raises(MissingExtraError, match=r"(?m)^execution provider `cuda`: expected one of .*cpu.*$") as caught:
        open_engine(request(providers=("cuda",)))
    assert caught.value.hint == "install `onnxruntime-gpu` in place of `onnxruntime`"


def test_a_provider_that_nobody_knows_lists_the_known_ones() -> None:
    known = ", ".join(sorted(ort._short(name) for name in onnxruntime.get_available_providers()))
    with pytest.raises(
        UnknownNameError, match=f"(?m)^{re.escape(f'execution provider `steam`: expected one of {known}')}$"
    ):
        open_engine(request(providers=("cpu", "steam")))


def test_a_provider_that_does_not_start_is_an_error_and_no_other_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A GPU build of ONNX Runtime without a GPU warns and runs on the CPU."""
    real = onnxruntime.get_available_providers()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *real])
    started = onnxruntime.InferenceSession

    def on_cpu(*arguments: Any, **settings: Any) -> Any:
        return started(*arguments, **{**settings, "providers": ["CPUExecutionProvider"]})

    monkeypatch.setattr(onnxruntime, "InferenceSession", on_cpu)
    message = "execution provider `cuda`: expected it to start, got a session on cpu"
    with pytest.raises(MissingExtraError, match=f"(?m)^{re.escape(message)}$"):
        open_engine(request(providers=("cuda",)))


def unknown_operator() -> onnx.ModelProto:
    return model([helper.make_node("Teleport", ["x"], ["y"], domain="own")], [])


def terabyte() -> onnx.ModelProto:
    value = numpy_helper.from_array(np.array([1.0], np.float32))
    shape = numpy_helper.from_array(np.array([1 << 38, 4]), "s")
    return model([helper.make_node("ConstantOfShape", ["s"], ["c"], value=value), ADD], [shape])


def later_opset() -> onnx.ModelProto:
    made = model([ADD], [])
    made.opset_import[0].version = 9999
    return made


def missing_input() -> onnx.ModelProto:
    return model([helper.make_node("Add", ["x", "nowhere"], ["y"])], [])


@pytest.mark.parametrize("make", [unknown_operator, later_opset, missing_input])
def test_a_model_that_cannot_run_is_refused_when_it_opens(make: Any) -> None:
    with pytest.raises(
        InvalidPackageError, match=r"(?m)^model: expected one that ONNX Runtime [\d.]+ loads, got .+$"
    ) as caught:
        open_engine(request(make()))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_a_model_that_asks_for_terabytes_is_an_error_and_takes_none() -> None:
    with pytest.raises(ScoringError, match=r"(?m)^model: expected an answer, got .+$"):
        answer(request(terabyte()))


def test_a_failing_kernel_is_a_scoring_error() -> None:
    index = numpy_helper.from_array(np.array([9]), "i")
    made = model([helper.make_node("Gather", ["x", "i"], ["y"], axis=0)], [index])
    with pytest.raises(ScoringError, match=r"(?m)^model: expected an answer, got .+$"):
        answer(request(made))


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (None, ("z",), "expected an output `z`, as the signature says, got `y`"),
        (("x", "w"), ("y",), "expected an input `w`, as the signature says, got `x`"),
        ((), ("y",), "expected the inputs of the signature alone, got `x` too"),
    ],
)
def test_a_graph_that_is_not_what_the_signature_says_is_refused(
    inputs: tuple[str, ...] | None, outputs: tuple[str, ...], message: str
) -> None:
    asked = EngineRequest(model=PLUS.SerializeToString(), inputs=inputs, outputs=outputs)
    with pytest.raises(InvalidPackageError, match=f"^model: {re.escape(message)}$"):
        ort.OrtEngine(asked)


def test_a_model_that_needs_a_newer_runtime_says_which() -> None:
    asked = EngineRequest(model=PLUS.SerializeToString(), outputs=("y",), requires="999.1")
    message = f"^model: expected ONNX Runtime 999.1 or newer, got {re.escape(onnxruntime.__version__)}$"
    with pytest.raises(MissingExtraError, match=f"(?m){message}") as caught:
        ort.OrtEngine(asked)
    assert caught.value.hint == 'pip install "onnxruntime>=999.1"'
    ort.OrtEngine(msgspec.structs.replace(asked, requires="1.10"))


def test_a_model_that_holds_the_mark_of_another_format_is_read_as_onnx() -> None:
    """ONNX Runtime takes bytes with `ORTM` at offset 4 for its own format, which nobody has verified."""
    made = onnx.ModelProto()
    made.CopyFrom(PLUS)
    made.ClearField("producer_name")
    text = made.SerializeToString()
    marked = text[:2] + b"\x12\x0dORTM and more" + text[2:]
    assert marked[4:8] == b"ORTM"
    assert answer(request(marked)) == [CONSTANT.tolist()]


def test_strings_are_objects() -> None:
    value = helper.make_tensor_value_info("x", TensorProto.STRING, [None])
    out = helper.make_tensor_value_info("y", TensorProto.STRING, [None])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [out])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (got,) = open_engine(request(made)).run({"x": np.array(["a", "é\0"], object)})
    assert got.dtype == object
    assert got.tolist() == ["a", "é\0"]


QUIET = """
import sys
from modelport.runtime.engines import EngineRequest, open_engine
from modelport.runtime.errors import InvalidPackageError
import os
try:
    open_engine(EngineRequest(model=b"not a model", outputs=()))
except InvalidPackageError:
    print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def test_nothing_is_printed_and_telemetry_is_off() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("1\n", "")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_model_opens_or_is_refused_in_our_words(data: st.DataObject) -> None:
    text = bytearray(PLUS.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        answer(request(bytes(text)))
    except (InvalidPackageError, ScoringError) as error:
        assert error.message.isprintable()  # noqa: PT017  one of the three
