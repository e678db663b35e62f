"""What all support vector machines promise: calibrated, deterministic, honest about bad input."""

import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import log_loss

from fusionfer.exceptions import DataError
from fusionfer.heads._svm_linear import LinearSVMClassifier
from fusionfer.heads._svm_nystroem import NystroemSVMClassifier
from fusionfer.heads._svm_rbf import RBFSVMClassifier

HEADS = [LinearSVMClassifier, NystroemSVMClassifier, RBFSVMClassifier]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities(head, n_classes, rows):
    """Probabilities sum to one, are calibrated on rows left out, and leave predictions as they are without them."""
    X, y = rows(n_classes, n=400)
    fitted = head().fit(X[:200], y[:200])
    proba = fitted.predict_proba(X[200:])
    assert proba.shape == (200, n_classes)
    assert_allclose(proba.sum(axis=1), 1.0)
    frequencies = np.array([np.mean(y[:200] == label) for label in fitted.classes_])
    assert log_loss(y[200:], proba) < 0.7 * log_loss(y[200:], np.tile(frequencies, (200, 1)))
    plain = head(probability=False).fit(X[:200], y[:200])
    assert not hasattr(plain, "predict_proba")
    assert_array_equal(plain.predict(X), fitted.predict(X))
    with pytest.raises(AttributeError, match="has no attribute 'predict_proba'"):
        _ = plain.predict_proba


@pytest.mark.parametrize("head", HEADS)
def test_prediction_is_the_highest_score(head, rows):
    """`predict` is the argmax of `decision_function`, or its sign for two classes."""
    for n_classes in (2, 4):
        X, y = rows(n_classes)
        fitted = head(probability=False).fit(X, y)
        scores = fitted.decision_function(X)
        best = (scores > 0).astype(int) if n_classes == 2 else np.argmax(scores, axis=1)
        assert_array_equal(fitted.predict(X), fitted.classes_[best])
        assert fitted.predict(X).dtype == y.dtype


@pytest.mark.parametrize("head", HEADS)
def test_rows_of_weight_zero_are_absent(head, rows):
    """Rows of weight 0 change nothing, not even the classes."""
    X, y = rows()
    weight = np.where(y == "sad", 0.0, np.random.default_rng(0).uniform(0.5, 2.0, len(y)))
    fitted = head(tol=1e-9).fit(X, y, sample_weight=weight)
    left = head(tol=1e-9).fit(X[weight > 0], y[weight > 0], sample_weight=weight[weight > 0])
    assert fitted.classes_.tolist() == ["angry", "happy", "neutral"]
    assert_allclose(fitted.decision_function(X), left.decision_function(X), rtol=1e-3, atol=1e-4)
    assert_allclose(fitted.predict_proba(X), left.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_class_weights_are_sample_weights(head, rows):
    """A class weight is the weight of all its rows."""
    X, y = rows()
    by_class = head(class_weight={"angry": 3.0, "happy": 1.0, "neutral": 1.0, "sad": 1.0}).fit(X, y)
    by_row = head().fit(X, y, sample_weight=np.where(y == "angry", 3.0, 1.0))
    assert_allclose(by_class.predict_proba(X), by_row.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("head", HEADS)
def test_groups_stay_together(head, monkeypatch, rows):
    """Rows of one group reach the folds of the calibration as one group."""
    X, y = rows(n=120)
    groups = np.arange(120) // 3
    seen = []
    for module in ("fusionfer.heads._svm_rbf", "fusionfer.heads.ecoc._planning"):
        namespace = importlib.import_module(module)
        inner = namespace.inner_folds

        def spy(y, n_folds, random_state=None, groups=None, *more, inner=inner):
            folds = inner(y, n_folds, random_state, groups, *more)
            seen.append((folds, np.asarray(groups)))
            return folds

        monkeypatch.setattr(namespace, "inner_folds", spy)
    head().fit(X, y, groups=groups)
    ((folds, given),) = seen
    assert_array_equal(given, groups)
    assert all(len(set(folds[groups == group])) == 1 for group in groups)


@pytest.mark.parametrize("head", HEADS)
def test_the_same_fit_twice(head, rows):
    """Same data, same seed: the same bits; None is a seed too."""
    X, y = rows()
    for seed in (None, 3):
        one, two = (head(random_state=seed).fit(X, y) for _ in range(2))
        assert_array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize("head", HEADS)
def test_very_few_rows(head):
    """Two rows a class, fewer than there are folds, are still a fit with probabilities."""
    X = np.array([[0.0, 0.0], [0.1, 0.2], [5.0, 5.0], [5.1, 5.2], [-5.0, 5.0], [-5.1, 5.2]])
    y = np.array(["a", "a", "b", "b", "c", "c"])
    fitted = head(C=10.0).fit(X, y)
    assert_array_equal(fitted.predict(X), y)
    assert np.all(np.isfinite(fitted.predict_proba(X)))
    assert np.all(np.isfinite(head().fit(X[:3], y[:3]).predict_proba(X)))


@pytest.mark.parametrize("head", HEADS)
def test_one_class_is_an_error(head, rows):
    """One class cannot be learned, and the error names head and class."""
    X, _ = rows()
    with pytest.raises(DataError, match=rf"{head.__name__} needs rows of at least two classes, got 5 .* 'sad'"):
        head().fit(X[:5], ["sad"] * 5)


@pytest.mark.parametrize(
    ("head", "params", "match"),
    [
        (
            RBFSVMClassifier,
            {"C": 0, "gamma": "auto"},
            "C must be a finite number above 0, got 0; gamma must",
        ),
        (
            RBFSVMClassifier,
            {"tol": np.nan, "max_iter": 0, "cache_mb": 0.5},
            "tol must .*; max_iter must .*; cache_mb",
        ),
        (
            NystroemSVMClassifier,
            {"n_components": 0, "gamma": -1.0},
            "n_components must be a whole .*; gamma must",
        ),
        (
            NystroemSVMClassifier,
            {"C": -1, "tol": 0, "max_iter": 1.5, "standardize": "no"},
            "C must .* got -1; standardize must .* got 'no'; tol must .* got 0; max_iter must .* got 1.5",
        ),
        (NystroemSVMClassifier, {"C": "Auto"}, "C must be 'auto' or a finite number above 0, got 'Auto'"),
        (LinearSVMClassifier, {"C": -1, "tol": 0}, "C must be .* got -1; tol must be .* got 0"),
    ],
)
def test_parameters_out_of_range(head, params, match, rows):
    """Wrong parameters are named, all at once, with the head."""
    with pytest.raises(DataError, match=f"{head.__name__}: {match}"):
        head(**params).fit(*rows())
