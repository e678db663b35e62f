"""Labels and groups of a whole set brought into order, whichever kind of data it was read from."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fusionfer.exceptions import FusionferWarning
from fusionfer.images._complaints import shorten
from fusionfer.images._faceset import FaceSet
from fusionfer.images._names import find_pattern, fold, map_classes, merge_spellings, stem

__all__ = ["map_labels", "merge_labels", "read_names", "warn_of_divided_groups"]


def read_names(faces: FaceSet) -> FaceSet:
    """Take persons, and labels where the folders say none, from file names that follow a known pattern."""
    if np.any(faces.groups != ""):
        return faces
    names = [stem(name) for name in faces.ids.tolist()]
    pattern = find_pattern(names)
    if pattern is None:
        return faces
    read = [pattern.read(name) for name in names]
    notes = [
        f"All files are named as in {pattern.data_set}; {len({g for g, _ in read}):,} persons were read from the names."
    ]
    labels = faces.labels.tolist()
    # FERG has folders aia/aia_anger and CK+ has S010/004: these say who it is, and not only what is shown.
    if all(fold(label) in {"", fold(g), fold(f"{g}_{n}")} for label, (g, n) in zip(labels, read, strict=True)):
        labels = [label for _, label in read]
        notes.append(
            "Labels were read from the names too." if any(labels) else "Neither folders nor names say a label."
        )
    return replace(faces, groups=np.array([g for g, _ in read]), labels=np.array(labels), notes=(*faces.notes, *notes))


def _relabel(faces: FaceSet, new: Mapping[str, str]) -> FaceSet:
    return replace(faces, labels=np.array([new.get(label, label) for label in faces.labels.tolist()], dtype=np.str_))


def merge_labels(faces: FaceSet) -> FaceSet:
    """Make one label of those that differ only in case or blanks."""
    new = merge_spellings(faces.labels.tolist())
    changed = [f"{old!r} is {label!r}" for old, label in sorted(new.items()) if old != label]
    if not changed:
        return faces
    note = f"Labels that differ only in case or blanks are taken for one: {shorten(changed)}."
    warnings.warn(f"{faces.name}: {note}", FusionferWarning, stacklevel=3)
    return replace(_relabel(faces, new), notes=(*faces.notes, note))


def map_labels(faces: FaceSet, classes: Mapping[str, str]) -> FaceSet:
    """Rename labels, and drop the samples whose new label is empty."""
    new = map_classes(faces.labels.tolist(), classes)
    kept = np.array([new.get(label, label) != "" or label == "" for label in faces.labels.tolist()], dtype=bool)
    told = [f"{old} to {label}" if label else f"{old} dropped" for old, label in sorted(new.items()) if old != label]
    note = f"Classes were mapped: {shorten(told, 12)}; {int(np.sum(~kept)):,} faces were dropped."
    return replace(_relabel(faces.take(kept), new), notes=(*faces.notes, note))


def warn_of_divided_groups(faces: FaceSet) -> bool:
    """Warn if a split that the data bring has one person on both sides; and return whether it has."""
    stands: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(faces.groups.tolist(), faces.splits.tolist(), strict=True):
        if group and split:
            stands[group].add(split)
    divided = sorted(group for group, splits in stands.items() if len(splits) > 1)
    if divided:
        msg = (
            f"{faces.name}: {len(divided):,} groups stand in more than one split: {shorten(divided)}. "
            "Figures on such splits come out too good."
        )
        warnings.warn(msg, FusionferWarning, stacklevel=3)
    return bool(divided)
