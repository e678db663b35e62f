"""Tasks of workers that are lost, fail or are paused."""

import time

import pytest

from fusionfer.cluster import _tasks, connect
from fusionfer.cluster._tasks import Task, ask
from fusionfer.exceptions import ClusterError, DataError

GHOST = "tcp://127.0.0.1:9"


@pytest.fixture(scope="module")
def team(threads_team):
    """One worker that is a thread of this process."""
    with connect(threads_team(1)) as found:
        yield found


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(_tasks, "_LOOK", 0.1)


def fail():
    msg = "this is wrong"
    raise DataError(msg)


def test_a_worker_that_is_gone_gives_no_answer(team):
    """The others' answers are there, under their numbers."""
    (worker,) = team.alive()
    assert ask(team, "add", {4: Task(worker, sum, ([1, 2],)), 7: Task(GHOST, sum, ([1, 2],))}) == {4: 3}


def test_what_a_task_raises_is_raised_here(team):
    """An error of the work itself is no lost worker."""
    with pytest.raises(DataError, match="this is wrong"):
        ask(team, "fail", {0: Task(team.alive()[0], fail)})


def test_a_worker_that_stays_paused_is_an_error(team, monkeypatch):
    """Dask says nothing of it, and the task would wait for ever: which worker, how long, and what to start it with."""
    from distributed.core import Status

    def become(status, dask_worker):
        dask_worker.status = status

    monkeypatch.setattr(_tasks, "PAUSED", 0.3)
    (worker,) = team.alive()
    team.client.run(become, Status.paused)
    try:
        began = time.monotonic()
        with pytest.raises(ClusterError, match=rf"has paused the worker {worker}, .* 0\.3 s.*--memory-limit 0"):
            ask(team, "add", {0: Task(worker, sum, ([1, 2],))})
        assert time.monotonic() - began < 20
    finally:
        team.client.run(become, Status.running)
    assert ask(team, "add", {0: Task(worker, sum, ([1, 2],))}) == {0: 3}
