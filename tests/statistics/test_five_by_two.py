"""The combined F test against mlxtend."""

import math

import numpy as np
import pytest
from mlxtend.evaluate import combined_ftest_5x2cv
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

from fusionfer.exceptions import DataError
from fusionfer.statistics import combined_f_5x2


def test_it_is_that_of_mlxtend():
    """The same ten differences give the same F and p."""
    X, y = make_classification(300, 10, random_state=3)
    heads = LogisticRegression(), GaussianNB()
    statistic, p = combined_ftest_5x2cv(*heads, X, y, random_seed=1)
    rng, differences = np.random.RandomState(1), np.zeros((5, 2))
    for repetition in range(5):
        halves = train_test_split(X, y, test_size=0.5, random_state=rng.randint(low=0, high=32767))
        for fold, (a, b) in enumerate([(0, 1), (1, 0)]):
            one, two = (head.fit(halves[a], halves[a + 2]).score(halves[b], halves[b + 2]) for head in heads)
            differences[repetition, fold] = one - two
    found = combined_f_5x2(differences)
    assert found.statistic == pytest.approx(statistic)
    assert found.two_sided == pytest.approx(p)


def test_the_sides_follow_the_mean():
    """Half the p on the side of the mean, the rest on the other; a margin moves all differences."""
    differences = np.random.default_rng(0).normal(0.02, 0.01, size=(5, 2))
    found, turned = combined_f_5x2(differences), combined_f_5x2(-differences)
    assert found.greater == pytest.approx(found.two_sided / 2)
    assert found.less == pytest.approx(1 - found.greater)
    assert turned.less == pytest.approx(found.greater)
    shifted = combined_f_5x2(differences + 0.1, margin=0.1)
    assert shifted.statistic == pytest.approx(found.statistic)
    assert shifted.difference == pytest.approx(found.difference + 0.1)


def test_no_side_is_ahead_of_a_mean_that_is_the_margin():
    """Repetitions that differ much, and cancel out, speak for neither."""
    found = combined_f_5x2([[0.1, 0.11], [-0.1, -0.11], [0.2, 0.21], [-0.2, -0.21], [0.0, 0.0]])
    assert found.two_sided < 0.05
    assert (found.greater, found.less) == (0.5, 0.5)


def test_without_variance_there_is_no_test():
    """Both halves of every repetition agree: NaN."""
    assert math.isnan(combined_f_5x2(np.full((5, 2), 0.1)).two_sided)


def test_another_shape():
    """Five by two, nothing else."""
    with pytest.raises(DataError, match=r"five repetitions of two differences, shape \(5, 2\), got \(2, 5\)\.$"):
        combined_f_5x2(np.zeros((2, 5)))
