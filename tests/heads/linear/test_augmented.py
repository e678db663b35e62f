"""The augmented Lagrangian of the hinge loss: its function against the formula, its results against libsvm and ADMM."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.svm import SVC

from fusionfer.heads.linear import LinearProblem, _solving, solve_linear, solve_many
from fusionfer.heads.linear._augmented import AugmentedHinge, is_tall


@pytest.fixture
def loss():
    """One learner of 40 rows with uneven costs, two of them 0, and multipliers that have moved once."""
    rng = np.random.default_rng(0)
    y, c = rng.choice([-1, 1], 40).astype(np.int8), rng.uniform(0.1, 3.0, 40)
    c[:2] = 0.0
    loss = AugmentedHinge(y[None], [c], 0.0, np.array([0.7]))
    loss.recentre(0, rng.normal(1.0, 1.0, 40))
    return loss


def test_only_when_every_learner_has_the_rows():
    """Five rows a column, counted for each learner."""
    assert is_tall(np.array([50, 70]), 10)
    assert not is_tall(np.array([49, 70]), 10)


def test_value_is_the_best_smoothed_hinge(loss):
    """The value is max over a in [0, c] of a (1 - m) - (a - alpha)^2 / (2 sigma), found here on a grid."""
    c, m, alpha, sigma = loss.costs[0], np.random.default_rng(1).normal(1.0, 1.0, 40), loss.shares[0], loss.sigma[0]
    value, slopes, _ = loss.losses(0, m, c)
    share = np.linspace(0.0, 1.0, 100_001)[:, None]
    each = share * (1.0 - m) - (share - alpha) ** 2 / (2.0 * sigma)
    assert_allclose(value, c @ each.max(axis=0), rtol=1e-8)
    assert_allclose(slopes, c * share[each.argmax(axis=0), 0], atol=3e-5)
    assert value <= c @ np.maximum(0.0, 1.0 - m)


def test_equals_the_hinge_at_its_own_multipliers(loss):
    """Where rows lie off their corner and the multipliers say so, nothing is smoothed."""
    m = np.where(np.arange(40) % 2, 0.2, 1.9)
    for _ in range(20):
        loss.recentre(0, m)
    value, slopes, curvatures = loss.losses(0, m, loss.costs[0])
    assert_allclose(value, loss.costs[0] @ np.maximum(0.0, 1.0 - m), rtol=1e-12)
    assert_allclose(slopes, loss.costs[0] * (m < 1.0))
    assert not curvatures.any()


def test_slopes_and_curvatures_are_derivatives(loss):
    """Of the value, by differences, at margins that are no corners."""
    c, m, step = loss.costs[0], np.random.default_rng(2).normal(1.0, 0.5, 40), 1e-6
    _, slopes, curvatures = loss.losses(0, m, c)
    for i in range(40):
        there, here = (loss.losses(0, m + sign * step * (np.arange(40) == i), c) for sign in (1, -1))
        assert_allclose((there[0] - here[0]) / (2 * step), -slopes[i], atol=1e-6)
        assert_allclose((there[1][i] - here[1][i]) / (2 * step), -curvatures[i], atol=1e-6)


def test_costs_a_million_to_one(faces_like, codes):
    """Class weights as uneven as these do not stall it: its objective, by the formula, is as low as libsvm's."""
    X, y = faces_like(300, 8, 3)
    X, Y, c = X / X.std(), codes(y), np.where(y == 0, 100.0, 1e-4)
    fit = solve_linear(X, Y, c, loss="hinge", tol=1e-8)
    assert np.all(fit.gap <= 1e-8)
    for k in range(3):
        svc = SVC(kernel="linear", C=1.0, tol=1e-7).fit(X, Y[:, k], sample_weight=c)
        margins = Y[:, k] * (X @ svc.coef_[0] + svc.intercept_[0])
        exact = 0.5 * svc.coef_[0] @ svc.coef_[0] + c @ np.maximum(0.0, 1.0 - margins)
        short = np.maximum(0.0, 1.0 - Y[:, k] * (X @ fit.coef[k] + fit.intercept[k]))
        assert_allclose(fit.objective[k], 0.5 * fit.coef[k] @ fit.coef[k] + c @ short, rtol=1e-9)
        assert fit.objective[k] <= exact * (1 + 1e-6)


@pytest.mark.parametrize("penalize", [False, True])
def test_agrees_with_alternating_directions(monkeypatch, faces_like, codes, penalize):
    """Folds, pairs and views of columns: the objectives are those of the other method, within both gaps."""
    X, y = faces_like(400, 12, 4)
    halves, pairs = codes(y), codes(y)[:, :2]
    halves[::4] = 0
    pairs[y >= 2] = 0
    factor = 1.0 / X.std(axis=0)
    problems = [
        LinearProblem(halves, np.full(400, 0.5), shift=X.mean(axis=0), factor=factor),
        LinearProblem(pairs, np.full(400, 2.0), shift=X.mean(axis=0), factor=factor),
    ]
    found = {}
    for tall in (True, False):
        monkeypatch.setattr(_solving, "is_tall", lambda *_, tall=tall: tall)
        found[tall] = solve_many(X, problems, loss="hinge", tol=1e-5, penalize_intercept=penalize)
    for one, other in zip(found[True], found[False], strict=True):
        assert np.all(one.gap <= 1e-5)
        assert_allclose(one.objective, other.objective, rtol=2e-5)
        assert_allclose(one.coef, other.coef, atol=0.02 * np.abs(other.coef).max())


def test_steps_do_not_grow_with_the_rows(faces_like, codes):
    """Fifty times the rows take no more steps, give or take two."""
    steps = []
    for n in (400, 20_000):
        X, y = faces_like(n, 16, 4)
        fit = solve_linear(X, codes(y), np.full(n, 1.0), loss="hinge", tol=1e-3)
        assert np.all(fit.gap <= 1e-3)
        steps.append(fit.n_iter.max())
    assert steps[1] <= steps[0] + 2
