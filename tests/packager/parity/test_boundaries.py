"""The raw value at which a row changes sides is found to the last digit, through whatever stands before the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from converting import candidate
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, PolynomialFeatures, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from modelport.packager.conversion.sklearn.sample import layout_of
from modelport.packager.conversion.sklearn.thresholds import tree_groups
from modelport.packager.parity.boundaries import Mover, Sought, movers, place, with_values
from modelport.packager.trees import TreeGroup

if TYPE_CHECKING:
    from collections.abc import Callable

rng = np.random.default_rng(8)
X = np.round(rng.normal(size=(200, 3)) * [1, 30, 0.01] + [0, 100, 0], 3)
TARGET = X[:, 0] + np.sin(X[:, 1]) + X[:, 2] * 50
FRAME = pd.DataFrame(
    {
        "city": rng.choice(["Bern", "Basel"], 200),
        "age": np.where(rng.random(200) < 0.2, np.nan, np.round(rng.uniform(18, 80, 200), 1)),
        "visits": rng.integers(0, 40, 200),
        "income": np.round(rng.normal(5000, 900, 200), 2),
    }
)
scales = st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)


def group_of(*steps: Any, rows: Any = X) -> tuple[TreeGroup, dict[str, Any]]:
    """Return the trees of a fitted pipeline that ends in one, and the sample as rows."""
    model = make_pipeline(*steps, DecisionTreeRegressor(max_depth=5, random_state=0)).fit(rows, TARGET)
    layout = layout_of(rows, model)
    return tree_groups(model, layout)[0], layout.rows


def linear(scale: float, shift: float, *, single: bool) -> TreeGroup:
    """Return a group without trees, which sees each column times `scale` plus `shift`."""
    return TreeGroup((), lambda rows: np.hstack([array * scale + shift for array in rows.values()]), single)


def goes_left(value: float, threshold: float, transform: Callable[[float], float], *, single: bool) -> bool:
    """Return the side of one raw value, in plain Python."""
    seen = transform(value)
    return (float(np.float32(seen)) if single else seen) <= threshold


@settings(max_examples=200)
@given(scales, st.floats(-1e3, 1e3), st.floats(-2, 2), st.booleans())
def test_the_value_found_and_its_neighbour_lie_on_different_sides(
    scale: float, shift: float, raw: float, single: bool
) -> None:
    base = {"X": np.array([[-2.0], [2.0], [0.5]])}
    threshold = raw * scale + shift
    placed = place(linear(scale, shift, single=single), base, [Sought(0, threshold, ("X", 0), 2)])
    if not placed.found[0]:
        ends = [goes_left(end, threshold, lambda x: x * scale + shift, single=single) for end in (-6.0, 6.0)]
        assert ends[0] == ends[1]
        return
    value = placed.value.tolist()[0]
    sides = [
        goes_left(x, threshold, lambda x: x * scale + shift, single=single)
        for x in (value, float(np.nextafter(value, np.inf)))
    ]
    assert sides == ([True, False] if scale > 0 else [False, True])


@settings(max_examples=100)
@given(st.integers(-50, 50), st.floats(0, 1), st.floats(0.01, 100), st.booleans())
def test_of_integers_the_last_one_on_the_lower_side_is_found(
    whole: int, part: float, scale: float, single: bool
) -> None:
    base = {"n": np.array([[-60], [60]])}
    threshold = (whole + part) * scale
    placed = place(linear(scale, 0.0, single=single), base, [Sought(0, threshold, ("n", 0), 0)])
    brute = [n for n in range(-180, 181) if goes_left(n, threshold, lambda x: x * scale, single=single)]
    assert placed.found.tolist() == [True]
    assert placed.value.tolist() == [max(brute)]


def test_a_threshold_beyond_one_span_of_the_seen_values_is_not_found() -> None:
    base = {"X": np.array([[0.0], [1.0]])}
    sought = [Sought(0, at, ("X", 0), 0) for at in (-1.5, -0.5, 0.5, 1.5, 2.5)]
    placed = place(linear(1.0, 0.0, single=False), base, sought)
    assert placed.found.tolist() == [False, True, True, True, False]
    assert placed.value[1:4].tolist() == [-0.5, 0.5, 1.5]


def test_a_column_without_any_value_has_no_boundary() -> None:
    base = {"X": np.array([[np.nan, 1.0], [np.nan, 2.0]])}
    placed = place(linear(1.0, 0.0, single=False), base, [Sought(0, 0.5, ("X", 0), 0), Sought(1, 1.5, ("X", 1), 0)])
    assert placed.found.tolist() == [False, True]


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), RobustScaler(), MinMaxScaler((-5, 300))])
def test_boundaries_behind_a_scaler_are_those_that_a_search_of_every_float_finds(scaler: Any) -> None:
    group, base = group_of(scaler)
    tree = group.trees[0]
    inner = np.flatnonzero(tree.feature >= 0)
    sought = [Sought(int(tree.feature[i]), float(tree.threshold[i]), ("X", int(tree.feature[i])), 0) for i in inner]
    placed = place(group, base, sought)
    assert placed.found.all()
    for each, value in zip(sought, placed.value.tolist(), strict=True):
        about = np.zeros((2, 3))
        about[:, each.feature] = [value - 1e-6 * abs(value), value + 1e-6 * abs(value)]
        near, far = scaler.transform(about)[:, each.feature].astype(np.float32)
        assert near <= np.float32(each.threshold) <= far  # it is near; now every float beside it, without bisection
        every = np.zeros((400, 3))
        every[200, each.feature] = value
        for i in range(199):
            every[201 + i, each.feature] = np.nextafter(every[200 + i, each.feature], np.inf)
            every[199 - i, each.feature] = np.nextafter(every[200 - i, each.feature], -np.inf)
        left = scaler.transform(every[1:])[:, each.feature].astype(np.float32) <= np.float64(each.threshold)
        assert every[1:][left, each.feature].max() == value
        assert left.tolist() == [True] * 200 + [False] * 199


def test_columns_that_reach_the_tree_as_they_are_move_their_own_feature_unchanged() -> None:
    group, base = group_of()
    found = movers(group, base, group.transform(base))
    assert found == {column: Mover(("X", column), unchanged=True) for column in range(3)}


def test_scaled_columns_move_their_own_feature_and_are_changed() -> None:
    group, base = group_of(StandardScaler())
    found = movers(group, base, group.transform(base))
    assert found == {column: Mover(("X", column), unchanged=False) for column in range(3)}


def test_columns_of_a_frame_are_found_wherever_a_transformer_puts_them() -> None:
    transform = ColumnTransformer(
        [("income", StandardScaler(), ["income"]), ("age", SimpleImputer(), ["age"]), ("visits", "passthrough", [2])]
    )
    group, base = group_of(transform, rows=FRAME)
    assert movers(group, base, group.transform(base)) == {
        0: Mover(("income", 0), unchanged=False),
        1: Mover(("age", 0), unchanged=False),
        2: Mover(("visits", 0), unchanged=True),
    }


def test_features_that_several_columns_move_are_left_out() -> None:
    group, base = group_of(PCA(2, random_state=0))
    assert movers(group, base, group.transform(base)) == {}
    group, base = group_of(PolynomialFeatures(2, interaction_only=True, include_bias=False))
    assert sorted(movers(group, base, group.transform(base))) == [0, 1, 2]


def test_a_feature_that_no_column_moves_is_left_out() -> None:
    group, base = group_of(PolynomialFeatures(1, include_bias=True))
    assert sorted(movers(group, base, group.transform(base))) == [1, 2, 3]


def test_moving_columns_in_several_calls_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    group, base = group_of(StandardScaler())
    together = movers(group, base, group.transform(base))
    monkeypatch.setattr("modelport.packager.parity.boundaries._MOVED_CELLS", 1)
    assert movers(group, base, group.transform(base)) == together


def test_only_the_cells_named_are_replaced_and_integers_are_rounded_down() -> None:
    base = {
        "X": np.array([[1.0, 2.0], [3.0, 4.0]]),
        "n": np.array([[5], [6]]),
        "city": np.array([["a"], ["b"]], object),
    }
    made = with_values(
        base, np.array([1, 0, 1, 1]), [("X", 0), ("n", 0), ("X", 1), ("n", 0)], np.array([0.5, 7.9, 0.25, -1.1])
    )
    assert made["X"].tolist() == [[0.5, 4.0], [1.0, 2.0], [3.0, 0.25], [3.0, 4.0]]
    assert made["n"].tolist() == [[6], [7], [6], [-2]]
    assert made["city"].ravel().tolist() == ["b", "a", "b", "b"]
    assert (base["X"].tolist(), base["n"].tolist()) == ([[1.0, 2.0], [3.0, 4.0]], [[5], [6]])


def test_a_float32_sample_is_seen_by_the_tree_as_float32() -> None:
    rows = X.astype(np.float32)
    model = make_pipeline(StandardScaler(), DecisionTreeRegressor(max_depth=4, random_state=0)).fit(rows, TARGET)
    made = candidate(model, rows)
    group, base = made.trees[0], made.sample
    expected = model[0].transform(rows)
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(group.transform(base), expected.astype(np.float64))


def test_a_step_function_changes_sides_at_its_step() -> None:
    group, base = group_of(FunctionTransformer(np.floor))
    placed = place(group, base, [Sought(0, 0.5, ("X", 0), 0)])
    assert placed.value.tolist() == [np.nextafter(1.0, 0.0)]


def test_what_a_transformer_refuses_on_the_way_is_not_found_and_fails_nothing() -> None:
    class Choosy:
        """Hands on what it was shown, and refuses what lies between."""

        def __call__(self, rows: Any) -> Any:
            values = np.asarray(rows["X"], np.float64)
            if np.any((values > 0.2) & (values < 0.8)):
                raise KeyError("never seen")
            return values

    base = {"X": np.array([[0.0], [1.0]])}
    group = TreeGroup((), Choosy(), single=False)
    placed = place(group, base, [Sought(0, 0.5, ("X", 0), 0)])
    assert placed.found.tolist() == [False]
