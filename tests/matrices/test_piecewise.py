"""A classifier that is asked piece by piece says what it says of all rows at once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.metrics import get_scorer

from fusionfer.matrices import MappedMatrix, piecewise


def _data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 5)).astype(np.float32)
    return X, np.where(X[:, 0] + 0.3 * rng.normal(size=90) > 0, "joy", "fear")


def test_labels_probabilities_and_scorers(monkeypatch):
    """All three kinds of answers, and scikit-learn's scorers, are those of the classifier itself."""
    X, y = _data()
    fitted, matrix = LogisticRegression().fit(X, y), MappedMatrix([X])
    monkeypatch.setattr(MappedMatrix, "__array__", None)  # nobody may read it as a whole
    asked = piecewise(fitted, matrix)
    assert_array_equal(asked.predict(matrix), fitted.predict(X))
    assert_allclose(asked.predict_proba(matrix), fitted.predict_proba(X))
    assert_allclose(asked.decision_function(matrix), fitted.decision_function(X), rtol=1e-6)
    for name in ("accuracy", "neg_log_loss", "roc_auc"):
        assert_allclose(get_scorer(name)(asked, matrix, y), get_scorer(name)(fitted, X, y))


def test_no_rows_are_none_for_the_classifier():
    """What it says of an empty array, it says of an empty matrix."""
    X, y = _data()
    fitted, matrix = LogisticRegression().fit(X, y), MappedMatrix([X])[:0]
    with pytest.raises(ValueError, match="Found array with 0 sample") as expected:
        fitted.predict(X[:0])
    with pytest.raises(ValueError, match="Found array with 0 sample") as found:
        piecewise(fitted, matrix).predict(matrix)
    assert str(found.value) == str(expected.value)


def test_it_has_what_the_classifier_has():
    """No probabilities where the classifier gives none; an array is handed to the classifier as it is."""
    X, y = _data()
    fitted = Perceptron().fit(X, y)
    asked = piecewise(fitted, MappedMatrix([X]))
    assert not hasattr(asked, "predict_proba")
    assert_array_equal(asked.predict(X), fitted.predict(X))
    assert piecewise(fitted, X) is fitted
