"""What a ready model is proven with: the proof has a class, and without one that passes there is no package."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import tiny_models
from onnx import TensorProto, helper

from modelport.packager import convert
from modelport.packager.errors import ConversionError, ParityError
from modelport.runtime import load
from modelport.runtime.golden import check

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.round(np.random.default_rng(3).normal(size=(20, 2)), 2).astype(np.float32)
DOUBLED = (ROWS * 2).astype(np.float64)


def floats(name: str, *shape: int | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def graph(nodes: list[onnx.NodeProto], outputs: list[onnx.ValueInfoProto], *shape: int | None) -> onnx.ModelProto:
    """Return a model of the input `x`, [batch, 2] if no shape is given."""
    made = helper.make_graph(nodes, "g", [floats("x", *(shape or (None, 2)))], outputs)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


TWICE = graph([helper.make_node("Add", ["x", "x"], ["y"])], [floats("y", None, 2)])
FAST_GELU = graph([helper.make_node("FastGelu", ["x"], ["y"], domain="com.microsoft")], [floats("y", None, 2)])
ARGMAX = graph(
    [helper.make_node("ArgMax", ["x"], ["winner"], axis=1, keepdims=0)],
    [helper.make_tensor_value_info("winner", TensorProto.INT64, [None])],
)
PARTLY_RANDOM = graph(
    [
        helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        helper.make_node("Add", ["x", "noise"], ["random"]),
        helper.make_node("Add", ["x", "x"], ["y"]),
    ],
    [floats("random", None, 2), floats("y", None, 2)],
)


def test_an_operator_set_of_onnx_is_proven_with_its_evaluator(tmp_path: Path) -> None:
    made = convert(TWICE, ROWS, output=tmp_path / "package")
    assert (made.report.proof, made.report.verdict, made.report.rows) == ("reference", "passed", 20)
    assert made.report.reference == f"onnx {onnx.__version__}'s reference evaluator"
    proof = load(tmp_path / "package").manifest.proof
    assert (proof.kind, proof.passed, proof.accepted) == ("reference", True, False)


def test_an_operator_that_the_evaluator_does_not_know_leaves_the_graph_itself(tmp_path: Path) -> None:
    made = convert(FAST_GELU, ROWS, output=tmp_path / "package")
    assert (made.report.proof, made.report.verdict) == ("self", "passed")
    assert made.report.reference == "the same graph in ONNX Runtime without optimisations"
    assert load(tmp_path / "package").manifest.proof.kind == "self"


def test_an_evaluator_that_fails_on_the_sample_leaves_the_graph_itself(tmp_path: Path) -> None:
    bernoulli = graph([helper.make_node("Bernoulli", ["x"], ["y"])], [floats("y", None, 2)])  # numpy wants 0 to 1
    made = convert(bernoulli, ROWS, output=tmp_path / "package")
    assert (made.report.proof, made.report.deterministic) == ("self", False)


@pytest.mark.parametrize("model", [TWICE, FAST_GELU], ids=["known", "unknown"])
def test_outputs_that_are_given_go_before_every_other_proof(model: onnx.ModelProto, tmp_path: Path) -> None:
    convert(model, ROWS, output=tmp_path / "self", name="model")
    answers = load(tmp_path / "self").score(ROWS)
    made = convert(model, ROWS, output=tmp_path / "package", expected=answers)
    assert (made.report.proof, made.report.verdict, made.report.rows) == ("expected", "passed", 20)
    proof = load(tmp_path / "package").manifest.proof
    assert (proof.kind, proof.passed, proof.rows, proof.max_absolute) == ("expected", True, 20, 0.0)


def test_one_wrong_number_among_all_rows_is_refused_with_the_report(tmp_path: Path) -> None:
    wrong = DOUBLED.copy()
    wrong[13, 1] += 0.5
    message = (
        r"model: expected the same answers from the graph, got others: "
        r"`y`: 1 of 20 rows are off by more than [0-9.e-]+ \+ 1e-05 of the value, at most by 0\.5"
    )
    with pytest.raises(ParityError, match=f"(?m)^{message}$") as caught:
        convert(TWICE, ROWS, output=tmp_path / "package", expected={"y": wrong})
    assert "--accept-parity" in (caught.value.hint or "")
    assert not (tmp_path / "package").exists()
    report = caught.value.report
    assert (report.proof, report.verdict) == ("expected", "failed")
    (witness,) = report.witnesses
    assert (witness.output, witness.difference) == ("y", 0.5)
    assert list(witness.inputs.values()) == ROWS[13].tolist()


def test_a_wrong_label_is_refused_however_close_the_numbers(tmp_path: Path) -> None:
    labels = ROWS.argmax(axis=1)
    labels[4] = 1 - labels[4]
    message = (
        "model: expected the same answers from the graph, got others: `winner`: 1 of 20 labels differ (0 more are ties)"
    )
    with pytest.raises(ParityError, match=f"(?m)^{re.escape(message)}$"):
        convert(ARGMAX, ROWS, output=tmp_path / "package", expected={"winner": labels})
    assert not (tmp_path / "package").exists()


def test_what_differs_may_be_accepted_and_is_recorded(tmp_path: Path) -> None:
    made = convert(
        TWICE, ROWS, output=tmp_path / "package", expected={"y": DOUBLED + np.array([0.5, 0])}, accept_parity=True
    )
    assert made.report.verdict == "accepted"
    proof = load(tmp_path / "package").manifest.proof
    assert (proof.kind, proof.passed, proof.accepted) == ("expected", False, True)
    assert (proof.rows, proof.rows_over_tolerance) == (20, 20)
    assert proof.max_absolute == pytest.approx(0.5)


def test_a_model_that_passes_is_not_called_accepted(tmp_path: Path) -> None:
    made = convert(TWICE, ROWS, output=tmp_path / "package", expected={"y": DOUBLED}, accept_parity=True)
    proof = made.plan.manifest.proof
    assert (made.report.verdict, proof.passed, proof.accepted) == ("passed", True, False)


@pytest.mark.parametrize("off", [0.0, 1.0])
def test_a_fixed_batch_is_compared_as_one_call(off: float, tmp_path: Path) -> None:
    path = tiny_models.fixed(tmp_path / "fixed") / "model.onnx"
    sample = np.arange(8, dtype=np.float32).reshape(4, 2)
    expected = {"y": np.array([[-3, -3], [-1, -1], [1, 1], [3, 3]]) + off}
    if off:
        with pytest.raises(ParityError):
            convert(path, sample, output=tmp_path / "package", expected=expected)
        return
    made = convert(path, sample, output=tmp_path / "package", expected=expected)
    assert (made.report.proof, made.report.rows) == ("expected", 1)


NOT_EXPECTED: dict[str, tuple[Any, str]] = {
    "an output of another name": ({"z": DOUBLED}, "expected outputs: expected y, got `z`"),
    "an output too many": ({"y": DOUBLED, "z": DOUBLED}, "expected outputs: expected y, got `z`"),
    "none": ({}, "expected outputs: expected `y`, got none"),
    "fewer rows": (
        {"y": DOUBLED[:3]},
        "expected outputs: expected 20 rows of `y`, as in the sample, got 3",
    ),
    "text": ({"y": DOUBLED.astype("U8")}, "expected outputs: expected `y` as FP32, got <U8 [20, 2]"),
    "one number": ({"y": np.float64(1)}, "expected outputs: expected `y` as FP32, got float64 []"),
}


@pytest.mark.parametrize("kind", NOT_EXPECTED)
def test_expected_outputs_that_are_not_the_models_are_refused(kind: str, tmp_path: Path) -> None:
    expected, message = NOT_EXPECTED[kind]
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        convert(TWICE, ROWS, output=tmp_path / "package", expected=expected)
    assert not (tmp_path / "package").exists()


def test_expected_outputs_of_another_width_are_refused(tmp_path: Path) -> None:
    message = "output `y`: expected FP32 [-1, 2] as [20, 1], got float32 [20, 2] from the graph"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        convert(TWICE, ROWS, output=tmp_path / "package", expected={"y": DOUBLED[:, :1]})


def test_expected_outputs_belong_to_a_sample(tmp_path: Path) -> None:
    message = "expected outputs: expected a sample that they belong to, got none"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        convert(TWICE, output=tmp_path / "package", expected={"y": DOUBLED})


def test_numbers_are_no_labels(tmp_path: Path) -> None:
    message = "expected outputs: expected `winner` as INT64, got float64 [20]"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        convert(ARGMAX, ROWS, output=tmp_path / "package", expected={"winner": ROWS.argmax(axis=1) * 1.0})


def test_a_model_that_is_not_deterministic_is_marked_and_its_samples_check_ranges(tmp_path: Path) -> None:
    path = tiny_models.noisy(tmp_path / "noisy") / "model.onnx"
    made = convert(path, output=tmp_path / "package")
    assert (made.report.deterministic, made.plan.manifest.deterministic) == (False, False)
    assert made.report.notes == (
        "no sample was given: rows were drawn from the signature, and say nothing of real data",
        "`y`: other values at each call; its samples check shapes and ranges",
    )
    assert made.plan.manifest.proof.kind == "self"
    scorer = load(tmp_path / "package")
    assert scorer.signature.rows_identical is False
    assert check(scorer).verdict == "plausible"


def test_only_the_outputs_that_are_random_are_excused(tmp_path: Path) -> None:
    made = convert(PARTLY_RANDOM, ROWS, output=tmp_path / "package", expected={"random": DOUBLED * 0, "y": DOUBLED})
    assert made.report.notes == ("`random`: other values at each call; its samples check shapes and ranges",)
    assert set(load(tmp_path / "package").samples.spread) == {"random"}
    message = r"model: expected the same answers from the graph, got others: `y`: 20 of 20 rows are off by more than .*"
    with pytest.raises(ParityError, match=f"(?m)^{message}$"):
        convert(PARTLY_RANDOM, ROWS, output=tmp_path / "no", expected={"random": DOUBLED, "y": DOUBLED + 1})
    assert not (tmp_path / "no").exists()


def test_a_deterministic_model_is_not_marked(tmp_path: Path) -> None:
    made = convert(TWICE, ROWS, output=tmp_path / "package")
    assert (made.report.deterministic, made.plan.manifest.deterministic, made.report.notes) == (True, True, ())
