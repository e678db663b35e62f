"""The linear step against numpy's solve."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.heads.linear._ridge import Gram, Hessian, Ridge, factorise, weighted_gram


def test_weighted_gram():
    """Lower triangle of the weighted, centred sum of squares, without cancellation."""
    rng = np.random.default_rng(0)
    X, centre, weight = rng.normal(size=(300, 4)) + 1e6, np.full(4, 1e6), rng.uniform(size=300)
    expected = ((X - centre) * weight[:, None]).T @ (X - centre)
    assert_allclose(np.tril(weighted_gram(X, centre, weight)), np.tril(expected), rtol=1e-12)


@pytest.mark.parametrize("n", [50, 6])
@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("level", [-8, 0, 6])
def test_solve_on_either_side(n, penalised, level):
    """With more rows than columns and with fewer, scaled and shifted: the inverse that the formula says."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 12)) + 3
    shift, factor, V = rng.normal(size=10), rng.uniform(0.5, 2, size=10), rng.normal(size=(3, 10))
    Z = (X[:, 1:11] - shift) * factor
    mean = Z.mean(axis=0)
    A = np.eye(10) + 2.0**level * (Z - mean).T @ (Z - mean)
    A += penalised * np.outer(mean, mean)
    ridge = Ridge(Gram(X), slice(1, 11), shift, factor, penalised)
    assert_allclose(ridge.solve(V, level), np.linalg.solve(A, V.T).T, atol=1e-9)


def test_indefinite_by_rounding_is_lifted():
    """A matrix that rounding made indefinite is factored all the same, a little off."""
    A = np.array([[1.0, 1.0], [1.0, 1.0 - 3.0]], order="F") * 1e3
    L = np.tril(factorise(A.copy(order="F")))
    assert np.all(np.isfinite(L))
    assert np.all(np.diagonal(L @ L.T) >= np.diagonal(A) + 1)


def test_float32_is_left_where_it_would_not_do():
    """For a penalty so weak that float32 rounding exceeds the identity, the Gram matrix is made in float64."""
    X = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    V = np.ones((1, 8))
    ridge = Ridge(Gram(X), slice(0, 8), np.zeros(8), np.ones(8))
    Z = X - X.mean(axis=0, dtype=np.float64)
    for level in (-4, 20):
        expected = np.linalg.solve(np.eye(8) + 2.0**level * Z.T @ Z, V.T).T
        assert_allclose(ridge.solve(V, level), expected, rtol=1e-4)


@pytest.mark.parametrize("k", [0, 5, 40])
def test_hessian_on_either_side(k):
    """Weighted rows, fewer than columns or more, and what is left of their mean: the inverse that the formula says."""
    rng = np.random.default_rng(0)
    X, weight, v = rng.normal(size=(k, 9)), rng.uniform(size=k), rng.normal(size=9)
    centre, rest, factor = rng.normal(size=9), rng.normal(size=9), rng.uniform(0.5, 2, size=9)
    Z = np.vstack([(X - centre) * np.sqrt(weight)[:, None], rest]) * factor
    hessian = Hessian(X, centre, rest, factor, weight, np.float64)
    assert hessian.nbytes == Hessian.size(*X.shape, 8)
    assert_allclose(hessian.solve(v), np.linalg.solve(np.eye(9) + Z.T @ Z, v), atol=1e-10)


@pytest.mark.parametrize(("scale", "dtype"), [(1.0, np.float32), (3e3, np.float64)])
def test_hessian_of_few_rows_in_float32_where_that_will_do(scale, dtype):
    """Rows of float32 stay so while their squares leave rounding small; the inverse is good either way."""
    rng = np.random.default_rng(0)
    X, v = (scale * rng.normal(size=(5, 9))).astype(np.float32), rng.normal(size=9)
    hessian = Hessian(X, np.zeros(9), np.zeros(9), np.ones(9), np.ones(5), np.float32)
    assert hessian.Z.dtype == dtype
    Z = X.astype(np.float64)
    assert_allclose(hessian.solve(v), np.linalg.solve(np.eye(9) + Z.T @ Z, v), atol=1e-5)
