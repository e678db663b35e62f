"""The probe of the machine: a positive number, quick, and in bounds."""

import time

import numpy as np

from fusionfer.costs import _machine, cores, gflops, slowness


def test_the_probe_is_quick_and_positive():
    """Twenty milliseconds of this thread, and a little for what stands around."""
    begin = time.thread_time()
    assert gflops() > 0.05
    assert time.thread_time() - begin < 0.5


def test_slowness_is_the_ratio_in_bounds(monkeypatch):
    """Half the speed takes twice the time; what can only be a disturbed probe is cut off."""
    for speed, ratio in ((0.5, 2.0), (4.0, 0.25), (1e-6, 20.0), (1e6, 0.05)):
        slowness.cache_clear()
        monkeypatch.setattr(_machine, "gflops", lambda speed=speed: speed * _machine.REFERENCE_GFLOPS)
        np.testing.assert_allclose(slowness(), ratio)
    slowness.cache_clear()


def test_cores_that_may_be_used(monkeypatch):
    """Not those of the machine, but those that the process is bound to; fewer where threads are limited."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(_machine.os, "sched_getaffinity", lambda _: {1, 2, 5}, raising=False)
    assert cores() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert cores() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert cores() == 3
