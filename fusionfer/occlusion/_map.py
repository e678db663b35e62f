"""The occlusion map: how far a probability falls when a square covers each part of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from numbers import Real

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.occlusion._asking import Answers, ClassIndex, Predict, Progress, check_picture, chosen_classes
from fusionfer.occlusion._fills import DRAWS, fill_fields
from fusionfer.occlusion._refining import coarse_windows, fill_in, worth_most
from fusionfer.occlusion._windows import grid_shape, pixel_means, window_grid, window_sizes

__all__ = ["OcclusionMap", "occlusion_map"]


@dataclass(frozen=True, eq=False)
class OcclusionMap:
    """What a sliding square takes away from each chosen class.

    Attributes
    ----------
    windows : ndarray of int64, shape (n, 4)
        Top, left, bottom and right of each window in pixels, row by row.
    drops : ndarray of float64, shape (n, c)
        Value without the square less value with it, of each window and chosen class: positive where the square hides
        what speaks for the class. In [-1, 1] for probabilities.
    baseline : ndarray of float64, shape (c,)
        Values of the picture as it is.
    classes : tuple of int, length c
        Columns of `predict` that were chosen.
    shape : tuple of int
        Height and width of the picture.
    grid : tuple of int
        Windows below and beside each other.
    measured : ndarray of bool, shape (n,)
        False for windows that were filled in from their neighbours (`effort` below 1).
    asked : int
        Pictures that went through `predict`.
    """

    windows: np.ndarray
    drops: np.ndarray
    baseline: np.ndarray
    classes: tuple[int, ...]
    shape: tuple[int, int]
    grid: tuple[int, int]
    measured: np.ndarray
    asked: int

    def pixels(self) -> np.ndarray:
        """Return for each pixel the mean drop of all windows that cover it, as captum's `Occlusion` does.

        Returns
        -------
        ndarray of float64, shape (c, height, width)
        """
        return pixel_means(self.windows, self.drops, self.shape)


def occlusion_map(
    predict: Predict,
    pixels: np.ndarray,
    *,
    size: int | float | None = None,
    stride: int | float | None = None,
    fill: str | float = "mean",
    class_index: ClassIndex = None,
    batch_size: int = 32,
    effort: float = 1.0,
    seed: int = 0,
    draws: int = DRAWS,
    progress: Progress | None = None,
) -> OcclusionMap:
    """Slide a square over a picture and record how far the predicted values fall [1]_ [2]_.

    Nothing is asked of `predict` but its values, so that it may end in trees, votes or anything else that has no
    gradient. Windows in which the square looks like the picture are not computed: their drop is 0; nor is any picture
    computed twice.

    Parameters
    ----------
    predict : callable
        From a list of pictures like `pixels` to an array of shape (n, K): probabilities, or other values. The first
        picture of the first call is `pixels` as it is.
    pixels : ndarray, shape (height, width) or (height, width, channels)
        As `predict` takes them.
    size, stride : int or float, optional
        Of the square: pixels, or shares of the shorter side; see `window_sizes` for what is taken by default.
    fill : {"zero", "mean", "blur", "noise"} or float
        What the square shows; see `fill_fields`.
    class_index : int, sequence of int or callable, optional
        Columns of `predict`, or a function from the values of the whole picture to them; by default the one that is
        largest for the whole picture. More of them cost nothing.
    batch_size : int
        Pictures of one call of `predict`.
    effort : float
        Share of the windows that may be computed, in (0, 1]. Below 1 every second window, or fewer, is computed first,
        then those where the first found most; the rest is interpolated between the first.
    seed, draws : int
        For noise: its seed, and over how many draws each window is averaged.
    progress : callable, optional
        Called as ``progress(done, total, what)``.

    Returns
    -------
    OcclusionMap

    Raises
    ------
    DataError
        If an argument is out of its range, or `predict` returns something else.
    UnknownNameError
        If there is no such fill.

    References
    ----------
    .. [1] M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2.
    .. [2] Singh and Mandloi, 2025, who map the classes of facial expressions by it.

    Examples
    --------
    A head that reads one corner only; the map says which.

    >>> corner = lambda pictures: np.array([[one[:4, 12:].mean() / 255] for one in pictures])
    >>> found = occlusion_map(corner, np.full((16, 16), 255, np.uint8), size=4, stride=4, fill="zero")
    >>> found.drops.reshape(found.grid)[0].tolist(), float(found.drops.sum())
    ([0.0, 0.0, 0.0, 1.0], 1.0)
    """
    check_picture(pixels)
    if isinstance(effort, bool) or not isinstance(effort, Real) or not 0 < effort <= 1:
        msg = f"effort must be above 0 and at most 1, got {effort!r}."
        raise DataError(msg)
    size, stride = window_sizes(pixels.shape, size, stride)
    windows, grid = window_grid(pixels.shape, size, stride), grid_shape(pixels.shape, size, stride)
    fields = fill_fields(pixels, fill, size=size, seed=seed, draws=draws)
    first = coarse_windows(grid, float(effort))
    total = max(len(first), int(effort * len(windows)))
    answers = Answers(predict, batch_size)
    parts = [(slice(top, bottom), slice(left, right)) for top, left, bottom, right in windows.tolist()]
    values: dict[int, np.ndarray] = {}

    def measure(chosen: np.ndarray, whole: np.ndarray | None) -> np.ndarray:
        changed = {
            i: [field for field in fields if not np.array_equal(field[parts[i]], pixels[parts[i]])]
            for i in chosen.tolist()
        }
        covered = (_covered(pixels, field, parts[i]) for i, some in changed.items() for field in some)
        found = answers(covered if whole is not None else chain([pixels], covered))
        whole = next(found) if whole is None else whole
        for i, some in changed.items():
            seen = [next(found) for _ in some]
            values[i] = np.mean(seen + [whole] * (len(fields) - len(some)), axis=0)
            if progress is not None:
                progress(len(values), total, "occluding")
        return whole

    whole = measure(first, None)
    classes = chosen_classes(class_index, whole)
    drops = np.zeros((len(windows), len(classes)))
    drops[first] = _drops(whole, values, first)[:, classes]
    measured = np.zeros(len(windows), dtype=bool)
    measured[first] = True
    if total > len(first):
        then = worth_most(grid, first, drops, total - len(first))
        measure(then, whole)
        drops[then], measured[then] = _drops(whole, values, then)[:, classes], True
    if not measured.all():
        drops[~measured] = fill_in(grid, first, drops)[~measured]
    shape = (pixels.shape[0], pixels.shape[1])
    return OcclusionMap(windows, drops, whole[classes], tuple(classes.tolist()), shape, grid, measured, answers.asked)


def _covered(pixels: np.ndarray, field: np.ndarray, part: tuple[slice, slice]) -> np.ndarray:
    picture = pixels.copy()
    picture[part] = field[part]
    return picture


def _drops(whole: np.ndarray, values: dict[int, np.ndarray], chosen: np.ndarray) -> np.ndarray:
    return whole - np.stack([values[i] for i in chosen.tolist()])
