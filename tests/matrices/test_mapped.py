"""A matrix of maps side by side gives what an array of the same numbers gives."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fusionfer.exceptions import DataError, NonFiniteFeaturesError
from fusionfer.heads.linear._backends import make_products
from fusionfer.matrices import (
    MappedMatrix,
    in_pieces,
    is_mapped,
    is_read_here,
    moments,
    read_rows,
    row_pieces,
    take_rows,
)


@pytest.fixture
def pair(tmp_path):
    """A matrix of two maps, the second with its rows in another order, and the same as an array."""
    rng = np.random.default_rng(0)
    order = rng.permutation(60)[:50]
    parts = []
    for name, shape in (("left", (50, 3)), ("right", (60, 4))):
        part = np.lib.format.open_memmap(tmp_path / f"{name}.npy", mode="w+", dtype=np.float32, shape=shape)
        part[:] = rng.normal(size=shape)
        parts.append(part)
    return MappedMatrix(parts, [slice(0, 50), order]), np.hstack([parts[0], parts[1][order]])


ROWS = [
    slice(None),
    slice(7, 31),
    slice(40, 10),
    slice(None, None, 3),
    np.array([3, 3, 0, 49]),
    np.array([-1, 5]),
    np.arange(50) % 3 == 0,
    np.arange(12, 30),
    [],
]


@pytest.mark.parametrize("rows", ROWS, ids=str)
@pytest.mark.parametrize("columns", [slice(None), slice(1, 3), slice(2, 6), slice(4, None)], ids=str)
def test_rows_and_columns_are_those_of_an_array(pair, rows, columns):
    """Chosen lazily or read at once, in any combination and order, the numbers are the array's, to the bit."""
    matrix, array = pair
    rows = np.array(rows, dtype=np.intp) if isinstance(rows, list) else rows
    expected = array[rows][:, columns]
    for found in (matrix.rows(rows).columns(columns), matrix.columns(columns).rows(rows), matrix[rows, columns]):
        assert found.shape == expected.shape
        assert_array_equal(np.asarray(found), expected)
    assert is_mapped(matrix[rows]) == isinstance(rows, slice)


def test_single_rows_and_columns(pair):
    """A number of a row or column takes an axis away, as it does of an array."""
    matrix, array = pair
    assert_array_equal(matrix[3], array[3])
    assert_array_equal(matrix[:, 2], array[:, 2])
    assert_array_equal(matrix[5:9, [1, 6]], array[5:9, [1, 6]])
    assert matrix[4, 6] == array[4, 6]


COLUMNS = [3, -1, [1, 6], [5, -7, 5], np.array([6, 0]), np.arange(7) % 2 == 0, slice(None, None, 2), slice(6, 1, -2),
           slice(4, 2), slice(9, None), [], slice(2, 6)]  # fmt: skip


@pytest.mark.parametrize("columns", COLUMNS, ids=str)
@pytest.mark.parametrize("scaled", [False, True])
def test_columns_are_read_piece_by_piece(pair, columns, scaled, monkeypatch):
    """Some columns of all rows are those of an array, and only pieces of the columns between them are ever read."""
    matrix, array = pair
    if scaled:
        matrix, array = matrix.scaled(np.zeros(7), np.full(7, 2.0)), array * 2
    monkeypatch.setattr("fusionfer.matrices._mapped.PIECE_BYTES", 160)
    read, sizes = MappedMatrix.read, []

    def watched(self, *given):
        found = read(self, *given)
        sizes.append(found.size)
        return found

    monkeypatch.setattr(MappedMatrix, "read", watched)
    found = matrix[:, columns]
    assert_array_equal(np.asarray(found), array[:, columns])
    if not is_mapped(found):
        assert max(sizes, default=0) <= 40
    for rows in (slice(4, 30, 3), slice(8, 8), 5):
        expected = array[rows, columns]
        assert_array_equal(np.asarray(matrix[rows, columns]), expected)
        assert np.asarray(matrix[rows, columns]).shape == expected.shape
    if isinstance(columns, (int, slice)):
        for rows in ([2, -1, 2], np.arange(50) % 7 == 0, []):
            assert_array_equal(matrix[rows, columns], array[rows, columns])


def test_two_arrays_are_no_index(pair):
    """Numpy would pair them, which is never meant of a matrix; nor is an index of more axes."""
    matrix, _ = pair
    for columns in (np.zeros(50, dtype=int), [0, 1], np.zeros((50, 1), dtype=int)):
        with pytest.raises(DataError, match="cannot both be chosen by arrays"):
            matrix[np.arange(50), columns]
    with pytest.raises(DataError, match="two axes, rows and columns; got an index of 3"):
        matrix[0, 0, 0]
    with pytest.raises(IndexError):
        matrix[:, 7]
    assert_array_equal(matrix[(3,)], matrix[3])


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "u8"])
def test_narrow_row_numbers(dtype):
    """Numbers of eight bits are added up as numbers: 99 + 200 is 299, and no row far before it."""
    array = np.arange(300, dtype=np.float32)[:, None]
    index = np.array([0, 99, 27], dtype=dtype)
    matrix = MappedMatrix([array], [slice(200, 300)])
    assert_array_equal(matrix[index], array[index.astype(int) + 200])
    assert_array_equal(np.asarray(MappedMatrix([array], [index]).rows(index[:1])), array[:1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m @ np.ones((8, 2)), "of shape (50, 7) is multiplied with 7 rows, got shape (8, 2)"),
        (lambda m: m @ np.ones(6), "got shape (6,)"),
        (lambda m: m @ 2.0, "got shape ()"),
        (lambda m: m.combine(np.ones((2, 51))), "are combined by (k, 50), got shape (2, 51)"),
        (lambda m: m.combine(np.ones(50)), "got shape (50,)"),
        (lambda m: m.moments(np.ones(51)), "moments of 50 rows need as many weights, got shape (51,)"),
        (lambda m: m.scaled(np.zeros(7), np.ones(6)), "factor of 7 columns must have shape (7,), got (6,)"),
        (lambda m: MappedMatrix(m.parts, m.index, shift=[0.0]), "shift of 7 columns must have shape (7,), got (1,)"),
        (lambda m: MappedMatrix(m.parts, m.index[:1]), "of each of 2 parts which rows, got 1 entries"),
    ],
)
def test_what_is_too_long(pair, call, message):
    """An operand of another size is refused with both sizes, and not cut to what fits."""
    with pytest.raises(DataError, match=re.escape(message)):
        call(pair[0])


def test_half_a_scaling(pair):
    """A shift alone moves, a factor alone stretches."""
    matrix, array = pair
    given = (matrix.parts, matrix.index)
    assert_array_equal(np.asarray(MappedMatrix(*given, shift=np.ones(7, "f4"))), array - 1)
    assert_array_equal(np.asarray(MappedMatrix(*given, factor=[2] * 7)), array * 2)


def test_rows_of_rows(pair):
    """What is chosen of what was chosen are the rows that an array would give, ten times over."""
    matrix, array = pair
    rng = np.random.default_rng(1)
    for _ in range(10):
        index = rng.permutation(len(array))[: max(2, len(array) - 4)]
        matrix, array = matrix.rows(index), array[index]
        assert_array_equal(np.asarray(matrix), array)


def test_scaling_is_done_while_reading(pair):
    """Scaled once, or twice, and then cut: as the scaled array, within float32."""
    matrix, array = pair
    rng = np.random.default_rng(2)
    shift, factor = rng.normal(size=7), rng.uniform(0.5, 2.0, 7)
    scaled = matrix.scaled(shift, factor)
    assert_allclose(np.asarray(scaled), (array - shift) * factor, rtol=1e-5, atol=1e-6)
    twice = scaled.scaled(factor, shift)[10:20, 2:6]
    assert_allclose(np.asarray(twice), (((array - shift) * factor - factor) * shift)[10:20, 2:6], rtol=1e-4, atol=1e-5)


def test_a_column_of_factor_zero_stays_constant(pair):
    """A column that was scaled to nothing may be scaled again, but not moved."""
    matrix, _ = pair
    gone = matrix.scaled(np.zeros(7), np.r_[0.0, np.ones(6)])
    assert_array_equal(np.asarray(gone.scaled(np.zeros(7), np.full(7, 2.0)))[:, 0], 0.0)
    with pytest.raises(DataError, match="scaled to 0 cannot be moved again"):
        gone.scaled(np.ones(7), np.ones(7))


def test_products_and_moments(pair):
    """Products from both sides, means and variances are those of numpy, also of scaled rows in another order."""
    matrix, array = pair
    rng = np.random.default_rng(3)
    rows, shift, factor = rng.permutation(50)[:33], rng.normal(size=7), rng.uniform(0.5, 2.0, 7)
    for mapped, plain in ((matrix, array), (matrix.rows(rows).scaled(shift, factor), (array[rows] - shift) * factor)):
        V, B = rng.normal(size=(7, 2)), rng.normal(size=(3, len(plain)))
        assert_allclose(mapped @ V, plain @ V, atol=1e-5)
        assert_allclose(mapped @ V[:, 0], plain @ V[:, 0], atol=1e-5)
        assert_allclose(mapped.combine(B), B @ plain, atol=1e-5)
        share = rng.random(len(plain))
        share /= share.sum()
        mean, variance = mapped.moments(share)
        assert_allclose(mean, np.average(plain, axis=0, weights=share), atol=1e-6)
        assert_allclose(variance, np.average((plain - mean) ** 2, axis=0, weights=share), atol=1e-5)


def test_walking_gives_views_of_what_lies_in_order(pair):
    """Rows in their order are walked without a copy, others are read; the pieces are all rows, each once."""
    matrix, _ = pair
    left = matrix[:, :3]
    seen = []
    for rows, [(part, places)] in left.walk(most=4 * 3 * 8):
        assert np.shares_memory(part, matrix.parts[0])
        assert places is None
        seen += range(rows.start, rows.stop)
        assert len(part) <= 8
    assert seen == list(range(50))
    ((_, [(_, _), (right, _)]),) = matrix.walk()  # in another order
    assert not np.shares_memory(right, matrix.parts[1])


@pytest.mark.parametrize("step", [2, 3])
def test_most_rows_are_not_copied(pair, step):
    """Of ascending rows the others between them are multiplied, too, where they are at most half; never more."""
    matrix, array = pair
    rows = np.flatnonzero(np.arange(50) % step != 1)
    few, dense = matrix.columns(slice(0, 3)).rows(rows[::2]), matrix.columns(slice(0, 3)).rows(rows)
    ((_, [(part, places)]),) = dense.walk()
    assert np.shares_memory(part, matrix.parts[0])
    assert_array_equal(part[places], array[rows, :3])
    ((_, [(part, places)]),) = few.walk()
    assert (places is None) == (not np.shares_memory(part, matrix.parts[0]))
    rng = np.random.default_rng(0)
    V, B = rng.normal(size=(3, 2)), rng.normal(size=(4, len(rows)))
    assert_allclose(dense @ V, array[rows, :3] @ V, rtol=1e-6)
    assert_allclose(dense.combine(B), B @ array[rows, :3], rtol=1e-6)
    assert_allclose(make_products("numpy", dense).forward(V.T), (array[rows, :3] @ V).T, rtol=1e-6)


def test_rows_between_may_hold_anything(pair):
    """NaN in a row that was not chosen reaches no product, and is not complained of."""
    matrix, array = pair
    rows = np.flatnonzero(np.arange(50) % 4 != 1)
    chosen = matrix.columns(slice(0, 3)).rows(rows)
    matrix.parts[0][5] = np.nan
    chosen.check_finite()
    B = np.ones((1, len(rows)))
    assert_allclose(chosen.combine(B), B @ array[rows, :3], rtol=1e-6)
    assert np.all(np.isfinite(chosen @ np.ones((3, 1))))


def test_side_by_side(pair):
    """Matrices of the same rows stand beside each other, scaled or not."""
    matrix, array = pair
    scaled = matrix.scaled(np.ones(7), np.full(7, 2.0))
    assert_allclose(np.asarray(matrix.beside(scaled)), np.hstack([array, (array - 1.0) * 2.0]), rtol=1e-6)
    with pytest.raises(DataError, match="must have the same rows, got 50, 10"):
        matrix.beside(matrix[:10])


def test_functions_take_arrays_too(pair):
    """Rows of an array are taken as numpy takes them; pieces cover all rows; work in pieces is work on all."""
    matrix, array = pair
    index = np.array([4, 2])
    assert_array_equal(take_rows(array, index), array[index])
    assert_array_equal(read_rows(array, index), read_rows(matrix, index))
    assert is_mapped(take_rows(matrix, index))
    assert [rows.stop - rows.start for rows in row_pieces(array, most=4 * 7 * 20)] == [20, 20, 10]
    assert_array_equal(in_pieces(lambda rows: rows.sum(axis=1), matrix, most=4 * 7 * 9), array.sum(axis=1))
    assert in_pieces(lambda rows: rows[:, :2], matrix[:0]).shape == (0, 2)
    for found, expected in zip(moments(array, np.full(50, 0.02)), moments(matrix, np.full(50, 0.02)), strict=True):
        assert_array_equal(found, expected)
    assert (is_read_here(matrix), is_read_here(array)) == (True, False)


def test_numpy_must_not_take_it_for_an_object(pair):
    """What numpy would do element by element in Python fails; an array is made only where it is asked for."""
    matrix, array = pair
    with pytest.raises(TypeError):
        array[:2].T @ matrix
    with pytest.raises(ValueError, match="cannot become an array without a copy"):
        np.array(matrix, copy=False)
    assert np.asarray(matrix, dtype=np.float64).dtype == np.float64


def test_not_finite(pair):
    """NaN is found where it stands, of the rows that were chosen alone."""
    matrix, _ = pair
    matrix.check_finite()
    matrix.parts[0][17, 1] = np.nan
    with pytest.raises(NonFiniteFeaturesError, match="first in row 7"):
        matrix[10:].check_finite()
    matrix[18:].check_finite()
    matrix.parts[1][matrix.index[1][14], 0] = np.inf  # in the same piece, in the other part
    with pytest.raises(NonFiniteFeaturesError, match="first in row 4"):
        matrix[10:].check_finite()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MappedMatrix([]), "must be float32 matrices, got none"),
        (lambda: MappedMatrix([np.zeros((2, 2))]), "got float64 (2, 2)"),
        (lambda: MappedMatrix([np.zeros((2, 2), "f4"), np.zeros((3, 1), "f4")]), "same number of rows, got 2, 3"),
        (lambda: MappedMatrix([np.zeros((2, 2), "f4")]).rows(np.array([True])), "A mask of rows must have shape (2,)"),
        (lambda: MappedMatrix([np.zeros((2, 2), "f4")]).rows(np.array([0.5])), "whole numbers or a mask, got float64"),
        (lambda: MappedMatrix([np.zeros((2, 2), "f4")]).columns(slice(0, 2, 2)), "must be a slice without step"),
    ],
)
def test_what_does_not_fit(make, message):
    """Each mistake is said with what came."""
    with pytest.raises(DataError, match=re.escape(message)):
        make()


def test_a_row_that_is_not_there():
    """Out of range is an IndexError, as of an array."""
    with pytest.raises(IndexError, match="Row 5 is out of range: there are 2"):
        MappedMatrix([np.zeros((2, 2), "f4")]).rows([5])
