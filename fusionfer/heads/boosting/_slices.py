"""Columns divided at random into slices, in which each block has its share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["SHARES", "SLICE_WIDTH", "draw_slices", "slice_count"]

#: How blocks can share the slices.
SHARES = ("proportional", "equal")
#: Columns of a slice where their number is free. The histograms of one node (32 bins of 16 bytes) then take 20 KB and
#: stay in the processor's first cache; wider slices had no lower losses (docs/xgb_wn.md).
SLICE_WIDTH = 40


def slice_count(n_slices: int | str, n_columns: int) -> int:
    """Return how many slices: as asked, or one for every 40 columns with "auto"; never more than columns."""
    return max(1, n_columns // SLICE_WIDTH) if n_slices == "auto" else min(int(n_slices), n_columns)


def draw_slices(
    blocks: Mapping[str, slice], n_slices: int, shares: str, rng: np.random.RandomState
) -> list[np.ndarray]:
    """Divide the columns of each block among the slices.

    Parameters
    ----------
    blocks : mapping of str to slice
        Columns of each block.
    n_slices : int
        At least 1.
    shares : {"proportional", "equal"}
        In "proportional" slices, every column stands once, so a block has the share that its width has. In "equal"
        ones every block has as many columns as the widest: those of the others return in several slices, though never
        twice in one, so that a block narrower than that is there as a whole.
    rng : RandomState
        Draws.

    Returns
    -------
    list of ndarray of int
        Columns of each slice, ascending; as even in number as they can be.

    Examples
    --------
    >>> blocks = {"narrow": slice(0, 2), "wide": slice(2, 8)}
    >>> rng = np.random.RandomState(0)
    >>> [columns.tolist() for columns in draw_slices(blocks, 2, "proportional", rng)]
    [[1, 2, 3, 6], [0, 4, 5, 7]]
    >>> [len(columns) for columns in draw_slices(blocks, 2, "equal", rng)]
    [5, 5]
    """
    widest = max(block.stop - block.start for block in blocks.values())
    parts: list[list[np.ndarray]] = [[] for _ in range(n_slices)]
    turn = 0
    for block in blocks.values():
        width = block.stop - block.start
        if shares == "equal":
            each = min(-(-widest // n_slices), width)
            for part, columns in zip(parts, _returning(width, each, n_slices, rng), strict=True):
                part.append(block.start + columns)
            continue
        drawn = block.start + rng.permutation(width)
        for number in range(n_slices):
            # The slice that one block ends with is where the next begins, so that left-over columns are spread too.
            parts[(turn + number) % n_slices].append(drawn[number::n_slices])
        turn += width
    return [np.sort(np.concatenate(part)) for part in parts]


def _returning(width: int, each: int, n_slices: int, rng: np.random.RandomState) -> list[np.ndarray]:
    """Draw `each` different columns for every slice, going through all of them before one returns."""
    found = []
    rest = np.empty(0, dtype=np.intp)
    for _ in range(n_slices):
        taken, rest = rest[:each], rest[each:]
        if len(taken) < each:
            again = rng.permutation(width)
            fresh = again[~np.isin(again, taken)][: each - len(taken)]
            rest = again[~np.isin(again, fresh)]
            taken = np.concatenate([taken, fresh])
        found.append(taken)
    return found
