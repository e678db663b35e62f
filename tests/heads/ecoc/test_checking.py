"""Own coding matrices: what is refused, and in which words."""

import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.linalg import block_diag

from fusionfer.exceptions import DataError
from fusionfer.heads.ecoc import check_coding, coding_matrix


@pytest.mark.parametrize("matrix", [[[1, 1], [-1, -1], [1, -1]], [[1, 0], [-1, 1], [0, -1]]])
def test_usable_matrices(matrix):
    """Full and chained matrices (classes 0 and 2 told apart by two learners in turn) come back as int8."""
    found = check_coding(matrix, 3)
    assert_array_equal(found, matrix)
    assert found.dtype == np.int8


@pytest.mark.parametrize(
    ("matrix", "n_classes", "words"),
    [
        ([[1, 1], [-1, 1], [1, 1]], 3, r"columns without both sides: 1; classes with the same row: \(0, 2\)"),
        (
            [[1, -1], [-1, 1], [0, 0]],
            3,
            r"columns that are equal or opposite: \(0, 1\); classes that no learner uses: rows 2",
        ),
        ([[1, 1], [-1, -1]], 2, r"columns that are equal or opposite: \(0, 1\)"),
        ([[0, 1], [0, -1], [0, 1]], 3, "columns without both sides: 0"),
        ([[1, 0], [-1, 0], [0, 1], [0, -1]], 4, r"no chain of learners tells apart: rows \(0, 2\), \(0, 3\)"),
        ([[1, 2], [-1, 0.5], [0, 1]], 3, r"holds \+1, -1 and 0 only, got 0.5, 2"),
        ([[1, np.nan], [-1, 1], [0, -1]], 3, "only, got nan"),
        ([[1], [-1]], 3, r"a row for each of the 3 classes and a column a learner, got \(2, 1\)"),
        ([1, -1, 0], 3, r"got \(3,\)"),
        (np.zeros((3, 0)), 3, r"got \(3, 0\)"),
        ("one", 3, "A coding is a name or a matrix"),
        ([[1, 0], [-1]], 2, "A coding is a name or a matrix"),
    ],
)
def test_useless_matrices(matrix, n_classes, words):
    """The others are errors that name rows and columns, all that are wrong at once."""
    with pytest.raises(DataError, match=words):
        check_coding(matrix, n_classes)


def test_a_learner_is_used_once_on_a_way():
    """Classes 0 and 1 stand on one side of learner 0; only a way that uses it twice would join them."""
    linked = np.array([[1, 0], [1, 1], [-1, 0], [0, -1]])
    with pytest.raises(DataError, match=r"\(0, 1\)"):
        check_coding(linked, 4)
    assert check_coding(np.column_stack([linked, [0, 0, 1, -1]]), 4).shape == (4, 3)


def test_long_lists_are_cut():
    """Of many equal rows five pairs are named and the rest counted."""
    with pytest.raises(DataError, match=r"\(0, 5\) and 10 more"):
        check_coding([[1]] * 6 + [[-1]], 7)


def test_islands_are_found_at_once():
    """Two groups of twelve classes, each one against one, with no learner between them: no endless search."""
    island = coding_matrix("onevsone", 12)
    start = time.perf_counter()
    with pytest.raises(DataError, match=r"tells apart: rows \(0, 12\)"):
        check_coding(block_diag(island, island), 24)
    assert time.perf_counter() - start < 5
