"""Rows of a map that are no numbers: every head refuses them where it would refuse those of an array."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from fusionfer.exceptions import DataError
from fusionfer.heads import make_head
from fusionfer.matrices import MappedMatrix

HEADS = [
    ("ecoc", {"loss": "squared_hinge"}),
    ("ecoc", {"loss": "squared_hinge", "binary_loss": "quadratic"}),
    ("ecoc", {"learner": LogisticRegression()}),
    ("ecoc", {"learner": DecisionTreeClassifier(max_depth=2)}),  # would take NaN for a value
    ("svm-linear", {}),
    ("softmax", {}),
    ("svm-rbf", {}),
    ("svm-nystroem", {"n_components": 20}),
]


@pytest.mark.parametrize(("name", "params"), HEADS)
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_rows_to_predict(rows, name, params, value):
    """The error is that of the array; without such rows the predictions are."""
    X, y = rows(3, n=90)
    X = X.astype(np.float32)
    head = make_head(name, **params).fit(X, y)
    bad = X.copy()
    bad[70, 3] = value
    told = "Input X contains NaN" if np.isnan(value) else "Input X contains infinity"
    for asked in (bad, MappedMatrix([bad])):
        for ask in (head.predict, head.predict_proba, head.decision_function):
            with pytest.raises(ValueError, match=told):
                ask(asked)
    assert np.array_equal(head.predict(MappedMatrix([bad]).rows(slice(0, 70))), head.predict(X[:70]))


@pytest.mark.parametrize(("name", "params"), HEADS)
@pytest.mark.parametrize("row", [40, 41])
def test_rows_to_fit(rows, name, params, row):
    """NaN is refused in rows that are trained on (41) and in those that are held out (40)."""
    X, y = rows(3, n=90)
    X = X.astype(np.float32)
    X[row, 3] = np.nan
    head = make_head(name, **params)
    for given in (X, MappedMatrix([X])):
        with pytest.raises((DataError, ValueError), match=r"NaN|variance of a column exceeds"):
            head.fit(given, y, held_out=np.arange(90) % 10 == 0)


def test_scores_that_overflow_are_no_complaint(rows):
    """Finite rows whose scores exceed float32 are answered as those of an array are."""
    X, y = rows(3, n=90)
    head = make_head("softmax").fit(X.astype(np.float32), y)
    head.coef_ *= 1e30
    large = np.full((2, 6), 1e30, dtype=np.float32)
    with np.errstate(all="ignore"):
        expected = head._scores(large)
        assert not np.isfinite(expected).all()
        np.testing.assert_array_equal(head._scores(MappedMatrix([large])), expected)
