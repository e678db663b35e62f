"""Two worker processes that all tests of the cluster share, and features in files for them."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from fusionfer.cluster import ClusterMatrix, connect
from fusionfer.matrices import MappedMatrix

pytest.importorskip("distributed")


@pytest.fixture(scope="session")
def team():
    """Two worker processes of one thread each, on this machine."""
    with connect("local", workers=2, threads=1, timeout=120) as found:
        yield found


@pytest.fixture(scope="session")
def _mortals():
    with connect("local", workers=2, threads=1, timeout=120) as found:
        yield found


@pytest.fixture
def mortals(_mortals):
    """Two worker processes that tests may kill; Dask starts others in their places."""
    _mortals.client.wait_for_workers(2, timeout=120)
    _mortals.refresh()
    return _mortals


@pytest.fixture(scope="session")
def threads_team():
    """A function that makes teams of any number of workers quickly: threads of this process."""
    from distributed import Client, LocalCluster

    opened = []

    def make(count):
        cluster = LocalCluster(
            n_workers=count, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", memory_limit=0
        )
        opened.append((Client(cluster, set_as_default=False), cluster))
        return opened[-1][0]

    yield make
    for client, cluster in opened:
        client.close()
        cluster.close()


@pytest.fixture
def elsewhere(team, tmp_path):
    """A function that lets each worker see a folder of its own, and this process none, under one path; returns that."""
    if sys.platform != "linux":
        pytest.skip("needs /proc, where each process has a folder of its own under the same path")
    before = team.client.run(os.getcwd)

    def let(*folders):
        for worker, folder in zip(team.workers, folders, strict=True):
            team.client.run(os.chdir, str(folder), workers=[worker.address])
        return Path("/proc/self/cwd")

    yield let
    for worker, folder in before.items():
        team.client.run(os.chdir, folder, workers=[worker])


@pytest.fixture
def mapped(tmp_path):
    """A function that writes columns of X to files, as caches lie there, and maps them side by side."""

    def make(X, *widths):
        parts, start = [], 0
        for number, width in enumerate(widths or (X.shape[1],)):
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}-{number}.bin"
            where = {"dtype": "<f4", "offset": 4096, "shape": (len(X), width)}
            written = np.memmap(path, mode="w+", **where)
            written[:] = X[:, start : start + width]
            written.flush()
            parts.append(np.memmap(path, mode="r", **where))
            start += width
        return MappedMatrix(parts)

    return make


@pytest.fixture
def on_cluster(mapped, team):
    """A function that does the same, for the two worker processes."""
    return lambda X, *widths: ClusterMatrix.over(mapped(X, *widths), team)


@pytest.fixture(scope="session")
def blobs():
    """Rows (n, d) in float32 of a few classes that overlap, and their classes."""

    def make(n=360, d=20, n_classes=4, seed=0):
        rng = np.random.default_rng(seed)
        y = rng.integers(n_classes, size=n)
        return (rng.normal(size=(n_classes, d))[y] * 0.5 + rng.normal(size=(n, d))).astype(np.float32), y

    return make
