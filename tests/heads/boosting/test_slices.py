"""Slices tile the columns, and blocks have the shares that are asked for."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fusionfer.heads.boosting._slices import draw_slices, slice_count

BLOCKS = {"a": slice(0, 512), "b": slice(512, 2560)}


@pytest.mark.parametrize("n_slices", [1, 3, 8, 40])
def test_proportional_slices_tile_the_columns(n_slices):
    """Every column stands in exactly one slice; sizes differ by one; each block has its share in every slice."""
    slices = draw_slices(BLOCKS, n_slices, "proportional", np.random.RandomState(0))
    assert_array_equal(np.sort(np.concatenate(slices)), np.arange(2560))
    assert np.ptp([len(part) for part in slices]) <= 1
    assert np.ptp([np.sum(part < 512) for part in slices]) <= 1
    assert all(np.all(np.diff(part) > 0) for part in slices)


def test_left_over_columns_are_spread():
    """Blocks that do not divide evenly give their left-over columns to different slices."""
    blocks = {str(k): slice(5 * k, 5 * k + 5) for k in range(4)}
    slices = draw_slices(blocks, 4, "proportional", np.random.RandomState(0))
    assert [len(part) for part in slices] == [5, 5, 5, 5]


def test_equal_slices_give_every_block_the_same_number():
    """The narrow block's columns return equally often, never twice in one slice; the wide one's stand once."""
    slices = draw_slices(BLOCKS, 8, "equal", np.random.RandomState(0))
    assert [(int(np.sum(part < 512)), int(np.sum(part >= 512))) for part in slices] == [(256, 256)] * 8
    assert all(len(np.unique(part)) == len(part) for part in slices)
    times = np.bincount(np.concatenate(slices), minlength=2560)
    assert np.all(times[:512] == 4)
    assert np.all(times[512:] == 1)


def test_a_block_too_narrow_for_its_share_is_there_as_a_whole():
    """With one slice nothing can return: a block narrower than its share has all its columns in it."""
    assert_array_equal(draw_slices(BLOCKS, 1, "equal", np.random.RandomState(0))[0], np.arange(2560))


def test_more_slices_than_columns_of_the_narrow_block():
    """A block narrower than the number of slices stands in some of them only; none is empty."""
    slices = draw_slices({"a": slice(0, 2), "b": slice(2, 12)}, 5, "proportional", np.random.RandomState(0))
    assert min(len(part) for part in slices) >= 2
    assert_array_equal(np.sort(np.concatenate(slices)), np.arange(12))


def test_slice_count():
    """One for every 40 columns by default, never more than columns."""
    assert [slice_count("auto", d) for d in (3, 512, 2048, 2560)] == [1, 12, 51, 64]
    assert slice_count(10, 4) == 4


def test_same_seed_same_slices():
    """Draws follow the seed."""
    first, again, other = (draw_slices(BLOCKS, 4, "equal", np.random.RandomState(s)) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
