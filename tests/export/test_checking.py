"""The check: every way in which a file can say something else is a complaint of its own."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.tree import DecisionTreeClassifier

from fusionfer.exceptions import ModelError
from fusionfer.export import CHAIN_BOUND, HEAD_BOUND, Agreement, Crossing
from fusionfer.export._checking import _agreement, require
from fusionfer.heads import ECOCClassifier, make_head
from fusionfer.networks import ENGINE_BOUND
from fusionfer.persistence import Model

FINE = Agreement(
    n=10, features=1e-6, head=1e-7, head_labels=0, chain=1e-6, labels=0, moved=0, crossings=None, unexplained=None
)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"features": 2 * ENGINE_BOUND},
            r"a feature differs by 8\.0e-05 of the largest of its block, 4e-05 is",
        ),
        ({"features": np.nan}, r"a feature differs by nan"),
        ({"head": 2 * HEAD_BOUND}, r"on identical features a probability differs by 2\.0e-05, 1e-05 is allowed"),
        ({"head_labels": 3}, r"on identical features 3 labels differ"),
        ({"chain": 2 * CHAIN_BOUND}, r"from pictures on a probability differs by 1\.0e-03, 5e-04 is allowed"),
        ({"unexplained": 1}, r"1 pictures moved although no feature of theirs crossed a threshold"),
    ],
)
def test_each_complaint(change, complaint):
    """Beyond a bound there is an error with the figure and the bound."""
    with pytest.raises(ModelError, match=rf"something else than the model on 10 pictures \({complaint}.*Nothing was"):
        require(replace(FINE, **change), ECOCClassifier())


def test_within_the_bounds():
    """Nothing is said; and from pictures on, only smooth heads are bound, as a tree may turn at a threshold."""
    require(FINE, ECOCClassifier())
    require(replace(FINE, head=None, chain=None), ECOCClassifier())
    require(replace(FINE, chain=0.3, labels=1, moved=1), DecisionTreeClassifier())
    with pytest.raises(ModelError, match="from pictures on"):
        require(replace(FINE, chain=0.3, labels=1, moved=1), ECOCClassifier())


class Voting(ClassifierMixin, BaseEstimator):
    """A classifier that has neither scores nor probabilities."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), "a")


@pytest.fixture
def judged(rows):
    """Return a function that compares a head on X with what a file would say that got the features Z."""
    X, y, T = rows

    def judge(head, Z, spoil=lambda labels, proba: (labels, proba)):
        head.fit(X, y)
        block = {"backbone": "resnet34", "level": "logits", "dim": 20, "key": {}, "record": {}}
        model = Model(head, {"b": block}, tuple(head.classes_))
        has_proba = hasattr(head, "predict_proba")
        labels, proba = spoil(head.predict(Z), head.predict_proba(Z).astype(np.float32) if has_proba else None)
        said = {"features": Z, "label": labels} | ({"probabilities": proba} if has_proba else {})
        return _agreement(model, T, {"b": slice(0, 20)}, said)

    return judge


def test_a_moved_tree_is_explained_by_its_split(judged, rows):
    """Features that cross thresholds move faces; each of those has a crossing, with its values on both sides."""
    T = rows[2]
    Z = T + np.random.default_rng(0).normal(scale=0.02, size=T.shape).astype(np.float32)
    found = judged(make_head("xgb-wn", n_rounds=10), Z)
    assert found.moved > 0
    assert found.unexplained == 0
    assert found.head <= HEAD_BOUND < found.chain
    assert found.crossed >= found.moved
    assert all(isinstance(one, Crossing) for one in found.crossings)


def test_a_moved_tree_without_a_split_is_not_explained(judged, rows):
    """A probability that differs on equal features has no crossing to its name."""

    def spoil(labels, proba):
        proba[3] = np.roll(proba[3], 1)
        return labels, proba

    found = judged(make_head("xgb-wn", n_rounds=10), rows[2], spoil)
    assert (found.moved, found.unexplained, found.crossings) == (1, 1, ())


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_features_that_are_no_numbers(judged, rows, strange):
    """A file whose networks give NaN or infinity is refused, before a head has to judge them."""
    Z = rows[2].copy()
    Z[3, 19] = strange
    with pytest.raises(ModelError, match=r"gives features that are no finite numbers\. Nothing was written"):
        judged(Voting(), Z)


@pytest.mark.parametrize("shape", [None, (150, 10)])
def test_without_a_score_a_class_no_label_ties(judged, rows, shape):
    """A head that only votes, and one that scores pairs: labels that differ count, as nothing excuses them."""
    head = Voting()
    if shape is not None:
        head.decision_function = lambda X: np.zeros((len(X), shape[1]))

    def spoil(labels, proba):
        labels[:2] = "b"
        return labels, proba

    assert judged(head, rows[2], spoil).head_labels == 2


def test_labels_that_tie_and_labels_that_do_not(judged, rows):
    """Another label counts on identical features, unless the scores of the two are equal within the bound."""

    def spoil(labels, proba):
        labels[:2] = np.where(labels[:2] == "a", "b", "a")
        return labels, proba

    found = judged(ECOCClassifier(), rows[2], spoil)
    assert (found.head_labels, found.labels, found.moved) == (2, 2, 2)
    tied = ECOCClassifier().fit(*rows[:2])
    tied.fit = lambda X, y: tied
    tied.coef_[:], tied.intercept_[:] = 0.0, 1.0
    found = judged(tied, rows[2], spoil)
    assert (found.head_labels, found.labels) == (0, 2)
