"""Products of scaled columns without scaling them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.heads.linear._problem import LinearProblem
from fusionfer.heads.linear._stack import Stack


@pytest.mark.parametrize("exact", [False, True])
def test_products_of_scaled_columns(exact):
    """Each learner sees the Z of its own problem, in float32 and piece by piece in float64."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 5)).astype(np.float32)
    none = np.zeros((30, 2), dtype=np.int8)
    problems = [
        LinearProblem(none, np.ones(30)),
        LinearProblem(none, np.ones(30), shift=rng.normal(size=5), factor=rng.uniform(1, 2, size=5)),
    ]
    stack = Stack(X, problems, [2, 2], exact=exact)
    W, B = rng.normal(size=(3, 5)), rng.normal(size=(3, 30))
    owner = np.array([1, 0, 1])
    for j, problem in enumerate(owner):
        Z = X.astype(np.float64) if problem == 0 else (X - problems[1].shift) * problems[1].factor
        atol = 1e-12 if exact else 1e-4
        assert_allclose(stack.forward(W, owner)[j], Z @ W[j], atol=atol)
        assert_allclose(stack.backward(B, owner)[j], Z.T @ B[j], atol=atol)
        assert_allclose(stack.take(np.arange(4), int(problem)), Z[:4], atol=1e-6)
