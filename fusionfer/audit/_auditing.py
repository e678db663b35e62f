"""Copies, divided persons, blank pictures and uneven classes of one data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusionfer.audit._looking import Looks, look
from fusionfer.audit._near import find_near, grouped
from fusionfer.faces import find_faceless
from fusionfer.images import SPLITS, FaceSet

__all__ = ["Audit", "Copies", "audit"]

_AT_ONCE = 1 << 16  # rows whose values are compared together
_BLANK_SPAN = 8  # a picture whose values span less than this, of 255, shows nothing

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Copies:
    """Samples that show the same picture.

    Attributes
    ----------
    ids, labels, splits : tuple of str
        One entry a sample; labels and splits are empty where unknown.
    changes : tuple of str
        What differs between near copies, where it is known: "mirrored", "moved", "scaled", "turned", "brightness";
        "retouched" for anything else, as captions or compression. Empty for exact copies.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    changes: tuple[str, ...] = ()

    @property
    def crosses(self) -> bool:
        """Whether they stand in more than one split."""
        return len(set(self.splits) - {""}) > 1

    @property
    def conflicts(self) -> bool:
        """Whether they have more than one label."""
        return len(set(self.labels) - {""}) > 1

    def describe(self) -> dict[str, list[str]]:
        """Ids, labels and splits, as JSON knows them."""
        return {"ids": list(self.ids), "labels": list(self.labels), "splits": list(self.splits)}


@dataclass(frozen=True)
class Audit:
    """What was found in a data set.

    Attributes
    ----------
    name : str
        Of the data set.
    n_samples : int
    counts : dict of str to dict of str to int
        Samples of each split and label; "" where unknown.
    copies : tuple of Copies
        Exact copies by decoded pixels: those across splits first, then those with several labels, then the largest.
    near : tuple of Copies
        Copies that are not equal, in the same order: one photograph shifted, scaled, mirrored, brightened or stored
        again. A group holds the exact copies of its members, too. Each member is a copy of some other member, not of
        all: A of B and B of C are one group, even if A and C have little in common.
    persons : dict of str to dict of str to int
        Groups that stand in more than one split: samples in each.
    blank : tuple of str
        Ids of pictures that show nothing.
    leaked : dict of str to tuple of str
        Ids of the validation and test samples of which a copy, exact or near, or the person stands in an earlier split
        too (train for validation, both for test): those that make figures too good.
    leaked_exact : dict of str to tuple of str
        Those of them that have an exact copy there.
    sought_near : bool
        Whether near copies were looked for; if not, `near` is empty, and null in `describe`.
    unreadable : tuple of (str, str)
        Id and reason of those that cannot be read, and of those that the reader left out.
    faceless : tuple of str, or None
        Ids of pictures in which a detector found no face; None where none looked.
    """

    name: str
    n_samples: int
    counts: dict[str, dict[str, int]]
    copies: tuple[Copies, ...]
    persons: dict[str, dict[str, int]]
    leaked: dict[str, tuple[str, ...]]
    blank: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    near: tuple[Copies, ...] = ()
    leaked_exact: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sought_near: bool = True
    faceless: tuple[str, ...] | None = None

    @property
    def leaks(self) -> bool:
        """Whether any picture or person stands in more than one split."""
        return bool(self.leaked)

    @property
    def imbalance(self) -> dict[str, float]:
        """Size of the largest class of each split over that of its smallest; splits without labels have none."""
        ratios = {}
        for split, labels in self.counts.items():
            sizes = [size for label, size in labels.items() if label]
            if sizes:
                ratios[split] = max(sizes) / min(sizes)
        return ratios

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON knows it."""
        near = [one.describe() | {"changes": list(one.changes)} for one in self.near]
        return {
            "name": self.name,
            "n_samples": self.n_samples,
            "counts": self.counts,
            "imbalance": self.imbalance,
            "leaks": self.leaks,
            "leaked": {split: list(ids) for split, ids in self.leaked.items()},
            "leaked_exact": {split: list(ids) for split, ids in self.leaked_exact.items()},
            "copies": [one.describe() for one in self.copies],
            "near": near if self.sought_near else None,
            "persons": self.persons,
            "blank": list(self.blank),
            "unreadable": [{"id": one, "reason": reason} for one, reason in self.unreadable],
            "faceless": None if self.faceless is None else list(self.faceless),
        }


def audit(faces: FaceSet, progress: Progress | None = None, *, near: bool = True, detector: Any = None) -> Audit:
    """Look at every picture of a data set once, and say what is wrong with it.

    Exact copies are found by their decoded pixels, so a picture that was stored in another lossless format, or as RGB
    with equal channels, is one. Near copies are found by short descriptors, and confirmed by laying one picture on the
    other: what is called a near copy has the same details in the same places. How many are found and how many of those
    are copies stands in the documentation.

    Parameters
    ----------
    faces : FaceSet
    progress : callable, optional
        ``progress(done, total, what)``.
    near : bool
        Look for near copies, too. Time grows with the square of the number of pictures (36,000 take minutes), memory
        with their number.
    detector : str, Path or callable, optional
        Look for faces too, as `fusionfer.faces.get_detector` says; by default nobody looks.

    Returns
    -------
    Audit

    Examples
    --------
    >>> from fusionfer.images import generate_faces
    >>> found = audit(generate_faces(3, takes=1, size=48))
    >>> found.n_samples, found.leaks, found.copies
    (21, False, ())
    """
    looks = look(faces, progress, thumbnails=near)
    copies = _same(looks.digests)
    alike = _near(looks, copies, progress)
    divided = _divided(faces.groups, faces.splits)
    blank = np.flatnonzero((looks.spans >= 0) & (looks.spans < _BLANK_SPAN))
    return Audit(
        name=faces.name,
        n_samples=len(faces),
        counts=_counts(faces),
        copies=tuple(_sorted([_described(faces, rows) for rows in copies])),
        persons={str(faces.groups[rows[0]]): dict(Counter(faces.splits[rows].tolist())) for rows in divided},
        leaked=_leaked(faces, [*copies, *(rows for rows, _ in alike), *divided]),
        blank=tuple(faces.ids[blank].tolist()),
        unreadable=(*faces.skipped, *((str(faces.ids[i]), reason) for i, reason in looks.unreadable)),
        near=tuple(_sorted([_described(faces, rows, changes) for rows, changes in alike])),
        leaked_exact=_leaked(faces, copies),
        sought_near=near,
        faceless=None if detector is None else find_faceless(faces, detector, progress),
    )


def _near(looks: Looks, equal: list[np.ndarray], progress: Progress | None) -> list[tuple[np.ndarray, tuple[str, ...]]]:
    """Rows and changes of each group of near copies; blank pictures are copies of none, as they show nothing."""
    if looks.thumbnails is None:
        return []
    first = np.ones(len(looks.digests), dtype=bool)  # of all that are equal
    for some in equal:
        first[some[1:]] = False
    rows = np.flatnonzero(first)
    return grouped(
        find_near(looks.thumbnails, rows[looks.spans[rows] >= _BLANK_SPAN], progress), equal, len(looks.digests)
    )


def _counts(faces: FaceSet) -> dict[str, dict[str, int]]:
    """Samples by split and label, splits in their own order."""
    counts = Counter(zip(faces.splits.tolist(), faces.labels.tolist(), strict=True))
    order = [split for split in ("", *SPLITS) if split in {one for one, _ in counts}]
    return {split: {label: n for (one, label), n in sorted(counts.items()) if one == split} for split in order}


def _same(values: np.ndarray) -> list[np.ndarray]:
    """Rows that share a value which is not empty, two at least, in the order of the rows."""
    order = np.argsort(values, kind="stable")
    fresh = np.ones(len(values) + 1, dtype=bool)  # whether a run of equal values begins there
    for start in range(1, len(values), _AT_ONCE):  # sorted copies of long texts would take more than all else
        some = values[order[start - 1 : start + _AT_ONCE]]
        fresh[start : start + len(some) - 1] = some[1:] != some[:-1]
    starts = np.flatnonzero(fresh)
    several = np.flatnonzero(np.diff(starts) > 1)
    parts = (order[starts[i] : starts[i + 1]] for i in several.tolist())
    return sorted((rows for rows in parts if values[rows[0]]), key=lambda rows: int(rows[0]))


def _divided(groups: np.ndarray, splits: np.ndarray) -> list[np.ndarray]:
    """Rows of each group that stands in more than one split."""
    return [rows for rows in _same(groups) if len(set(splits[rows].tolist()) - {""}) > 1]


def _described(faces: FaceSet, rows: np.ndarray, changes: tuple[str, ...] = ()) -> Copies:
    ids, labels, splits = (tuple(values[rows].tolist()) for values in (faces.ids, faces.labels, faces.splits))
    return Copies(ids, labels, splits, changes)


def _sorted(copies: list[Copies]) -> list[Copies]:
    return sorted(copies, key=lambda one: (not one.crosses, not one.conflicts, -len(one.ids)))


def _leaked(faces: FaceSet, units: list[np.ndarray]) -> dict[str, tuple[str, ...]]:
    """Samples that belong to a unit of which an earlier split has a part."""
    order = {split: number for number, split in enumerate(SPLITS)}
    number = np.array([order.get(split, -1) for split in faces.splits.tolist()])
    late = np.zeros(len(faces), dtype=bool)
    for rows in units:
        known = rows[number[rows] >= 0]
        late[known] |= number[known] > number[known].min(initial=len(SPLITS))
    return {
        split: tuple(faces.ids[late & (faces.splits == split)].tolist())
        for split in SPLITS[1:]
        if np.any(late & (faces.splits == split))
    }
