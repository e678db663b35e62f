"""Workers are found or started, and what is wrong with them is said before anything runs."""

import warnings

import numpy as np
import pytest

import fusionfer
from fusionfer.cluster import Team, _team, connect
from fusionfer.cluster._team import Worker, cut
from fusionfer.exceptions import ClusterError, DataError, FusionferWarning
from fusionfer.memory import available_bytes, memory_limit


def test_local_workers_are_processes_that_say_where_to_look(team):
    """Two workers of one thread each, other processes than this, with the dashboard's address."""
    import os

    pids = team.client.run(os.getpid)
    assert len(set(pids.values()) - {os.getpid()}) == 2
    assert [worker.threads for worker in team.workers] == [1, 1]
    assert team.alive() == tuple(worker.address for worker in team.workers)
    assert team.address in team.describe()
    assert team.dashboard in team.describe()
    assert team.dashboard.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(("n", "threads"), [(10, (1, 1, 1)), (100, (1, 3)), (2, (1, 1, 1)), (7, (2, 5, 4))])
def test_rows_are_cut_by_threads(n, threads):
    """The runs tile the rows, as long as threads say up to one row, and none is empty."""
    workers = [Worker(f"tcp://{i}", count) for i, count in enumerate(threads)]
    runs = cut(workers, n)
    assert np.concatenate([np.arange(n)[rows] for _, rows in runs]).tolist() == list(range(n))
    for worker, rows in runs:
        assert rows.stop - rows.start > 0
        assert abs((rows.stop - rows.start) - n * worker.threads / sum(threads)) <= 1


def test_no_rows_to_share(team):
    """Nothing cannot be shared out."""
    with pytest.raises(DataError, match="At least one row"):
        team.shares(0)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense"])
def test_no_scheduler(address):
    """Where no scheduler answers, the error names the address and what to start."""
    with pytest.raises(ClusterError, match=f"No Dask scheduler answers at {address}.*dask scheduler"):
        connect(address, timeout=1).__enter__()


def test_no_workers(threads_team):
    """A scheduler without workers is named, with the command that starts one."""
    client = threads_team(0)
    with (
        pytest.raises(
            ClusterError, match=r"has no workers, and 1 is needed \(waited 0\.2 s\).*dask worker (inproc|tcp)"
        ),
        connect(client, timeout=0.2),
    ):
        pass


def test_fewer_workers_than_asked_for(threads_team):
    """Waiting for more workers than come is an error too."""
    with (
        pytest.raises(ClusterError, match="has 1 worker, and 2 are needed"),
        connect(threads_team(1), workers=2, timeout=0.2),
    ):
        pass


def test_a_client_is_used_as_it_is_and_left_open(threads_team):
    """Whoever has a client keeps it."""
    client = threads_team(1)
    with connect(client) as team:
        assert isinstance(team, Team)
        assert len(team.workers) == 1
    assert client.submit(sum, [1, 2]).result() == 3


def test_all_workers_are_counted(threads_team, monkeypatch):
    """Six are six, also by a Dask that tells of five unless it is asked for all."""
    client = threads_team(6)
    real = client.scheduler_info
    monkeypatch.setattr(client, "scheduler_info", lambda n_workers=5: real(n_workers=n_workers))
    with connect(client, workers=6) as team:
        assert len(team.workers) == 6
        assert len(team.refresh()) == 6


def test_a_limit_of_memory_is_warned_of_once():
    """Dask counts mapped pages: who has limited workers is told what to start them with."""
    distributed = pytest.importorskip("distributed")
    how = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with (
        distributed.LocalCluster(**how, memory_limit="1GiB") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        with pytest.warns(FusionferWarning, match=r"limits the memory of .* to 1\.0 GB.*--memory-limit 0"):
            team = connect(client).__enter__()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            team.refresh()
        assert list(team.room().values()) == [1 << 30]


def test_a_newcomer_of_another_version_is_left_out(threads_team, monkeypatch):
    """Who comes late is asked too: without the same fusionfer it gets nothing, and a warning says so once."""
    client = threads_team(1)
    with connect(client) as team:
        monkeypatch.setattr(_team, "_objections", lambda client, new: {one: f"{one} is of yesterday." for one in new})
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
        with pytest.warns(FusionferWarning, match=r"is of yesterday\. It is left out until then\."):
            assert len(team.refresh()) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(team.refresh()) == 1
        assert len(team.alive()) == 2


def test_a_scheduler_that_is_gone():
    """What asks the scheduler says that it does not answer, and where it was."""
    distributed = pytest.importorskip("distributed")
    how = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None, "memory_limit": 0}
    with (
        distributed.LocalCluster(**how) as cluster,
        distributed.Client(cluster, timeout=1, set_as_default=False) as client,
    ):
        team = connect(client).__enter__()
        address = team.address
        cluster.close()
        for question in (team.alive, team.refresh, team.idle_by_pause):
            with pytest.raises(
                ClusterError, match=rf"The scheduler at {address} does not answer any more \(.*\)\. Start"
            ):
                question()


def test_another_version_of_fusionfer_is_refused(team, monkeypatch):
    """A worker with another version is named, with both versions."""
    there = fusionfer.__version__
    monkeypatch.setattr(fusionfer, "__version__", "99.0")
    with (
        pytest.raises(ClusterError, match=rf"worker tcp://.* has fusionfer {there}.*this process has fusionfer 99\.0"),
        connect(team.client),
    ):
        pass


def test_an_allowance_of_memory_reaches_the_team(team):
    """What `memory_limit` allows here, workers elsewhere may take too; those that run here share what there is."""
    with memory_limit(1 << 30), connect(team.client) as again:
        assert again.memory == 1 << 30
    with connect(team.client) as again:
        assert again.memory is None
    assert 0 < team.memory < available_bytes()


def test_at_least_one_worker():
    """No cluster is made of nobody."""
    with pytest.raises(DataError, match="at least one worker, got 0"):
        connect("local", workers=0).__enter__()
