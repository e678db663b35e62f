"""Every picture decoded once; what is kept of it is small: a hundred bytes, or a kilobyte with its thumbnail."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fusionfer.exceptions import ImageError
from fusionfer.images import FaceSet
from fusionfer.matrices import scratch_array
from fusionfer.memory import planned_bytes

__all__ = ["SIDE", "Looks", "Thumbnails", "look", "pixel_digest"]

#: Of a thumbnail.
SIDE = 32

_AT_ONCE = 1024  # pictures that are handed to the threads together
_SHARE = 8  # thumbnails that would take more than one part in so many of the memory that is planned with lie in a file
_EDGE = 0.01  # share of the darkest and of the brightest values that do not count

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of red, green, blue

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """Every picture in grey, small, and stretched to 0..255, so that dark ones keep their details.

    Attributes
    ----------
    pictures : ndarray of uint8, shape (n, 32, 32)
        In memory, or the map of a file that nobody sees and that goes with it.
    lowest, steps : ndarray of float32, shape (n,)
        A value v of a thumbnail was ``lowest + steps * v``.
    """

    pictures: np.ndarray
    lowest: np.ndarray
    steps: np.ndarray


@dataclass(frozen=True, eq=False)
class Looks:
    """What one look at each picture tells.

    Attributes
    ----------
    digests : ndarray of bytes, shape (n,)
        SHA-256 of the decoded pixels, 64 hexadecimal digits; empty where a picture cannot be read.
    spans : ndarray of int16, shape (n,)
        Between the darkest and the brightest value, 0 to 255, a hundredth on either side left out; -1 where it cannot
        be read.
    unreadable : tuple of (int, str)
        Index and reason of pictures that cannot be read or decoded.
    thumbnails : Thumbnails or None
        If they were asked for.
    """

    digests: np.ndarray
    spans: np.ndarray
    unreadable: tuple[tuple[int, str], ...]
    thumbnails: Thumbnails | None = None


def look(faces: FaceSet, progress: Progress | None = None, *, thumbnails: bool = False) -> Looks:
    """Decode every picture of `faces` once, in as many threads as there are cores.

    Raises
    ------
    StoreFullError
        If thumbnails must lie in a file, and the disk lacks the room.
    """
    n = len(faces)
    digests, spans = np.zeros(n, dtype="S64"), np.full(n, -1, dtype=np.int16)
    unreadable: list[tuple[int, str]] = []
    small = Thumbnails(
        _room((n if thumbnails else 0, SIDE, SIDE)), *np.zeros((2, n if thumbnails else 0), dtype=np.float32)
    )

    def one(i: int) -> str:
        try:
            pixels, _ = faces.load(i)
        except ImageError as error:
            return str(error)
        digests[i] = pixel_digest(pixels)
        spans[i] = _span(pixels)
        if thumbnails:
            small.pictures[i], small.lowest[i], small.steps[i] = _thumbnail(pixels)
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, n, _AT_ONCE):
            some = range(start, min(start + _AT_ONCE, n))
            unreadable.extend((i, reason) for i, reason in zip(some, pool.map(one, some), strict=True) if reason)
            if progress is not None:
                progress(some.stop, n, "pictures")
    return Looks(digests, spans, tuple(unreadable), small if thumbnails else None)


def _room(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of uint8, in a scratch file where they would take too much memory."""
    if math.prod(shape) * _SHARE <= planned_bytes():
        return np.zeros(shape, dtype=np.uint8)
    return scratch_array(shape, np.uint8, "Thumbnails")


def pixel_digest(pixels: np.ndarray) -> str:
    """SHA-256 of decoded pixels: the same for one picture in any lossless format, as grey or as equal RGB.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    if pixels.ndim == 3 and all(np.array_equal(pixels[..., 0], pixels[..., channel]) for channel in (1, 2)):
        pixels = pixels[..., 0]
    return hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _span(pixels: np.ndarray) -> int:
    """Values between which all but a hundredth on either side lie: their difference."""
    below = np.cumsum(np.bincount(pixels.ravel(), minlength=256))
    low, high = np.searchsorted(below, [_EDGE * below[-1], (1.0 - _EDGE) * below[-1]])
    return int(high - low)


def _thumbnail(pixels: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Grey, small and stretched; its lowest value, and the size of a step."""
    grey = pixels.astype(np.float32) if pixels.ndim == 2 else pixels @ _GREY
    small = _shrinking(grey.shape[0]) @ grey @ _shrinking(grey.shape[1]).T
    lowest = float(small.min())
    step = max(float(small.max()) - lowest, 1e-3) / 255.0
    return np.round((small - lowest) / step).astype(np.uint8), lowest, step


@lru_cache(maxsize=256)
def _shrinking(size: int) -> np.ndarray:
    """Matrix (32, size) that resamples a row of values: linear, and smoothed where it becomes smaller."""
    width = max(size / SIDE, 1.0)
    centres = (np.arange(SIDE) + 0.5) * size / SIDE - 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(size) - centres[:, None]) / width)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
