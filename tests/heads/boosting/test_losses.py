"""Gradients are the derivatives of the loss, and losses those of scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import softmax
from sklearn.metrics import log_loss as sklearn_log_loss

from fusionfer.heads.boosting._losses import gradients, log_loss, probabilities, start_margins


@pytest.fixture(params=[2, 5])
def rows(request):
    """Return margins (n, C), classes and weights."""
    rng = np.random.default_rng(1)
    K = request.param
    F = rng.normal(scale=2, size=(40, 1 if K == 2 else K)).astype(np.float32)
    y = np.concatenate([np.arange(K), rng.integers(0, K, 40 - K)])
    return F, y, rng.uniform(0.2, 3, 40)


def test_gradients_are_derivatives(rows):
    """Both derivatives are those of central differences of the loss, in float64."""
    F, y, weight = rows
    gradient, hessian = gradients(F, y, weight.astype(np.float32))
    step = 1e-3
    for k in range(F.shape[1]):
        moved = []
        for sign in (-1, 0, 1):
            G = F.astype(np.float64)
            G[:, k] += sign * step
            full = np.column_stack([np.zeros(len(G)), G]) if G.shape[1] == 1 else G
            moved.append(-weight * np.log(softmax(full, axis=1)[np.arange(len(y)), y]))
        assert_allclose(gradient[:, k], (moved[2] - moved[0]) / (2 * step), rtol=1e-4, atol=1e-5)
        assert_allclose(hessian[:, k], (moved[2] - 2 * moved[1] + moved[0]) / step**2, rtol=1e-3, atol=1e-5)


def test_xgboosts_hessian_is_twice_as_large(rows):
    """The factor reaches the Hessian and leaves the gradient."""
    F, y, weight = rows
    once, twice = (gradients(F, y, weight.astype(np.float32), factor) for factor in (1.0, 2.0))
    assert_allclose(once[0], twice[0])
    assert_allclose(2 * once[1], twice[1])


def test_loss_and_probabilities(rows):
    """The loss is scikit-learn's log_loss of the probabilities, which add up to one."""
    F, y, weight = rows
    P = probabilities(F)
    assert P.dtype == np.float32
    assert_allclose(P.sum(axis=1), 1, rtol=1e-6)
    assert_allclose(log_loss(F, y, weight), sklearn_log_loss(y, P, sample_weight=weight), rtol=1e-5)


def test_extreme_margins_stay_finite():
    """Margins at which exp overflows and p is 0 or 1 give finite losses and Hessians above 0."""
    for F in (np.array([[2e4, -2e4, 0]], dtype=np.float32), np.array([[-2e4]], dtype=np.float32)):
        y = np.array([1])
        assert np.isfinite(log_loss(F, y, np.ones(1)))
        gradient, hessian = gradients(F, y, np.ones(1, dtype=np.float32))
        assert np.all(np.isfinite(gradient))
        assert np.all(hessian > 0)


@pytest.mark.parametrize("K", [2, 3])
def test_start_is_the_best_constant(K):
    """The start gives the weighted shares of the classes, so that the gradients of each margin sum to zero."""
    y, weight = np.array([0, 0, 1, K - 1, 1]), np.array([1.0, 2.0, 3.0, 0.5, 1.0])
    F = np.tile(start_margins(y, weight, K), (5, 1))
    assert_allclose(probabilities(F)[0], np.bincount(y, weight, K) / 7.5, rtol=1e-6)
    assert_allclose(gradients(F, y, weight.astype(np.float32))[0].sum(axis=0), 0, atol=1e-6)
