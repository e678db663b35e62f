"""Codes and thresholds agree, quantiles are those of the weights, and weights are repetitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from fusionfer.exceptions import NonFiniteFeaturesError
from fusionfer.heads.boosting._binning import find_bins
from fusionfer.matrices import MappedMatrix
from fusionfer.memory import memory_limit

FLOATS = hnp.arrays(np.float32, (17, 2), elements=st.floats(allow_nan=False, allow_infinity=False, width=32))


@settings(max_examples=60, deadline=None)
@given(X=FLOATS, max_bin=st.integers(2, 20))
def test_a_code_is_below_another_where_the_value_is_below_the_threshold(X, max_bin):
    """x < thresholds(c) exactly where code(x) < c, for every code; and other rows get the same codes."""
    bins, codes = find_bins(X, max_bin, np.ones(len(X)))
    assert_array_equal(bins.codes(X), codes)
    for j in range(2):
        assert codes[j].max() < max_bin
        for code in range(1, codes[j].max() + 1):
            threshold = bins.thresholds(np.array([j]), np.array([code]))[0]
            assert_array_equal(X[:, j] < threshold, codes[j] < code)


def test_bins_are_even():
    """With many different values, every bin has the same number of rows."""
    X = np.random.default_rng(0).normal(size=(640, 300)).astype(np.float32)
    _, codes = find_bins(X, 32, np.full(640, 2.0))
    assert all(np.all(np.bincount(column, minlength=32) == 20) for column in codes)


def test_few_values_are_all_kept_apart():
    """As many bins as values, even when one value has nearly all rows; a constant column has one bin."""
    X = np.zeros((1000, 2), np.float32)
    X[0, 0], X[1, 0] = 1, -1
    bins, codes = find_bins(X, 3, np.ones(1000))
    assert bins.cuts[0].tolist() == [-0.5, 0.5]
    assert codes[0, :3].tolist() == [2, 0, 1]
    assert bins.cuts[1].tolist() == []
    assert_array_equal(codes[1], 0)


def test_a_value_that_fills_several_bins():
    """Quantiles that fall into one value cut there once."""
    X = np.concatenate([np.zeros(900), np.arange(1, 101)]).astype(np.float32)[:, None]
    bins, codes = find_bins(X, 10, np.ones(1000))
    assert bins.cuts[0].tolist() == [0.5]
    assert np.bincount(codes[0]).tolist() == [900, 100]


@pytest.mark.parametrize("max_bin", [4, 16, 256])
def test_weights_are_repetitions(max_bin):
    """A row of weight 3 cuts as three rows do."""
    rng = np.random.default_rng(2)
    X, weight = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(1, 4, 50)
    weighted, _ = find_bins(X, max_bin, weight.astype(float))
    repeated, _ = find_bins(np.repeat(X, weight, axis=0), max_bin, np.ones(weight.sum()))
    for a, b in zip(weighted.cuts, repeated.cuts, strict=True):
        assert_array_equal(a, b)


def test_new_rows_beyond_the_ends():
    """Values outside the training range fall into the outer bins; thresholds beyond all codes let all rows pass."""
    bins, _ = find_bins(np.arange(8, dtype=np.float32)[:, None], 4, np.ones(8))
    assert bins.codes(np.array([[-1e9], [1e9]], dtype=np.float32)).tolist() == [[0, 3]]
    low, high = bins.thresholds(np.array([0, 0]), np.array([0, 99]))
    assert (low, high) == (np.finfo(np.float32).min, np.finfo(np.float32).max)


@pytest.mark.parametrize("limit", [1 << 12, None])
def test_threads_change_no_codes(limit):
    """Codes of other rows are the same with three threads, of an array and of a map, with little memory too."""
    X = np.random.default_rng(0).normal(size=(500, 40)).astype(np.float32)
    bins, codes = find_bins(X[:200], 16, np.ones(200))
    expected = bins.codes(X)
    assert_array_equal(expected[:, :200], codes)
    with memory_limit(limit):
        for rows in (X, MappedMatrix([X])):
            assert_array_equal(bins.codes(rows, threads=3), expected)
            assert_array_equal(find_bins(rows, 16, np.ones(500), threads=3)[1], find_bins(X, 16, np.ones(500))[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_codes_of_what_is_no_number(value):
    """There are none: the largest code would be a lie."""
    X = np.arange(12, dtype=np.float32).reshape(6, 2)
    bins, _ = find_bins(X, 4, np.ones(6))
    X[3, 1] = value
    with pytest.raises(NonFiniteFeaturesError, match=r"X holds NaN, infinity .* in column 1\."):
        bins.codes(X)
