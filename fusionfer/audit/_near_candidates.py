"""Which pairs of pictures may be copies: short descriptors, compared by matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Candidates", "find_candidates"]

_SIDE = 16  # of what a descriptor is made from
_BLUR = 1.0  # of its values
_WINDOW = 0.7  # standard deviation, of half the side: what lies near the edges counts little, as crops differ there
_LENGTH = 64  # of a descriptor
_WHITE = 0.35  # power of the eigenvalues that they are divided by: 0.5 would make all directions count alike
_SHRINK = 64  # pictures: fewer say little of the mean and of the directions
_ROWS = 256  # compared at once with all later pictures
_EACH = 4  # candidates that each look at a picture may bring on average
_KEPT = 8  # candidates of a picture that are kept
_LEAST, _ENOUGH = 0.25, 0.6  # no pair below the first is a candidate, every one above the second
_SAMPLE = 512  # pictures that tell how alike pictures are

_SHIFTS = [(1.0, x, y) for x in (0.0, -0.125, 0.125) for y in (0.0, -0.125, 0.125)]
#: What the first picture of a pair is looked at as: scale, shift to the right and down in halves of the side; mirrored?
_LOOKS = [(look, mirrored) for mirrored in (False, True) for look in (*_SHIFTS, (1.15, 0.0, 0.0), (0.87, 0.0, 0.0))]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs that may be copies, each with the look that made them most alike.

    Attributes
    ----------
    first, second : ndarray of intp, shape (m,)
        Rows of pictures, the first smaller than the second.
    mirrored : ndarray of bool, shape (m,)
    transforms : ndarray of float64, shape (m, 4)
        What `align` begins with, where `fixed` is the second, and `moved` the first, mirrored where that is said.
    """

    first: np.ndarray
    second: np.ndarray
    mirrored: np.ndarray
    transforms: np.ndarray


def find_candidates(pictures: np.ndarray, progress: Progress | None = None) -> Candidates:
    """Find the pairs of most similar descriptors.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, side, side)
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    Candidates
        At most eight for each picture among the later ones. Memory grows with n, not with its square.
    """
    n = len(pictures)
    if n < 2:
        none = np.empty(0, dtype=np.intp)
        return Candidates(none, none, none.astype(bool), np.empty((0, 4)))
    plain = _described(pictures, *_LOOKS[0])
    mean, directions = _directions(plain)
    known = _unit((plain - mean) @ directions)
    at_least = _threshold(known)
    found = [np.empty((0, 4))]
    buffer = np.empty(_ROWS * n, dtype=np.float32)
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        best = found[0]
        for number, (look, mirrored) in enumerate(_LOOKS):
            some = _unit((_described(pictures[start:stop], look, mirrored) - mean) @ directions)
            alike = buffer[: (stop - start) * (n - start)].reshape(stop - start, n - start)
            np.matmul(some, known[start:].T, out=alike)
            rows, columns = np.divmod(np.flatnonzero(alike >= at_least), n - start)
            later = columns > rows
            rows, columns = rows[later], columns[later]
            fresh = [rows + start, columns + start, np.full(len(rows), number), alike[rows, columns]]
            best = _best(np.concatenate([best, np.column_stack(fresh)]))
        found.append(best)
        if progress is not None:
            progress(stop, n, "comparing")
    pairs = np.concatenate(found)
    numbers = pairs[:, 2].astype(np.intp)
    starts = np.array([(1 / scale, 0.0, x, y) for (scale, x, y), _ in _LOOKS])
    return Candidates(
        pairs[:, 0].astype(np.intp),
        pairs[:, 1].astype(np.intp),
        np.array([mirrored for _, mirrored in _LOOKS])[numbers],
        starts[numbers],
    )


def _described(pictures: np.ndarray, look: tuple[float, float, float], mirrored: bool) -> np.ndarray:
    """Blurred, small, windowed, of zero mean and unit length; as seen through `look`."""
    scale, x, y = look
    side = pictures.shape[-1]
    across, down = _resampling(side, 1 / scale, x), _resampling(side, 1 / scale, y)
    if mirrored:
        across = across[:, ::-1]
    at = (np.arange(_SIDE) + 0.5) * 2.0 / _SIDE - 1.0
    weight = np.exp(-0.25 * (at / _WINDOW) ** 2)
    window = np.outer(weight, weight).ravel().astype(np.float32)
    made = np.empty((len(pictures), _SIDE * _SIDE), dtype=np.float32)
    for start in range(0, len(pictures), 1024):
        small = down @ pictures[start : start + 1024].astype(np.float32) @ across.T
        made[start : start + 1024] = small.reshape(len(small), -1)
    made -= (made @ window**2)[:, None] / np.sum(window**2)
    made *= window
    return _unit(made)


def _resampling(side: int, factor: float, shift: float) -> np.ndarray:
    """Matrix (16, side) that reads a row of values at ``factor * u + shift``, u in [-1, 1], and blurs them."""
    at = (np.arange(_SIDE) + 0.5) * 2.0 / _SIDE - 1.0
    centres = np.clip((factor * at + shift + 1.0) * side / 2.0 - 0.5, 0, side - 1)
    width = side / _SIDE
    triangle = np.maximum(0.0, 1.0 - np.abs(np.arange(side) - centres[:, None]) / width)
    places = np.arange(_SIDE)
    blur = np.exp(-0.5 * ((places[:, None] - places) / _BLUR) ** 2)
    matrix = blur @ (triangle / triangle.sum(axis=1, keepdims=True))
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)


def _directions(descriptors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and the directions in which descriptors differ most, each divided by a power of how much they do."""
    n = len(descriptors)
    share = n / (n + _SHRINK)
    mean = share * descriptors.mean(axis=0, dtype=np.float64)
    centred = descriptors - mean.astype(np.float32)
    spread = (centred.T @ centred).astype(np.float64) / n
    spread = share * spread + (1 - share) * np.eye(len(spread)) * np.trace(spread) / len(spread)
    values, vectors = np.linalg.eigh(spread)
    values, vectors = values[: -_LENGTH - 1 : -1], vectors[:, : -_LENGTH - 1 : -1]
    return mean.astype(np.float32), (vectors * np.maximum(values, 1e-12) ** -_WHITE).astype(np.float32)


def _threshold(known: np.ndarray) -> float:
    """Similarity that a picture has with `_EACH` others, on average over pictures that are spread over all."""
    n = len(known)
    sample = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.intp))
    alike = known[sample] @ known.T
    alike[np.arange(len(sample)), sample] = -1.0
    wanted = len(sample) * _EACH
    if wanted >= alike.size:
        return _LEAST
    return float(np.clip(np.partition(alike.ravel(), -wanted)[-wanted], _LEAST, _ENOUGH))


def _best(pairs: np.ndarray) -> np.ndarray:
    """Keep each pair once, with its best look, and the best pairs of each first picture."""
    order = np.lexsort((-pairs[:, 3], pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    fresh = np.ones(len(pairs), dtype=bool)
    fresh[1:] = np.any(pairs[1:, :2] != pairs[:-1, :2], axis=1)
    pairs = pairs[fresh]
    pairs = pairs[np.lexsort((-pairs[:, 3], pairs[:, 0]))]
    firsts = np.searchsorted(pairs[:, 0], pairs[:, 0])
    return pairs[np.arange(len(pairs)) - firsts < _KEPT]


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), dtype=np.float32)
