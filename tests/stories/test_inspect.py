"""`modelport inspect` says what a package is and never runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import sealed
import table_models
import tiny_models
from command_line import modelport

from modelport.runtime import cpu
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from pathlib import Path


def _as_trained(document: dict) -> None:
    document["proof"] = {
        **document["proof"],
        "kind": "trained",
        "rows": 16400,
        "label_mismatches": 1,
        "ties": 3,
        "max_absolute": 1.25e-7,
    }
    document["producer"] = {"framework": "scikit-learn", "model": "Pipeline", "versions": {"skl2onnx": "1.20.0"}}
    document["execution"] = {"threads": 2, "pad": True}
    inputs = document["signature"]["inputs"]
    inputs[0]["categories"] = ["a", "b", "c d", "e", "f", "g", "h"]


def test_a_package_is_described_whole(tmp_path: Path) -> None:
    package = table_models.classifier(tmp_path / "churn")
    sealed.seal(package, change=_as_trained)
    size = sum(entry.size for entry in open_package(package).manifest.files.values())
    done = modelport("inspect", package, folder=tmp_path)
    expected = f"""\
classifier 1 {open_package(package).digest}
  model      Pipeline (scikit-learn)
  size       {size / 1000:.1f} kB in 2 files
  proof      trained, passed: compared with the trained model
             16,400 rows: 1 differing label, 3 ties, 0 rows over tolerance, numbers off by at most 1.2e-07
  contract   float32
  execution  2 threads, a row alone is scored as two
  batch      rows, the same bits in any batch
  requires   ONNX Runtime 1.30, opset ai.onnx 21
  made with  skl2onnx 1.20.0
  made on    {cpu.fingerprint()}

inputs
  X  FP32  [-1, 2]  2 features: age, income; 7 categories: a, b, "c d", e, f, g, ...; may be missing

outputs
  label          BYTES  [-1]     2 labels: no, yes
  probabilities  FP32   [-1, 2]  2 labels: no, yes
"""
    assert done == (0, expected, "")


@pytest.mark.parametrize(
    ("proof", "line"),
    [
        ({"kind": "self"}, "self, passed: compared with nothing but itself"),
        ({"kind": "expected"}, "expected, passed: compared with outputs that were given"),
        (
            {"kind": "reference"},
            "reference, passed: compared with onnx's reference evaluator, not with what was trained",
        ),
        (
            {"kind": "trained", "passed": False, "accepted": True},
            "trained, accepted with its differences: compared with the trained model",
        ),
    ],
)
def test_what_the_proof_is_worth_is_said(tmp_path: Path, proof: dict[str, object], line: str) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    sealed.seal(package, change=lambda document: document["proof"].update(proof))
    assert f"\n  proof      {line}\n" in modelport("inspect", package, folder=tmp_path).out


def test_a_model_that_is_not_deterministic_or_has_no_rows_is_said_to_be_so(tmp_path: Path) -> None:
    noisy = modelport("inspect", tiny_models.noisy(tmp_path / "noisy"), folder=tmp_path).out
    assert "\n  execution  1 thread, not deterministic\n  batch      rows, other last bits in any batch\n" in noisy
    state = modelport("inspect", tiny_models.state(tmp_path / "state"), folder=tmp_path).out
    assert "\n  batch      none: scored as it is\n" in state


def test_as_json_it_is_the_manifest_and_the_digest(tmp_path: Path) -> None:
    package = tiny_models.table(tmp_path / "table")
    done = modelport("inspect", package, "--json", folder=tmp_path)
    found = json.loads(done.out)
    assert found.pop("digest") == open_package(package).digest
    assert found == json.loads((package / "manifest.json").read_bytes())


def test_a_package_that_is_not_the_one_that_was_pinned_or_was_changed_is_refused(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    digest = open_package(package).digest
    assert modelport("inspect", package, "--digest", digest, folder=tmp_path).code == 0
    other = f"sha256:{'0' * 64}"
    assert modelport("inspect", "linear", "--digest", other, folder=tmp_path) == (
        1,
        "",
        f"error: package `linear`: expected digest `{other}`, got {digest}\n",
    )
    (package / "extra").touch()
    assert modelport("inspect", package, folder=tmp_path) == (
        1,
        "",
        "error: `extra`: expected only what the manifest names, got this file too\n",
    )


def test_the_model_is_not_run(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    code = (
        "import sys; from modelport.runtime.cli.app import run;"
        f"assert run(['inspect', {str(package)!r}]) == 0; sys.exit('onnxruntime' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
