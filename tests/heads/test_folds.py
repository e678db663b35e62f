"""Folds inside a head: spread classes, whole groups, and no failure for want of rows."""

import warnings

import numpy as np
import pytest

from fusionfer.heads._folds import inner_folds


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_classes_are_spread(n_folds):
    """Each fold holds a class as often as every other, give or take one row."""
    y = np.random.default_rng(0).choice(["angry", "happy", "sad"], 200, p=[0.7, 0.2, 0.1])
    folds = inner_folds(y, n_folds, 3)
    for label in np.unique(y):
        counts = np.bincount(folds[y == label], minlength=n_folds)
        assert counts.max() - counts.min() <= 1


def test_seeds():
    """A seed gives its folds again, another one others; None is the seed 0."""
    y = np.arange(50) % 3
    assert np.array_equal(inner_folds(y, 3, 1), inner_folds(y, 3, 1))
    assert not np.array_equal(inner_folds(y, 3, 1), inner_folds(y, 3, 2))
    assert np.array_equal(inner_folds(y, 3), inner_folds(y, 3, 0))


def test_groups_stay_together():
    """Rows of one group are in one fold, and every fold has some."""
    rng = np.random.default_rng(0)
    y, groups = rng.integers(0, 3, 120), rng.integers(0, 20, 120)
    folds = inner_folds(y, 3, 0, groups)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in range(20))
    assert set(folds) == {0, 1, 2}


@pytest.mark.parametrize("groups", [["a"] * 6, ["a", "b"] * 3, None])
def test_few_rows_and_groups_are_no_failure(groups):
    """One group is one fold, two groups are two; classes of one row neither fail nor warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = inner_folds(np.array([0, 0, 0, 0, 1, 2]), 5, 0, groups)
    assert len(folds) == 6
    if groups is not None:
        assert folds.max() == len(set(groups)) - 1


def test_a_predefined_split_is_the_only_fold():
    """Its rows are fold 0 and all others in none, whatever classes, groups and number of folds are."""
    held_out = np.array([False, True, True, False])
    folds = inner_folds(np.array(["a", "a", "b", "b"]), 3, 5, groups=[0, 0, 1, 1], held_out=held_out)
    assert folds.tolist() == [-1, 0, 0, -1]
