"""Binary losses: MATLAB's constants, and values that do not overflow."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.exceptions import UnknownNameError
from fusionfer.heads.ecoc import BINARY_LOSSES, binary_loss

NAIVE = {
    "hamming": lambda m: (1 - np.sign(m)) / 2,
    "linear": lambda m: (1 - m) / 2,
    "logistic": lambda m: np.log(1 + np.exp(-m)) / (2 * np.log(2)),
    "exponential": lambda m: np.exp(-m) / 2,
    "binodeviance": lambda m: np.log(1 + np.exp(-2 * m)) / (2 * np.log(2)),
    "hinge": lambda m: np.maximum(0, 1 - m) / 2,
}


@pytest.mark.parametrize("name", NAIVE)
def test_formulas(name):
    """Every loss is its formula, for both sides."""
    scores = np.array([-2.5, -1.0, -0.1, 0.0, 0.3, 1.0, 4.0])
    assert_allclose(binary_loss(name, 1, scores), NAIVE[name](scores), rtol=1e-11)
    assert_allclose(binary_loss(name, -1, scores), NAIVE[name](-scores), rtol=1e-11)


def test_quadratic_takes_posteriors():
    """(1 - y (2s - 1))^2 / 2: 0 where the posterior is certain and right, 2 where it is certain and wrong."""
    posteriors = np.array([0.0, 0.25, 0.5, 1.0])
    assert_allclose(binary_loss("quadratic", 1, posteriors), [2.0, 1.125, 0.5, 0.0])
    assert_allclose(binary_loss("quadratic", -1, posteriors), [0.0, 0.125, 0.5, 2.0])


@pytest.mark.parametrize("name", BINARY_LOSSES)
def test_half_where_the_score_says_nothing(name):
    """All losses are 1/2 at the threshold, as MATLAB normalises them."""
    nothing = 0.5 if name == "quadratic" else 0.0
    assert binary_loss(name, 1, np.array(nothing)) == 0.5
    assert binary_loss(name, -1, np.array(nothing)) == 0.5


@pytest.mark.parametrize("name", sorted(NAIVE))
def test_huge_scores_stay_finite(name):
    """Scores of a million, either way, give finite losses, and the logarithmic ones stay exact."""
    loss = binary_loss(name, 1, np.array([-1e6, 1e6]))
    assert np.all(np.isfinite(loss))
    if name in ("logistic", "binodeviance"):
        assert_allclose(loss[0], (1 if name == "logistic" else 2) * 1e6 / (2 * np.log(2)))


def test_unknown_loss():
    """An unknown loss is an error with the closest name."""
    with pytest.raises(UnknownNameError, match=r"Unknown binary loss 'hing'. .*Did you mean 'hinge'\?"):
        binary_loss("hing", 1, np.zeros(1))
