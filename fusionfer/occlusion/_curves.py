"""Deletion and insertion: whether the pixels that a map calls important are so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.occlusion._asking import Answers, Predict, check_picture, chosen_classes
from fusionfer.occlusion._fills import fill_fields
from fusionfer.occlusion._map import OcclusionMap
from fusionfer.occlusion._windows import pixel_means

__all__ = ["Curves", "centred_gaussian", "deletion_insertion", "shuffled_map"]


@dataclass(frozen=True, eq=False)
class Curves:
    """Values while the most important pixels go, or come, first.

    Attributes
    ----------
    shares : ndarray of float64, shape (steps + 1,)
        Share of the pixels that are gone, or there: 0 to 1.
    deletion, insertion : ndarray of float64, shape (steps + 1,)
        Value of the class at each share.
    deletion_area, insertion_area : float
        Area below each curve, by trapezoids: for a faithful map the first is small and the second large.
    """

    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    deletion_area: float
    insertion_area: float


def deletion_insertion(
    predict: Predict,
    pixels: np.ndarray,
    saliency: np.ndarray,
    *,
    class_index: int | None = None,
    steps: int = 32,
    deleted: str | float = "mean",
    start: str | float = "blur",
    blur: float = 1 / 3,
    batch_size: int = 32,
) -> Curves:
    """Take pixels away, and put them in, from the most to the least important one, and record the value of a class.

    Parameters
    ----------
    predict : callable
        From a list of pictures to an array of shape (n, K).
    pixels : ndarray, shape (height, width) or (height, width, channels)
    saliency : ndarray of float, shape (height, width)
        Importance of each pixel; of equal ones the upper left comes first.
    class_index : int, optional
        Column of `predict`; by default the one that is largest for the whole picture.
    steps : int
        How many pictures each curve takes, beside the first.
    deleted : str or float
        What takes the place of pixels that are gone: a fill, as in `fill_fields`.
    start : str or float
        What insertion begins with; a blurred picture, as in [1]_, since sharp spots on an even ground make edges of
        their own.
    blur : float
        For blurs: the `size` of `fill_fields` as a share of the shorter side.
    batch_size : int
        Pictures of one call of `predict`.

    Returns
    -------
    Curves

    Raises
    ------
    DataError
        If an argument is out of its range.

    References
    ----------
    .. [1] V. Petsiuk, A. Das and K. Saenko, "RISE: Randomized input sampling for explanation of black-box models",
       BMVC 2018, section 4.2.
    """
    check_picture(pixels)
    saliency = np.asarray(saliency, dtype=np.float64)
    if saliency.shape != pixels.shape[:2] or not np.isfinite(saliency).all():
        msg = f"saliency must be finite and of shape {pixels.shape[:2]}, got shape {saliency.shape}."
        raise DataError(msg)
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 1 <= steps <= saliency.size:
        msg = f"steps must be a whole number from 1 to {saliency.size}, got {steps!r}."
        raise DataError(msg)
    size = max(1, round(blur * min(saliency.shape)))
    order = np.argsort(-saliency.ravel(), kind="stable")
    counts = np.rint(np.linspace(0, saliency.size, steps + 1)).astype(int)
    gone, blurred = (fill_fields(pixels, fill, size=size, draws=1)[0] for fill in (deleted, start))

    def between(first: np.ndarray, last: np.ndarray) -> Iterator[np.ndarray]:
        for count in counts:
            swapped = np.zeros(saliency.size, dtype=bool)
            swapped[order[:count]] = True
            mask = swapped.reshape(saliency.shape)
            yield np.where(mask[..., None] if pixels.ndim == 3 else mask, last, first)

    # In one go, so that batches are full; the first picture of the first curve is the whole one.
    values = np.stack(list(Answers(predict, batch_size)(chain(between(pixels, gone), between(blurred, pixels)))))
    chosen = chosen_classes(class_index, values[0])[0]
    deletion, insertion = np.split(values[:, chosen], 2)
    shares = counts / saliency.size
    areas = [float(np.trapezoid(curve, shares)) for curve in (deletion, insertion)]
    return Curves(shares, deletion, insertion, *areas)


def shuffled_map(found: OcclusionMap, *, column: int = 0, seed: int = 0) -> np.ndarray:
    """Return a map of the same drops at random places: as smooth as the map itself, but blind.

    Parameters
    ----------
    found : OcclusionMap
    column : int
        Which of its classes.
    seed : int

    Returns
    -------
    ndarray of float64, shape (height, width)
    """
    drops = np.random.default_rng(seed).permutation(found.drops[:, column])
    return pixel_means(found.windows, drops[:, None], found.shape)[0]


def centred_gaussian(shape: tuple[int, int], deviation: float = 0.25) -> np.ndarray:
    """Return a map that knows only that faces stand in the middle.

    Parameters
    ----------
    shape : tuple of int
        Height and width.
    deviation : float
        As a share of each side.

    Returns
    -------
    ndarray of float64, shape (height, width)
        1 in the middle.
    """
    y, x = (((np.arange(side) + 0.5) / side - 0.5) / deviation for side in shape)
    return np.exp(-0.5 * (y[:, None] ** 2 + x**2))
