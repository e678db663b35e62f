"""The corrected t test against the published figures of scikit-learn's example, and its formula."""

import math

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from fusionfer.exceptions import DataError
from fusionfer.statistics import corrected_resampled_t


def test_the_published_example():
    """scikit-learn's page "Statistical comparison of models using grid search" prints these intervals."""
    X, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    one, two = (
        cross_val_score(SVC(kernel=kernel, random_state=0), X, y, cv=folds, scoring="roc_auc")
        for kernel in ("rbf", "linear")
    )
    wide = corrected_resampled_t(one - two, 10 / 90)
    narrow = corrected_resampled_t(one - two, 10 / 90, level=0.5)
    assert (round(wide.low, 6), round(wide.high, 6)) == (-0.016445, 0.036445)
    assert (round(narrow.low, 6), round(narrow.high, 6)) == (0.000977, 0.019023)


def test_it_is_the_t_test_with_a_wider_error():
    """t is that of scipy by sqrt((1/J + q) J); p-values follow from Student's distribution."""
    differences = np.random.default_rng(0).normal(0.01, 0.02, size=10)
    found = corrected_resampled_t(differences, 1 / 9, margin=0.002)
    plain = ttest_1samp(differences, 0.002)
    assert found.statistic == pytest.approx(plain.statistic / math.sqrt((1 / 10 + 1 / 9) * 10))
    assert found.df == 9
    assert found.greater == pytest.approx(student.sf(found.statistic, 9))
    assert found.two_sided == pytest.approx(2 * min(found.greater, found.less))
    almost_uncorrected = corrected_resampled_t(differences, 1e-12, margin=0.002)
    assert almost_uncorrected.two_sided == pytest.approx(plain.pvalue, rel=1e-6)


def test_without_variance_there_is_no_test():
    """Equal differences of coarse folds prove nothing: NaN, not p = 0."""
    found = corrected_resampled_t([0.1, 0.1], 1.0)
    assert found.difference == pytest.approx(0.1)
    assert all(math.isnan(value) for value in (found.statistic, found.two_sided, found.greater, found.low))


@pytest.mark.parametrize(("differences", "ratio"), [([0.1], 0.25), ([[0.1, 0.2]], 0.25), ([0.1, 0.2], 0.0)])
def test_what_is_no_set_of_folds(differences, ratio):
    """One fold, a matrix, or no held-out rows."""
    with pytest.raises(DataError, match=r"^The corrected t test takes the differences of two or more folds"):
        corrected_resampled_t(differences, ratio)
