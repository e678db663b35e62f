"""Where the square stands, and what windows say of pixels."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.occlusion import pixel_means, window_grid, window_sizes


@pytest.mark.parametrize(
    ("shape", "size", "stride", "expected"),
    [
        ((224, 224), None, None, (32, 16)),
        ((48, 48), None, None, (8, 4)),
        ((60, 100, 3), 0.25, None, (15, 8)),
        ((48, 48), 10, 0.125, (10, 6)),
        ((48, 48), None, 3, (6, 3)),
        ((1, 1), None, None, (1, 1)),
    ],
)
def test_sizes_are_pixels_or_shares(shape, size, stride, expected):
    """Integers count pixels, floats are shares of the shorter side, and defaults follow from each other."""
    assert window_sizes(shape, size, stride) == expected


@pytest.mark.parametrize(
    ("size", "stride", "told"),
    [
        (49, None, "its side is at most 48 pixels, got 49"),
        (8, 9, "at most the side of the square, 8, or pixels would be left out; got 9"),
        (0, None, r"side of the square must be a whole number of pixels from 1, or a share .*, got 0"),
        (1.0, None, r"between 0 and 1, got 1.0"),
        (8, True, "The stride must be a whole number of pixels from 1"),
        ("8", None, "got '8'"),
    ],
)
def test_impossible_sizes(size, stride, told):
    """The message says what is allowed and what came."""
    with pytest.raises(DataError, match=told):
        window_sizes((48, 48), size, stride)


def test_the_grid_of_the_papers():
    """32 pixels in steps of 16 at 224 are 13 x 13 windows, all of one size and inside."""
    windows = window_grid((224, 224), 32, 16)
    assert len(windows) == 169
    assert set(map(tuple, windows[:, 2:] - windows[:, :2])) == {(32, 32)}
    assert windows[-1].tolist() == [192, 192, 224, 224]


@pytest.mark.parametrize(("shape", "size", "stride"), [((11, 7), 3, 2), ((9, 9), 4, 3), ((5, 8), 5, 5)])
def test_pixel_means(shape, size, stride):
    """Every pixel is covered; its value is the mean over the windows that hold it, looked up pixel by pixel."""
    windows = window_grid(shape, size, stride)
    values = np.random.default_rng(0).normal(size=(len(windows), 2))
    found = pixel_means(windows, values, shape)
    top, left, bottom, right = windows.T
    for y, x in np.ndindex(shape):
        holds = (top <= y) & (y < bottom) & (left <= x) & (x < right)
        assert holds.any()
        assert found[:, y, x] == pytest.approx(values[holds].mean(axis=0))
