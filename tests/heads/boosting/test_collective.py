"""Two who grow together, here two threads, grow the trees of all rows, and give up on one who does not come."""

import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.heads.boosting._boosters import Recipe, Rows, TurnSlice
from fusionfer.heads.boosting._collective import InCollective, _Muffled, is_broken, joined, meeting, reason
from fusionfer.heads.boosting._norm import tree_norms

RECIPE = Recipe(3, 0.3, "bounded", 0.1, 0.0, 1.0, None, 16, {"max_depth": 3, "max_bin": 16, "nthread": 1})


def test_trees_sums_and_norms_are_those_of_all_rows(capfd):
    """Split unevenly, rows give both the same norms to the bit, which are those over all rows; nothing is printed."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, (5, 500), dtype=np.uint8)
    gradient, hessian = rng.normal(size=(500, 3)).astype(np.float32), rng.uniform(0.1, 1, (500, 3)).astype(np.float32)
    gradient += 0.1 * codes[:3].T - 0.7

    def part(rows):
        given = Rows(np.ascontiguousarray(codes[:, rows]), np.zeros(500)[rows], np.ones(500)[rows])
        made = TurnSlice(np.arange(5), [given], RECIPE, 3, {})
        made.prepare()
        return made

    def grow(which, rows, given):
        with joined(given):
            which.grow(gradient[rows], hessian[rows])
            together = InCollective()
            return together.norms(which, None, None), together.sum(hessian[rows].sum(axis=0, dtype=np.float64))

    halves = [slice(0, 130), slice(130, 500)]
    with meeting("127.0.0.1", 2, 20) as given, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(grow, [part(rows) for rows in halves], halves, given))
    assert found[0][0].tobytes() == found[1][0].tobytes()
    whole = part(slice(0, 500))
    (outputs,) = whole.grow(gradient, hessian)
    assert_allclose(found[0][0], tree_norms(outputs, hessian), rtol=1e-5)
    for _, sums in found:
        assert_allclose(sums, hessian.sum(axis=0, dtype=np.float64))
    assert "rank" not in capfd.readouterr().out


def test_who_does_not_come_is_waited_for_no_longer_than_said():
    """Alone at a meeting of two, one gives up about when the time is over, with an error of XGBoost's."""
    began = time.monotonic()
    with meeting("127.0.0.1", 2, 1) as given, pytest.raises(ValueError) as said, joined(given[0]):
        pytest.fail("met nobody")
    assert is_broken(said.value)
    assert time.monotonic() - began < 15


def test_errors_of_xgboost_are_told_from_others():
    """Only what XGBoost raises is taken for a lost connection."""
    import xgboost

    assert is_broken(xgboost.core.XGBoostError("no"))
    assert not is_broken(ValueError("no"))


def test_what_an_error_says_is_shown_whole():
    """All lines before the place in XGBoost's code are kept, on one line."""
    import xgboost

    error = xgboost.core.XGBoostError("[12:00:00] comm.cc:9: Failed to connect.\n- no route\nStack trace:\n  [bt] (0)")
    assert reason(error) == "[12:00:00] comm.cc:9: Failed to connect. - no route"


def test_prints_work_again_when_all_have_left(monkeypatch):
    """Two threads that enter A, B and leave A, B: nothing is printed until B has left, and then as before."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    muffled = _Muffled()
    muffled.__enter__()
    muffled.__enter__()
    sys.stdout.write("lost")
    muffled.__exit__()
    sys.stdout.write("lost too")
    muffled.__exit__()
    sys.stdout.write("seen")
    assert sys.stdout is out
    assert out.getvalue() == "seen"


def test_the_first_error_is_the_one_that_is_told(monkeypatch):
    """Leaving a collective that is broken fails too, and must not hide what went wrong before."""
    import xgboost

    class Broken:
        def __init__(self, **given):
            pass

        def __enter__(self):
            pass

        def __exit__(self, *given):
            msg = "no peers"
            raise xgboost.core.XGBoostError(msg)

    monkeypatch.setattr("xgboost.collective.CommunicatorContext", Broken)
    with pytest.raises(KeyError, match="first"), joined({}):
        raise KeyError("first")
    with pytest.raises(xgboost.core.XGBoostError, match="no peers"), joined({}):
        pass
