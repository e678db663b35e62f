"""Line searches against the formulas they minimise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime

from fusionfer.heads.linear._losses import Binary, Softmax


@pytest.fixture
def line():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 60)), rng.normal(size=(3, 60)), rng.integers(0, 3, size=60), rng.uniform(size=60)


FORMULAS = {"squared_hinge": lambda m: np.maximum(0, 1 - m) ** 2, "logistic": lambda m: np.log1p(np.exp(-m))}


@pytest.mark.parametrize("loss", FORMULAS)
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_binary_search(line, loss, penalty):
    """What comes back is flat in the intercept, better than the start, and its parts are those of the formula."""
    F, U, y, c = line
    side = np.where(y == 0, 1, -1).astype(np.int8)
    search = Binary(loss, side[None], [c], penalty)

    def value(s, b):
        return 1.0 + s * 0.3 + s * s + 0.5 * penalty * b * b + c @ FORMULAS[loss](side * (F[0] + s * U[0] + b))

    point = search.search(0, F[:1], U[:1], np.zeros(1), (2.0, 0.3, 2.0), value(0, 0), 1e-8)
    s, b = point.at
    assert_allclose(point.value, value(s, b))
    assert point.value < value(0, 0)
    assert_allclose(point.slope, [approx_fprime(np.array([s]), lambda s: value(s[0], b))[0], 0.0], atol=1e-5)
    assert_allclose(
        point.A[0], -approx_fprime(F[0], lambda f: c @ FORMULAS[loss](side * (f + s * U[0] + b))), atol=1e-6
    )


def test_softmax_search(line):
    """The same for three classes at once; free intercepts sum to 0."""
    F, U, y, c = line
    search = Softmax([y], [c], 3, 0.0)

    def value(s, b):
        S = F + s * U + b[:, None]
        return 1.0 + s * 0.3 + s * s + c @ (np.log(np.exp(S).sum(axis=0)) - S[y, np.arange(60)])

    point = search.search(0, F, U, np.zeros(3), (2.0, 0.3, 2.0), value(0, np.zeros(3)), 1e-8)
    s, b = point.at[0], point.at[1:]
    assert_allclose(point.value, value(s, b))
    assert_allclose(
        point.slope, np.append(approx_fprime(np.array([s]), lambda s: value(s[0], b)), np.zeros(3)), atol=1e-5
    )
    assert_allclose(b.sum(), 0.0, atol=1e-12)


@pytest.mark.parametrize("size", [30.0, 800.0])
def test_no_overflow(size):
    """Scores of any size give finite values and slopes."""
    F, c = np.array([[-size, size, 0.0]]), np.ones(3)
    with np.errstate(over="raise", invalid="raise"):
        binary = Binary("logistic", np.array([[1, 1, -1]], dtype=np.int8), [c], 1.0)
        point = binary.search(0, F, None, np.zeros(1), (0.0, 0.0, 0.0), np.inf, 1e-6)
        many = Softmax([np.array([0, 1, 1])], [c], 2, 1.0)
        other = many.search(0, np.vstack([F, -F]), None, np.zeros(2), (0.0, 0.0, 0.0), np.inf, 1e-6)
    assert np.isfinite([point.value, other.value]).all()
    assert np.isfinite(point.A).all()
    assert np.isfinite(other.A).all()
