"""Weighted averages: against plain formulas, and weights against fine grids."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from fusionfer.ensembles import average, find_weights
from fusionfer.exceptions import DataError, UnknownNameError


def members(seed, m=2, n=60, k=3, skill=(1.5, 1.0, 0.7)):
    """Return m members of different skill, whose errors are partly shared, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    shared = rng.normal(size=(n, k))
    probas = []
    for i in range(m):
        scores = skill[i % len(skill)] * np.eye(k)[truth] + 0.7 * shared + rng.normal(size=(n, k))
        probas.append(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))
    return probas, truth


def grid(m, steps):
    """Return all weights that are multiples of 1 / steps, shape (points, m)."""
    cuts = itertools.combinations_with_replacement(range(steps + 1), m - 1)
    return np.array([np.diff([0, *some, steps]) for some in cuts]) / steps


def best_accuracy(probas, truth, points):
    """Return the largest accuracy of the averages with the weights `points` (points, m)."""
    return max(
        ((np.tensordot(part, probas, axes=1)).argmax(axis=2) == truth).mean(axis=1).max()
        for part in np.array_split(points, 20)
    )


def test_average_is_the_formula():
    """Each row is the sum of weight times row, divided by the sum of weights; equal by default."""
    probas, _ = members(0, m=3)
    expected = (2 * probas[0] + 0.5 * probas[1] + 1.5 * probas[2]) / 4
    np.testing.assert_allclose(average(probas, [2, 0.5, 1.5]), expected, rtol=1e-12)
    np.testing.assert_allclose(average(probas), np.mean(probas, axis=0), rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("m", "steps"), [(2, 2000), (3, 80)])
def test_no_grid_has_less_log_loss(seed, m, steps):
    """The weights are at least as good as every point of a fine grid, and lie near the best of them."""
    probas, truth = members(seed, m)
    found = find_weights(probas, truth)
    points = grid(m, steps)
    true = np.stack([proba[np.arange(len(truth)), truth] for proba in probas])
    losses = -np.log(points @ true).mean(axis=1)
    assert log_loss(truth, average(probas, found)) <= losses.min() + 1e-12
    assert np.abs(found - points[losses.argmin()]).max() < 3 / steps + 0.02 * (m > 2)
    assert found.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("m", [2, 5, 9])
def test_least_log_loss_has_its_certificate(m):
    """max_j mean(p_j / average) - 1 bounds the distance from the least loss, and is zero to 1e-9."""
    probas, truth = members(m, m, n=400, k=7)
    w = find_weights(probas, truth)
    rows = np.arange(len(truth))
    true = np.stack([proba[rows, truth] for proba in probas])
    assert (true / (w @ true)).mean(axis=1).max() - 1 < 1e-9


def test_a_useless_member_gets_nothing_and_twins_share():
    """Noise that is sure of itself gets weight 0; of two equal members each gets half of what one would get."""
    (good, other), truth = members(5, 2, n=300)
    rng = np.random.default_rng(0)
    noise = rng.dirichlet(np.full(3, 0.2), 300)
    w = find_weights([good, noise, good], truth)
    assert w[1] < 0.05
    assert w[0] == pytest.approx(w[2], abs=1e-9)
    single = find_weights([good, other], truth)
    twins = find_weights([good, other, good], truth)
    assert twins[0] + twins[2] == pytest.approx(single[0], abs=1e-6)
    for metric in ("log_loss", "accuracy"):
        assert find_weights([good], truth, metric=metric).tolist() == [1.0]


def test_a_probability_of_zero_for_what_is_true_stays_finite():
    """A member that rules out what then happens loses its weight and breaks nothing."""
    wrong, right = np.tile([1.0, 0.0], (20, 1)), np.tile([0.3, 0.7], (20, 1))
    np.testing.assert_allclose(find_weights([wrong, right], np.ones(20, int)), [0, 1], atol=1e-6)
    both = find_weights([wrong, wrong], np.ones(20, int))
    np.testing.assert_allclose(both, [0.5, 0.5])


@pytest.mark.parametrize("seed", range(6))
def test_two_members_reach_the_best_accuracy_there_is(seed):
    """The exact search along the line finds what a grid of 20,000 points finds at best, or more."""
    probas, truth = members(seed, 2, n=80, k=4)
    found = accuracy_score(truth, average(probas, find_weights(probas, truth, metric="accuracy")).argmax(axis=1))
    assert found >= best_accuracy(probas, truth, grid(2, 20_000))


@pytest.mark.parametrize("seed", range(3))
def test_three_members_reach_the_best_accuracy_of_a_grid(seed):
    """The search from several starts is as good as 5,151 points of a grid, and is the same for one random state."""
    probas, truth = members(seed, 3, n=80, k=4)
    w = find_weights(probas, truth, metric="accuracy", random_state=3)
    found = accuracy_score(truth, average(probas, w).argmax(axis=1))
    assert found >= best_accuracy(probas, truth, grid(3, 100))
    assert np.array_equal(w, find_weights(probas, truth, metric="accuracy", random_state=3))


def test_equally_accurate_weights_are_the_most_equal():
    """Where everything is right with any weights, all members count the same; else no more than it takes."""
    probas = [np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.6, 0.4], [0.45, 0.55]])]
    assert find_weights(probas, [0, 1], metric="accuracy").tolist() == [0.5, 0.5]
    # The second is wrong once, and outweighed from 2/3 of the first on.
    w = find_weights([np.array([[0.6, 0.4]]), np.array([[0.3, 0.7]])], [0], metric="accuracy")
    assert w[0] == pytest.approx(2 / 3, abs=1e-3)
    assert w[0] > 2 / 3


def test_classes_in_another_order_are_aligned_and_others_refused():
    """Names decide which columns belong together; a member with other classes is named with all of them."""
    one, two = np.array([[0.7, 0.3]]), np.array([[0.1, 0.9]])
    names = [("happy", "sad"), ("sad", "happy")]
    np.testing.assert_allclose(average([one, two], classes=names), [[0.8, 0.2]])
    found = find_weights([one, two], ["happy"], classes=names)
    np.testing.assert_allclose(found, [0, 1], atol=1e-9)
    with pytest.raises(DataError, match=r"must name the same 2 classes, each once\. member 0: happy, sad; member 1: a"):
        average([one, two], classes=[("happy", "sad"), ("angry", "sad")])
    with pytest.raises(DataError, match="All 2 members must name the same 2 classes"):
        average([one, two], classes=[("happy", "sad")])


@pytest.mark.parametrize(
    ("probas", "weights", "message"),
    [
        ([], None, "at least one member, got none"),
        ([[[0.5, 0.5]], [[1.0]]], None, r"one shape \(samples, classes\), got \(1, 2\), \(1, 1\)"),
        ([[[0.5, 0.6]]], None, r"Member 0 gives no probabilities in 1 of 1 rows \(first: row 0, \[0.5 0.6\]"),
        ([[[np.nan, 1.0]]], None, "Member 0 gives no probabilities"),
        ([[[1.5, -0.5]]], None, "Member 0 gives no probabilities"),
        ([[[0.5, 0.5]]], [1, 2], r"The 1 members need as many weights.*got \[1. 2.\]"),
        ([[[0.5, 0.5]]], [0], "not all zero"),
        ([[[0.5, 0.5]]], [-1], "not negative"),
    ],
)
def test_what_cannot_be_averaged_is_said(probas, weights, message):
    """Each complaint says which member, what is allowed and what came."""
    with pytest.raises(DataError, match=message):
        average(probas, weights)


def test_labels_must_be_classes():
    """Another number of labels, unknown labels and an unknown metric are named."""
    proba = [[0.5, 0.5], [0.5, 0.5]]
    with pytest.raises(DataError, match="there must be 2 labels, got shape"):
        find_weights([proba], [0])
    with pytest.raises(DataError, match="whole numbers from 0 to 1; got 2 and 0 more"):
        find_weights([proba], np.array([0, 2]))
    with pytest.raises(DataError, match="Labels must be happy, sad; got 'angry'"):
        find_weights([proba], ["happy", "angry"], classes=[("happy", "sad")])
    with pytest.raises(UnknownNameError, match=r"Unknown metric 'acuracy'.*Did you mean 'accuracy'"):
        find_weights([proba], [0, 1], metric="acuracy")
