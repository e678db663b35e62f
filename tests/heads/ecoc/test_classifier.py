"""One-vs-all linear ECOC against libsvm, against loss-weighted decoding, and its probabilities."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from fusionfer.exceptions import DataError
from fusionfer.heads import LinearECOCClassifier


@pytest.fixture(scope="module")
def faces():
    """Three classes of very different size that overlap."""
    X, y = make_classification(
        360, 15, n_informative=8, n_classes=3, weights=[0.7, 0.22, 0.08], class_sep=1.2, random_state=0
    )
    return X, np.array(["happy", "sad", "disgust"])[y]


@parametrize_with_checks([LinearECOCClassifier(probability=False, tol=1e-9)])
def test_scikit_learn_without_calibration(estimator, check):
    """Without calibration all of scikit-learn's checks pass, those with weights included."""
    check(estimator)


def test_defaults_are_those_of_fitcecoc(faces):
    """With weights, the objective in MATLAB's form with lambda = 1 / sum of weights is at libsvm's minimum."""
    X, y = faces
    s = np.random.default_rng(0).uniform(0.2, 2, size=len(y))
    head = LinearECOCClassifier(probability=False, tol=1e-6).fit(X, y, sample_weight=s)
    assert_allclose(head.lambda_, 1 / s.sum())
    assert_array_equal(head.code_matrix_, [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    for k, label in enumerate(head.classes_):
        sign = np.where(y == label, 1, -1)
        svc = SVC(kernel="linear", C=1.0, tol=1e-6).fit(X, sign, sample_weight=s)

        def matlab(w, b, sign=sign):
            return head.lambda_ / 2 * w @ w + s @ np.maximum(0, 1 - sign * (X @ w + b)) / s.sum()

        exact = matlab(svc.coef_[0], svc.intercept_[0])
        assert_allclose(matlab(head.coef_[k], head.intercept_[k]), exact, rtol=3e-6)
        assert_allclose(head.objective_[k], exact, rtol=3e-6)


def test_predicts_as_one_vs_rest_of_libsvm(faces):
    """The labels are those of scikit-learn's one-vs-rest over exact linear machines."""
    X, y = faces
    exact = OneVsRestClassifier(SVC(kernel="linear", tol=1e-6)).fit(X, y)
    head = LinearECOCClassifier(probability=False, tol=1e-5).fit(X, y)
    assert np.mean(head.predict(X) == exact.predict(X)) > 0.99
    assert_allclose(head.decision_function(X), exact.decision_function(X), atol=0.05)


def test_argmax_is_loss_weighted_decoding():
    """The highest score is the class of least average hinge loss, max(0, 1 - ys) / 2, for scores of all sizes."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2000, 7)) * rng.choice([0.1, 1, 10], size=(2000, 1))
    code = 2 * np.eye(7) - 1
    loss = np.mean(np.maximum(0, 1 - code[None] * scores[:, None, :]) / 2, axis=2)
    assert_array_equal(loss.argmin(axis=1), scores.argmax(axis=1))


def test_smaller_c_is_stronger_penalty(faces):
    """C scales as 1 / lambda: weights shrink with it, and lambda is reported."""
    X, y = faces
    loose, tight = (LinearECOCClassifier(C=C, probability=False).fit(X, y) for C in (1.0, 1e-3))
    assert np.linalg.norm(tight.coef_) < 0.5 * np.linalg.norm(loose.coef_)
    assert_allclose(tight.lambda_, 1000 / len(y))


def test_two_classes_have_one_learner(faces):
    """Two classes: one learner, scores (n,), labels by sign, probabilities of both."""
    X, y = faces
    two = y != "disgust"
    head = LinearECOCClassifier(tol=1e-6).fit(X[two], y[two])
    assert_array_equal(head.code_matrix_, [[-1], [1]])
    scores = head.decision_function(X[two])
    exact = SVC(kernel="linear", tol=1e-6).fit(X[two], y[two])
    assert_allclose(scores, exact.decision_function(X[two]), atol=0.02)
    assert_array_equal(head.predict(X[two]), head.classes_[(scores > 0).astype(int)])
    assert head.predict_proba(X[two]).shape == (two.sum(), 2)


def test_class_weight_is_sample_weight(faces):
    """Class weights multiply sample weights; "balanced" finds more of the rare class."""
    X, y = faces
    by_class = LinearECOCClassifier(class_weight={"disgust": 5.0}, probability=False, tol=1e-7).fit(X, y)
    by_row = LinearECOCClassifier(probability=False, tol=1e-7).fit(
        X, y, sample_weight=np.where(y == "disgust", 5.0, 1.0)
    )
    assert_allclose(by_class.coef_, by_row.coef_, atol=1e-6)
    plain = LinearECOCClassifier(probability=False).fit(X, y)
    balanced = clone(plain).set_params(class_weight="balanced").fit(X, y)
    assert np.sum(balanced.predict(X) == "disgust") > np.sum(plain.predict(X) == "disgust")


def test_probabilities_are_calibrated():
    """On unseen digits the probabilities sum to one, mostly agree with the labels, and beat a softmax of the scores."""
    X, y = load_digits(return_X_y=True)
    X, Z, y, t = X[::2], X[1::2], y[::2], y[1::2]
    head = LinearECOCClassifier(C=0.01).fit(X, y)
    proba = head.predict_proba(Z)
    assert_allclose(proba.sum(axis=1), 1.0)
    assert proba.min() >= 0
    assert np.mean(head.classes_[proba.argmax(axis=1)] == head.predict(Z)) > 0.97
    softmax = np.exp(head.decision_function(Z))
    assert log_loss(t, proba) < 0.9 * log_loss(t, softmax / softmax.sum(axis=1, keepdims=True))


def test_calibration_uses_held_out_rows():
    """Labels that are pure noise, which the learners can memorise, get probabilities near the class shares."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(150, 300)), rng.integers(0, 3, size=150)
    head = LinearECOCClassifier().fit(X, y)
    assert head.score(X, y) == 1.0
    assert head.predict_proba(X).max() < 0.6


def test_calibration_changes_no_prediction(faces):
    """With and without probability the learners are the same; without it there is no predict_proba."""
    X, y = faces
    with_, without = (LinearECOCClassifier(probability=p).fit(X, y) for p in (True, False))
    assert_array_equal(with_.coef_, without.coef_)
    assert not hasattr(without, "predict_proba")
    with pytest.raises(AttributeError, match="no attribute 'predict_proba'"):
        without.predict_proba(X)


def test_seed_draws_the_calibration_folds(faces):
    """The same seed gives the same probabilities, None is repeatable, another seed differs a little."""
    X, y = faces
    first, again, other = (
        LinearECOCClassifier(random_state=seed).fit(X, y).predict_proba(X) for seed in (None, None, 7)
    )
    assert_array_equal(first, again)
    assert 0 < np.abs(first - other).max() < 0.2


def test_a_class_of_one_row(faces):
    """A class with one row is trained and calibrated; probabilities stay finite."""
    X, y = faces
    keep = np.concatenate([np.flatnonzero(y != "disgust")[:60], np.flatnonzero(y == "disgust")[:1]])
    proba = LinearECOCClassifier().fit(X[keep], y[keep]).predict_proba(X)
    assert np.all(np.isfinite(proba))


def test_float32_scores_without_a_float64_copy(faces):
    """float32 rows give the scores of float64 rows, within rounding."""
    X, y = faces
    head = LinearECOCClassifier(probability=False).fit(X.astype(np.float32), y)
    assert_allclose(head.decision_function(X.astype(np.float32)), head.decision_function(X), atol=1e-3)


def test_stopping_early_warns(faces):
    """Too few iterations give a warning that names learner, gap and remedy."""
    X, y = faces
    with pytest.warns(
        ConvergenceWarning, match=r"Learner \d stopped at a duality gap of .* after 3 steps, tol is 0.001"
    ):
        LinearECOCClassifier(max_iter=3, probability=False).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LinearECOCClassifier().fit(X, y)


def test_one_class_is_an_error(faces):
    """One class, or one that alone has weight, cannot be learned, and the error names it."""
    X, y = faces
    with pytest.raises(DataError, match="at least two classes, got 5 rows of one class only, 'sad'"):
        LinearECOCClassifier().fit(X[:5], ["sad"] * 5)
    with pytest.raises(DataError, match="of one class only, 'happy'"):
        LinearECOCClassifier().fit(X, y, sample_weight=(y == "happy").astype(float))


def test_parameters_out_of_range(faces):
    """All wrong parameters are named at once."""
    with pytest.raises(
        DataError, match="C must be a finite number above 0, got -1; tol must be a finite number above 0, got 'x'"
    ):
        LinearECOCClassifier(C=-1, tol="x").fit(*faces)
    for cost in (np.inf, np.nan, 0):
        with pytest.raises(DataError, match=rf"C must be a finite number above 0, got {cost}\.$"):
            LinearECOCClassifier(C=cost).fit(*faces)
    for steps in (0, 0.5, 10.0, np.inf):
        with pytest.raises(DataError, match=rf"max_iter must be a whole number of at least 1, got {steps}\.$"):
            LinearECOCClassifier(max_iter=steps).fit(*faces)


def test_the_unit_of_the_weights_does_not_count(faces):
    """All weights times 1/64, and C times 64: the same learners and the same probabilities."""
    X, y = faces
    weight = np.random.default_rng(0).uniform(0, 2, size=len(y))
    one = LinearECOCClassifier(C=0.5).fit(X, y, sample_weight=weight)
    other = LinearECOCClassifier(C=32.0).fit(X, y, sample_weight=weight / 64)
    assert_allclose(other.coef_, one.coef_)
    assert_allclose(other.predict_proba(X), one.predict_proba(X), rtol=1e-10)
