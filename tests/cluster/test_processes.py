"""A scheduler and workers that were started by hand: on ports of their own, and on networks of their own."""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from sklearn.base import clone

from fusionfer.cluster import ClusterMatrix, connect
from fusionfer.heads.boosting import WeightNormalisedXGBClassifier
from fusionfer.heads.linear import LinearProblem, solve_many

_QUIET = {**os.environ, "OMP_NUM_THREADS": "1"}


@contextmanager
def started(*commands):
    """Run commands of Dask in the background, and end them afterwards; yields their processes."""
    running = []
    try:
        for command in commands:
            running.append(
                subprocess.Popen(command, env=_QUIET, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            )
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.stderr.close()


def dask(part, *options, within=()):
    """Command line of a scheduler or a worker, perhaps within a network namespace."""
    return [*within, sys.executable, "-m", "dask", part, *map(str, options)]


def address_of(scheduler, pattern=r"tcp://[\d.]+:(\d+)"):
    """Port of a scheduler, from what it says."""
    for line in scheduler.stderr:
        found = re.search(r"Scheduler at:\s+" + pattern, line)
        if found:
            return int(found[1])
    pytest.fail("the scheduler did not say where it is")


def same_as_here(address, blobs, mapped):
    """Fit with the rows on two workers at an address, and here: linear learners, and a forest in a collective."""
    X, y = blobs(200, 10)
    problems = [LinearProblem(np.where(y[:, None] == np.arange(3), 1, -1), np.full(200, 0.1))]
    with connect(address, workers=2, timeout=120) as team:
        hosts = {re.search(r"//(.*):", worker.address)[1] for worker in team.workers}
        there = solve_many(ClusterMatrix.over(mapped(X), team), problems, loss="squared_hinge", tol=1e-6)
        forest = WeightNormalisedXGBClassifier(4, n_slices=2, n_jobs=1, early_stopping_rounds=None)
        grown = clone(forest).fit(ClusterMatrix.over(mapped(X), team), y)
    here = solve_many(X, problems, loss="squared_hinge", tol=1e-6)
    np.testing.assert_allclose(grown.predict_proba(X), forest.fit(X, y).predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(there[0].objective, here[0].objective, rtol=1e-6)
    np.testing.assert_allclose(there[0].coef, here[0].coef, rtol=1e-2, atol=1e-4)
    return hosts


def test_workers_on_ports_of_their_own(blobs, mapped):
    """`dask scheduler` and two `dask worker` are a cluster, which is left running."""
    with started(dask("scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard")) as (scheduler,):
        address = f"tcp://127.0.0.1:{address_of(scheduler)}"
        worker = dask("worker", address, "--memory-limit", 0, "--nthreads", 1, "--no-dashboard")
        with started(worker, worker) as workers:
            assert same_as_here(address, blobs, mapped) == {"127.0.0.1"}
            assert [process.poll() for process in (scheduler, *workers)] == [None] * 3


@contextmanager
def namespaces(*addresses):
    """Network namespaces, each with one of these addresses, on one bridge with this machine at 10.77.31.1."""
    mark = f"ff{os.getpid() % 100_000}"  # names of interfaces have at most 15 signs
    names = [f"{mark}n{i}" for i in range(len(addresses))]

    def run(*arguments):
        return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)

    def must(*arguments):
        found = run(*arguments)
        assert found.returncode == 0, f"ip {' '.join(arguments)}: {found.stderr}"

    if shutil.which("ip") is None:
        pytest.skip("needs the program ip")
    first = run("link", "add", mark, "type", "bridge")
    if first.returncode and re.search("not permitted|not supported|unknown device type", first.stderr, re.IGNORECASE):
        pytest.skip(f"needs the right to make network namespaces and bridges: {first.stderr.strip()}")
    assert first.returncode == 0, first.stderr
    try:
        must("addr", "add", "10.77.31.1/24", "dev", mark)
        must("link", "set", mark, "up")
        for name, address in zip(names, addresses, strict=True):
            made = run("netns", "add", name)
            if made.returncode and re.search("not permitted|permission denied", made.stderr, re.IGNORECASE):
                pytest.skip(f"needs the right to make network namespaces: {made.stderr.strip()}")
            assert made.returncode == 0, made.stderr
            must("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}p")
            must("link", "set", f"{name}h", "master", mark, "up")
            must("link", "set", f"{name}p", "netns", name)
            must("-n", name, "addr", "add", f"{address}/24", "dev", f"{name}p")
            must("-n", name, "link", "set", f"{name}p", "up")
            must("-n", name, "link", "set", "lo", "up")
        yield [["ip", "netns", "exec", name] for name in names]
    finally:
        for name in names:
            run("link", "del", f"{name}h")
            run("netns", "del", name)
        run("link", "del", mark)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root to make network namespaces")
def test_workers_on_networks_of_their_own(blobs, mapped):
    """Workers that share with this process no more than a network and the files, as those of other machines do."""
    addresses = ("10.77.31.11", "10.77.31.12")
    with namespaces(*addresses) as inside:
        scheduler = dask("scheduler", "--host", "10.77.31.1", "--port", 0, "--no-dashboard")
        with started(scheduler) as (running,):
            at = f"tcp://10.77.31.1:{address_of(running)}"
            options = ("--memory-limit", 0, "--nthreads", 1, "--no-dashboard")
            time.sleep(0.5)
            workers = [
                dask("worker", at, "--host", address, *options, within=within)
                for address, within in zip(addresses, inside, strict=True)
            ]
            with started(*workers):
                assert same_as_here(at, blobs, mapped) == set(addresses)
