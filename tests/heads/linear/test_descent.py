"""Smooth losses against L-BFGS on the formulas, scikit-learn, and their own proven gap."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from fusionfer.heads.linear import _descent, solve_linear, solve_softmax

SMOOTH = {
    "squared_hinge": (lambda m: np.maximum(0, 1 - m) ** 2, lambda m: -2 * np.maximum(0, 1 - m)),
    "logistic": (lambda m: np.logaddexp(0, -m), lambda m: -np.exp(-np.logaddexp(0, m))),
}


def objective(loss, w, b, X, y, c, penalty=0.0):
    return 0.5 * (w @ w + penalty * b * b) + c @ SMOOTH[loss][0](y * (X @ w + b))


def by_lbfgs(loss, X, y, c, penalty=0.0):
    """Minimum of the formula by scipy, in columns that are centred and scaled so that it gets there."""
    Z = np.column_stack([X, np.ones(len(X))])
    ridge = np.append(np.ones(X.shape[1]), penalty)
    unit = 1 / np.sqrt(ridge + c.sum() * (Z**2).mean(axis=0))

    def value_and_slope(scaled):
        theta = scaled * unit
        m = y * (Z @ theta)
        value = 0.5 * ridge @ theta**2 + c @ SMOOTH[loss][0](m)
        return value, unit * (ridge * theta + Z.T @ (c * y * SMOOTH[loss][1](m)))

    options = {"maxiter": 50_000, "maxfun": 100_000, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 50}
    found = minimize(value_and_slope, np.zeros(Z.shape[1]), jac=True, method="L-BFGS-B", options=options)
    return found.fun, found.x * unit


@pytest.mark.parametrize("loss", SMOOTH)
@pytest.mark.parametrize(
    ("n", "d", "spread", "cost"),
    [(300, 10, 0, 0.1), (300, 10, 2, 1e-4), (60, 90, 0, 1e-2), (60, 90, 2, 1e-5), (60, 90, 0, 30.0), (12, 4, 0, 1.0)],
    ids=["plain", "scales 100x", "wide", "wide, scales 100x", "wide, separable", "tiny"],
)
def test_minimum_of_the_formula(faces_like, codes, loss, n, d, spread, cost):
    """With classes of very different size and uneven weights, some 0, the minimum is that of L-BFGS to 1e-10."""
    X, y = faces_like(n, d, 4, spread=spread)
    c = cost * np.maximum(np.random.default_rng(1).uniform(-0.2, 2, size=n), 0)
    Y = codes(y)
    fit = solve_linear(X, Y, c, loss=loss, tol=1e-9)
    assert np.all(fit.gap <= 1e-9)
    for k in range(4):
        assert_allclose(fit.objective[k], objective(loss, fit.coef[k], fit.intercept[k], X, Y[:, k], c), rtol=1e-10)
        exact, _ = by_lbfgs(loss, X, Y[:, k], c)
        assert fit.objective[k] <= exact * (1 + 1e-9)
        assert fit.objective[k] >= exact * (1 - 1e-6)


@pytest.mark.parametrize("loss", SMOOTH)
@pytest.mark.parametrize("tol", [1e-1, 1e-2, 1e-4])
def test_gap_is_honest(faces_like, codes, loss, tol):
    """The reported gap is at most tol, and bounds the true distance to the minimum."""
    X, y = faces_like(250, 30, 3)
    c = np.full(250, 0.5)
    fit = solve_linear(X, codes(y), c, loss=loss, tol=tol)
    assert np.all(fit.gap <= tol)
    for k in range(3):
        exact, _ = by_lbfgs(loss, X, codes(y)[:, k], c)
        assert (fit.objective[k] - exact) / fit.objective[k] <= fit.gap[k] + 1e-10


def test_logistic_equals_scikit_learn(faces_like):
    """Weights and free intercept are those of LogisticRegression, sample weights included."""
    X, y = faces_like(300, 12, 2)
    weight = np.random.default_rng(0).uniform(0, 3, size=300)
    fit = solve_linear(X, np.where(y == 1, 1, -1)[:, None], 0.2 * weight, loss="logistic", tol=1e-10)
    theirs = LogisticRegression(C=0.2, tol=1e-10, max_iter=10_000).fit(X, y, sample_weight=weight)
    assert_allclose(fit.coef, theirs.coef_, atol=1e-4)
    assert_allclose(fit.intercept, theirs.intercept_, atol=1e-4)


@pytest.mark.parametrize("columns", [8, 200])
def test_softmax_equals_scikit_learn(faces_like, columns):
    """Multinomial weights, intercepts (but for their mean) and objective are those of LogisticRegression."""
    X, y = faces_like(150, columns, 5)
    weight = np.random.default_rng(0).uniform(0, 3, size=150)
    fit = solve_softmax(X, y, 5, 0.05 * weight, tol=1e-10)
    theirs = LogisticRegression(C=0.05, tol=1e-10, max_iter=10_000).fit(X, y, sample_weight=weight)
    assert_allclose(fit.coef, theirs.coef_, atol=1e-4)
    assert_allclose(fit.intercept, theirs.intercept_ - theirs.intercept_.mean(), atol=1e-3)
    assert fit.gap[0] <= 1e-10
    scores = X @ theirs.coef_.T + theirs.intercept_
    entropy = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(150), y]
    assert_allclose(fit.objective, 0.5 * np.sum(theirs.coef_**2) + 0.05 * weight @ entropy, rtol=1e-8)


def test_penalised_softmax_intercepts(faces_like):
    """A penalised intercept is a further column of ones."""
    X, y = faces_like(150, 8, 3)
    fit = solve_softmax(X, y, 3, np.full(150, 0.3), tol=1e-10, penalize_intercept=True)
    theirs = LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000, fit_intercept=False)
    theirs.fit(np.column_stack([X, np.ones(150)]), y)
    assert_allclose(np.column_stack([fit.coef, fit.intercept]), theirs.coef_, atol=1e-4)


def test_softmax_of_two_classes_is_logistic(faces_like):
    """Two rows of opposite weights: half of the binary solution whose penalty is half as strong."""
    X, y = faces_like(200, 6, 2)
    soft = solve_softmax(X, y, 2, np.full(200, 0.1), tol=1e-10)
    binary = solve_linear(X, np.where(y == 1, 1, -1)[:, None], np.full(200, 0.2), loss="logistic", tol=1e-10)
    assert_allclose(soft.coef[1] - soft.coef[0], binary.coef[0], atol=1e-4)
    assert_allclose(2 * soft.objective, binary.objective, rtol=1e-8)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_penalised_squared_hinge_equals_liblinear(faces_like, codes, shift):
    """With `penalize_intercept` the objective is LIBLINEAR's, on centred and on shifted data."""
    X, y = faces_like(200, 6, 3)
    X = X - X.mean(axis=0) + shift
    fit = solve_linear(X, codes(y), np.full(200, 0.3), loss="squared_hinge", tol=1e-9, penalize_intercept=True)
    theirs = LinearSVC(C=0.3, dual=False, tol=1e-10, max_iter=100_000).fit(X, y)
    assert_allclose(fit.coef, theirs.coef_, atol=1e-5)
    assert_allclose(fit.intercept, theirs.intercept_, atol=1e-5)


@pytest.mark.parametrize("loss", SMOOTH)
def test_one_side_only(loss):
    """Without rows of the other side nothing is to be separated: weights 0, loss 0; the same without any rows."""
    X = np.random.default_rng(0).normal(size=(40, 5))
    Y = np.column_stack([np.ones(40), -np.ones(40), np.zeros(40)]).astype(np.int8)
    fit = solve_linear(X, Y, np.ones(40), loss=loss)
    assert_allclose(fit.coef, 0.0, atol=1e-9)
    assert_allclose(fit.objective, 0.0, atol=1e-12)
    assert np.all(fit.gap <= 1e-3)
    assert np.all(np.isfinite(fit.intercept))


def test_float32_reaches_what_float64_reaches(faces_like, codes):
    """Where float32 products stop short, products of the same rows in float64 go on."""
    X, y = faces_like(400, 20, 3, spread=3)
    X = X.astype(np.float32)
    fit = solve_linear(X, codes(y), np.full(400, 1e-3), loss="squared_hinge", tol=1e-9)
    exact = solve_linear(X.astype(np.float64), codes(y), np.full(400, 1e-3), loss="squared_hinge", tol=1e-9)
    assert np.all(fit.gap <= 1e-9)
    assert_allclose(fit.objective, exact.objective, rtol=1e-8)


def test_stopped_early_says_so(faces_like, codes):
    """With few iterations the gap stays above tol, and the count is the one that was allowed."""
    X, y = faces_like(250, 30, 3, spread=2)
    fit = solve_linear(X, codes(y), np.ones(250), loss="logistic", tol=1e-9, max_iter=2)
    assert np.all(fit.gap > 1e-9)
    assert fit.n_iter.tolist() == [2, 2, 2]


@pytest.mark.parametrize("loss", SMOOTH)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_margins_and_costs_of_every_size(loss, dtype):
    """Separable rows whose costs range over six powers of ten: a cheap row still counts where it is long."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(size=(30, 60)).astype(dtype) + 2, rng.choice([-1, 1], size=(30, 2))
        fit = solve_linear(X, Y, 10.0 ** rng.uniform(-2, 4, size=30), loss=loss, tol=1e-3)
        assert np.all(fit.gap <= 1e-3)
        assert np.all(fit.n_iter < 150)


def test_hard_learners_get_their_own_hessian(faces_like, codes, monkeypatch):
    """Few rows that matter among many: without Hessians of their own learners need more steps."""
    X, y = faces_like(2000, 60, 5, noise=0.3)
    problem = X, codes(y), np.full(2000, 10.0)
    with_own = solve_linear(*problem, loss="squared_hinge", tol=1e-6)
    monkeypatch.setattr(_descent.Hessian, "price", lambda k, d: np.inf)
    without = solve_linear(*problem, loss="squared_hinge", tol=1e-6)
    assert np.all(with_own.gap <= 1e-6)
    assert with_own.n_iter.sum() < 0.9 * without.n_iter.sum()


@pytest.mark.parametrize("held", [0, 1, 3])
def test_own_hessians_keep_to_their_memory(faces_like, codes, monkeypatch, held):
    """Held Hessians never take more than is allowed, or than one learner's; who must wait for one gets done too."""
    X, y = faces_like(2000, 60, 5, noise=0.3)
    most = []

    class Spy(_descent.Run):
        def _invest(self):
            super()._invest()
            most.append(sum(hessian.nbytes for hessian in self.own.values()))

    monkeypatch.setattr(_descent, "Run", Spy)
    solve_linear(X, codes(y), np.full(2000, 10.0), loss="squared_hinge", tol=1e-6)
    one = 8 * 60**2
    assert max(most) > 3 * one
    most.clear()
    monkeypatch.setattr(_descent, "_OWN_BYTES", held * one)
    fit = solve_linear(X, codes(y), np.full(2000, 10.0), loss="squared_hinge", tol=1e-6)
    assert 0 < max(most) <= max(held * one, _descent.Hessian.size(59, 60, 8))
    assert np.all(fit.gap <= 1e-6)
