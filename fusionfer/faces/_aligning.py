"""Cutting a face out: upright by its box, or turned and scaled so that the eyes stand where networks expect them."""

from __future__ import annotations

import math

import cv2
import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.faces._face import Face, checked_pixels

__all__ = ["FRAME", "MAX_MARGIN", "align", "check_margin", "check_size", "crop"]

#: Where the eyes stand in the canonical frame: (x, y) of the left and of the right one, as shares of its side. It is
#: where they stand in the pictures of FER-2013 on average (benchmarks/accuracy/detection.py), which Haar boxes made.
FRAME = ((0.3, 0.37), (0.68, 0.37))
MAX_MARGIN = 2.0


def align(pixels: np.ndarray, face: Face, size: int = 96, margin: float = 0.0) -> np.ndarray:
    """Cut a face out so that its eyes stand where `FRAME` says: turned, scaled and moved, never stretched.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
        Grey, or RGB.
    face : Face
        Without eyes its box decides, as in `crop`.
    size : int
        Side of the result in pixels, from 8.
    margin : float
        What is added on each side, as a share of the frame's side, from -0.25 to 2.

    Returns
    -------
    ndarray of uint8, shape (size, size) or (size, size, 3)
        Beyond the border of the picture its outermost pixels are repeated.

    Raises
    ------
    ImageError, DataError
        If the pixels are no picture, or `size` or `margin` is out of range.
    """
    pixels = checked_pixels(pixels)
    check_size(size)
    check_margin(margin)
    if face.eyes is None:
        return crop(pixels, face, size, margin)
    left, right = (np.array(eye) for eye in face.eyes)
    ours = np.array(FRAME)
    across, wanted = right - left, ours[1] - ours[0]
    side = float(np.hypot(*across) / np.hypot(*wanted))
    angle = math.atan2(across[1], across[0]) - math.atan2(wanted[1], wanted[0])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = (left + right) / 2 + turn @ ((np.array([0.5, 0.5]) - ours.mean(axis=0)) * side)
    return _cut(pixels, centre, side * (1 + 2 * margin), turn, size)


def crop(pixels: np.ndarray, face: Face, size: int = 96, margin: float = 0.0) -> np.ndarray:
    """Cut a face out upright: the square around its box.

    Parameters
    ----------
    pixels, face, size, margin
        As in `align`; the margin is a share of the longer side of the box. The eyes do not matter.

    Returns
    -------
    ndarray of uint8, shape (size, size) or (size, size, 3)
        Beyond the border of the picture its outermost pixels are repeated.

    Raises
    ------
    ImageError, DataError
        As in `align`.
    """
    pixels = checked_pixels(pixels)
    check_size(size)
    check_margin(margin)
    x, y, width, height = face.box
    return _cut(
        pixels, np.array([x + width / 2, y + height / 2]), max(width, height) * (1 + 2 * margin), np.eye(2), size
    )


def check_size(size: int) -> None:
    """Refuse what is no side of a picture."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 8 <= size <= 4096:
        msg = f"size must be a whole number of pixels from 8 to 4096, got {size!r}."
        raise DataError(msg)


def check_margin(margin: float) -> None:
    """Refuse what is no margin."""
    number = not isinstance(margin, bool) and isinstance(margin, int | float | np.number)
    if not number or not -0.25 <= margin <= MAX_MARGIN:
        msg = f"margin must be a number from -0.25 to {MAX_MARGIN:g}, a share of the side, got {margin!r}."
        raise DataError(msg)


def _cut(pixels: np.ndarray, centre: np.ndarray, side: float, turn: np.ndarray, size: int) -> np.ndarray:
    """Return the square of `side` around `centre`, turned; positions count from the corner of the first pixel."""
    linear = turn * (side / size)
    # Bilinear sampling skips pixels when it shrinks by more than two, so what is needed is shrunk by areas before.
    height, width = pixels.shape[:2]
    factor = max(1, min(int(side // size), height, width))
    reach = side * (1 + size**-1) * 0.75 + 2 * factor
    top, bottom = _span(centre[1], reach, height, factor)
    left, right = _span(centre[0], reach, width, factor)
    pixels = _within(pixels, left, top, right, bottom)
    if factor > 1:
        small = ((right - left) // factor, (bottom - top) // factor)
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    centre, linear = (centre - (left, top)) / factor, linear / factor
    # A pixel's centre lies half a pixel from its corner, in both pictures.
    offset = centre - linear @ np.full(2, size / 2) + linear @ np.full(2, 0.5) - 0.5
    return cv2.warpAffine(
        pixels,
        np.column_stack([linear, offset]),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _span(centre: float, reach: float, length: int, factor: int) -> tuple[int, int]:
    """Return where the part of a side begins and ends that is needed: whole multiples of `factor`, within the picture.

    The last multiple may reach beyond the picture. What lies beyond it is not copied, however large a box is.
    """
    cells = -(-length // factor)
    first = min(max(math.floor((centre - reach) / factor), 0), cells - 1)
    last = min(max(math.ceil((centre + reach) / factor), first + 1), cells)
    return first * factor, last * factor


def _within(pixels: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """Return a part of a picture; it may reach beyond the right and the lower border, which are repeated there."""
    height, width = pixels.shape[:2]
    part = pixels[top:bottom, left:right]
    below, beside = max(bottom - height, 0), max(right - width, 0)
    return cv2.copyMakeBorder(part, 0, below, 0, beside, cv2.BORDER_REPLICATE) if below or beside else part
