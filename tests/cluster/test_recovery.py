"""A block that is lost at any step of a linear solve is brought to where the others are, and the result is as ever."""

from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.cluster import ClusterMatrix, _blocks, connect
from fusionfer.heads.linear import LinearProblem, SoftmaxProblem, solve_many, solve_softmax_many

SMOOTH = {"measure", "settle", "top", "curved"}
HINGE = SMOOTH | {"recentre", "sides"}


@pytest.fixture(scope="module")
def team(threads_team):
    """Two workers that are threads of this process, whose blocks can be taken away at once."""
    with connect(threads_team(2)) as found:
        yield found


@pytest.fixture
def losing(monkeypatch, when):
    """Take the first block away before some calls of each method, by their numbers; counts when it was."""
    seen, taken, real = Counter(), Counter(), _blocks.Blocks.call

    def call(self, method, *arguments, **given):
        seen[method] += 1
        if seen[method] in when and _blocks._held.pop(self.blocks[0].key, None) is not None:
            taken[method] += 1
        before = self.recovered
        found = real(self, method, *arguments, **given)
        assert self.recovered - before <= 1
        taken["made again"] += self.recovered - before
        return found

    monkeypatch.setattr(_blocks.Blocks, "call", call)
    return taken


@pytest.mark.parametrize(
    ("loss", "n", "d", "cost", "tol", "when", "methods"),
    [
        ("hinge", 60, 4, 5.0, 1e-6, (1, 2, 7), HINGE | {"gram"}),
        ("hinge", 16, 24, 10.0, 1e-2, (1, 2, 7), HINGE | {"take"}),
        ("squared_hinge", 60, 4, 1.0, 1e-7, (1, 2, 7), SMOOTH | {"gram"}),
        ("logistic", 24, 30, 10.0, 1e-4, (1, 2, 7), SMOOTH | {"take"}),
        ("softmax", 60, 4, 1.0, 1e-4, (1, 2, 7), SMOOTH | {"gram"}),
    ],
)
def test_a_block_lost_at_any_step(mapped, blobs, team, losing, loss, n, d, cost, tol, methods):
    """Line searches, multipliers, the proof of the gap and single Hessians all go on from where they were."""
    X, y = blobs(n, d)
    matrix = ClusterMatrix.over(mapped(X), team)
    if loss == "softmax":
        problems = [SoftmaxProblem(y, 4, np.full(n, cost))]
        there, here = (solve_softmax_many(one, problems, tol=tol) for one in (matrix, X))
    else:
        problems = [LinearProblem(np.where(y[:, None] == np.arange(1), 1, -1), np.full(n, cost))]
        there, here = (solve_many(one, problems, loss=loss, tol=tol) for one in (matrix, X))
    assert methods <= {method for method, count in losing.items() if count}
    assert losing.pop("made again") == sum(losing.values())
    assert np.all(there[0].gap <= tol)
    assert_allclose(there[0].objective, here[0].objective, rtol=tol)
