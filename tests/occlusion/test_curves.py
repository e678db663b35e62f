"""Deletion and insertion, by hand on pictures whose value is known."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.occlusion import centred_gaussian, deletion_insertion, occlusion_map, shuffled_map


def left(pictures):
    """Brightness of the left half."""
    return np.array([[one[:, :4].mean() / 200] for one in pictures])


@pytest.fixture(scope="module")
def picture():
    return np.full((8, 8), 200, np.uint8)


def test_a_perfect_map_and_its_opposite(picture):
    """With the left half first, one falls and the other rises at once; the areas are those of triangles."""
    saliency = np.tile([1.0] * 4 + [0.0] * 4, (8, 1))
    best = deletion_insertion(left, picture, saliency, steps=8, deleted="zero", start="zero")
    assert best.deletion == pytest.approx(np.maximum(1 - 2 * best.shares, 0))
    assert best.insertion == pytest.approx(np.minimum(2 * best.shares, 1))
    assert (best.deletion_area, best.insertion_area) == pytest.approx((0.25, 0.75))
    worst = deletion_insertion(left, picture, -saliency, steps=8, deleted="zero", start="zero")
    assert (worst.deletion_area, worst.insertion_area) == pytest.approx((0.75, 0.25))


def test_insertion_begins_with_a_blur_and_both_end_where_the_other_begins(picture):
    """Share 0 of deletion is the picture itself, share 1 of insertion too."""
    noisy = np.random.default_rng(0).integers(0, 200, (8, 8)).astype(np.uint8)
    found = deletion_insertion(left, noisy, centred_gaussian((8, 8)), steps=4)
    assert found.deletion[0] == found.insertion[-1] == left([noisy])[0, 0]
    assert found.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_maps_that_know_nothing(picture):
    """A shuffled map has the same drops elsewhere; the Gaussian is largest in the middle and even."""
    found = occlusion_map(left, np.arange(64, dtype=np.uint8).reshape(8, 8), size=2, stride=2, fill="zero")
    blind = shuffled_map(found, seed=1)
    assert not np.array_equal(blind, found.pixels()[0])
    assert np.sort(blind, axis=None) == pytest.approx(np.sort(found.pixels()[0], axis=None))
    centre = centred_gaussian((5, 7))
    assert np.unravel_index(centre.argmax(), centre.shape) == (2, 3)
    assert centre == pytest.approx(centre[::-1, ::-1])


def test_impossible_arguments(picture):
    """Maps of another shape, and too many steps."""
    with pytest.raises(DataError, match=r"saliency must be finite and of shape \(8, 8\), got shape \(4, 4\)"):
        deletion_insertion(left, picture, np.zeros((4, 4)))
    with pytest.raises(DataError, match="steps must be a whole number from 1 to 64, got 65"):
        deletion_insertion(left, picture, np.zeros((8, 8)), steps=65)
