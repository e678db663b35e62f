"""Priors and costs as weights of rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.exceptions import DataError
from fusionfer.heads.ecoc import coding_matrix
from fusionfer.heads.ecoc._priors import check_cost, class_priors, side_costs, weigh_by_prior

CLASSES = np.array(["fear", "happy", "sad"])
SHARES = np.array([0.2, 0.5, 0.3])


def test_kinds_of_priors():
    """Empirical, uniform, an array in the order of the labels, and a dict by label."""
    assert class_priors("empirical", CLASSES, SHARES) is SHARES
    assert_allclose(class_priors("uniform", CLASSES, SHARES), 1 / 3)
    assert_allclose(class_priors([2, 1, 1], CLASSES, SHARES), [0.5, 0.25, 0.25])
    assert_allclose(class_priors({"sad": 6, "fear": 1, "happy": 3}, CLASSES, SHARES), [0.1, 0.3, 0.6])


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        ("equal", "A prior is 'empirical', 'uniform', an array .* got 'equal'"),
        ({"sad": 1, "happy": 2}, r"for each of the classes \['fear', 'happy', 'sad'\], got \['sad', 'happy'\]"),
        ([0.5, 0.5], "above 0 for each of the 3 classes"),
        ([1, 0, 1], "above 0"),
        ([1, np.inf, 1], "finite"),
        (["a", "b", "c"], "A prior holds numbers"),
    ],
)
def test_wrong_priors(prior, words):
    """Missing classes, zeros, infinities and words are named."""
    with pytest.raises(DataError, match=words):
        class_priors(prior, CLASSES, SHARES)


def test_weights_follow_the_prior():
    """Each class gets its share, rows of one class keep their ratios, the sum stays, absent rows stay absent."""
    y_index, weight = np.array([0, 1, 1, 2, -1]), np.array([1.0, 2.0, 6.0, 1.0, 0.0])
    scaled = weigh_by_prior(weight, y_index, np.array([0.5, 0.25, 0.25]), np.array([0.1, 0.8, 0.1]))
    assert_allclose(scaled, [5, 0.625, 1.875, 2.5, 0])


def test_side_costs_by_hand():
    """One against all of three classes: mean cost over the priors of the other side, scaled to the same total."""
    cost = np.array([[0, 2, 4], [1, 0, 1], [3, 1, 0]])
    factors = side_costs(cost, coding_matrix("onevsall", 3), SHARES)
    positive = (0.5 * 2 + 0.3 * 4) / 0.8  # fear mistaken for happy or sad
    negative = (0.5 * 1 + 0.3 * 3) / 0.8  # happy or sad mistaken for fear
    total = 0.2 * positive + 0.8 * negative
    assert_allclose(factors[:, 0], [positive / total, negative / total, negative / total])
    assert_allclose(SHARES @ factors, 1)


def test_equal_costs_change_nothing():
    """Costs of 1, or all of 5, give factors of 1, for ternary codes too."""
    for code in (coding_matrix("onevsone", 3), coding_matrix("ternarycomplete", 3)):
        assert_allclose(side_costs(5 * (1 - np.eye(3)), code, SHARES), 1)


@pytest.mark.parametrize("cost", [np.ones((3, 3)), 1 - np.eye(2), -(1 - np.eye(3)), np.zeros((3, 3)), "x"])
def test_wrong_costs(cost):
    """A cost matrix is (K, K) with zeros on the diagonal and positive numbers elsewhere."""
    with pytest.raises(DataError, match="A cost matrix"):
        check_cost(cost, 3)
