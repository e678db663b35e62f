"""Random codes: reproducible, without twins, and better separated than one draw."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fusionfer.exceptions import DataError
from fusionfer.heads.ecoc import row_distances, search_random_code


def test_distance_written_out():
    """1/2 sum |m_a| |m_b| |m_a - m_b| for each pair, in order."""
    rng = np.random.default_rng(0)
    code = rng.integers(-1, 2, size=(5, 11))
    expected = [
        sum(abs(a) * abs(b) * abs(a - b) for a, b in zip(code[i], code[j], strict=True)) / 2
        for i in range(5)
        for j in range(i + 1, 5)
    ]
    assert_allclose(row_distances(code), expected)


@pytest.mark.parametrize("sparse", [False, True])
def test_best_of_many(sparse):
    """The code kept is at least as well separated as each of 300 single draws, and has no useless column or twin."""
    code = search_random_code(6, 20, sparse=sparse, random_state=1)
    assert code.shape == (6, 20)
    assert set(np.unique(code).tolist()) == ({-1, 0, 1} if sparse else {-1, 1})
    columns = {tuple(column) for column in code.T.tolist()} | {tuple(column) for column in (-code.T).tolist()}
    assert len(columns) == 40
    assert all(-1 in column and 1 in column for column in columns)
    rng = np.random.default_rng(0)
    draws = rng.choice([-1, 0, 0, 1] if sparse else [-1, 1], size=(300, 6, 20))
    assert row_distances(code).min() >= row_distances(draws).min(axis=1).max()


def test_seed():
    """The same seed gives the same code, None that of 0, another seed another."""
    first = search_random_code(6, 20, sparse=True)
    assert_array_equal(first, search_random_code(6, 20, sparse=True, random_state=0))
    assert np.any(first != search_random_code(6, 20, sparse=True, random_state=5))


def test_impossible():
    """More learners than different columns exist: an error, not an endless search."""
    with pytest.raises(DataError, match=r"no random code of 8 different learners for 4 classes"):
        search_random_code(4, 8, sparse=False)
