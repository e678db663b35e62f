"""Folds of the selector: groups stay together, what has no name stands alone, and bad folds are named."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_score

from fusionfer.exceptions import DataError
from fusionfer.selection import HybridSelector


def test_unnamed_groups_stand_alone(two_blocks):
    """Rows without a group are free; where none has one, the folds are those without groups."""
    X, y = two_blocks(2, 2)
    none = HybridSelector(LogisticRegression()).fit(X, y).scores_["all"]
    assert_array_equal(HybridSelector(LogisticRegression()).fit(X, y, np.full(len(y), "")).scores_["all"], none)
    some = np.where(np.arange(len(y)) < 40, "p", "")
    held_out = []

    def scorer(estimator, X, y):
        held_out.append(len(y))
        return 0.5

    HybridSelector(LogisticRegression(), scoring=scorer).fit(X, y, some)
    assert max(held_out) < 100  # one group of all 200 unnamed rows would be held out at once


class NAType:
    """Stands for the one of pandas, which refuses to be compared."""

    def __bool__(self):
        raise TypeError

    def __eq__(self, other):
        return self

    __ne__ = __eq__
    __hash__ = None


@pytest.mark.parametrize("missing", ["", None, float("nan"), NAType()])
def test_unnamed_groups_in_a_column_of_objects(two_blocks, missing):
    """What pandas has for "no name" means a group of one's own, as the empty string does."""
    X, y = two_blocks(2, 2)
    names = np.where(np.arange(len(y)) < 80, np.arange(len(y)) // 8, -1)
    texts = np.array([f"p{name}" if name >= 0 else "" for name in names])
    objects = np.array([text or missing for text in texts], dtype=object)
    expected = HybridSelector(LogisticRegression()).fit(X, y, texts).scores_["all"]
    assert_array_equal(HybridSelector(LogisticRegression()).fit(X, y, objects).scores_["all"], expected)
    nameless = np.full(len(y), missing, dtype=object)
    ungrouped = HybridSelector(LogisticRegression()).fit(X, y).scores_["all"]
    assert_array_equal(HybridSelector(LogisticRegression()).fit(X, y, nameless).scores_["all"], ungrouped)


def test_unnamed_groups_in_a_column_of_numbers(two_blocks):
    """NaN among numbers is no group; 0 is one."""
    X, y = two_blocks(2, 2)
    numbers = np.where(np.arange(len(y)) < 80, np.arange(len(y)) // 8, np.nan)
    texts = np.array(["" if np.isnan(number) else f"p{number:.0f}" for number in numbers])
    expected = HybridSelector(LogisticRegression()).fit(X, y, texts).scores_["all"]
    assert_array_equal(HybridSelector(LogisticRegression()).fit(X, y, numbers).scores_["all"], expected)
    with pytest.raises(DataError, match=r"Too few groups for 5 folds of class 0 \(1\)"):
        HybridSelector().fit(X, y, np.zeros(len(y), dtype=int))


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored:UserWarning")
def test_a_splitter_that_divides_groups(two_blocks):
    """Given groups, no splitter may divide one; the fold, a group and a row are named."""
    X, y = two_blocks(2, 2)
    groups = np.array([f"p{i // 8}" for i in range(len(y))], dtype=object)
    groups[8:16] = None  # eight rows of their own, free to stand anywhere
    whole = list(GroupKFold(3).split(X, y, np.arange(len(y)) // 8))
    assert len(HybridSelector(LogisticRegression(), cv=whole).fit(X, y, groups).scores_["all"]) == 3
    divided = [(np.arange(20, 240), np.arange(20))]
    with pytest.raises(DataError, match=r"Fold 1 of 1 divides group 'p2': row 16 is held out while rows of the same"):
        HybridSelector(LogisticRegression(), cv=divided).fit(X, y, groups)
    with pytest.raises(DataError, match=r"Fold 1 of 5 divides group 'p\d+'"):
        HybridSelector(LogisticRegression(), cv=StratifiedKFold(5, shuffle=True)).fit(X, y, groups)


def test_a_scorer_that_needs_every_class(two_blocks):
    """A held-out fold that lacks a class cannot be scored by log loss: scorer, block, fold and reason are named."""
    X, y = two_blocks(2, 2)
    folds = list(StratifiedKFold(2).split(X, y))
    folds[1] = (folds[1][0], folds[1][1][y[folds[1][1]] == 3])
    with pytest.raises(
        DataError, match=r"^neg log loss of all cannot be computed on fold 2 of 2: .*(label|class).*another scoring\.$"
    ):
        HybridSelector(LogisticRegression(), cv=folds, scoring="neg_log_loss").fit(X, y)


def test_own_splitter(two_blocks):
    """A splitter, or its pairs, decide the folds; a training part that lacks a class is an error."""
    X, y = two_blocks(2, 2)
    groups = np.arange(len(y)) // 24
    splitter = GroupKFold(3)
    selector = HybridSelector(LogisticRegression(), cv=splitter, scale=None).fit(X, y, groups)
    expected = cross_val_score(LogisticRegression(), X, y, cv=splitter, groups=groups)
    assert_allclose(selector.scores_["all"], expected)
    lacking = [(np.flatnonzero(y != 2), np.flatnonzero(y == 2))]
    with pytest.raises(DataError, match="Fold 1 of 1 has no row of 2 to train on"):
        HybridSelector(cv=lacking).fit(X, y)


def test_too_few_rows_or_groups_of_a_class(two_blocks):
    """A class with fewer rows, or groups, than folds is named with its count and the remedy."""
    X, y = two_blocks(2, 2)
    y = np.array(["angry", "happy", "neutral", "sad"])[y]
    few = np.flatnonzero((y != "happy") | (np.arange(len(y)) < 14))
    with pytest.raises(
        DataError, match=r"Too few rows for 5 folds of class happy \(4\): use cv=4, or add rows of it, or"
    ):
        HybridSelector().fit(X[few], y[few])
    groups = np.where(y == "sad", "p1", np.arange(len(y)).astype(str))
    with pytest.raises(DataError, match=r"Too few groups for 5 folds of class sad \(1\): add groups of it, or drop it"):
        HybridSelector().fit(X, y, groups)
