"""Named codings: their size, their entries, and the limit on learners."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.heads.ecoc import CODINGS, check_coding, coding_matrix, count_learners


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 7])
def test_named_codings_are_valid(coding, n_classes):
    """Every named coding has the announced size and passes the check of own matrices."""
    code = coding_matrix(coding, n_classes)
    assert code.shape == (n_classes, count_learners(coding, n_classes))
    assert code.dtype == np.int8
    assert_array_equal(check_coding(code, n_classes), code)


@pytest.mark.parametrize("coding", CODINGS)
def test_two_classes_have_one_learner(coding):
    """Two classes leave one column, whose positive side is the second, as scikit-learn has it."""
    assert_array_equal(coding_matrix(coding, 2), [[-1], [1]])


def test_small_codings_by_hand():
    """Three of the codings for small numbers of classes, written out."""
    assert_array_equal(coding_matrix("onevsall", 3), [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    assert_array_equal(coding_matrix("ordinal", 4), [[-1, -1, -1], [1, -1, -1], [1, 1, -1], [1, 1, 1]])
    assert_array_equal(coding_matrix("binarycomplete", 3), [[1, 1, 1], [1, -1, -1], [-1, 1, -1]])


@pytest.mark.parametrize(("coding", "sides"), [("binarycomplete", (-1, 1)), ("ternarycomplete", (-1, 0, 1))])
def test_complete_codings_hold_every_split_once(coding, sides):
    """For four classes, each column with both sides is there or its negative is, and none twice."""
    columns = {tuple(column) for column in coding_matrix(coding, 4).T.tolist()}
    assert len(columns) == count_learners(coding, 4)
    for column in itertools.product(sides, repeat=4):
        both = 1 in column and -1 in column
        assert ((column in columns) + (tuple(-side for side in column) in columns)) == both


def test_sizes_for_seven_classes():
    """The numbers that MATLAB's documentation gives: 7, 21, 6, 63, 966, ceil(10 log2 7), ceil(15 log2 7)."""
    assert [count_learners(coding, 7) for coding in CODINGS] == [7, 21, 6, 63, 966, 29, 43]


def test_random_codings_end_at_the_complete_ones():
    """Three classes have 3 different binary learners and 6 ternary ones, not the 16 and 24 of the formulas."""
    assert_array_equal(coding_matrix("denserandom", 3), coding_matrix("binarycomplete", 3))
    assert_array_equal(coding_matrix("sparserandom", 3), coding_matrix("ternarycomplete", 3))


def test_too_many_learners():
    """The error counts the learners before any is built (30 classes would be 10^14 columns), own matrices included."""
    with pytest.raises(DataError, match=r"'ternarycomplete' has 966 learners for 7 classes, max_learners is 965"):
        coding_matrix("ternarycomplete", 7, max_learners=965)
    with pytest.raises(DataError, match=r"102,944,492,305,501 .*30 classes, max_learners is 1,000. Take a smaller"):
        coding_matrix("ternarycomplete", 30)
    with pytest.raises(DataError, match="The coding matrix has 3 learners for 3 classes, max_learners is 2"):
        coding_matrix(coding_matrix("onevsone", 3), 3, max_learners=2)


def test_unknown_coding():
    """An unknown coding is an error with the closest name."""
    with pytest.raises(UnknownNameError, match=r"Unknown coding 'one-vs-all'. .*Did you mean 'onevsall'\?"):
        coding_matrix("one-vs-all", 3)
