"""Boosting on two workers grows the trees of one machine, and goes on when a worker is lost or cannot be reached."""

import gc
import os
import re
import signal
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("distributed")

from fusionfer.cluster import _boosting, connect
from fusionfer.cluster._boosting_rows import Grower
from fusionfer.cluster._matrix import ClusterMatrix
from fusionfer.cluster._tasks import Task
from fusionfer.exceptions import ClusterError, FusionferWarning, NonFiniteFeaturesError
from fusionfer.heads.boosting import WeightNormalisedXGBClassifier
from fusionfer.matrices import MappedMatrix
from fusionfer.memory import memory_limit


@pytest.fixture(scope="module")
def team():
    """Two worker processes with a thread each."""
    with connect("local", workers=2, threads=1) as found:
        yield found


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Return X (901, 20), its map, labels of three classes, and weights."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 901)
    X = rng.normal(size=(901, 20)).astype(np.float32)
    X[:, :6] += 0.6 * np.eye(3, 6)[y]
    path = tmp_path_factory.mktemp("cluster") / "x.npy"
    np.save(path, X)
    mapped = MappedMatrix([np.load(path, mmap_mode="r")])
    return X, mapped, np.array(["angry", "happy", "sad"])[y], rng.uniform(0.5, 2, 901)


def head(rounds=24, **params):
    return WeightNormalisedXGBClassifier(rounds, n_slices=3, n_jobs=1, **params)


@pytest.mark.parametrize("how", ["held out", "eval_set", "none", "two classes"])
def test_same_forest_as_on_one_machine(team, rows, how):
    """Where all workers see all rows the cuts are equal, and so are trees, history and the round that is kept."""
    X, mapped, y, weight = rows
    chosen = y != "sad" if how == "two classes" else slice(None)
    X, mapped, y, weight = X[chosen], mapped[chosen] if how != "two classes" else mapped.rows(chosen), y[chosen], weight
    weight = weight[chosen]
    params = {"early_stopping_rounds": None} if how == "none" else {"early_stopping_rounds": 6, "eta": 1.0, "tau": 0.4}
    given = {"eval_set": (X[::3], y[::3])} if how == "eval_set" else {}
    one = head(**params).fit(X, y, sample_weight=weight, **given)
    two = head(**params).fit(ClusterMatrix.over(mapped, team), y, sample_weight=weight, **given)
    assert two.best_round_ == one.best_round_
    assert two.history_.keys() == one.history_.keys()
    for name, values in one.history_.items():
        assert_allclose(two.history_[name], values, rtol=2e-4, atol=1e-3 if name == "S" else 1e-5)
    assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-5)
    assert_array_equal(two.predict(X[:50]), one.predict(X[:50]))


def test_norms_are_equal_to_the_bit_on_all_workers(team, rows, monkeypatch):
    """What each worker says of its norms is the same; and were it not, that would be an error with their names."""
    _, mapped, y, _ = rows
    seen = []
    real = _boosting._results

    def spy(*given):
        found = real(*given)
        seen.extend([told["norms"] for told in found] for _ in [0] if found and isinstance(found[0], dict))
        return found

    monkeypatch.setattr(_boosting, "_results", spy)
    fitted = head(12).fit(ClusterMatrix.over(mapped, team), y)
    assert len(seen) == 2
    for norms in seen:
        assert len(norms) == 2
        assert norms[0] == norms[1]
    found = np.frombuffer(b"".join(norms[0] for norms in seen)).reshape(12, 3)
    assert_array_equal(found, fitted.history_["norm"])
    monkeypatch.setattr(
        _boosting,
        "_results",
        lambda *given: [
            told if i == 0 or not isinstance(told, dict) else {"norms": b"other"} for i, told in enumerate(real(*given))
        ],
    )
    with pytest.raises(ClusterError, match=r"tcp://\S+ and tcp://\S+ grew different trees"):
        head(12).fit(ClusterMatrix.over(mapped, team), y)


def test_where_nobody_sees_all_rows_a_sample_is_cut(team, rows, monkeypatch):
    """With a sample of all rows the cuts are one machine's; with a third of them the validation loss is near by 2 %."""
    X, mapped, y, _ = rows
    one = head(early_stopping_rounds=8).fit(X, y)
    shares = ClusterMatrix.shares

    def divided(self):
        return [(worker, part, frozenset([worker])) for worker, part, _ in shares(self)]

    monkeypatch.setattr(ClusterMatrix, "shares", divided)
    all_rows = head(early_stopping_rounds=8).fit(ClusterMatrix.over(mapped, team), y)
    assert_allclose(all_rows.predict_proba(X), one.predict_proba(X), atol=1e-5)
    monkeypatch.setattr(_boosting, "SAMPLE_BYTES", 4 * 20 * 300)
    few = head(early_stopping_rounds=8).fit(ClusterMatrix.over(mapped, team), y)
    assert np.abs(few.predict_proba(X) - one.predict_proba(X)).max() > 1e-4
    lowest = one.history_["validation_loss"].min()
    assert abs(few.history_["validation_loss"].min() - lowest) < 0.02 * lowest


def test_rows_that_are_no_numbers_are_said_as_on_one_machine(team, rows, tmp_path):
    """An error of a worker is the error of the fit."""
    X, _, y, _ = rows
    bad = X.copy()
    bad[800, 3] = np.inf
    np.save(tmp_path / "bad.npy", bad)
    matrix = ClusterMatrix.over(MappedMatrix([np.load(tmp_path / "bad.npy", mmap_mode="r")]), team)
    with pytest.raises(NonFiniteFeaturesError, match="NaN, infinity"):
        head(2).fit(matrix, y)


def test_a_worker_that_waits_too_long_gives_up_and_all_try_again(team, rows, monkeypatch):
    """A worker that stands still lets the other one give up after the timeout; when it moves again, all go on."""
    X, mapped, y, _ = rows
    one = head().fit(X, y)
    monkeypatch.setattr(_boosting, "TIMEOUT", 3.0)  # long enough for workers that other work keeps waiting
    stopped = team.client.run(os.getpid)[team.workers[1].address]

    def stop(done, total, what):
        if done == 10 and threads == []:
            os.kill(stopped, signal.SIGSTOP)
            threads.append(threading.Timer(8.0, os.kill, (stopped, signal.SIGCONT)))
            threads[0].start()

    threads = []
    try:
        with pytest.warns(FusionferWarning, match=r"Workers lost each other .*goes on from round 10 with 2 workers\."):
            two = head().fit(ClusterMatrix.over(mapped, team), y, progress=stop)
    finally:
        threads[0].join()
    assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-5)


@pytest.fixture
def alone(monkeypatch):
    """A worker in this process that is its own collective, as a function of the rows and of what came before."""
    monkeypatch.setattr("fusionfer.heads.boosting._collective.InCollective.sum", lambda self, values: values)

    def make(rows, told=None, turns=()):
        X, _, y, weight = rows
        fitted = head(9, early_stopping_rounds=None).fit(X, y, sample_weight=weight)
        given = [(X, np.unique(y, return_inverse=True)[1], weight)]
        bins = _boosting.find_bins(X, 32, weight)[0]
        state = told or {name: [] for name in _boosting.TOLD}
        return Grower(1, given, fitted.slices_, 3, fitted._recipe(3), bins, state, turns), fitted

    return make


def test_rounds_that_come_back_are_taken_up_again(rows, alone):
    """A worker that gets the trees so far has the margins to the bit that it had when it grew them, and goes on."""
    first, fitted = alone(rows)
    told = first.grow(7)
    again, _ = alone(rows, told["told"], told["turns"])
    assert again.grow(7)["turns"] == []
    assert_array_equal(again.growth.margins[0], first.growth.margins[0])
    rest = again.grow(9)
    assert rest["done"]
    assert not told["done"]
    norms = np.concatenate([told["told"]["norm"], rest["told"]["norm"]])
    assert_allclose(norms, fitted.history_["norm"], rtol=1e-5)


def test_a_worker_with_little_memory_keeps_files_and_leaves_none(rows, alone, monkeypatch, tmp_path):
    """Under a small limit bins are in files, trees are the same to the byte, and nothing is left when it is let go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    plenty, _ = alone(rows)
    expected = plenty.grow(9)["turns"]
    with memory_limit(1 << 16):
        little, _ = alone(rows)
        assert [path for path in tmp_path.rglob("*") if path.is_file()]
        assert little.grow(9)["turns"] == expected
    del little
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_three_failures_without_a_round_are_the_end(team, rows, monkeypatch):
    """Where workers never meet, boosting ends with who, how often, at which round, and where to look."""
    _, mapped, y, _ = rows

    def fail(self, until, timeout):
        raise _boosting._LostError([], "no route to host")

    monkeypatch.setattr(_boosting._Held, "grow", fail)
    with (
        pytest.warns(FusionferWarning, match="lost each other"),
        pytest.raises(ClusterError, match=r"Workers lost each other \(no route to host\), .* 3 times .* round 0\."),
    ):
        head(4).fit(ClusterMatrix.over(mapped, team), y)


def test_a_worker_that_dies_costs_the_rounds_since_the_last_that_came_back(team, rows, monkeypatch):
    """Killed in the middle of its rounds, a worker is named in a warning, and the rest grow the same forest on."""
    X, mapped, y, _ = rows
    one = head(100, early_stopping_rounds=None).fit(X, y)
    lost = team.workers[1].address
    pid = team.client.run(os.getpid)[lost]
    rounds, starts, real = [], [], _boosting._Held.__init__

    def begin(self, *given):
        starts.append(len(given[-1]))
        real(self, *given)

    def kill(done, total, what):
        rounds.append(done)
        if done == 20:
            threading.Timer(0.05, os.kill, (pid, signal.SIGKILL)).start()

    monkeypatch.setattr(_boosting._Held, "__init__", begin)
    pattern = rf"The worker {lost} was lost; boosting goes on from round \d+ with \d workers?\."
    with pytest.warns(FusionferWarning, match=pattern) as warned:
        two = head(100, early_stopping_rounds=None).fit(ClusterMatrix.over(mapped, team), y, progress=kill)
    assert rounds == list(range(10, 101, 10))
    told = [re.search(r"goes on from round (\d+)", str(one.message)) for one in warned]
    assert starts == [0, *(int(one[1]) for one in told if one)]
    assert starts[1] >= 20
    assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=2e-3)


@pytest.mark.parametrize(("count", "n"), [(1, 901), (6, 5)], ids=["alone", "more workers than rows"])
def test_any_number_of_workers(threads_team, rows, count, n):
    """One worker grows the trees of one machine, and of six who have five rows those without any are left out."""
    X, mapped, y, _ = rows
    given = {"early_stopping_rounds": None}
    with connect(threads_team(count), workers=count) as many:
        two = head(4, **given).fit(ClusterMatrix.over(mapped.rows(slice(0, n)), many), y[:n])
    one = head(4, **given).fit(X[:n], y[:n])
    assert_allclose(two.predict_proba(X[:50]), one.predict_proba(X[:50]), atol=1e-5)


def test_two_forests_grow_side_by_side(rows, monkeypatch):
    """Each worker takes part in two collectives at once, and both forests are those of one machine."""
    X, mapped, y, _ = rows
    both, real = threading.Barrier(2), _boosting.meeting

    @contextmanager
    def meeting(*given):
        with real(*given) as found:
            both.wait(60)  # nobody goes on before two have met
            yield found

    monkeypatch.setattr(_boosting, "meeting", meeting)
    with connect("local", workers=2, threads=2) as team, ThreadPoolExecutor(2) as pool:
        depths, matrix = (2, 3), ClusterMatrix.over(mapped, team)
        assert team.side_by_side == 2
        found = list(pool.map(lambda depth: head(4, max_depth=depth).fit(matrix, y), depths))
    for depth, two in zip(depths, found, strict=True):
        one = head(4, max_depth=depth).fit(X, y)
        assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-5)


def broken():
    from xgboost.core import XGBoostError

    msg = "[12:00:00] a.cc:1: no peers\nStack trace:\n"
    raise XGBoostError(msg)


def test_only_who_grows_can_lose_the_others(threads_team):
    """XGBoost's error before any collective is an error of the work; in one it says why workers lost each other."""
    with connect(threads_team(1)) as one:
        tasks = [Task(one.workers[0].address, broken)]
        with pytest.raises(ValueError, match="no peers"):
            _boosting._run(one, "begin", tasks)
        with pytest.raises(_boosting._LostError) as lost:
            _boosting._run(one, "grow", tasks, growing=True)
    assert (lost.value.workers, lost.value.why) == ([], "[12:00:00] a.cc:1: no peers")
