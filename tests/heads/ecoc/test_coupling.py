"""Coupling: against a general optimiser, against known answers, and at the edges."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit, softmax

from fusionfer.heads.ecoc import coding_matrix, couple


def divergence(p, r, code, weight):
    """The Kullback-Leibler divergence, written out."""
    total = 0.0
    for j in range(code.shape[1]):
        q = p[code[:, j] > 0].sum() / p[code[:, j] != 0].sum()
        total += weight[j] * (r[j] * np.log(r[j] / q) + (1 - r[j]) * np.log((1 - r[j]) / (1 - q)))
    return total


@pytest.mark.parametrize("coding", ["onevsall", "onevsone", "ordinal", "denserandom", "sparserandom"])
def test_minimises_the_divergence(coding):
    """For learners that contradict each other, no optimiser from several starts finds a lower divergence."""
    rng = np.random.default_rng(0)
    code = coding_matrix(coding, 5)
    true = softmax(2 * rng.normal(size=(4, 5)), axis=1)
    implied = (true @ (code > 0)) / (true @ (code != 0))
    r = expit(np.log(implied / (1 - implied)) + rng.normal(size=implied.shape))
    weight = rng.uniform(0.5, 2, size=code.shape[1])
    found = couple(r, code, weight)
    assert_allclose(found.sum(axis=1), 1)
    for p, row in zip(found, r, strict=True):

        def objective(theta, row=row):
            return divergence(softmax(theta), row, code, weight)

        best = min(minimize(objective, start).fun for start in (np.zeros(5), 2 * rng.normal(size=5)))
        assert divergence(np.maximum(p, 1e-15), row, code, weight) <= best + 1e-7


@pytest.mark.parametrize("coding", ["onevsall", "onevsone", "ordinal", "binarycomplete", "sparserandom"])
def test_consistent_learners_are_taken_at_their_word(coding):
    """Posteriors that come from class probabilities give them back."""
    rng = np.random.default_rng(1)
    code = coding_matrix(coding, 6)
    true = softmax(3 * rng.normal(size=(200, 6)), axis=1)
    implied = (true @ (code > 0)) / (true @ (code != 0))
    assert_allclose(couple(implied, code, np.ones(code.shape[1])), true, atol=1e-6)


def test_hastie_and_tibshirani_iteration_ends_here():
    """Pairwise coupling by the fixed point of the paper (section 2): p_k <- p_k sum n r / sum n mu."""
    rng = np.random.default_rng(2)
    code = coding_matrix("onevsone", 4)
    r, n = rng.uniform(0.1, 0.9, size=(1, 6)), rng.uniform(1, 3, size=6)
    p = np.full(4, 0.25)
    for _ in range(3000):
        mu = (p @ (code > 0)) / (p @ (code != 0))
        wanted = (code > 0) @ (n * r[0]) + (code < 0) @ (n * (1 - r[0]))
        implied = (code > 0) @ (n * mu) + (code < 0) @ (n * (1 - mu))
        p = p * wanted / implied
        p /= p.sum()
    assert_allclose(couple(r, code, n)[0], p, atol=1e-7)


def test_weights_of_learners_count():
    """A learner with a thousand times the rows is believed; only ratios of the weights count."""
    code = coding_matrix("onevsall", 3)
    r = np.array([[0.7, 0.6, 0.5]])
    even = couple(r, code, np.ones(3))
    trusting = couple(r, code, np.array([1000.0, 1, 1]))
    assert abs(trusting[0, 0] - 0.7) < 0.01 < abs(even[0, 0] - 0.7)
    assert_allclose(couple(r, code, np.full(3, 7.0)), even, rtol=1e-9)


def test_one_against_all_keeps_the_order():
    """With one learner a class, the most probable class is that of the largest posterior."""
    r = np.random.default_rng(3).random((500, 7)) ** 3
    assert np.array_equal(couple(r, coding_matrix("onevsall", 7), np.ones(7)).argmax(axis=1), r.argmax(axis=1))


@pytest.mark.parametrize("coding", ["onevsall", "onevsone", "ordinal", "sparserandom"])
def test_certain_learners(coding):
    """Posteriors of exactly 0 and 1, contradicting or not, give finite probabilities."""
    code = coding_matrix(coding, 5)
    r = (np.random.default_rng(4).random((100, code.shape[1])) < 0.5).astype(float)
    p = couple(r, code, np.ones(code.shape[1]))
    assert np.all(np.isfinite(p))
    assert_allclose(p.sum(axis=1), 1)
    right = couple((code[[2]] > 0).astype(float), code, np.ones(code.shape[1]))
    assert right[0].argmax() == 2


def test_no_rows_and_rows_by_themselves():
    """No rows give an empty array, and a row does not depend on its neighbours."""
    code, r = coding_matrix("onevsone", 4), np.random.default_rng(5).random((50, 6))
    assert couple(r[:0], code, np.ones(6)).shape == (0, 4)
    assert_allclose(couple(r[:1], code, np.ones(6)), couple(r, code, np.ones(6))[:1], atol=1e-9)
