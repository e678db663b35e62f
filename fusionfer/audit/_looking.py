"""Every picture decoded once; what is kept of it is small, so that memory grows by a few hundred bytes a picture."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fusionfer.exceptions import ImageError
from fusionfer.images import FaceSet

__all__ = ["Looks", "look", "pixel_digest"]

_AT_ONCE = 1024  # pictures that are handed to the threads together
_EDGE = 0.01  # share of the darkest and of the brightest values that do not count

Progress = Callable[[int, int, str], None]


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
    """

    digests: np.ndarray
    spans: np.ndarray
    unreadable: tuple[tuple[int, str], ...]


def look(faces: FaceSet, progress: Progress | None = None) -> Looks:
    """Decode every picture of `faces` once, in as many threads as there are cores."""
    n = len(faces)
    digests, spans = np.zeros(n, dtype="S64"), np.full(n, -1, dtype=np.int16)
    unreadable: list[tuple[int, str]] = []

    def one(i: int) -> str:
        try:
            pixels, _ = faces.load(i)
        except ImageError as error:
            return str(error)
        digests[i] = pixel_digest(pixels)
        spans[i] = _span(pixels)
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, n, _AT_ONCE):
            some = range(start, min(start + _AT_ONCE, n))
            unreadable.extend((i, reason) for i, reason in zip(some, pool.map(one, some), strict=True) if reason)
            if progress is not None:
                progress(some.stop, n, "pictures")
    return Looks(digests, spans, tuple(unreadable))


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
