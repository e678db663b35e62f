"""Rows to train and to judge on, and what splits share."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.fitting import find_leaks, fit


@pytest.mark.parametrize(("split", "n"), [("train+test", 60), ("test", 20)])
def test_several_splits_are_joined_and_test_rows_are_said(make_features, split, n):
    """What is named is taken; test rows among them are said, by fit and before it."""
    result = fit(make_features(), cv=3, split=split)
    assert result.n == n
    (note,) = result.notes
    assert note.startswith("The test split is among the rows that were trained and selected on: ")
    assert find_leaks(make_features(), split) == (note,)
    assert fit(make_features(), cv=3).notes == ()


def test_without_splits_all_rows_are_taken(make_features):
    """And a note says that nothing is held out."""
    result = fit(make_features(splits=None), cv=3)
    assert result.n == 60
    assert any("no split" in note for note in result.notes)


def test_rows_without_a_label_are_left_out_and_counted(make_features):
    """They play no part."""
    result = fit(make_features(y=["ab"[i % 2] if i >= 6 else "" for i in range(60)]), cv=3)
    assert result.n == 34
    assert "6 rows without a label are left out." in result.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": [""] * 60}, r"None of the 40 rows of split 'train' has a label"),
        ({"y": [""] * 60, "splits": None}, r"None of the 60 rows has a label"),
        ({"y": ["a"] * 60}, r"at least two classes; all 40 rows of split 'train' are 'a'\."),
        ({"y": ["a"] * 60, "splits": None}, r"at least two classes; all 60 rows are 'a'\."),
        ({"y": ["c"] + ["a", "b"] * 29 + ["a"]}, r"Too few rows for 5 folds of class c \(1\)"),
    ],
)
def test_rows_that_cannot_be_learned_from(make_features, options, message):
    """One sentence says what is missing."""
    with pytest.raises(DataError, match=message):
        fit(make_features(**options))


def test_leaks_are_counted(make_features):
    """Groups on both sides, with the rows outside; without groups or splits there is nothing to find."""
    features = make_features(groups=["x" if i in {0, 1, 50, 51, 52} else f"g{i}" for i in range(60)])
    assert find_leaks(features, "train") == ("1 groups of split train are in other splits too (3 rows there).",)
    assert [found for found in find_leaks(features, "train+test") if "groups" in found] == []
    assert find_leaks(make_features(), "train") == ()
    assert find_leaks(make_features(splits=None, groups=["x"] * 60), "train") == ()


def test_equal_images_are_a_leak(make_features):
    """The same bytes in train and test are found by their hash, whatever the files are called."""
    from dataclasses import replace

    digests = np.array([f"{i:064x}" for i in range(60)])
    digests[55] = digests[3]
    (found,) = find_leaks(replace(make_features(), digests=digests), "train")
    assert found == "1 images, equal to the byte, of split train are in other splits too (1 rows there)."
