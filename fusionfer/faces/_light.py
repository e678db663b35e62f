"""Photometric normalisation: pictures taken in different light, brought to one."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fusionfer.exceptions import unknown_name
from fusionfer.faces._face import checked_pixels

__all__ = ["PHOTOMETRIC", "check_photometric", "describe_photometric", "normalise"]

CLIP_LIMIT = 2.0
TILES = 4
STRENGTH = 5.0
MEAN, SPREAD = 128.0, 48.0


def normalise(pixels: np.ndarray, method: str) -> np.ndarray:
    """Bring a picture to a common light.

    Colours keep their hue: of RGB only the lightness (L of CIE L*a*b*) is changed by "histogram" and "clahe".

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
        Grey, or RGB.
    method : str
        ``"none"`` changes nothing. ``"histogram"`` is histogram equalisation. ``"clahe"`` is the same in 4 x 4 tiles
        with limited contrast (clip limit 2, Pizer et al. 1987; interpolated between tiles as by Zuiderveld 1994).
        ``"denoise"`` replaces each pixel by the mean of those with a like surrounding (non-local means, Buades, Coll
        and Morel 2005; strength 5, patches of 7 and search of 21 pixels). ``"standardise"`` scales and shifts grey
        values to mean 128 and standard deviation 48, of RGB with the factors of its grey picture, and clips them to
        0..255; a picture of one value becomes 128.

    Returns
    -------
    ndarray of uint8, of the shape of `pixels`

    Raises
    ------
    UnknownNameError
        If there is no such method.
    ImageError
        If the pixels are no picture.

    References
    ----------
    S. M. Pizer et al., Adaptive histogram equalization and its variations, Computer Vision, Graphics, and Image
    Processing 39 (1987). K. Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV (1994).
    A. Buades, B. Coll, J.-M. Morel, A non-local algorithm for image denoising, CVPR 2005.

    Examples
    --------
    >>> dark = np.tile(np.arange(50, dtype=np.uint8), (50, 1))
    >>> int(dark.max()), int(normalise(dark, "histogram").max())
    (49, 255)
    """
    pixels = checked_pixels(pixels)
    check_photometric(method)
    return np.ascontiguousarray(_METHODS[method](pixels))


def check_photometric(method: str) -> None:
    """Refuse a name that is no photometric normalisation."""
    if method not in _METHODS:
        raise unknown_name("photometric normalisation", method, PHOTOMETRIC)


def describe_photometric(method: str) -> dict[str, str | float]:
    """Return the name and all numbers that decide what `normalise` does, as JSON knows them."""
    return {"name": method, **_PARAMETERS[method]}


def _on_lightness(pixels: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    if pixels.ndim == 2:
        return change(pixels)
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab[..., 0] = change(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _clahe(grey: np.ndarray) -> np.ndarray:
    return cv2.createCLAHE(CLIP_LIMIT, (TILES, TILES)).apply(grey)


def _denoise(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return cv2.fastNlMeansDenoising(pixels, None, STRENGTH, 7, 21)
    return cv2.fastNlMeansDenoisingColored(pixels, None, STRENGTH, STRENGTH, 7, 21)


def _standardise(pixels: np.ndarray) -> np.ndarray:
    grey = (pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)).astype(np.float64)
    gain = SPREAD / max(float(grey.std()), 1e-9)
    return np.clip(np.rint((pixels - grey.mean()) * gain + MEAN), 0, 255).astype(np.uint8)


_METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda pixels: pixels,
    "histogram": lambda pixels: _on_lightness(pixels, cv2.equalizeHist),
    "clahe": lambda pixels: _on_lightness(pixels, _clahe),
    "denoise": _denoise,
    "standardise": _standardise,
}
_PARAMETERS: dict[str, dict[str, float]] = {
    "none": {},
    "histogram": {},
    "clahe": {"clip_limit": CLIP_LIMIT, "tiles": TILES},
    "denoise": {"strength": STRENGTH, "patch": 7, "search": 21},
    "standardise": {"mean": MEAN, "std": SPREAD},
}
PHOTOMETRIC = tuple(_METHODS)
