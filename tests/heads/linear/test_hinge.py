"""The joint hinge solver against libsvm, which solves the same problem exactly."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.svm import SVC, LinearSVC

from fusionfer.heads.linear import solve_linear
from fusionfer.heads.linear._hinge import best_intercept


def objective(w, b, X, y, c):
    return 0.5 * w @ w + c @ np.maximum(0, 1 - y * (X @ w + b))


def solve_hinge(X, Y, c, **options):
    return solve_linear(X, Y, c, loss="hinge", **options)


def libsvm(X, y, c):
    svc = SVC(kernel="linear", C=1.0, tol=1e-5).fit(X, y, sample_weight=c)
    return svc.coef_[0], svc.intercept_[0]


@pytest.mark.parametrize(
    ("n", "d", "spread", "cost"),
    [(200, 10, 0, 0.1), (200, 10, 2, 1e-4), (90, 150, 0, 1.0), (90, 150, 2, 1e-5), (40, 3, 0, 1.0), (12, 4, 0, 1e-3)],
    ids=["plain", "scales 100x", "wide", "wide, scales 100x", "tiny, hard margin", "nearly no loss counted"],
)
def test_objective_equals_libsvm(n, d, spread, cost, faces_like, codes):
    """With unbalanced classes and uneven weights the exact minimum is met: never above it by more than tol."""
    X, y = faces_like(n, d, 4, spread=spread)
    c = cost * np.random.default_rng(1).uniform(0, 2, size=n)
    Y = codes(y)
    fit = solve_hinge(X, Y, c, tol=1e-6)
    assert np.all(fit.gap <= 1e-6)
    for k in range(4):
        w, b = libsvm(X, Y[:, k], c)
        exact = objective(w, b, X, Y[:, k], c)
        reached = objective(fit.coef[k], fit.intercept[k], X, Y[:, k], c)
        assert_allclose(fit.objective[k], reached, rtol=1e-9, atol=1e-12)
        assert reached <= exact * (1 + 2e-6) + 1e-12
        assert reached * (1 - 2e-6) <= exact
        clear = np.abs(X @ w + b) > 0.02
        assert_array_equal(np.sign(X @ w + b)[clear], np.sign(X @ fit.coef[k] + fit.intercept[k])[clear])


@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_gap_is_honest(tol, faces_like, codes):
    """The reported gap bounds the true distance to the minimum, which libsvm knows."""
    X, y = faces_like(250, 30, 3)
    Y, c = codes(y), np.full(250, 0.5)
    fit = solve_hinge(X, Y, c, tol=tol)
    for k in range(3):
        exact = objective(*libsvm(X, Y[:, k], c), X, Y[:, k], c)
        assert (fit.objective[k] - exact) / fit.objective[k] <= fit.gap[k] + 1e-8
        assert fit.gap[k] <= tol


def test_stopped_early_says_so(faces_like, codes):
    """With few iterations the gap stays above tol, and the count is the one that was allowed."""
    X, y = faces_like(250, 30, 3, spread=2)
    fit = solve_hinge(X, codes(y), np.ones(250), tol=1e-9, max_iter=12)
    assert fit.gap.max() > 1e-9
    assert fit.n_iter.tolist() == [12, 12, 12]


def test_zeros_drop_out(faces_like, codes):
    """A row with label 0 counts as little as a row that is not there."""
    X, y = faces_like(200, 12, 3)
    Y = codes(y)[:, :2]
    Y[y == 2] = 0
    fit = solve_hinge(X, Y, np.ones(200), tol=1e-7)
    kept = y != 2
    alone = solve_hinge(X[kept], codes(y)[kept][:, :2], np.ones(kept.sum()), tol=1e-7)
    assert_allclose(fit.objective, alone.objective, rtol=1e-6)
    assert_allclose(fit.coef, alone.coef, atol=1e-3)


def test_learners_do_not_see_each_other(faces_like, codes):
    """Solving several columns together gives what each gives alone."""
    X, y = faces_like(150, 20, 3)
    together = solve_hinge(X, codes(y), np.ones(150), tol=1e-7)
    for k in range(3):
        alone = solve_hinge(X, codes(y)[:, [k]], np.ones(150), tol=1e-7)
        assert_allclose(together.coef[k], alone.coef[0], atol=1e-4)


def test_shift_changes_the_intercept_only(faces_like, codes):
    """The intercept is free: moving all rows far away leaves weights and objective as they were."""
    X, y = faces_like(200, 10, 3)
    here, there = (solve_hinge(X + shift, codes(y), np.full(200, 0.1), tol=1e-8) for shift in (0.0, 100.0))
    assert_allclose(here.objective, there.objective, rtol=1e-6)
    assert_allclose(here.coef, there.coef, atol=1e-4)


def test_float32_memory_map(tmp_path, faces_like, codes):
    """A read-only float32 memory map is solved as the same rows in float64 are."""
    X, y = faces_like(300, 40, 3)
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    fit = solve_hinge(mapped, codes(y), np.ones(300), tol=1e-4)
    exact = solve_hinge(mapped.astype(np.float64), codes(y), np.ones(300), tol=1e-4)
    assert np.all(fit.gap <= 1e-4)
    assert_allclose(fit.objective, exact.objective, rtol=3e-4)


def test_rounding_ends_the_search(faces_like, codes):
    """In float32 a gap of 1e-14 cannot be had: the solver stops where it stands and reports what it reached."""
    X, y = faces_like(200, 15, 3)
    fit = solve_hinge(X.astype(np.float32), codes(y), np.ones(200), tol=1e-14, max_iter=100_000)
    assert np.all(fit.gap < 1e-4)
    assert np.all(fit.n_iter < 1000)


def test_degenerate_learners(faces_like, codes):
    """A learner with one side only, rows that are all alike, and a learner without rows have their known minimum."""
    X, y = faces_like(30, 4, 2)
    Y = np.column_stack([np.ones(30), codes(y)[:, 0], np.zeros(30)]).astype(np.int8)
    fit = solve_hinge(X, Y, np.ones(30), tol=1e-6)
    assert_allclose(fit.objective[[0, 2]], 0.0, atol=1e-9)
    same = solve_hinge(np.ones((30, 4)), codes(y)[:, [0]], np.ones(30))
    assert_allclose(same.coef, 0.0, atol=1e-9)
    assert_allclose(same.objective, 2.0 * min(np.bincount(y)))


def test_best_intercept_against_a_grid():
    """The intercept from the kinks is the minimum over all kinks, tried one by one."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        f, y = rng.normal(size=9), rng.choice([-1.0, 1.0], size=9)
        c = rng.integers(0, 3, size=9).astype(float)

        def loss(b, f=f, y=y, c=c):
            return c @ np.maximum(0, 1 - y * (f + b))

        assert loss(best_intercept(f, y, c)) == pytest.approx(min(loss(b) for b in y - f))


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_penalised_intercept_is_a_column_of_ones(faces_like, codes, shift):
    """LIBLINEAR's way: the same as a further column that is 1 everywhere, without any intercept."""
    X, y = faces_like(120, 6, 3)
    X = (X - X.mean(axis=0)) + shift
    fit = solve_hinge(X, codes(y), np.full(120, 0.3), tol=1e-7, penalize_intercept=True)
    theirs = LinearSVC(loss="hinge", C=0.3, tol=1e-9, max_iter=1_000_000, random_state=0).fit(X, y)
    for k in range(3):
        w, b = theirs.coef_[k], theirs.intercept_[k]
        exact = objective(w, b, X, codes(y)[:, k], np.full(120, 0.3)) + 0.5 * b * b
        assert_allclose(fit.objective[k], exact, rtol=1e-5)
    assert np.all(fit.gap <= 1e-7)


def test_best_penalised_intercept_against_a_grid():
    """With a penalty, no intercept of a fine grid is better."""
    rng = np.random.default_rng(1)
    grid = np.linspace(-6, 6, 24001)
    for _ in range(30):
        f, y = rng.normal(size=7), rng.choice([-1.0, 1.0], size=7)
        c = rng.uniform(0, 1, size=7)
        values = 0.5 * grid**2 + (c * np.maximum(0, 1 - y * (f + grid[:, None]))).sum(axis=1)
        b = best_intercept(f, y, c, 1.0)
        assert 0.5 * b * b + c @ np.maximum(0, 1 - y * (f + b)) <= values.min() + 1e-12
