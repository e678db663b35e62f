"""split_faces: draw train, validation and test per label, never dividing a group."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fusionfer.exceptions import DataError, FusionferWarning
from fusionfer.images._complaints import shorten
from fusionfer.images._faceset import SPLITS, FaceSet

__all__ = ["parse_split", "split_faces"]

_NAMES = {2: ("train", "test"), 3: SPLITS}


def parse_split(text: str) -> tuple[float, ...]:
    """Read the parts of a split such as ``"70/15/15"`` as fractions that sum to 1.

    Raises
    ------
    DataError
        If these are not two or three positive percentages that sum to 100.

    Examples
    --------
    >>> parse_split("70/30")
    (0.7, 0.3)
    """
    try:
        parts = [float(part) for part in text.split("/")]
    except ValueError:
        parts = []
    if len(parts) not in _NAMES or not all(part > 0 for part in parts) or not math.isclose(sum(parts), 100):
        msg = (
            f"The split {text!r} is not understood. Give train/test or train/validation/test in percent, "
            "summing to 100, such as 70/30, 80/20 or 70/15/15."
        )
        raise DataError(msg)
    return tuple(part / 100 for part in parts)


def split_faces(
    faces: FaceSet, split: str, seed: int = 0, *, override: bool = False, group: str = "respect"
) -> FaceSet:
    """Draw splits at random, per label, without dividing a group.

    Of each label with n samples, round(p n) go to each part but the last (halves are rounded up), and the rest to
    the last. This is what MATLAB's ``splitEachLabel(..., 'randomized')`` returns [1]_: its page says that it rounds
    down, but the results shown there (5 of 6 + 2 samples at 60 %) are rounded to the nearest. The draw depends on the
    ids and the seed only, not on the order of the samples.

    Groups are placed first, the largest ones first, each where it brings the counts nearest to what is asked; samples
    without a group then fill up what is missing. Where groups force other counts, a note says what was asked and got.

    Parameters
    ----------
    faces : FaceSet
    split : str
        ``"70/30"`` (train, test) or ``"70/15/15"`` (train, validation, test), in percent.
    seed : int
    override : bool
        Whether splits that the data bring may be replaced.
    group : {"respect", "ignore"}
        "ignore" draws as if there were no groups, as many published figures do. Where that divides any, there is a
        warning, and the result is marked as ``leaking``.

    Returns
    -------
    FaceSet
        The same faces with splits; what was drawn is told in its notes.

    Raises
    ------
    DataError
        If `split` or `group` is not understood, the faces have splits already, or some part would be empty.

    Warns
    -----
    FusionferWarning
        If groups are ignored and divided.

    References
    ----------
    .. [1] MathWorks, "splitEachLabel: Split ImageDatastore labels by proportions", MATLAB documentation, 2024.
    """
    fractions = parse_split(split)
    if group not in ("respect", "ignore"):
        msg = f"group must be 'respect' or 'ignore', got {group!r}."
        raise DataError(msg)
    if np.any(faces.splits != "") and not override:
        msg = (
            f"{faces.name} brings splits already ({', '.join(sorted(set(faces.splits.tolist()) - {''}))}). Leave out "
            f"the split {split!r}, or replace them with split_faces(faces, {split!r}, override=True)."
        )
        raise DataError(msg)
    names = _NAMES[len(fractions)]
    labels, label_of = np.unique(faces.labels, return_inverse=True)
    asked = np.array([_shares(int(n), fractions) for n in np.bincount(label_of, minlength=len(labels))])
    drawn = faces if group == "respect" else replace(faces, groups=np.full(len(faces), ""))
    part_of = _draw(drawn, label_of, asked, np.random.default_rng(seed))
    got = np.zeros_like(asked)
    np.add.at(got, (label_of, part_of), 1)
    if not got.sum(axis=0).all():
        empty = [name for name, n in zip(names, got.sum(axis=0), strict=True) if n == 0]
        msg = (
            f"{faces.name}: the split {split} leaves {' and '.join(empty)} empty; there are {len(faces)} samples in "
            f"{_units(drawn)} indivisible groups. Choose other parts, or bring more data."
        )
        raise DataError(msg)
    notes = [f"Split {split} drawn per label with seed {seed}.", *_deviations(labels, names, asked, got)]
    divided = _divided(faces.groups, part_of)
    if divided:
        msg = (
            f"Groups were ignored, and {divided:,} of them (persons, sequences, copies) stand in more than one split: "
            "figures on this split come out too good."
        )
        notes.append(msg)
        warnings.warn(f"{faces.name}: {msg}", FusionferWarning, stacklevel=2)
    return replace(faces, splits=np.array(names)[part_of], notes=(*faces.notes, *notes), leaking=divided > 0)


def _divided(groups: np.ndarray, part_of: np.ndarray) -> int:
    """Return how many groups stand in more than one part."""
    known = groups != ""
    names, group_of = np.unique(groups[known], return_inverse=True)
    stands = np.zeros((len(names), int(part_of.max(initial=0)) + 1), dtype=bool)
    stands[group_of, part_of[known]] = True
    return int(np.sum(stands.sum(axis=1) > 1))


def _shares(n: int, fractions: Sequence[float]) -> list[int]:
    """Return how many of n samples each part gets."""
    shares: list[int] = []
    for fraction in fractions[:-1]:
        # The tiny term keeps an exact half that floating point puts just below it (0.15 * 10) a half.
        shares.append(min(math.floor(fraction * n + 0.5 + 1e-9), n - sum(shares)))
    return [*shares, n - sum(shares)]


def _units(faces: FaceSet) -> int:
    return len(set(faces.groups.tolist()) - {""}) + int(np.sum(faces.groups == ""))


def _draw(faces: FaceSet, label_of: np.ndarray, asked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the part of each sample, int of shape (n,)."""
    part_of = np.full(len(faces), -1)
    missing = asked.astype(float)
    by_id = np.argsort(faces.ids, kind="stable")
    grouped = by_id[faces.groups[by_id] != ""]
    names, group_of = np.unique(faces.groups[grouped], return_inverse=True)
    # Split once, as comparing each group with all samples takes minutes of 30,000 groups.
    ends = np.cumsum(np.bincount(group_of, minlength=len(names)))[:-1]
    members = np.split(grouped[np.argsort(group_of, kind="stable")], ends) if len(names) else []
    shuffled = [members[g] for g in rng.permutation(len(names))]
    weight = 1 / np.maximum(asked, 1)
    empty = np.ones(asked.shape[1], dtype=bool)
    for placed, group in enumerate(sorted(shuffled, key=len, reverse=True)):
        counts = np.bincount(label_of[group], minlength=len(asked))[:, None]
        # How the squared, weighted distance to what is asked changes if the group goes to each part.
        change = (((missing - counts) ** 2 - missing**2) * weight).sum(axis=0)
        if len(names) - placed <= empty.sum() < asked.shape[1]:
            change[~empty] = np.inf  # as many groups are left as parts without any: each must get one
        part = int(np.argmin(change))
        part_of[group] = part
        empty[part] = False
        missing[:, part] -= counts[:, 0]
    for label in range(len(asked)):
        alone = by_id[(faces.groups[by_id] == "") & (label_of[by_id] == label)]
        alone = rng.permutation(alone)
        part_of[alone] = np.repeat(np.arange(asked.shape[1]), _fill_up(missing[label], len(alone)))
    return part_of


def _fill_up(missing: np.ndarray, n: int) -> np.ndarray:
    """Return how many of n samples each part gets; parts that groups have overfilled get none.

    `missing` sums to n, so what an overfilled part has too much is taken from the largest of the others.
    """
    counts = np.maximum(missing, 0).astype(int)
    while counts.sum() > n:
        counts[np.argmax(counts)] -= 1
    return counts


def _deviations(labels: np.ndarray, names: Sequence[str], asked: np.ndarray, got: np.ndarray) -> list[str]:
    """Return one note on what groups forced, if anything."""
    told = [
        f"{label or 'no label'} {name} {g} instead of {a}"
        for label, asked_row, got_row in zip(labels, asked, got, strict=True)
        for name, a, g in zip(names, asked_row, got_row, strict=True)
        if a != g
    ]
    if not told:
        return []
    return [f"Groups are not divided, so the split deviates from what was asked: {shorten(told, 12)}."]
