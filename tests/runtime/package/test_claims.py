"""A package whose digests are right is still held to what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sealed
import tiny_models

from modelport.runtime import load
from modelport.runtime.errors import InvalidPackageError, MissingExtraError
from modelport.runtime.package import Samples, Tolerance, open_package
from modelport.runtime.package.samples import encode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tiny_models.linear(tmp_path / "linear")


def test_samples_without_rows_are_refused_since_they_prove_nothing(package: Path) -> None:
    inputs, answers = {"x": np.zeros((0, 4), np.float32)}, {"y": np.zeros((0, 3), np.float32)}
    samples = Samples([inputs], [answers], [answers], {"y": Tolerance(0, 0)}, {})
    (package / "samples.npz").write_bytes(encode(samples, open_package(package).manifest.signature))
    sealed.seal(package)
    message = r"^samples: expected at least one row, got none: they would prove nothing$"
    with pytest.raises(InvalidPackageError, match=message):
        open_package(package)


@pytest.mark.parametrize("requires", [{"ir_version": 9}, {"opsets": {"": 20}}, {"opsets": {"": 21, "com.example": 1}}])
def test_other_operator_sets_than_the_models_are_refused(package: Path, requires: dict[str, Any]) -> None:
    sealed.seal(package, change=lambda document: document["requires"].update(requires))
    message = r"^manifest: expected what `model.onnx` says of its IR version and operator sets, got other numbers$"
    with pytest.raises(InvalidPackageError, match=message):
        open_package(package)


def test_a_model_for_a_newer_runtime_is_not_loaded(package: Path) -> None:
    sealed.seal(package, change=lambda document: document["requires"].update(onnxruntime="999.0"))
    with pytest.raises(MissingExtraError, match=r"(?m)^model: expected ONNX Runtime 999\.0 or newer, got [\d.]+$"):
        load(package)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("input", "model: expected an input `z`, as the signature says, got `x`"),
        ("output", "model: expected an output `z`, as the signature says, got `y`"),
    ],
)
def test_a_signature_of_other_names_than_the_graphs_is_refused(package: Path, kind: str, message: str) -> None:
    def renamed(document: Any) -> None:
        document["signature"][f"{kind}s"][0]["name"] = "z"

    sealed.seal(package, change=renamed)
    with pytest.raises(InvalidPackageError, match=f"^{message}$"):
        load(package)
