"""A label counts as a tie only where the original's own scores of the two labels are as good as equal."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from modelport.packager.conversion.sklearn import reference

rng = np.random.default_rng(1)
X = rng.normal(size=(300, 3))
LABELS = rng.integers(0, 3, 300)


@pytest.mark.filterwarnings("ignore:The `probability` parameter")
def test_a_label_is_measured_against_the_one_that_was_answered_and_not_the_likeliest() -> None:
    model = SVC(probability=True, random_state=0).fit(X, LABELS)
    answers = {"label": model.predict(X), "probabilities": model.predict_proba(X)}
    likeliest = model.classes_[answers["probabilities"].argmax(axis=1)]
    differs = likeliest != answers["label"]
    assert differs.any()
    behind = reference.behind(model, answers, likeliest)
    assert (behind[differs] > 1e-6).all()
    assert (behind[~differs] == 0).all()


def test_scores_of_pairs_of_classes_say_nothing_of_ties() -> None:
    model = SVC(decision_function_shape="ovo").fit(X, LABELS)
    answers = {"label": model.predict(X), "scores": model.decision_function(X)}
    assert np.isinf(reference.behind(model, answers, (answers["label"] + 1) % 3)).all()


@pytest.mark.parametrize("label", [7, "another"])
def test_a_label_that_the_original_does_not_know_is_no_tie(label: object) -> None:
    model = LogisticRegression().fit(X, LABELS)
    answers = {"label": model.predict(X[:1]), "probabilities": model.predict_proba(X[:1])}
    assert np.isinf(reference.behind(model, answers, np.array([label], object))).all()
