"""Smoothing: the stated formula, at any distance in time."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.live import Smoothing


def test_it_is_the_stated_formula():
    """Irregular times against a loop written from the formula."""
    rng = np.random.default_rng(0)
    times, values = np.cumsum(rng.uniform(0.01, 0.5, 30)), rng.dirichlet(np.ones(4), 30)
    smoothing, state = Smoothing(0.3), values[0]
    for i, (time, p) in enumerate(zip(times, values, strict=True)):
        if i:
            state = state + (1 - np.exp(-(time - times[i - 1]) / 0.3)) * (p - state)
        assert np.allclose(smoothing(p, time), state, atol=1e-12)
        assert smoothing(p, time).sum() == pytest.approx(1.0)


def test_the_frame_rate_does_not_matter():
    """A step reaches 63 % after the time constant, with 10 frames a second or with 100."""
    for rate in (10, 100):
        smoothing = Smoothing(0.5)
        smoothing(np.array([1.0, 0.0]), 0.0)
        for i in range(1, rate // 2 + 1):
            found = smoothing(np.array([0.0, 1.0]), i / rate)
        assert found[1] == pytest.approx(1 - np.exp(-1))


def test_zero_smooths_nothing_and_time_that_goes_back_begins_anew():
    """Both return what came."""
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    off, on = Smoothing(0), Smoothing(1.0)
    off(p, 0.0)
    on(p, 5.0)
    assert off(q, 0.1).tolist() == q.tolist()
    assert on(q, 1.0).tolist() == q.tolist()


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_what_is_no_time_is_refused(seconds):
    """The message says what is allowed."""
    with pytest.raises(DataError, match=r"smooth must be a time in seconds from 0 \(no smoothing\), got"):
        Smoothing(seconds)
