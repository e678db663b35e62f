"""Platt scaling of many learners, against scikit-learn's and a general optimiser."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from sklearn.calibration import _SigmoidCalibration

from fusionfer.heads._calibration import apply_sigmoid, fit_sigmoid


def one(scores, positive, weight):
    """Slope and offset of a single learner."""
    sides = np.where(positive, 1, -1)
    return tuple(fit_sigmoid(np.asarray(scores, dtype=float)[:, None], sides[:, None], weight)[0])


def test_equals_scikit_learn():
    """The same sigmoid as in scikit-learn, weighted or not, for scores of any size."""
    rng = np.random.default_rng(0)
    positive = rng.random(300) < 0.3
    scores = (rng.normal(size=300) + 1.5 * positive - 0.5) * 20
    uneven = rng.uniform(0, 2, size=300)
    for weight in (np.ones(300), uneven / uneven.mean()):  # theirs counts rows by the sum of their weights
        theirs = _SigmoidCalibration().fit(scores, positive, weight)
        found = fit_sigmoid(scores[:, None], np.where(positive, 1, -1)[:, None], weight)
        assert_allclose(apply_sigmoid(scores[:, None], found)[:, 0], theirs.predict(scores), atol=2e-4)


@pytest.mark.parametrize("gap", [0.1, 1.0, 8.0])
def test_is_at_the_minimum_of_platts_loss(gap):
    """Overlapping or separable, the two numbers minimise the cross-entropy with Platt's targets, written out."""
    rng = np.random.default_rng(3)
    positive = np.arange(80) < 25
    scores, weight = rng.normal(size=80) + gap * positive, rng.uniform(0.5, 1.5, size=80)
    weight /= weight.mean()
    many, few = weight[positive].sum(), weight[~positive].sum()
    target = np.where(positive, (many + 1) / (many + 2), 1 / (few + 2))

    def loss(ab):
        p = 1 / (1 + np.exp(-(ab[0] * scores + ab[1])))
        return -weight @ (target * np.log(p) + (1 - target) * np.log(1 - p))

    best = minimize(loss, (1.0, 0.0), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
    assert_allclose(one(scores, positive, weight), best.x, rtol=1e-4, atol=1e-5)


def test_learners_are_independent_and_zero_sides_drop_out():
    """Each column gets what it would get alone, from its own rows only."""
    rng = np.random.default_rng(1)
    sides = rng.integers(-1, 2, size=(90, 3))
    scores, weight = rng.normal(size=(90, 3)) + sides, rng.uniform(0, 2, size=90)
    together = fit_sigmoid(scores, sides, weight)
    for j in range(3):
        part = sides[:, j] != 0
        assert_allclose(together[j], one(scores[part, j], sides[part, j] > 0, weight[part]), rtol=1e-9)


def test_only_ratios_of_weights_count():
    """All weights times anything give the same sigmoid, and rows without weight are as if they were not there."""
    rng = np.random.default_rng(2)
    positive = rng.random(60) < 0.4
    scores, weight = rng.normal(size=60) + positive, rng.uniform(0, 2, size=60)
    weight[:20] = 0
    expected = one(scores, positive, weight)
    for factor in (1e-4, 7.0, 1e4):
        assert_allclose(one(scores, positive, weight * factor), expected, rtol=1e-9)
    assert_allclose(one(scores[20:], positive[20:], weight[20:]), expected, rtol=1e-9)


def test_calibrated_on_its_own_model():
    """Scores whose log-odds are known are given back: slope 2, offset -1."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=100_000)
    positive = rng.random(100_000) < 1 / (1 + np.exp(-(2 * scores - 1)))
    assert_allclose(one(scores, positive, np.ones(100_000)), (2, -1), atol=0.05)


def test_backward_scores_carry_no_information():
    """Scores that rank the classes backwards give every row the share of the positive class, not a reversed answer."""
    positive = np.arange(100) < 25
    slope, offset = one(np.where(positive, -1.0, 1.0), positive, np.ones(100))
    assert slope == 0
    assert_allclose(1 / (1 + np.exp(-offset)), 0.25, atol=0.02)


def test_extreme_scores_stay_finite():
    """Separable, huge, constant, zero or one-sided scores give finite numbers."""
    positive = np.arange(20) < 10
    for scores in (np.where(positive, 1e8, -1e8), np.full(20, 3.0), np.zeros(20)):
        assert np.all(np.isfinite(one(scores, positive, np.ones(20))))
    slope, offset = one(np.linspace(-1, 1, 20), np.ones(20, dtype=bool), np.ones(20))
    assert 1 / (1 + np.exp(-offset)) > 0.9
    assert np.isfinite(slope)
