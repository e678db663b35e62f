"""Decoding: three classes by hand, the formula written out, and one against all as a property."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fusionfer.exceptions import UnknownNameError
from fusionfer.heads.ecoc import BINARY_LOSSES, average_losses, binary_loss

#: The classes take part in 2, 2 and 3 learners, so that the two decodings differ.
CODE = np.array([[1, 1, 0], [-1, 0, 1], [-1, -1, -1]])
SCORES = np.array([[0.5, -2.0, 1.0]])
POSTERIORS = np.array([[0.6, 0.1, 0.7]])
#: Sum of the losses of each class, worked out by hand (docs/ecoc.md shows the steps for the hinge).
SUMS = {
    "hamming": (0 + 1, 1 + 0, 1 + 0 + 1),
    "linear": (0.25 + 1.5, 0.75 + 0, 0.75 - 0.5 + 1),
    "logistic": (0.341974 + 1.534254, 0.702648 + 0.225971, 0.702648 + 0.091559 + 0.947318),
    "exponential": (0.303265 + 3.694528, 0.824361 + 0.183940, 0.824361 + 0.067668 + 1.359141),
    "binodeviance": (0.225971 + 2.898482, 0.947318 + 0.091559, 0.947318 + 0.013092 + 1.534254),
    "hinge": (0.25 + 1.5, 0.75 + 0, 0.75 + 0 + 1),
    "quadratic": (0.32 + 1.62, 0.72 + 0.18, 0.72 + 0.02 + 0.98),
}


@pytest.mark.parametrize("loss", BINARY_LOSSES)
def test_three_classes_by_hand(loss):
    """Loss-weighted divides by 2, 2 and 3; loss-based by 3, with 1/2 for every zero; for every loss."""
    scores = POSTERIORS if loss == "quadratic" else SCORES
    weighted = average_losses(scores, CODE, loss)
    based = average_losses(scores, CODE, loss, "lossbased")
    assert_allclose(weighted, [np.divide(SUMS[loss], (2, 2, 3))], atol=1e-6)
    assert_allclose(based, [np.divide(np.add(SUMS[loss], (0.5, 0.5, 0)), 3)], atol=1e-6)


@pytest.mark.parametrize(
    ("posteriors", "weighted", "based"),
    [
        ((1, 1, 1), (0, -1, -2), (-1 / 6, -5 / 6, -3 / 2)),
        ((0, 0, 1 / 46), (-2, -0.956994328922495, -0.000472589792060491), None),
    ],
)
def test_matlab_of_2024(posteriors, weighted, based):
    """Negated losses of trees, one against one, as R2024a gave them (tests of Octave's statistics package say so)."""
    code = np.array([[1, 1, 0], [-1, 0, 1], [0, -1, -1]])
    assert_allclose(-average_losses(np.array([posteriors]), code, "quadratic")[0], weighted, atol=1e-12)
    if based is not None:
        found = -average_losses(np.array([posteriors]), code, "quadratic", "lossbased")[0]
        assert_allclose(found, based, atol=1e-12)


def test_the_two_decodings_can_disagree():
    """With the hinge, 0.6 over 2 learners and 1 over 3: loss-weighted takes the first, loss-based the second."""
    code = np.array([[1, 1, 0], [1, -1, 1], [-1, 0, -1]])
    scores = np.array([[0.6, 0.2, 0.6]])  # class 0: 0.2 + 0.4 and a zero; class 1: 0.2 + 0.6 + 0.2; class 2: 0.8 + 0.8
    assert_allclose(average_losses(scores, code, "hinge")[0], [0.6 / 2, 1 / 3, 1.6 / 2])
    assert_allclose(average_losses(scores, code, "hinge", "lossbased")[0], [1.1 / 3, 1 / 3, 2.1 / 3])


@pytest.mark.parametrize("loss", BINARY_LOSSES)
def test_is_the_sum_written_out(loss):
    """For a random ternary code the products give the sum over learners, row by row and class by class."""
    rng = np.random.default_rng(0)
    code = rng.integers(-1, 2, size=(5, 9))
    code[:, 0] = 1
    scores = rng.random((4, 9)) if loss == "quadratic" else rng.normal(size=(4, 9)) * 2
    for decoding in ("lossweighted", "lossbased"):
        found = average_losses(scores, code, loss, decoding)
        for i in range(4):
            for k in range(5):
                counted = [m != 0 or decoding == "lossbased" for m in code[k]]
                terms = [binary_loss(loss, m, s) for m, s in zip(code[k], scores[i], strict=True)]
                assert_allclose(found[i, k], np.mean(np.array(terms)[counted]), rtol=1e-12)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(set(BINARY_LOSSES) - {"hamming"})), st.lists(st.integers(-160, 160), min_size=3, max_size=8)
)
def test_one_against_all_is_the_largest_score(loss, eighths):
    """For every strictly decreasing loss, both decodings of one-against-all take the argmax of the scores."""
    scores = np.array([eighths]) / 8.0
    if loss == "quadratic":
        scores = (scores + 20.0) / 40.0
    code = 2 * np.eye(len(eighths)) - 1
    for decoding in ("lossweighted", "lossbased"):
        losses = average_losses(scores, code, loss, decoding)[0]
        largest = scores[0] == scores[0].max()
        assert_allclose(losses[largest], losses.min(), rtol=1e-9)
        assert np.all(losses[~largest] > losses.min())


def test_hamming_ties():
    """Hamming forgets sizes: two positive scores tie, which is why it is left out of the property."""
    losses = average_losses(np.array([[0.1, 5.0, -1.0]]), 2 * np.eye(3) - 1, "hamming")
    assert_array_equal(losses[0, 0], losses[0, 1])


def test_unknown_decoding():
    """An unknown decoding is an error with the closest name."""
    with pytest.raises(UnknownNameError, match=r"Unknown decoding 'lossbase'. .*Did you mean 'lossbased'\?"):
        average_losses(SCORES, CODE, "hinge", "lossbase")
