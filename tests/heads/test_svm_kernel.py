"""The Gaussian kernel of the support vector machines, in pieces and in both precisions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

from fusionfer.heads._svm_kernel import GaussianKernel, fit_kernel


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernel(dtype):
    """The kernel in pieces is scikit-learn's, in float32 too where columns lie far from 0."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(300, 7)) + 100.0).astype(dtype)
    kernel = fit_kernel(X, np.ones(300), 0.1, standardize=False)
    points = kernel.scaled(X[:20])
    assert points.dtype == dtype
    whole = np.concatenate([values for _, values in kernel.between(X, points)])
    expected = rbf_kernel(X.astype(np.float64), X[:20].astype(np.float64), gamma=0.1)
    assert_allclose(whole, expected, rtol=2e-5 if dtype == np.float32 else 1e-10)


def test_kernel_pieces(monkeypatch):
    """Pieces cover all rows once, in order, however small."""
    monkeypatch.setattr("fusionfer.heads._svm_kernel._CHUNK", 16)
    X = np.random.default_rng(0).normal(size=(11, 3))
    kernel = GaussianKernel(np.zeros(3), np.ones(3), 1.0)
    pieces = list(kernel.between(X, X[:4]))
    assert [(piece.start, piece.stop) for piece, _ in pieces] == [(0, 4), (4, 8), (8, 11)]
    assert_allclose(np.concatenate([values for _, values in pieces]), rbf_kernel(X, X[:4], gamma=1.0))


def test_gamma_scale_and_standardize(rows):
    """ "scale" is scikit-learn's for centred columns, weights are repetitions; standardising makes columns alike."""
    X, _ = rows()
    assert_allclose(fit_kernel(X, np.ones(160), "scale", False).gamma, 1.0 / (6 * X.var()))
    weight = np.arange(160.0) % 3
    repeated = np.repeat(X, weight.astype(int), axis=0)
    assert_allclose(
        fit_kernel(X, weight, "scale", False).gamma, fit_kernel(repeated, np.ones(len(repeated)), "scale", False).gamma
    )
    wild = X * 10.0 ** np.arange(6) + 7.0
    wild[:, 2] = 0.1  # rounding must not make a constant column vary
    kernel = fit_kernel(wild, np.ones(160), "scale", True)
    assert_allclose(kernel.gamma, 1.0 / 5)
    expected = StandardScaler().fit_transform(wild)
    assert_allclose(kernel.scaled(wild), expected, atol=1e-9)
    assert fit_kernel(np.ones((5, 2)), np.ones(5), "scale", False).gamma == 1.0
