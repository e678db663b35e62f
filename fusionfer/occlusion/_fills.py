"""What stands in the square instead of the face."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from fusionfer.exceptions import DataError, unknown_name

__all__ = ["DRAWS", "FILLS", "fill_fields"]

#: Name -> what it is, in words.
FILLS = {
    "zero": "black",
    "mean": "the mean colour of the picture",
    "blur": "the picture itself, blurred by the size of the square",
    "noise": "Gaussian noise with mean and deviation of the picture, averaged over several draws",
}

DRAWS = 4  # of noise


def fill_fields(
    pixels: np.ndarray, fill: str | float = "mean", *, size: int = 8, seed: int = 0, draws: int = DRAWS
) -> list[np.ndarray]:
    """Return what the square shows, as whole pictures: of a window, the same window of these is seen.

    Parameters
    ----------
    pixels : ndarray, shape (height, width) or (height, width, channels)
    fill : {"zero", "mean", "blur", "noise"} or float
        Black; the mean of each channel; a Gaussian blur whose deviation is half of `size`; Gaussian noise with each
        channel's mean and deviation, cut to the range of the numbers. A number fills all channels.
    size : int
        Side of the square in pixels.
    seed : int
        Of the noise.
    draws : int
        Pictures of noise: values are to be averaged over them.

    Returns
    -------
    list of ndarray
        Of the shape and type of `pixels`: one, or as many as `draws` for noise.

    Raises
    ------
    UnknownNameError
        If there is no such fill.
    DataError
        If a number is out of the range of the pixels, or `draws` or `seed` is no such number.
    """
    integers = np.issubdtype(pixels.dtype, np.integer)
    bounds = (np.iinfo(pixels.dtype).min, np.iinfo(pixels.dtype).max) if integers else (-np.inf, np.inf)

    def as_pixels(values: Any) -> np.ndarray:
        field = np.broadcast_to(np.clip(values, *bounds), pixels.shape)
        return (np.rint(field) if integers else field).astype(pixels.dtype)

    if not isinstance(fill, str):
        if isinstance(fill, bool) or not isinstance(fill, Real) or not bounds[0] <= fill <= bounds[1]:
            msg = f"fill must be one of {', '.join(FILLS)}, or a number from {bounds[0]} to {bounds[1]}, got {fill!r}."
            raise DataError(msg)
        return [as_pixels(float(fill))]
    if fill not in FILLS:
        raise unknown_name("fill", fill, FILLS)
    if fill == "zero":
        return [np.zeros_like(pixels)]
    exact = pixels.astype(np.float64)
    if fill == "mean":
        return [as_pixels(exact.mean(axis=(0, 1)))]
    if fill == "blur":
        sigma = (size / 2, size / 2, 0)[: pixels.ndim]
        return [as_pixels(gaussian_filter(exact, sigma, mode="nearest"))]
    for name, value, least in (("draws", draws, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            msg = f"{name} must be a whole number from {least}, got {value!r}."
            raise DataError(msg)
    rng = np.random.default_rng(seed)
    mean, sd = exact.mean(axis=(0, 1)), exact.std(axis=(0, 1))
    return [as_pixels(mean + sd * rng.standard_normal(pixels.shape)) for _ in range(draws)]
