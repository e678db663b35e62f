"""Linear CKA agrees with its formula written out, and says 1 and 0 where it should."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.report import block_similarity, linear_cka


def written_out(X, Y):
    """Equation 5 of Song et al. 2012 with n x n matrices, and CKA from it."""
    n, ones = len(X), np.ones(len(X))

    def hsic(A, B):
        K, L = A @ A.T, B @ B.T
        np.fill_diagonal(K, 0)
        np.fill_diagonal(L, 0)
        sums = (ones @ K @ ones) * (ones @ L @ ones) / ((n - 1) * (n - 2))
        return (np.trace(K @ L) + sums - 2 / (n - 2) * (ones @ K @ L @ ones)) / (n * (n - 3))

    return hsic(X, Y) / np.sqrt(hsic(X, X) * hsic(Y, Y))


def test_formula():
    """The products of columns give what the n x n matrices give; a shift and a factor change nothing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 20))
    Y = np.hstack([X[:, :8], rng.normal(size=(60, 30))])
    assert linear_cka(X, Y) == pytest.approx(written_out(X, Y), abs=1e-5)
    assert linear_cka(100 * X + 7, Y - 3) == pytest.approx(linear_cka(X, Y), abs=1e-5)


def test_a_rotation_is_the_same_and_noise_is_nothing():
    """1 for rotated features; for noise about 0, where the plain formula says half."""
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(200, 150)), rng.normal(size=(200, 150))
    rotation, _ = np.linalg.qr(rng.normal(size=(150, 150)))
    assert linear_cka(X, X @ rotation) == pytest.approx(1, abs=1e-5)
    assert abs(linear_cka(X, Y)) < 0.02
    A, B = X - X.mean(0), Y - Y.mean(0)
    plain = np.sum((A.T @ B) ** 2) / np.sqrt(np.sum((A.T @ A) ** 2) * np.sum((B.T @ B) ** 2))
    assert plain > 0.4


def test_blocks_are_standardised_and_rows_drawn():
    """A loud column decides nothing; the matrix is symmetric; above 4,096 rows some are drawn, always the same."""
    rng = np.random.default_rng(2)
    shared = rng.normal(size=(5000, 3))
    X = np.hstack([shared, shared @ rng.normal(size=(3, 3)) + 0.1, rng.normal(size=(5000, 2))]).astype(np.float32)
    X[:, 7] *= 1e4
    X = np.hstack([X, shared[:, :2].astype(np.float32), 1e4 * rng.normal(size=(5000, 1)).astype(np.float32)])
    blocks = {"a": slice(0, 3), "b": slice(3, 6), "noise": slice(6, 8), "loud": slice(8, 11)}
    names, values, n = block_similarity(X, blocks)
    assert (names, n) == (list(blocks), 4096)
    assert np.array_equal(values, values.T)
    assert values[0, 1] > 0.5
    assert abs(values[0, 2]) < 0.01
    assert values[0, 3] > 0.5  # without scaling, the loud column would leave nothing
    assert np.array_equal(values, block_similarity(X, blocks)[1])


def test_a_constant_block_and_too_few_rows():
    """A constant block is like nothing: NaN; fewer than four rows are refused, as are other numbers of rows."""
    X = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)
    X[:, 2:] = 1
    assert np.isnan(block_similarity(X, {"a": slice(0, 2), "b": slice(2, 4)})[1][0, 1])
    with pytest.raises(DataError, match="4 or more samples can be compared, not of 3 and 3"):
        linear_cka(X[:3], X[:3])
    with pytest.raises(DataError, match="not of 10 and 9"):
        linear_cka(X, X[:9])
    with pytest.raises(DataError, match="4 rows or more, not on 3"):
        block_similarity(X[:3], {"a": slice(0, 4)})
