"""How far rows spread, by the formula; the grid of C in its units."""

import numpy as np
from numpy.testing import assert_allclose

from fusionfer.heads._spread import C_GRID, row_spread


def test_spread_is_the_weighted_mean_squared_distance():
    """Equal to the sum of the weighted variances of the scaled columns, in float32 with an offset too."""
    rng = np.random.default_rng(1)
    X, weight = rng.normal(size=(300, 4)) * (1, 2, 3, 4), rng.uniform(0, 2, size=300)
    weight[:50] = 0
    mean = np.average(X[:, 1:], axis=0, weights=weight)
    expected = np.average((X[:, 1:] - mean) ** 2, axis=0, weights=weight)
    assert_allclose(row_spread(X, weight, slice(1, 4)), expected.sum())
    scaled = row_spread((X + 100).astype(np.float32), weight, slice(1, 4), np.full(3, 100.0), np.array([1.0, 2, 3]))
    assert_allclose(scaled, expected @ (1, 4, 9), rtol=1e-5)
    assert row_spread(np.full((5, 2), 7.0), np.ones(5), slice(0, 2)) == 1.0


def test_grid():
    """Eleven values, half a decade apart, ascending."""
    assert_allclose(C_GRID, np.logspace(-3, 2, 11), rtol=1e-3)
