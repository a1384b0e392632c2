"""A plan is what will be written, and only what the runtime opens is planned."""

from __future__ import annotations

import hashlib
import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_models
from onnx import numpy_helper
from outside_data import ADD, CONSTANT, in_subgraph, model, outside

from modelport.packager.package import PackagePlan, plan_package
from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import Execution, Producer, Proof, Requirements, Samples, Tolerance
from modelport.runtime.package import samples as samples_file
from modelport.runtime.package.onnxwire import read_facts
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 4)),),
    rows_identical=True,
)
ROWS = np.zeros((1, 4), np.float32)
SAMPLES = samples_file.encode(
    Samples([{"x": ROWS}], [{"y": ROWS + CONSTANT}], [{"y": ROWS + CONSTANT}], {"y": Tolerance(0, 0)}, {}), SIGNATURE
)
MODEL = model([ADD], [numpy_helper.from_array(CONSTANT, "c")]).SerializeToString()
FACTS = read_facts(MODEL)


def planned(**changes: Any) -> PackagePlan:
    files = {"model.onnx": ("model", MODEL), "samples.npz": ("samples", SAMPLES), **changes.pop("files", {})}
    settings: dict[str, Any] = {
        "name": "plus",
        "version": "1",
        "signature": SIGNATURE,
        "contract": "float32",
        "execution": Execution(),
        "deterministic": True,
        "cpu": "x86_64:avx2",
        "proof": Proof(kind="self", passed=True, rows=1),
        "producer": Producer(framework="onnx", model="plus", versions={"b": "2", "a": "1"}),
        "requires": Requirements(onnxruntime="1.10", ir_version=FACTS.ir_version, opsets=FACTS.opsets),
        "files": files,
    }
    return plan_package(**{**settings, **changes})


def test_a_plan_names_each_file_with_its_size_and_digest() -> None:
    plan = planned(files={"score.py": ("script", b"def init(): ...\n")})
    assert list(plan.manifest.files) == ["model.onnx", "samples.npz", "score.py"]
    for name, entry in plan.manifest.files.items():
        assert entry.size == len(plan.files[name])
        assert entry.sha256 == hashlib.sha256(plan.files[name]).hexdigest()
    assert plan.digest == "sha256:" + hashlib.sha256(plan.files["manifest.json"]).hexdigest()
    assert plan.files["manifest.sha256"].decode().split() == [plan.digest.removeprefix("sha256:"), "manifest.json"]
    assert plan.size == sum(len(data) for data in plan.files.values())


def test_the_order_of_what_was_given_does_not_matter() -> None:
    backwards = {"samples.npz": ("samples", SAMPLES), "model.onnx": ("model", MODEL)}
    producer = Producer(framework="onnx", model="plus", versions={"a": "1", "b": "2"})
    assert planned(files=backwards, producer=producer).digest == planned().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "minus"},
        {"version": "2"},
        {"contract": "float64"},
        {"execution": Execution(threads=2)},
        {"deterministic": False},
        {"cpu": "aarch64:"},
        {"proof": Proof(kind="self", passed=True, rows=2)},
        {"files": {"score.py": ("script", b"")}},
    ],
)
def test_whatever_is_different_gives_another_digest(changes: dict[str, Any]) -> None:
    assert planned(**changes).digest != planned().digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../plus"}, "manifest: name: expected 1 to 128 letters, digits, `.`, `_`, `+` or `-`"),
        ({"version": ""}, "manifest: version: expected 1 to 128 letters, digits, `.`, `_`, `+` or `-`"),
        ({"execution": Execution(threads=0)}, "manifest: expected 1 to 1024 threads, got 0"),
        (
            {"proof": Proof(kind="self", passed=True, rows=1, max_absolute=float("inf"))},
            "manifest: expected `float`, got `null`",
        ),
        ({"files": {"../x": ("script", b"")}}, "manifest: expected a plain relative file name, got `../x`"),
        ({"files": {"manifest.json": ("script", b"")}}, "manifest: expected a plain relative file name"),
        ({"files": {"Model.onnx": ("script", b"")}}, "manifest: expected names that differ by more than case"),
        ({"files": {"model.onnx/x": ("script", b"")}}, "manifest: expected `model.onnx` to be a file"),
        ({"files": {"other.onnx": ("model", MODEL)}}, "manifest: expected one file of role `model`, got 2"),
        ({"files": {"model.onnx": ("model", b"text")}}, "`model.onnx`: expected an ONNX model, got"),
        ({"files": {"score.py": ("script", pickle.dumps(print))}}, "`score.py`: expected script, got a pickle"),
        ({"files": {"w": ("external-data", b"1234")}}, "`w`: expected external data that the model names"),
        ({"files": {"samples.npz": ("samples", b"1234")}}, "samples: expected plain arrays"),
        (
            {"signature": SIGNATURE.__class__(inputs=(), outputs=SIGNATURE.outputs)},
            "manifest: expected at least one input",
        ),
    ],
)
def test_what_the_runtime_would_refuse_is_not_planned(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPackageError, match=f"(?m)^{re.escape(message)}"):
        planned(**changes)


def test_data_outside_of_the_model_is_planned_with_it_or_not_at_all() -> None:
    text = model([ADD], [outside("c")]).SerializeToString()
    with pytest.raises(InvalidPackageError, match=r"got `weights.bin`$"):
        planned(files={"model.onnx": ("model", text)})
    weights = ("external-data", CONSTANT.tobytes())
    assert planned(files={"model.onnx": ("model", text), "weights.bin": weights}).manifest.names("external-data")
    hidden = in_subgraph(outside("c")).SerializeToString()
    with pytest.raises(InvalidPackageError, match=r"expected external data of the main graph's initializers only"):
        planned(files={"model.onnx": ("model", hidden), "weights.bin": weights})


def test_a_plan_is_read_back_from_where_it_was_written(tmp_path: Path) -> None:
    from modelport.runtime.package import open_package  # noqa: PLC0415

    path = tiny_models.table(tmp_path / "package")
    opened = open_package(path)
    assert opened.files == {name: (path / name).read_bytes() for name in opened.manifest.files}
