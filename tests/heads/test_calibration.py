"""Platt scaling against scikit-learn's, and folds that never fail."""

import numpy as np
from numpy.testing import assert_allclose
from sklearn.calibration import _SigmoidCalibration
from sklearn.utils import check_random_state

from fusionfer.heads._platt import apply_platt, fit_platt, held_out_folds


def test_equals_scikit_learn():
    """The same sigmoid as in scikit-learn, weighted or not, for scores of any size."""
    rng = np.random.default_rng(0)
    positive = rng.random(300) < 0.3
    scores = (rng.normal(size=300) + 1.5 * positive - 0.5) * 20
    uneven = rng.uniform(0, 2, size=300)
    for weight in (np.ones(300), uneven / uneven.mean()):  # theirs counts rows by the sum of their weights
        theirs = _SigmoidCalibration().fit(scores, positive, weight)
        slope, offset = fit_platt(scores, positive, weight)
        assert_allclose(
            apply_platt(scores[:, None], np.array([[slope, offset]]))[:, 0], theirs.predict(scores), atol=2e-4
        )


def test_only_ratios_of_weights_count():
    """All weights times anything give the same sigmoid, and rows without weight are as if they were not there."""
    rng = np.random.default_rng(2)
    positive = rng.random(60) < 0.4
    scores, weight = rng.normal(size=60) + positive, rng.uniform(0, 2, size=60)
    weight[:20] = 0
    expected = fit_platt(scores, positive, weight)
    for factor in (1e-4, 7.0, 1e4):
        assert_allclose(fit_platt(scores, positive, weight * factor), expected, rtol=1e-9)
    assert_allclose(fit_platt(scores[20:], positive[20:], weight[20:]), expected, rtol=1e-3)


def test_calibrated_on_its_own_model():
    """Scores whose log-odds are known are given back: slope 2, offset -1."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=100_000)
    positive = rng.random(100_000) < 1 / (1 + np.exp(-(2 * scores - 1)))
    assert_allclose(fit_platt(scores, positive, np.ones(100_000)), (2, -1), atol=0.05)


def test_backward_scores_carry_no_information():
    """Scores that rank the classes backwards give every row the share of the positive class, not a reversed answer."""
    positive = np.arange(100) < 25
    slope, offset = fit_platt(np.where(positive, -1.0, 1.0), positive, np.ones(100))
    assert slope == 0
    assert_allclose(1 / (1 + np.exp(-offset)), 0.25, atol=0.02)


def test_extreme_scores_stay_finite():
    """Separable, huge, or constant scores give finite numbers."""
    positive = np.arange(20) < 10
    for scores in (np.where(positive, 1e8, -1e8), np.zeros(20)):
        assert np.all(np.isfinite(fit_platt(scores.astype(float), positive, np.ones(20))))


def test_folds_spread_every_class():
    """Each class is spread evenly, one of a single row is no error, and the same seed gives the same folds."""
    y = np.repeat([0, 1, 2, 3], [31, 30, 2, 1])
    folds = held_out_folds(y, 3, check_random_state(0))
    for label in range(4):
        counts = np.bincount(folds[y == label], minlength=3)
        assert counts.max() - counts.min() <= 1
    assert_allclose(folds, held_out_folds(y, 3, check_random_state(0)))
    assert np.any(folds != held_out_folds(y, 3, check_random_state(1)))
