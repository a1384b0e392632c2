"""`modelport check` verifies a package and says how its golden samples come out here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import sealed
import tiny_models
from command_line import modelport

from modelport.runtime import load
from modelport.runtime.package import Samples, Spread, open_package
from modelport.runtime.package import samples as samples_file

if TYPE_CHECKING:
    from pathlib import Path


def record(package: Path, difference: float) -> Path:
    """Make `package` one whose recorded answers are off by `difference`."""
    scorer = load(package)
    samples = scorer.samples
    recorded = [{name: array + np.float32(difference) for name, array in call.items()} for call in samples.recorded]
    changed = Samples(samples.inputs, recorded, recorded, samples.tolerance, samples.spread)
    (package / "samples.npz").write_bytes(samples_file.encode(changed, scorer.signature))
    sealed.seal(package)
    return package


def engine_of(package: Path) -> str:
    return load(package).engine.description


def test_a_package_on_the_cpu_that_made_it_is_identical(tmp_path: Path) -> None:
    package = tiny_models.table(tmp_path / "table")
    done = modelport("check", package, folder=tmp_path)
    expected = (
        f"table 1 {open_package(package).digest}: identical\n"
        "  total  identical\n"
        "  town   identical\n"
        f"3 samples on {engine_of(package)}, a CPU of the recorded kind; proof self\n"
    )
    assert done == (0, expected, "")


def test_other_bits_within_the_tolerance_pass_and_the_difference_is_shown(tmp_path: Path) -> None:
    package = record(tiny_models.linear(tmp_path / "linear"), 5e-7)
    sealed.seal(package, change=lambda document: document.update(cpu="riscv64:v"))
    done = modelport("check", package, folder=tmp_path)
    assert done.code == 0
    verdict, output, footer = done.out.splitlines()
    assert verdict == f"linear 1 {open_package(package).digest}: within bound"
    assert output.startswith("  y  within bound, off by at most ")
    assert footer == f"5 samples on {engine_of(package)}, a CPU of another kind than the recorded one; proof self"


def test_differences_that_were_accepted_are_said(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    sealed.seal(package, change=lambda document: document["proof"].update(kind="trained", passed=False, accepted=True))
    done = modelport("check", package, folder=tmp_path)
    assert (done.code, done.out.splitlines()[-1].endswith("; proof trained, differences accepted")) == (0, True)
    found = json.loads(modelport("check", package, "--json", folder=tmp_path).out)
    assert (found["proof"], found["accepted"]) == ("trained", True)


def test_answers_that_are_off_fail_with_exit_code_1(tmp_path: Path) -> None:
    package = record(tiny_models.linear(tmp_path / "linear"), 0.5)
    done = modelport("check", package, folder=tmp_path)
    assert done.code == 1
    assert done.out.splitlines()[0] == f"linear 1 {open_package(package).digest}: failed"
    assert done.out.splitlines()[1] == "  y  failed: off by 0.5, allowed 1e-06 + 1e-06 of the value"
    assert done.err == (
        "error: package `linear`: output `y` does not reproduce the golden samples: "
        "off by 0.5, allowed 1e-06 + 1e-06 of the value\n"
    )


def test_a_model_that_is_not_deterministic_is_plausible_inside_what_it_was_seen_to_do(tmp_path: Path) -> None:
    package = tiny_models.noisy(tmp_path / "noisy")
    scorer = load(package)
    answers = [scorer.runner.run(scorer.samples.inputs[0])["y"] for _ in range(2)]
    assert not np.array_equal(*answers)
    done = modelport("check", package, folder=tmp_path)
    assert done.code == 0
    assert done.out.splitlines()[:2] == [f"noisy 1 {open_package(package).digest}: plausible", "  y  plausible"]


def test_a_model_that_is_not_deterministic_fails_outside_what_it_was_seen_to_do(tmp_path: Path) -> None:
    seen = Spread(lowest=7.0, highest=7.5, mean=7.2, deviation=0.1)
    package = tiny_models.noisy(tmp_path / "noisy", spread=seen)
    done = modelport("check", package, folder=tmp_path)
    assert done.code == 1
    assert done.err.startswith(
        "error: package `noisy`: output `y` does not reproduce the golden samples: expected values from 6.4 to 8, got "
    )


def test_as_json_it_is_for_machines(tmp_path: Path) -> None:
    package = tiny_models.table(tmp_path / "table")
    done = modelport("check", package, "--json", "--providers", "cpu", folder=tmp_path)
    assert json.loads(done.out) == {
        "name": "table",
        "version": "1",
        "digest": open_package(package).digest,
        "proof": "self",
        "accepted": False,
        "verdict": "identical",
        "samples": 3,
        "engine": engine_of(package),
        "same_cpu": True,
        "outputs": [
            {"name": "total", "verdict": "identical", "worst": 0.0, "reason": ""},
            {"name": "town", "verdict": "identical", "worst": 0.0, "reason": ""},
        ],
    }


def test_a_model_without_rows_is_checked_call_by_call(tmp_path: Path) -> None:
    done = modelport("check", tiny_models.state(tmp_path / "state"), folder=tmp_path)
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith("2 samples on onnxruntime ")


def test_a_package_that_was_changed_is_refused_before_it_is_scored(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    model = bytearray((package / "model.onnx").read_bytes())
    model[-1] ^= 1
    (package / "model.onnx").write_bytes(model)
    done = modelport("check", package, folder=tmp_path)
    assert done.code == 1
    assert done.err.startswith("error: `model.onnx`: expected sha256 ")
