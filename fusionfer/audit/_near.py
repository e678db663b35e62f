"""Near copies: one photograph, shifted, scaled, mirrored, brightened, stored again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fusionfer.audit._looking import Thumbnails
from fusionfer.audit._near_aligning import align, compare, levels, shrunk
from fusionfer.audit._near_candidates import Candidates, find_candidates

__all__ = ["CHANGES", "NearPairs", "find_near", "grouped"]

#: What may tell one copy from another; "retouched" where it is none of the others: details, captions, compression.
CHANGES = ("mirrored", "moved", "scaled", "turned", "brightness", "retouched")

_AT_ONCE = 512  # pairs
_ROUGH_STEPS, _STEPS = 3, 4
_ROUGH, _ALIKE = 0.65, 0.88  # least correlation of details, at half the side and at the whole
_EVERYWHERE = 0.75  # least correlation of details in any place
_OVERLAP = 0.5  # least share of one picture that the other covers
_MOVED = 0.03  # of half the side
_SCALED = 0.02
_TURNED = 0.025  # radians
_BRIGHTER, _CONTRAST = 6.0, 0.08  # of 255; share

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of pictures that show one photograph.

    Attributes
    ----------
    first, second : ndarray of intp, shape (m,)
        Rows.
    alike : ndarray of float32, shape (m,)
        Correlation of the details of the aligned pictures.
    changes : tuple of tuple of str
        Of `CHANGES`, for each pair.
    """

    first: np.ndarray
    second: np.ndarray
    alike: np.ndarray
    changes: tuple[tuple[str, ...], ...]


def find_near(thumbnails: Thumbnails, rows: np.ndarray, progress: Progress | None = None) -> NearPairs:
    """Find the pairs among `rows` that are copies, but not to the pixel.

    Parameters
    ----------
    thumbnails : Thumbnails
    rows : ndarray of intp, shape (m,), ascending
        Those that are compared: one of each set of equal pictures, and none that is blank.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    NearPairs
    """
    candidates = find_candidates(thumbnails.pictures, rows, progress)
    total = len(candidates.first)
    parts = []
    for start in range(0, total, _AT_ONCE):
        stop = min(start + _AT_ONCE, total)
        parts.append(_confirmed(thumbnails.pictures, candidates, np.arange(start, stop)))
        if progress is not None:
            progress(stop, total, "aligning")
    kept, transforms, alike = (
        (np.concatenate(part) for part in zip(*parts, strict=True))
        if parts
        else (np.empty(0, dtype=np.intp), np.empty((0, 4)), np.empty(0, dtype=np.float32))
    )
    first, second = candidates.first[kept], candidates.second[kept]
    changes: list[tuple[str, ...]] = []
    for start in range(0, len(kept), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        changes += _changes(thumbnails, first[some], second[some], candidates.mirrored[kept[some]], transforms[some])
    return NearPairs(first, second, alike, tuple(changes))


def grouped(pairs: NearPairs, equal: list[np.ndarray], n: int) -> list[tuple[np.ndarray, tuple[str, ...]]]:
    """Put pairs together to groups, each with all that is equal to a member of it.

    Parameters
    ----------
    pairs : NearPairs
    equal : list of ndarray of intp
        Rows of equal pictures.
    n : int
        Number of all rows.

    Returns
    -------
    list of (ndarray of intp, tuple of str)
        Rows of each group, and the changes that occur in it. Each member is a copy of some other one, not of all.
    """
    if not len(pairs.first):
        return []
    starts = np.array([rows[0] for rows in equal for _ in rows[1:]], dtype=np.intp)
    ends = np.array([row for rows in equal for row in rows[1:]], dtype=np.intp)
    one, other = np.concatenate([pairs.first, starts]), np.concatenate([pairs.second, ends])
    graph = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(n, n))
    component = connected_components(graph, directed=False)[1]
    changes: dict[int, set[str]] = {}
    for number, some in zip(component[pairs.first].tolist(), pairs.changes, strict=True):
        changes.setdefault(number, set()).update(some)
    members: dict[int, list[int]] = {number: [] for number in changes}
    for row in np.flatnonzero(np.isin(component, list(changes))).tolist():
        members[int(component[row])].append(row)
    return [(np.array(rows), tuple(c for c in CHANGES if c in changes[number])) for number, rows in members.items()]


def _pair(
    pictures: np.ndarray, first: np.ndarray, second: np.ndarray, mirrored: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Second pictures, and first ones, mirrored where that is said."""
    moved = pictures[first].astype(np.float32)
    moved[mirrored] = moved[mirrored][:, :, ::-1]
    return pictures[second].astype(np.float32), moved


def _confirmed(
    pictures: np.ndarray, candidates: Candidates, which: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of `which` that are copies, their transforms, and how alike they are."""
    fixed, moved = _pair(pictures, candidates.first[which], candidates.second[which], candidates.mirrored[which])
    small, small_moved = shrunk(fixed), shrunk(moved)
    transforms = align(small, small_moved, candidates.transforms(which), _ROUGH_STEPS)
    alike, _, overlap = compare(small, small_moved, transforms)
    kept = (alike >= _ROUGH) & (overlap >= _OVERLAP)
    which, fixed, moved = which[kept], fixed[kept], moved[kept]
    transforms = align(fixed, moved, transforms[kept], _STEPS)
    alike, worst, overlap = compare(fixed, moved, transforms)
    kept = (alike >= _ALIKE) & (worst >= _EVERYWHERE) & (overlap >= _OVERLAP)
    return which[kept], transforms[kept], alike[kept]


def _changes(
    thumbnails: Thumbnails, first: np.ndarray, second: np.ndarray, mirrored: np.ndarray, transforms: np.ndarray
) -> list[tuple[str, ...]]:
    """What tells the first of each pair from the second."""
    fixed, moved = _pair(thumbnails.pictures, first, second, mirrored)
    (mean, spread), (other, other_spread) = levels(fixed, moved, transforms)
    mean, spread = thumbnails.lowest[second] + thumbnails.steps[second] * mean, thumbnails.steps[second] * spread
    other = thumbnails.lowest[first] + thumbnails.steps[first] * other
    other_spread = thumbnails.steps[first] * other_spread
    scale = np.hypot(transforms[:, 0], transforms[:, 1])
    contrast = np.abs(np.log(np.maximum(spread, 1e-3) / np.maximum(other_spread, 1e-3)))
    told = np.column_stack(
        [
            mirrored,
            np.hypot(transforms[:, 2], transforms[:, 3]) > _MOVED,
            np.abs(scale - 1.0) > _SCALED,
            np.abs(np.arctan2(transforms[:, 1], transforms[:, 0])) > _TURNED,
            (np.abs(mean - other) > _BRIGHTER) | (contrast > _CONTRAST),
        ]
    )
    told = np.column_stack([told, ~told.any(axis=1)])
    return [tuple(name for name, is_so in zip(CHANGES, row, strict=True) if is_so) for row in told.tolist()]
