"""Golden samples say identical, within bound, plausible or failed, and nothing else passes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sealed
import tiny_models
from hypothesis import given
from hypothesis.extra import numpy as hnp

from modelport.runtime import golden, load
from modelport.runtime.errors import FailedCheckError
from modelport.runtime.golden import same_bits
from modelport.runtime.package import Samples, Spread, Tolerance, open_package
from modelport.runtime.package import samples as samples_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelport.runtime import Scorer


def changed(
    package: Path, change: Callable[[Samples], object], manifest: Callable[[Any], None] = lambda _: None
) -> Scorer:
    """Open the package with other golden samples."""
    opened = open_package(package)
    samples = opened.samples
    copied = Samples(
        [{name: array.copy() for name, array in call.items()} for call in samples.inputs],
        [{name: array.copy() for name, array in call.items()} for call in samples.expected],
        [{name: array.copy() for name, array in call.items()} for call in samples.recorded],
        dict(samples.tolerance),
        dict(samples.spread),
    )
    change(copied)
    (package / "samples.npz").write_bytes(samples_file.encode(copied, opened.manifest.signature))
    sealed.seal(package, change=manifest)
    return load(package)


def nudge(array: Any, by: float) -> None:
    array[0, 0] += np.asarray(by, array.dtype)


def both(samples: Samples, by: float) -> None:
    """Pretend that the recorded and the expected answers were others."""
    nudge(samples.recorded[0]["y"], by)
    nudge(samples.expected[0]["y"], by)


@pytest.mark.parametrize("make", [tiny_models.linear, tiny_models.table, tiny_models.fixed, tiny_models.state])
def test_a_package_reproduces_its_own_bits(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    scorer = load(make(tmp_path / "package"))
    result = golden.require(scorer)
    assert result.verdict == "identical"
    assert {output.verdict for output in result.outputs} == {"identical"}
    assert [output.name for output in result.outputs] == [spec.name for spec in scorer.signature.outputs]
    assert result.same_cpu
    assert result.engine == scorer.engine.description


def test_rows_are_counted_and_calls_where_there_are_none(tmp_path: Path) -> None:
    assert golden.check(load(tiny_models.linear(tmp_path / "linear"))).samples == 5
    assert golden.check(load(tiny_models.state(tmp_path / "state"))).samples == 2


def test_other_bits_within_the_tolerance_pass_as_within_bound(tmp_path: Path) -> None:
    scorer = changed(tiny_models.linear(tmp_path / "package"), lambda samples: both(samples, 5e-7))
    result = golden.require(scorer)
    assert result.verdict == "within bound"
    assert 0 < result.outputs[0].worst < 1e-6


def test_the_recorded_bits_pass_as_identical_however_far_the_original_was(tmp_path: Path) -> None:
    """Its differences are the parity report's, and were accepted there."""
    scorer = changed(tiny_models.linear(tmp_path / "package"), lambda samples: nudge(samples.expected[0]["y"], 0.5))
    result = golden.check(scorer)
    assert result.verdict == "identical"
    assert result.outputs[0].worst == pytest.approx(0.5)


def test_answers_outside_of_the_tolerance_fail_by_name(tmp_path: Path) -> None:
    scorer = changed(tiny_models.linear(tmp_path / "package"), lambda samples: both(samples, 0.5))
    assert golden.check(scorer).verdict == "failed"
    message = (
        "package `linear`: output `y` does not reproduce the golden samples: "
        "off by 0.5, allowed 1e-06 + 1e-06 of the value"
    )
    with pytest.raises(FailedCheckError, match=f"(?m)^{re.escape(message)}$"):
        golden.require(scorer)


def test_another_kind_of_cpu_is_told(tmp_path: Path) -> None:
    scorer = changed(
        tiny_models.linear(tmp_path / "package"),
        lambda samples: both(samples, 5e-7),
        lambda document: document.update(cpu="another"),
    )
    result = golden.require(scorer)
    assert result.verdict == "within bound"
    assert not result.same_cpu


def test_text_and_labels_are_compared_exactly(tmp_path: Path) -> None:
    def misspell(samples: Samples) -> None:
        for answers in (samples.recorded, samples.expected):
            answers[0]["town"][1, 0] = "Zurich"

    scorer = changed(tiny_models.table(tmp_path / "package"), misspell)
    result = golden.check(scorer)
    assert [(output.verdict, output.reason) for output in result.outputs] == [
        ("identical", ""),
        ("failed", "1 of 3 values differ"),
    ]


def test_a_label_that_is_the_originals_though_not_the_recorded_one_is_within_bound(tmp_path: Path) -> None:
    def misrecord(samples: Samples) -> None:
        samples.recorded[0]["town"][1, 0] = "Zurich"

    scorer = changed(tiny_models.table(tmp_path / "package"), misrecord)
    assert [output.verdict for output in golden.check(scorer).outputs] == ["identical", "within bound"]


def test_the_worst_call_speaks_for_all(tmp_path: Path) -> None:
    def spoil(samples: Samples) -> None:
        samples.recorded[1]["sum"] += 1.0
        samples.expected[1]["sum"] += 1.0

    scorer = changed(tiny_models.state(tmp_path / "package"), spoil)
    result = golden.check(scorer)
    assert [(output.name, output.verdict, output.worst) for output in result.outputs] == [
        ("sum", "failed", 1.0),
        ("last", "identical", 0.0),
    ]


@pytest.mark.parametrize(
    ("spread", "verdict"),
    [
        (Spread(-10.0, 10.0, 0.0, 1.0), "plausible"),
        (Spread(0.0, 0.0, 0.0, 10.0), "plausible"),
        (Spread(0.0, 0.0, 0.0, 0.0), "failed"),
        (Spread(100.0, 101.0, 100.5, 0.1), "failed"),
    ],
)
def test_a_model_that_is_not_deterministic_must_stay_where_it_was_seen(
    tmp_path: Path, spread: Spread, verdict: str
) -> None:
    def change(samples: Samples) -> None:
        both(samples, 3.0)
        samples.spread["y"] = spread

    scorer = changed(tiny_models.linear(tmp_path / "package"), change)
    result = golden.check(scorer)
    assert result.verdict == verdict
    if verdict == "failed":
        reason = r"expected values from \S+ to \S+, got \S+ to \S+"
        assert re.fullmatch(reason, result.outputs[0].reason)


def compare(got: Any, **wanted: Any) -> golden.OutputCheck:
    exact = {"expected": got, "recorded": got, "tolerance": Tolerance(1e-6, 0.0), "spread": None}
    return golden._compare("y", got, golden._Wanted(**{**exact, **wanted}))


@pytest.mark.parametrize(
    ("got", "recorded"),
    [
        (np.zeros((2, 1), np.float32), np.zeros(2, np.float32)),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros(0, np.float32), np.zeros(2, np.float32)),
        (np.zeros(2, object), np.zeros(2, np.int64)),
    ],
)
@pytest.mark.parametrize("spread", [None, Spread(-1.0, 1.0, 0.0, 1.0)])
def test_another_shape_or_dtype_fails(got: Any, recorded: Any, spread: Any) -> None:
    found = compare(got, recorded=recorded, expected=recorded, spread=spread)
    expected = f"expected {recorded.dtype} {list(recorded.shape)}, got {got.dtype} {list(got.shape)}"
    assert (found.verdict, found.reason, found.worst) == ("failed", expected, np.inf)


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("got", "expected", "verdict", "worst"),
    [
        ([1.0, NAN], [1.0000005, NAN], "within bound", 5e-7),
        ([1.0, NAN], [1.0, 2.0], "failed", INF),
        ([1.0, 2.0], [1.0, NAN], "failed", INF),
        ([INF, 1.0], [INF, 1.0], "within bound", 0.0),
        ([INF, 1.0], [-INF, 1.0], "failed", INF),
        ([INF, 1.0], [1.0, 1.0], "failed", INF),
        ([0.0, 1.0], [-0.0, 1.0], "within bound", 0.0),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinities_agree_only_with_their_own_kind(
    got: list[float], expected: list[float], verdict: str, worst: float, dtype: Any
) -> None:
    recorded = np.array([7.0, 7.0], dtype)
    found = compare(np.array(got, dtype), expected=np.array(expected), recorded=recorded)
    assert found.verdict == verdict
    assert found.worst == pytest.approx(worst)


@pytest.mark.parametrize("values", [np.zeros((0, 2), np.float32), np.array(["a"], object), np.array([True])])
def test_what_has_no_range_is_plausible(values: Any) -> None:
    assert compare(values, spread=Spread(0.0, 0.0, 0.0, 0.0)).verdict == "plausible"


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_what_is_no_number_is_not_plausible(bad: float) -> None:
    assert compare(np.array([0.5, bad]), spread=Spread(-1.0, 1.0, 0.0, 0.1)).verdict == "failed"


@given(hnp.arrays(hnp.floating_dtypes() | hnp.integer_dtypes(), hnp.array_shapes(min_dims=0), elements=None))
def test_an_array_has_its_own_bits_in_any_layout(array: Any) -> None:
    assert same_bits(array, np.array(array, order="F"))
    assert same_bits(array, array.copy())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (np.zeros(1), -np.zeros(1)),
        (np.zeros(1), np.zeros(1, np.float32)),
        (np.zeros(1), np.zeros((1, 1))),
        (np.array(["a"], object), np.array(["b"], object)),
    ],
)
def test_bits_differ_where_equality_may_not(left: Any, right: Any) -> None:
    assert not same_bits(left, right)
