"""Statistics of the sample: what NumPy says of each feature, in JSON that is the same for the same rows."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelport.packager.package.statistics import Categories, Numbers, Statistics, statistics
from modelport.runtime import strictjson
from modelport.runtime.signature import Datatype, Signature, TensorSpec

tame = st.floats(-1e12, 1e12) | st.sampled_from([np.nan, np.inf, -np.inf])


def signature(**inputs: TensorSpec) -> Signature:
    return Signature(inputs=tuple(inputs.values()), outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 1)),))


def spec(name: str, datatype: Datatype, width: int = 1, features: tuple[str, ...] = ()) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=(-1, width), features=features)


def of(rows: dict[str, Any], *specs: TensorSpec) -> Statistics:
    """Return the statistics as a reader decodes them."""
    return strictjson.decode(statistics(rows, signature(**{each.name: each for each in specs})), Statistics)


def of_column(values: Any) -> Any:
    return of({"x": np.asarray(values).reshape(-1, 1)}, spec("x", "FP64")).features.get("x")


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=tame))
def test_numbers_are_what_numpy_says_of_the_finite_ones(values: Any) -> None:
    found, seen = of_column(values), values[np.isfinite(values)]
    if seen.size == 0:
        assert found is None
        return
    assert isinstance(found, Numbers)
    assert found.missing == np.isnan(values).mean()
    assert (found.lowest, found.highest) == (seen.min(), seen.max())
    assert (found.mean, found.deviation) == pytest.approx((seen.mean(), seen.std()))


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=tame | st.floats(allow_subnormal=True)))
def test_counts_add_up_and_each_is_of_the_values_between_its_edges(values: Any) -> None:
    found, seen = of_column(values), values[np.isfinite(values)].tolist()
    if found is None:
        return
    assert len(found.edges) == len(found.counts) + 1 == 21
    assert (found.edges[0], found.edges[-1]) == (found.lowest, max(found.edges))
    assert sum(found.counts) == len(seen)
    for number, count in enumerate(found.counts[:-1]):
        assert count == sum(found.edges[number] <= value < found.edges[number + 1] for value in seen)


@given(hnp.arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e12, 1e12)))
def test_quantiles_are_seen_values_with_their_share_of_the_rows_at_or_below(values: Any) -> None:
    found = of_column(values)
    assert set(found.quantiles) <= set(values.tolist())
    assert (found.quantiles[0], found.quantiles[-1]) == (found.lowest, found.highest)
    for number, quantile in enumerate(found.quantiles):
        assert (values <= quantile).sum() >= round(number / 20 * len(values), 9)
        assert (values < quantile).sum() <= round(number / 20 * len(values), 9)


def test_edges_cut_the_range_into_equal_bins() -> None:
    found = of_column([0.0, 1.0, 2.0, 40.0])
    assert found.edges == pytest.approx(np.arange(0, 41, 2))
    assert found.counts == (2, 1, *[0] * 17, 1)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 9))
def test_a_constant_feature_has_all_its_rows_in_one_bin(value: float, rows: int) -> None:
    found = of_column([value] * rows)
    assert max(found.counts) == sum(found.counts) == rows
    assert set(found.quantiles) == {value}


def test_numbers_too_large_to_be_summed_are_numbers_that_json_holds() -> None:
    largest = float(np.finfo(np.float64).max)
    found = of_column([largest, largest, largest / 2])
    assert (found.mean, found.deviation, sum(found.counts)) == (largest, largest, 3)


@given(hnp.arrays(np.object_, st.integers(1, 300), elements=st.sampled_from(["a", "b", "", "ü", None])))
def test_categories_are_counted_with_what_is_missing_apart(values: Any) -> None:
    found = of({"city": values.reshape(-1, 1)}, spec("city", "BYTES")).features.get("city")
    texts = [value for value in values.tolist() if value is not None]
    if not texts:
        assert found is None
        return
    assert isinstance(found, Categories)
    assert found.counts == Counter(texts)
    assert (found.others, found.missing) == (0, pytest.approx(1 - len(texts) / len(values)))


def test_of_many_categories_the_hundred_commonest_are_named_and_the_others_counted() -> None:
    texts = [f"c{number:03}" for number in range(150) for _ in range(1 + (number % 3 == 0))]
    found = of({"city": np.array(texts, object).reshape(-1, 1)}, spec("city", "BYTES")).features["city"]
    assert isinstance(found, Categories)
    assert len(found.counts) == 100
    assert sum(found.counts.values()) + found.others == len(texts)
    twice = {f"c{number:03}" for number in range(0, 150, 3)}
    assert {text for text, count in found.counts.items() if count == 2} == twice
    once = sorted(set(texts) - twice)[:50]  # of equally common ones the first by name
    assert set(found.counts) == twice | set(once)


def test_integers_and_booleans_are_numbers() -> None:
    rows = {"n": np.array([[1], [2], [4]]), "member": np.array([[True], [False], [True]])}
    found = of(rows, spec("n", "INT64"), spec("member", "BOOL")).features
    assert {name: (each.lowest, each.highest, each.mean) for name, each in found.items()} == {  # type: ignore[union-attr]
        "n": (1.0, 4.0, pytest.approx(7 / 3)),
        "member": (0.0, 1.0, pytest.approx(2 / 3)),
    }


@pytest.mark.parametrize(
    ("width", "features", "names"),
    [(1, (), ["X"]), (2, (), ["X[0]", "X[1]"]), (2, ("age", "size"), ["age", "size"]), (1, ("age",), ["age"])],
)
def test_features_go_by_the_names_that_the_signature_gives_them(
    width: int, features: tuple[str, ...], names: list[str]
) -> None:
    rows = {"X": np.arange(3.0 * width).reshape(3, width)}
    found = of(rows, spec("X", "FP64", width, features))
    assert sorted(found.features) == names
    assert [found.features[name].lowest for name in names] == list(range(width))  # type: ignore[union-attr]


def test_a_sample_that_was_drawn_says_nothing() -> None:
    made = statistics(None, signature(x=spec("x", "FP32")))
    assert strictjson.decode(made, Statistics) == Statistics(rows=0, features={})


def test_inputs_as_wide_as_pictures_are_left_out() -> None:
    rows = {"picture": np.zeros((2, 64, 65)), "size": np.ones((2, 1))}
    picture = TensorSpec(name="picture", datatype="FP32", shape=(-1, 64, 65))
    assert set(of(rows, picture, spec("size", "FP32")).features) == {"size"}


def test_the_same_rows_give_the_same_canonical_bytes() -> None:
    rows = {"x": np.array([[0.1], [np.nan]]), "city": np.array([["b"], ["a"]], object)}
    described = signature(x=spec("x", "FP64"), city=spec("city", "BYTES"))
    made = statistics(rows, described)
    assert made == statistics({name: array.copy() for name, array in rows.items()}, described)
    assert made == strictjson.canonical(json.loads(made))
