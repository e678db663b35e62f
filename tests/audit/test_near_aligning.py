"""Laying one picture on another: what was done to it is found, and what is left tells copies from look-alikes."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from fusionfer.audit._near_aligning import align, compare, levels, shrunk

SAME = np.array([[1.0, 0.0, 0.0, 0.0]])


def scene(seed=0, side=32):
    """A smooth random picture, larger than what is cut out of it."""
    values = gaussian_filter(np.random.default_rng(seed).normal(size=(side * 3, side * 3)), 2.0)
    return 128 + 60 * values / values.std()


def cut(values, a, b, x, y, side=32):
    """What a similarity transform shows of it: scipy's splines as an independent way to sample."""
    at = (np.arange(side) + 0.5) * 2 / side - 1
    u, v = np.meshgrid(at, at)
    across, down = (a * u - b * v + x), (b * u + a * v + y)
    places = [(one + 1) * side / 2 - 0.5 + side for one in (down, across)]
    return map_coordinates(values, places, order=3)[None].astype(np.float32)


@pytest.mark.parametrize("way", [(1, 0, 0.06, -0.1), (1.08, 0, 0, 0), (0.95, 0.06, 0.05, 0.02)])
def test_the_transform_is_found(way):
    """Shift, scale and turn are found to a tenth of a pixel, although brightness and contrast changed as well."""
    values = scene()
    found = align(0.6 * cut(values, *way) + 30, cut(values, *SAME[0]), SAME, 10)
    assert found[0] == pytest.approx(way, abs=0.2 / 32)


def test_a_flat_picture_moves_nowhere():
    """Without details nothing can be solved for, and the start is returned, finite."""
    flat = np.full((1, 32, 32), 100, np.float32)
    assert align(flat, flat, SAME, 3) == pytest.approx(SAME)
    assert compare(flat, flat, SAME)[0] == pytest.approx(0, abs=0.01)


def test_brightness_does_not_count_and_details_do():
    """A linear change is alike to 1; another scene under the same light from one side is not."""
    one, other = (cut(scene(seed), *SAME[0]) for seed in (0, 1))
    light = np.linspace(0, 600, 32, dtype=np.float32)
    alike, worst, overlap = compare(one, 0.5 * one + 20, SAME)
    assert (alike[0], worst[0], overlap[0]) == pytest.approx((1, 1, 1), abs=1e-4)
    assert np.corrcoef((one + light).ravel(), (other + light).ravel())[0, 1] > 0.8
    assert compare(one + light, other + light, SAME)[0][0] < 0.3


def test_one_other_place_is_found():
    """Most of two pictures is equal, one corner is another: alike on the whole, not in the worst place."""
    one = cut(scene(0), *SAME[0])
    other = one.copy()
    other[:, 20:28, 12:20] = cut(scene(1), *SAME[0])[:, 20:28, 12:20]
    alike, worst, _ = compare(one, other, SAME)
    assert alike[0] > 0.7
    assert worst[0] < 0.5


def test_overlap_is_the_share_that_is_covered():
    """Shifted by a quarter of the side, three quarters are covered."""
    one = cut(scene(), *SAME[0])
    assert compare(one, one, np.array([[1.0, 0.0, 0.5, 0.0]]))[2] == pytest.approx(0.75)


def test_levels_are_of_the_overlap():
    """Mean and deviation as numpy tells them of the part that both show."""
    one = cut(scene(), *SAME[0])
    (mean, spread), (other, other_spread) = levels(one, 2 * one, np.array([[1.0, 0.0, 0.5, 0.0]]))
    assert (mean[0], spread[0]) == pytest.approx((one[:, :, :24].mean(), one[:, :, :24].std()), rel=1e-4)
    assert (other[0], other_spread[0]) == pytest.approx((2 * one[:, :, 8:].mean(), 2 * one[:, :, 8:].std()), rel=1e-4)


def test_shrunk_takes_means():
    """Half the side, each value the mean of four."""
    assert shrunk(np.arange(16, dtype=np.uint8).reshape(1, 4, 4)).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
