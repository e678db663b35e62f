"""One face as a small PNG, for pages that show many."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

__all__ = ["thumbnail", "thumbnail_bytes"]

_SIDE = 160  # pixels; twice of what a page shows


def thumbnail(pixels: np.ndarray, side: int = _SIDE) -> np.ndarray:
    """Return the picture with no side above `side`, by means over squares of whole pixels.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
    side : int

    Returns
    -------
    ndarray of uint8, shape (h, w) or (h, w, 3)
        The picture itself where it is small enough; else the last rows and columns may be cut.
    """
    factor = -(-max(pixels.shape[:2]) // side)
    if factor <= 1:
        return pixels
    h, w = (max(1, size // factor) for size in pixels.shape[:2])
    cut = pixels[: h * factor, : w * factor]
    squares = cut.reshape(h, cut.shape[0] // h, w, cut.shape[1] // w, *pixels.shape[2:])
    return np.rint(squares.mean(axis=(1, 3))).astype(np.uint8)


def thumbnail_bytes(pixels: np.ndarray) -> bytes:
    """Return `thumbnail` as PNG; equal pictures are equal bytes."""
    from matplotlib.image import imsave

    small = thumbnail(pixels)
    rgb = small if small.ndim == 3 else np.repeat(small[..., None], 3, axis=2)
    buffer = io.BytesIO()
    without: dict[str, Any] = {"Software": None}  # no version, so that equal pictures are equal bytes
    imsave(buffer, np.ascontiguousarray(rgb), format="png", metadata=without)
    return buffer.getvalue()
