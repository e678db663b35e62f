"""Products of every backend against plain matrix products."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.heads.linear import solve_linear
from fusionfer.heads.linear._backends import BACKENDS, make_products


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rows", [1, 2, 3, 8, 13, 70])
def test_products(backend, rows):
    """Whatever the number of learners, and for columns of a wider, read-only X."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 12)).astype(np.float32)
    X.flags.writeable = False
    X = X[:, 3:10]
    W, B = rng.normal(size=(rows, 7)).astype(np.float32), rng.normal(size=(rows, 50)).astype(np.float32)
    products = make_products(backend, X)
    assert_allclose(products.forward(W), W @ X.T, atol=1e-5)
    assert_allclose(products.backward(B), B @ X, atol=1e-5)


def test_torch_solves_the_same(faces_like, codes):
    """The whole solver with torch's products reaches the same objective."""
    X, y = faces_like(200, 20, 3)
    one, other = (
        solve_linear(X.astype(np.float32), codes(y), np.ones(200), loss="squared_hinge", backend=name)
        for name in ("numpy", "torch")
    )
    assert_allclose(one.objective, other.objective, rtol=1e-3)
