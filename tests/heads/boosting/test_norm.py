"""The norm of a tree is that of its leaves, and steps keep to their bounds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.heads.boosting._binning import find_bins
from fusionfer.heads.boosting._boosters import Recipe, Rows, TurnSlice
from fusionfer.heads.boosting._losses import gradients
from fusionfer.heads.boosting._norm import NORMS, bounds, leaf_norms, step_factors, tree_norms


def test_norm_over_rows_is_the_norm_over_leaves():
    """Summed over rows it is sqrt(sum_j S_j^2 / V_j / sum_j V_j) over leaves with w_j = -S_j / V_j."""
    rng = np.random.default_rng(0)
    leaf, g, h = rng.integers(0, 5, 60), rng.normal(size=60), rng.uniform(0.1, 1, 60)
    S, V = np.bincount(leaf, g), np.bincount(leaf, h)
    expected = np.sqrt(np.sum(S**2 / V) / V.sum())
    found = tree_norms((-S / V)[leaf][:, None].astype(np.float32), h[:, None].astype(np.float32))
    assert_allclose(found, [expected], rtol=1e-6)


def test_bounded_and_damped_steps():
    """A bounded step is shorter than eta tau and a damped one than eta; both rise with the tree and begin as eta w."""
    norms = np.geomspace(1e-6, 1e6, 50)
    for norm, bound in [("bounded", 0.3 * 0.25), ("damped", 0.3)]:
        steps = norms * step_factors(norms, 0.3, norm, 0.25)
        assert np.all(steps < bound * (1 + 1e-12))
        assert np.all(np.diff(steps) >= 0)
        assert_allclose(steps[-1], bound, rtol=1e-5)
        assert_allclose(steps[0], 0.3 * norms[0], rtol=1e-5)


def test_without_norm_the_step_is_eta():
    """None leaves plain shrinkage."""
    assert step_factors(np.array([0.1, 9.0]), 0.3, None, 0.25).tolist() == [0.3, 0.3]
    assert None not in NORMS


@pytest.mark.parametrize("norm", NORMS)
def test_a_tree_without_leaves_is_harmless(norm):
    """The norm 0 of a tree that found nothing gives a finite factor."""
    outputs, hessian = np.zeros((4, 1), np.float32), np.full((4, 1), 1e-16, np.float32)
    assert step_factors(tree_norms(outputs, hessian), 0.5, norm, 0.1).tolist() == [0.5]


def test_early_steps_are_long_whatever_the_rate_and_late_ones_are_bounded_by_tau():
    """The longest step is lead / 10 + eta tau, the bound falls to tau as ground is covered, and lead=0 is tau alone."""
    covered = np.linspace(0, 30, 60)
    for eta in (0.1, 0.5, 1.0):
        tau = bounds(0.05, 0.7, eta, covered)
        assert_allclose(eta * tau[0], 0.07 + 0.05 * eta)
        assert np.all(np.diff(tau) <= 0)
        assert_allclose(tau[-1], 0.05)
        assert_allclose(bounds(0.05, 0.0, eta, covered), 0.05)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_norm_of_the_leaves_of_a_tree_is_the_norm_over_rows(blobs, n_classes):
    """XGBoost's own sums of Hessians and leaf weights, from the model's JSON, give what the rows give."""
    X, labels = blobs
    rows = np.isin(labels, np.unique(labels)[:n_classes])
    y = np.unique(labels[rows], return_inverse=True)[1]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y)).astype(np.float32)
    codes = find_bins(X[rows], 16, weight.astype(float))[1]
    recipe = Recipe(1, 0.3, "bounded", 0.1, 0.0, 1.0, None, 16, {"max_depth": 3, "max_bin": 16, "nthread": 1})
    part = TurnSlice(np.arange(14), [Rows(codes, y, weight)], recipe, n_classes, {})
    F = np.random.default_rng(1).normal(size=(len(y), 1 if n_classes == 2 else n_classes)).astype(np.float32)
    gradient, hessian = gradients(F, y, weight)
    (outputs,) = part.grow(gradient, hessian)
    found = leaf_norms(part.turns[0])
    assert found.min() > 0.05
    assert_allclose(found, tree_norms(outputs, hessian), rtol=1e-5)
    assert_allclose(part.replay(part.turns[0], F.shape[1])[0], outputs, rtol=0)
