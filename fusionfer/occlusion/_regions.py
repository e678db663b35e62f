"""The parts of a face, in the frame in which FER-2013 shows faces, and how a map is shared out among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["REGIONS", "RegionShare", "region_masks", "region_shares"]

#: Part -> rectangles (left, top, right, bottom) in 48ths of the side. Of two that overlap, the first part has the
#: pixels. Drawn by eye on the mean of 3,000 faces of FER-2013, whose eyes stand at (15.5, 17.5) and (32.5, 17.5).
REGIONS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "eyes": ((8, 15, 22, 21), (26, 15, 40, 21)),
    "brows": ((8, 11, 40, 15),),
    "nose": ((22, 15, 26, 21), (18, 21, 30, 32)),
    "mouth": ((13, 32, 35, 42),),
    "chin": ((13, 42, 35, 48),),
    "cheeks": ((6, 21, 18, 42), (30, 21, 42, 42)),
    "forehead": ((8, 1, 40, 11),),
}
_SIDE = 48.0
OUTSIDE = "outside"  # hair, ears, background


@dataclass(frozen=True)
class RegionShare:
    """How much of a map lies in one part of the face.

    Attributes
    ----------
    region : str
        A name of `REGIONS`, or "outside".
    area : float
        Share of the picture's pixels.
    share : float
        Share of the positive saliency; NaN where a map is nowhere positive.
    density : float
        `share` by `area`: above 1 the part matters more than its size.
    """

    region: str
    area: float
    share: float
    density: float


def region_masks(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return which pixels each part of the face has, in a picture of this height and width.

    Parameters
    ----------
    shape : tuple of int
        Height and width; both sides are those of the face's square.

    Returns
    -------
    dict of str to ndarray of bool, shape (height, width)
        The parts of `REGIONS`, and "outside": every pixel in exactly one, by its centre.
    """
    y, x = ((np.arange(side) + 0.5) / side * _SIDE for side in shape)
    free = np.ones(shape, dtype=bool)
    masks = {}
    for region, rectangles in REGIONS.items():
        inside = np.zeros(shape, dtype=bool)
        for left, top, right, bottom in rectangles:
            inside |= ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
        masks[region] = inside & free
        free &= ~inside
    return {**masks, OUTSIDE: free}


def region_sums(saliency: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """Return the positive saliency, and the area as a share of the picture, of each region."""
    if saliency.ndim != 2:
        msg = f"A map has the shape (height, width), got {saliency.shape}."
        raise DataError(msg)
    positive, masks = np.maximum(saliency, 0.0), region_masks((saliency.shape[0], saliency.shape[1]))
    return (
        {region: float(positive[mask].sum()) for region, mask in masks.items()},
        {region: float(mask.mean()) for region, mask in masks.items()},
    )


def region_shares(saliency: np.ndarray) -> tuple[RegionShare, ...]:
    """Share out the positive part of a map among the parts of a face.

    Parameters
    ----------
    saliency : ndarray of float, shape (height, width)
        Of a face in FER-2013's frame: cut out tightly and upright.

    Returns
    -------
    tuple of RegionShare
        The densest first.

    Raises
    ------
    DataError
        If the map has another number of dimensions.
    """
    sums, areas = region_sums(saliency)
    total = sum(sums.values())
    found = [
        RegionShare(region, areas[region], share, share / areas[region] if areas[region] else np.nan)
        for region, share in ((region, value / total if total > 0 else np.nan) for region, value in sums.items())
    ]
    return tuple(sorted(found, key=lambda one: -np.nan_to_num(one.density)))
