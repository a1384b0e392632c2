"""Binarizer is exact at its threshold, wherever it stands, and the comparison stands there too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from converting import packaged
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, KBinsDiscretizer, StandardScaler

if TYPE_CHECKING:
    from pathlib import Path

rng = np.random.default_rng(0)
THRESHOLD = 0.3457  # float32 has no such number
X = rng.normal(size=(400, 3)).round(4)
LABELS = (X.sum(axis=1) > 0).astype(int)
NEAR = [THRESHOLD, np.nextafter(THRESHOLD, 1), np.nextafter(THRESHOLD, 0), np.float64(np.float32(THRESHOLD))]
ROWS = np.array([[value, 0.0, value] for value in NEAR])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_value_at_the_threshold_falls_on_the_originals_side(tmp_path: Path, dtype: Any) -> None:
    model = Binarizer(threshold=THRESHOLD).fit(X.astype(dtype))
    made, scorer = packaged(model, X.astype(dtype), tmp_path / "package")
    assert made.report.contract == np.dtype(dtype).name
    rows = ROWS.astype(dtype)
    assert np.array_equal(scorer.score(rows)["transformed"], model.transform(rows))
    assert made.report.thresholds is not None
    assert (made.report.thresholds.distinct, made.report.thresholds.probed) == (3, 3)


@pytest.mark.parametrize("front", [[], [StandardScaler()]])
def test_in_front_of_a_classifier_every_label_is_the_originals(tmp_path: Path, front: list[Any]) -> None:
    model = make_pipeline(*front, Binarizer(threshold=THRESHOLD), LogisticRegression()).fit(X, LABELS)
    made, scorer = packaged(model, X, tmp_path / "package")
    assert made.report.contract == "float64"
    assert made.report.thresholds is not None
    assert made.report.thresholds.probed == 3
    assert np.array_equal(scorer.score(ROWS)["label"], model.predict(ROWS))


def test_the_edges_of_bins_and_thresholds_inside_of_branches_are_probed(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "city": rng.choice(["Bern", "Genf"], 400)})
    columns = make_column_transformer(
        (Binarizer(threshold=THRESHOLD), ["a"]),
        (KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"), ["b"]),
    )
    made, _ = packaged(make_pipeline(columns, LogisticRegression()).fit(frame, LABELS), frame, tmp_path / "package")
    assert made.report.thresholds is not None
    assert (made.report.thresholds.distinct, made.report.thresholds.probed) == (4, 4)


def test_columns_of_either_width_keep_theirs_in_one_frame(tmp_path: Path) -> None:
    """scikit-learn sees them together as float64; what came as float32 has no more digits to give."""
    frame = pd.DataFrame({"p": rng.random(400), "q": rng.random(400).astype(np.float32)})
    columns = make_column_transformer((Binarizer(threshold=0.3), ["p", "q"]))
    model = make_pipeline(columns, LogisticRegression()).fit(frame, frame["p"] > 0.3)
    made, scorer = packaged(model, frame, tmp_path / "package")
    assert made.report.contract == "float64"
    assert [spec.datatype for spec in scorer.signature.inputs] == ["FP64", "FP32"]
    rows = pd.DataFrame({"p": np.round(rng.random(2000), 1), "q": np.round(rng.random(2000), 1).astype(np.float32)})
    assert np.array_equal(scorer.score(rows)["label"], model.predict(rows))
