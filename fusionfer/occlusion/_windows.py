"""Where the square stands: a grid of windows, and what their values say of each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["grid_shape", "pixel_means", "window_grid", "window_sizes"]

#: Strides along the shorter side of a picture, at most, where none is given: 13 windows of 2 strides a row at 224.
STRIDES = 14


def window_sizes(shape: tuple[int, ...], size: Any = None, stride: Any = None) -> tuple[int, int]:
    """Return the side of the square and the stride in pixels.

    Parameters
    ----------
    shape : tuple of int
        Of the picture: height, width, and perhaps channels.
    size : int or float, optional
        Side of the square: an int counts pixels, a float in (0, 1) is the share of the picture's shorter side. By
        default two strides.
    stride : int or float, optional
        Likewise. By default half of `size`, or where that is not given either, a 14th of the shorter side, rounded
        up: squares of 32 pixels in steps of 16 at 224 pixels (169 windows), of 8 in steps of 4 at 48 (121 windows).

    Returns
    -------
    size, stride : int

    Raises
    ------
    DataError
        If the square does not fit into the picture, or the stride is longer than the square, so that pixels between
        two windows would never be covered.

    Examples
    --------
    >>> window_sizes((224, 224)), window_sizes((48, 48)), window_sizes((100, 200), 0.2)
    ((32, 16), (8, 4), (20, 10))
    """
    side = min(shape[:2])
    if size is None and stride is None:
        stride = -(-side // STRIDES)
    if size is None:
        size = min(2 * _pixels("The stride", stride, side), side)
    size = _pixels("The side of the square", size, side)
    stride = -(-size // 2) if stride is None else _pixels("The stride", stride, side)
    if size > side:
        msg = f"The square must fit into the picture: its side is at most {side} pixels, got {size}."
        raise DataError(msg)
    if stride > size:
        msg = f"The stride must be at most the side of the square, {size}, or pixels would be left out; got {stride}."
        raise DataError(msg)
    return size, stride


def _pixels(name: str, value: Any, side: int) -> int:
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1:
        return int(value)
    if isinstance(value, float | np.floating) and 0 < value < 1:
        return max(1, round(float(value) * side))
    msg = f"{name} must be a whole number of pixels from 1, or a share of the face between 0 and 1, got {value!r}."
    raise DataError(msg)


def grid_shape(shape: tuple[int, ...], size: int, stride: int) -> tuple[int, int]:
    """Return how many windows stand below and beside each other."""
    rows, columns = (-(-(side - size) // stride) + 1 for side in shape[:2])
    return rows, columns


def window_grid(shape: tuple[int, ...], size: int, stride: int) -> np.ndarray:
    """Return the windows, row by row.

    They begin at 0, at the stride, and so on; where the last one of a row would leave the picture, it is cut at the
    border, as in captum's `Occlusion`.

    Parameters
    ----------
    shape : tuple of int
        Of the picture: height, width, and perhaps channels.
    size, stride : int
        In pixels, from `window_sizes`.

    Returns
    -------
    ndarray of int64, shape (n, 4)
        Top, left, bottom and right, the last two exclusive.
    """
    rows, columns = grid_shape(shape, size, stride)
    top, left = (each.ravel() for each in np.mgrid[:rows, :columns] * stride)
    return np.column_stack([top, left, np.minimum(top + size, shape[0]), np.minimum(left + size, shape[1])])


def pixel_means(windows: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return for each pixel the mean of the values of all windows that cover it, as captum's `Occlusion` does.

    Parameters
    ----------
    windows : ndarray of int, shape (n, 4)
        Top, left, bottom, right.
    values : ndarray of float, shape (n, c)
        Of each window.
    shape : tuple of int
        Height and width.

    Returns
    -------
    ndarray of float64, shape (c, height, width)
        0 where no window stands.
    """
    sums, counts = np.zeros((values.shape[1], *shape)), np.zeros(shape)
    for (top, left, bottom, right), value in zip(windows.tolist(), values, strict=True):
        sums[:, top:bottom, left:right] += value[:, None, None]
        counts[top:bottom, left:right] += 1
    return sums / np.maximum(counts, 1)
