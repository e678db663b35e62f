"""Where two rows part in a forest: the same rows as XGBoost's own leaves say, each at a split between its values."""

import numpy as np
import pytest
import xgboost

from fusionfer.export import _trees as trees
from fusionfer.export._trees import Forest
from fusionfer.heads import make_head


@pytest.fixture(scope="module", params=["xgb-wn", "xgb"])
def head(request, rows):
    X, y, _ = rows
    return make_head(request.param, n_rounds=10).fit(X, y)


def test_crossings_are_the_leaves_that_differ(head, rows, monkeypatch):
    """Rows nudged a little: pred_leaf differs for the same (row, tree), and each threshold lies between the values."""
    monkeypatch.setattr(trees, "_CHUNK", 1000)  # several pieces
    T = rows[2]
    other = T + np.random.default_rng(1).normal(scale=0.02, size=T.shape).astype(np.float32)
    leaves = [head.booster_.predict(xgboost.DMatrix(some), pred_leaf=True) for some in (T, other)]
    expected = {(int(row), int(tree)) for row, tree in np.argwhere(leaves[0] != leaves[1])}
    found = Forest.of(head).crossings(T, other)
    assert len(found) > 5
    assert {(one.row, one.tree) for one in found} == expected
    for one in found:
        assert min(one.first, one.second) < one.threshold <= max(one.first, one.second)
        assert (one.first, one.second) == (T[one.row, one.column], other[one.row, one.column])


def test_equal_rows_cross_nothing(head, rows):
    """No difference, no crossing."""
    assert Forest.of(head).crossings(rows[2], rows[2]) == []


def test_a_value_on_the_threshold_goes_right(head, decided, rows):
    """XGBoost sends x < t to the left: rows that stand exactly on thresholds get the Python margins."""
    forest = Forest.of(head)
    T = rows[2].copy()
    inner = np.flatnonzero(forest.left != -1)[: len(T)]
    T[np.arange(len(inner)), forest.column[inner]] = forest.value[inner]
    found = decided(head, T)
    np.testing.assert_allclose(found["probabilities"], head.predict_proba(T), atol=1e-6)
    assert found["label"].tolist() == head.predict(T).tolist()
