"""Probe rows arrive at the splits of trees and stand on both sides of each, one step of float32 and of float64 away."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from converting import candidate
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from modelport.packager import rows as rows_of
from modelport.packager.parity import probes
from modelport.packager.parity.report import Thresholds
from modelport.packager.trees import Tree, TreeGroup, arriving_rows

rng = np.random.default_rng(4)
X = np.round(rng.normal(size=(300, 4)) * [1, 50, 0.01, 1] + [0, 200, 0, -3], 3)
HOLES = np.where(rng.random(X.shape) < 0.1, np.nan, X)
LABELS = (X[:, 0] + X[:, 1] / 50 * X[:, 3] > -12).astype(int)
NUMBER = X[:, 0] * 3 + np.sin(X[:, 1])
FRAME = pd.DataFrame(
    {
        "city": rng.choice(["Bern", "Basel", "Genf"], 300),
        "age": np.where(rng.random(300) < 0.2, np.nan, np.round(rng.uniform(18, 80, 300), 1)),
        "income": np.round(rng.normal(5000, 900, 300), 2),
    }
)
columns = ColumnTransformer(
    [
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler()), ["age", "income"]),
        ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
    ],
    sparse_threshold=0,
)

SMALL = DecisionTreeClassifier(max_depth=4, random_state=0)
MODELS = {
    "tree": (DecisionTreeClassifier(max_depth=6, random_state=0), X, LABELS),
    "tree of missing values": (DecisionTreeClassifier(max_depth=6, random_state=0), HOLES, LABELS),
    "forest": (RandomForestClassifier(5, max_depth=4, random_state=0), X, LABELS),
    "histograms": (HistGradientBoostingClassifier(max_iter=4), HOLES, LABELS),
    "scaled": (make_pipeline(StandardScaler(), GradientBoostingRegressor(n_estimators=5, random_state=0)), X, NUMBER),
    "scaled to a range": (
        make_pipeline(MinMaxScaler((-1, 7)), ExtraTreesRegressor(3, max_depth=4, random_state=0)),
        X,
        NUMBER,
    ),
    "scaled histograms": (make_pipeline(StandardScaler(), HistGradientBoostingRegressor(max_iter=4)), X, NUMBER),
    "bagged columns": (BaggingClassifier(SMALL, n_estimators=3, max_features=0.5, random_state=0), X, LABELS),
    "columns": (make_pipeline(columns, RandomForestClassifier(4, max_depth=4, random_state=0)), FRAME, LABELS),
    "a float32 sample": (
        make_pipeline(StandardScaler(), DecisionTreeRegressor(max_depth=4)),
        X.astype(np.float32),
        NUMBER,
    ),
}


@functools.cache
def made(kind: str) -> tuple[tuple[TreeGroup, ...], dict[str, Any]]:
    """Return the trees of a fitted model and its sample as rows."""
    model, rows, target = MODELS[kind]
    found = candidate(model.fit(rows, target), rows)
    return found.trees, found.sample


def usual(feature: int, threshold: float) -> bool:
    """Return whether a node splits on numbers: not a leaf, and not only missing values apart from all others."""
    return bool(feature >= 0 and np.isfinite(threshold))


def walk(tree: Tree, row: list[float]) -> list[tuple[int, bool]]:
    """Return the inner nodes that a row passes with whether it goes left there, in plain Python."""
    node, passed = 0, []
    while tree.feature[node] >= 0:
        value = row[tree.feature[node]]
        left = bool(tree.missing_left[node]) if value != value else value <= float(tree.threshold[node])  # noqa: PLR0124
        passed.append((node, left))
        node = int(tree.left[node] if left else tree.right[node])
    return passed


def compared(group: TreeGroup, rows: dict[str, Any]) -> list[list[float]]:
    """Return the matrix as the trees compare it."""
    matrix = group.transform(rows)
    seen: list[list[float]] = (matrix.astype(np.float32).astype(np.float64) if group.single else matrix).tolist()
    return seen


def passing(group: TreeGroup, rows: dict[str, Any]) -> dict[tuple[int, float], dict[bool, list[int]]]:
    """Return which rows arrive at each (feature, threshold), by the side on which they go on."""
    found: dict[tuple[int, float], dict[bool, list[int]]] = {}
    for number, row in enumerate(compared(group, rows)):
        for tree in group.trees:
            for node, left in walk(tree, row):
                split = int(tree.feature[node]), float(tree.threshold[node])
                found.setdefault(split, {True: [], False: []})[left].append(number)
    return found


def has_pair(values: list[tuple[object, ...]], sides: dict[bool, list[int]], dtype: type) -> bool:
    """Return whether a row that goes left and one that goes right differ in one number, by one step of `dtype`."""
    right = {values[row] for row in sides[False]}
    for row in sides[True]:
        for at, value in enumerate(values[row]):
            if isinstance(value, float) and float(dtype(value)) == value:
                for end in (np.inf, -np.inf):
                    beside = float(np.nextafter(dtype(value), dtype(end)))
                    if (*values[row][:at], beside, *values[row][at + 1 :]) in right:
                        return True
    return False


def raw(rows: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return the values of every row side by side, with None for NaN."""
    together = np.hstack([array.astype(np.object_) for array in rows.values()])
    return [tuple(None if value != value else value for value in row) for row in together.tolist()]  # noqa: PLR0124


@pytest.mark.parametrize("kind", MODELS)
def test_rows_pass_every_split_that_the_sample_passes_on_both_sides_one_step_apart(kind: str) -> None:
    groups, sample = made(kind)
    rows, thresholds = probes.probe(groups, sample)
    assert rows is not None
    assert thresholds is not None
    values = raw(rows)
    reached = 0
    for group in groups:
        probed = passing(group, rows)
        names = {split for split in passing(group, sample) if usual(*split)}
        if kind == "columns":  # text is not moved; its columns come after those of numbers
            names = {(feature, at) for feature, at in names if feature < 2}
        for split in names:
            assert has_pair(values, probed[split], np.float32), split
            if "histograms" in kind:
                assert has_pair(values, probed[split], np.float64), split
        reached += len(names)
    assert thresholds.reached == reached


@pytest.mark.parametrize("kind", ["scaled", "scaled to a range", "scaled histograms", "columns"])
def test_what_a_transformer_hides_is_found_to_the_last_digit_of_float64(kind: str) -> None:
    (group,), sample = made(kind)
    rows, _ = probes.probe((group,), sample)
    assert rows is not None
    probed, values = passing(group, rows), raw(rows)
    for split in passing(group, sample):
        if kind != "columns" or split[0] < 2:
            assert has_pair(values, probed[split], np.float64), split


def test_thresholds_on_plain_columns_are_probed_at_the_very_number_and_its_neighbours() -> None:
    (group,), sample = made("histograms")
    rows, _ = probes.probe((group,), sample)
    assert rows is not None
    for tree in group.trees:
        for feature, at in zip(tree.feature.tolist(), tree.threshold.tolist(), strict=True):
            if usual(feature, at):
                single = np.float32(at)
                beside = [np.nextafter(single, np.float32(end)) for end in (-np.inf, np.inf)]
                wanted = {at, np.nextafter(at, -np.inf), np.nextafter(at, np.inf), *map(float, [single, *beside])}
                assert wanted <= set(rows["X"][:, feature].tolist())


def test_probe_rows_are_rows_of_the_sample_with_one_value_moved() -> None:
    groups, sample = made("columns")
    rows, _ = probes.probe(groups, sample)
    assert rows is not None
    known = [tuple(map(str, row)) for row in zip(*(array.ravel().tolist() for array in sample.values()), strict=True)]
    for row in zip(*(array.ravel()[::20].tolist() for array in rows.values()), strict=True):
        texts = tuple(map(str, row))
        assert any(sum(a != b for a, b in zip(texts, other, strict=True)) <= 1 for other in known)


@pytest.mark.parametrize("kind", MODELS)
def test_coverage_counts_distinct_splits_and_the_rows_that_probe_them(kind: str) -> None:
    groups, sample = made(kind)
    rows, thresholds = probes.probe(groups, sample)
    assert rows is not None
    assert thresholds is not None
    distinct = sum(
        len({(f, t) for tree in group.trees for f, t in zip(tree.feature, tree.threshold, strict=True) if usual(f, t)})
        for group in groups
    )
    assert thresholds.distinct == distinct
    assert thresholds.rows == rows_of.count(rows)
    assert thresholds.reached <= thresholds.probed <= distinct
    assert (thresholds.probed == distinct) == (kind != "columns")


@pytest.mark.parametrize("most", [6, 60, 600, 6000])
@pytest.mark.parametrize("kind", ["forest", "scaled"])
def test_the_budget_bounds_the_rows_and_the_coverage_says_what_it_left_out(
    kind: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, sample = made(kind)
    monkeypatch.setattr(probes, "MAX_ROWS", most)
    rows, thresholds = probes.probe(groups, sample)
    assert rows is not None
    assert thresholds is not None
    assert rows_of.count(rows) == thresholds.rows <= most
    assert min(thresholds.distinct, most // 12) <= thresholds.probed <= most // 6
    assert thresholds.rows >= min(most, 6 * 8 * thresholds.probed) / 2  # and it is used


def test_more_trees_and_wider_rows_are_given_fewer_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, sample = made("forest")
    monkeypatch.setattr(probes, "MAX_VISITS", 600 * 5)
    assert probes.probe(groups, sample)[1].rows <= 600  # type: ignore[union-attr]
    monkeypatch.setattr(probes, "MAX_VALUES", 60 * 4)
    assert probes.probe(groups, sample)[1].rows <= 60  # type: ignore[union-attr]


def test_a_tight_budget_goes_to_splits_that_a_row_arrives_at(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, sample = made("forest")
    few = rows_of.take(sample, slice(0, 5))
    _, all_of_them = probes.probe(groups, few)
    assert all_of_them is not None
    assert 0 < all_of_them.reached < all_of_them.distinct
    monkeypatch.setattr(probes, "MAX_ROWS", 6 * all_of_them.reached)
    _, tight = probes.probe(groups, few)
    assert tight is not None
    assert 0 < tight.probed == tight.reached <= all_of_them.reached


def test_groups_of_trees_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, sample = made("bagged columns")
    monkeypatch.setattr(probes, "MAX_ROWS", 60)
    rows, thresholds = probes.probe(groups, sample)
    assert rows is not None
    assert thresholds is not None
    assert len(groups) == 3 <= thresholds.probed
    assert rows_of.count(rows) <= 60


@pytest.mark.parametrize("kind", ["tree of missing values", "forest", "scaled", "bagged columns", "columns"])
def test_a_walk_through_the_trees_ends_at_the_leaves_of_scikit_learn(kind: str) -> None:
    groups, sample = made(kind)
    model, rows, target = MODELS[kind]
    fitted = model.fit(rows, target)
    last, data = (fitted[-1], fitted[:-1].transform(rows)) if hasattr(fitted, "steps") else (fitted, rows)
    inner = np.ravel(getattr(last, "estimators_", [last])).tolist()
    seen = getattr(last, "estimators_features_", [slice(None)] * len(inner))
    walked = [[ends_at(tree, row) for row in compared(group, sample)] for group in groups for tree in group.trees]
    assert walked == [tree.apply(data[:, which]).tolist() for tree, which in zip(inner, seen, strict=True)]


@pytest.mark.parametrize(("single", "reached"), [(True, 2), (False, 1)])
def test_trees_that_compare_in_float32_are_walked_in_float32(*, single: bool, reached: int) -> None:
    sample = {"X": np.array([[0.5 + 1e-12, 3.0]])}  # of which float32 makes 0.5
    _, thresholds = probes.probe((two_splits(single=single),), sample)
    assert thresholds is not None
    assert (thresholds.distinct, thresholds.probed, thresholds.reached) == (2, 2, reached)


def test_a_split_that_two_trees_have_is_probed_in_the_one_where_a_row_arrives() -> None:
    never, always = two_splits(single=False, first=-9.0), two_splits(single=False, first=9.0)
    sample = {"X": np.array([[0.0, 3.0], [1.0, 0.0]])}
    for trees in ((*never.trees, *always.trees), (*always.trees, *never.trees)):
        _, thresholds = probes.probe((never._replace(trees=trees),), sample)
        assert thresholds is not None
        assert (thresholds.distinct, thresholds.probed, thresholds.reached) == (3, 3, 3)


def test_a_model_without_trees_has_nothing_to_probe() -> None:
    found = candidate(LinearRegression().fit(X, NUMBER), X)
    assert probes.probe(found.trees, found.sample) == (None, None)


def test_thresholds_on_features_that_several_columns_move_are_reported_as_not_probed() -> None:
    model = make_pipeline(PCA(2, random_state=0), DecisionTreeRegressor(max_depth=3, random_state=0)).fit(X, NUMBER)
    found = candidate(model, X)
    assert probes.probe(found.trees, found.sample) == (None, Thresholds(distinct=7, probed=0, reached=0, rows=0))


def test_a_tree_that_never_splits_has_no_thresholds() -> None:
    found = candidate(DecisionTreeRegressor().fit(X, np.ones(len(X))), X)
    assert probes.probe(found.trees, found.sample) == (None, Thresholds(distinct=0, probed=0, reached=0, rows=0))


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 9), st.data())
def test_rows_are_said_to_arrive_where_a_walk_from_the_root_takes_them(
    seed: int, rows: int, most: int, data: st.DataObject
) -> None:
    tree = grown(np.random.default_rng(seed))
    values = st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan])
    matrix = data.draw(hnp.arrays(np.float64, (rows, 2), elements=values))
    arriving = arriving_rows(tree, matrix, most)
    assert arriving.shape == (len(tree.feature), most)
    visited = [[node for node, _ in walk(tree, row)] for row in matrix.tolist()]
    for node in np.flatnonzero(tree.feature >= 0).tolist():
        there = {row for row in range(rows) if node in visited[row]}
        found = set(arriving[node].tolist())
        assert found <= there if there else found == {-1}
        assert len(found) >= min(most, len(there))


def ends_at(tree: Tree, row: list[float]) -> int:
    """Return the leaf at which a row ends, in plain Python."""
    passed = walk(tree, row)
    if not passed:
        return 0
    node, left = passed[-1]
    return int(tree.left[node] if left else tree.right[node])


def two_splits(*, single: bool, first: float = 0.5) -> TreeGroup:
    """Return a tree that splits X[0] at `first`, and what is not above it X[1] at 1."""
    feature, threshold = np.array([0, 1, -1, -1, -1]), np.array([first, 1.0, 0, 0, 0])
    left, right = np.array([1, 3, -1, -1, -1]), np.array([2, 4, -1, -1, -1])
    return TreeGroup((Tree(feature, threshold, left, right, np.zeros(5, bool)),), lambda rows: rows["X"], single)


def grown(draw: np.random.Generator, inner: int = 5) -> Tree:
    """Return a random tree over two features whose thresholds are small integers."""
    feature, left, right = [-1], [-1], [-1]
    for _ in range(inner):
        leaf = int(draw.choice(np.flatnonzero(np.array(feature) < 0)))
        feature[leaf], left[leaf], right[leaf] = int(draw.integers(0, 2)), len(feature), len(feature) + 1
        for nodes in (feature, left, right):
            nodes += [-1, -1]
    threshold = draw.integers(0, 4, len(feature)).astype(np.float64)
    return Tree(
        np.array(feature), threshold, np.array(left), np.array(right), draw.integers(0, 2, len(feature)).astype(bool)
    )


def test_columns_of_integers_are_probed_on_both_sides_of_a_threshold() -> None:
    frame = pd.DataFrame({"n": [0, 1, 2, 3, 40, 41, 42] * 20})
    model = DecisionTreeClassifier().fit(frame, [0, 0, 0, 0, 1, 1, 1] * 20)
    made = candidate(model, frame)
    probed, _ = probes.probe(made.trees, made.sample)
    assert probed is not None
    assert set(probed["n"].ravel().tolist()) == {21, 22}


def test_a_column_whose_first_rows_are_missing_is_probed_all_the_same() -> None:
    holes = X.copy()
    holes[:20, 0] = np.nan
    holes[-1, 0] = np.nan
    made = candidate(DecisionTreeClassifier(max_depth=4, random_state=0).fit(holes, LABELS), holes)
    _, found = probes.probe(made.trees, made.sample)
    assert found is not None
    assert found.probed == found.distinct


def test_columns_of_categories_are_not_moved_and_what_refuses_a_value_is_not_probed() -> None:
    frame = pd.DataFrame({"code": rng.integers(0, 5, 300), "x": X[:, 0]})
    encoded = ColumnTransformer([("code", OneHotEncoder(), ["code"]), ("x", "passthrough", ["x"])], sparse_threshold=0)
    model = make_pipeline(encoded, DecisionTreeClassifier(max_depth=6, random_state=0))
    made = candidate(model.fit(frame, (X[:, 0] > 0) ^ (frame["code"] == 2)), frame)
    assert made.looked_up == {("code", 0)}
    for looked_up in (made.looked_up, ()):
        _, found = probes.probe(made.trees, made.sample, looked_up)
        assert found is not None
        assert 0 < found.probed < found.distinct
