"""Which pairs of pictures may be copies: short descriptors, compared by matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Candidates", "find_candidates"]

_SIDE = 16  # of what a descriptor is made from
_BLUR = 1.0  # of its values
_WINDOW = 0.7  # standard deviation, of half the side: what lies near the edges counts little, as crops differ there
_LENGTH = 64  # of a descriptor
_WHITE = 0.35  # power of the eigenvalues that they are divided by: 0.5 would make all directions count alike
_SHRINK = 64  # pictures: fewer say little of the mean and of the directions
_ROWS = 256  # compared at once with all later pictures,
_COLUMNS = 1 << 14  # so many of those at a time; neither depends on memory, so that no result does
_DESCRIBED = 1024  # pictures that are described at once
_EACH = 4  # candidates that each look at a picture may bring on average
_KEPT = 8  # candidates of a picture that are kept
_LEAST, _ENOUGH = 0.25, 0.6  # no pair below the first is a candidate, every one above the second
_SAMPLE = 512  # pictures that tell how alike pictures are

_SHIFTS = [(1.0, x, y) for x in (0.0, -0.125, 0.125) for y in (0.0, -0.125, 0.125)]
#: What the first picture of a pair is looked at as: scale, shift to the right and down in halves of the side; mirrored?
_LOOKS = [(look, mirrored) for mirrored in (False, True) for look in (*_SHIFTS, (1.15, 0.0, 0.0), (0.87, 0.0, 0.0))]
#: Where `align` begins for each look.
_STARTS = np.array([(1 / scale, 0.0, x, y) for (scale, x, y), _ in _LOOKS])

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs that may be copies, each with the look that made them most alike.

    Attributes
    ----------
    first, second : ndarray of intp, shape (m,)
        Rows of pictures, the first smaller than the second.
    mirrored : ndarray of bool, shape (m,)
    looks : ndarray of uint8, shape (m,)
        Which look it was.
    """

    first: np.ndarray
    second: np.ndarray
    mirrored: np.ndarray
    looks: np.ndarray

    def transforms(self, which: np.ndarray) -> np.ndarray:
        """What `align` begins with for some of the pairs, float64 (k, 4).

        `fixed` is the second of a pair, and `moved` the first, mirrored where that is said.
        """
        return _STARTS[self.looks[which]]


def find_candidates(
    pictures: np.ndarray, rows: np.ndarray | None = None, progress: Progress | None = None
) -> Candidates:
    """Find the pairs of most similar descriptors.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, side, side)
        May be a memory map: they are read in blocks, four times over.
    rows : ndarray of intp, shape (m,), optional
        Those that are compared, ascending; by default all. Pairs are numbers of pictures.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    Candidates
        At most eight for each picture among the later ones. Memory grows with n, some 400 bytes a picture, not with
        its square.
    """
    rows = np.arange(len(pictures)) if rows is None else rows
    n = len(rows)
    if n < 2:
        return _put_together([], rows)
    mean, directions = _directions(pictures, rows)
    known = np.empty((n, directions.shape[1]), dtype=np.float32)
    for part, described in _blocks(pictures, rows):
        known[part] = _unit((described - mean) @ directions)
    at_least = _threshold(known)
    found = []
    buffer = np.empty(_ROWS * min(n, _COLUMNS), dtype=np.float32)
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        block = pictures[rows[start:stop]]
        best = np.empty((0, 4))
        for number, (look, mirrored) in enumerate(_LOOKS):
            some = _unit((_described(block, look, mirrored) - mean) @ directions)
            fresh = [best]
            for left in range(start, n, _COLUMNS):
                right = min(left + _COLUMNS, n)
                alike = buffer[: (stop - start) * (right - left)].reshape(stop - start, right - left)
                np.matmul(some, known[left:right].T, out=alike)
                first, second = np.divmod(np.flatnonzero(alike >= at_least), right - left)
                similarity = alike[first, second]
                first, second = first + start, second + left
                later = second > first
                told = (first[later], second[later], np.full(int(later.sum()), number), similarity[later])
                fresh.append(np.column_stack(told))
            best = _best(np.concatenate(fresh))
        found.append((best[:, :2].astype(np.int32), best[:, 2].astype(np.uint8)))
        if progress is not None:
            progress(stop, n, "comparing")
    return _put_together(found, rows)


def _put_together(found: list[tuple[np.ndarray, np.ndarray]], rows: np.ndarray) -> Candidates:
    """One set of pairs of those of all blocks, as numbers of pictures."""
    pairs = np.concatenate([np.empty((0, 2), dtype=np.int32), *(one for one, _ in found)])
    looks = np.concatenate([np.empty(0, dtype=np.uint8), *(one for _, one in found)])
    mirrored = np.array([mirrored for _, mirrored in _LOOKS])[looks]
    return Candidates(rows[pairs[:, 0]], rows[pairs[:, 1]], mirrored, looks)


def _blocks(pictures: np.ndarray, rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Go through the descriptors of `rows` as they are, a block at a time."""
    for start in range(0, len(rows), _DESCRIBED):
        some = slice(start, min(start + _DESCRIBED, len(rows)))
        yield some, _described(pictures[rows[some]], *_LOOKS[0])


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
    made = (down @ pictures.astype(np.float32) @ across.T).reshape(len(pictures), _SIDE * _SIDE)
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


def _directions(pictures: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and the directions in which descriptors differ most, each divided by a power of how much they do."""
    n = len(rows)
    share = n / (n + _SHRINK)
    total = np.zeros(_SIDE * _SIDE)
    for _, one in _blocks(pictures, rows):
        total += one.sum(axis=0, dtype=np.float64)
    mean = (share * total / n).astype(np.float32)
    spread = np.zeros((len(mean), len(mean)))
    for _, one in _blocks(pictures, rows):
        one -= mean
        spread += one.T @ one
    spread /= n
    spread = share * spread + (1 - share) * np.eye(len(spread)) * np.trace(spread) / len(spread)
    values, vectors = np.linalg.eigh(spread)
    values, vectors = values[: -_LENGTH - 1 : -1], vectors[:, : -_LENGTH - 1 : -1]
    return mean, (vectors * np.maximum(values, 1e-12) ** -_WHITE).astype(np.float32)


def _threshold(known: np.ndarray) -> float:
    """Similarity that a picture has with `_EACH` others, on average over pictures that are spread over all."""
    n = len(known)
    sample = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.intp))
    wanted = len(sample) * _EACH
    if wanted >= len(sample) * n:
        return _LEAST
    highest = np.empty(0, dtype=np.float32)  # so far, `wanted` of them at most
    for left in range(0, n, _COLUMNS):
        alike = known[sample] @ known[left : left + _COLUMNS].T
        inside = (sample >= left) & (sample < left + alike.shape[1])
        alike[np.flatnonzero(inside), sample[inside] - left] = -1.0
        highest = np.concatenate([highest, alike.ravel()])
        if len(highest) > wanted:
            highest = np.partition(highest, -wanted)[-wanted:]
    return float(np.clip(highest.min(), _LEAST, _ENOUGH))


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
