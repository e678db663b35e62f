"""From a protocol and its faces to which of them train and which are scored."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from fusionfer.exceptions import DataError, FusionferWarning
from fusionfer.images import FaceSet, split_faces
from fusionfer.protocols._material import Material
from fusionfer.protocols._protocol import Protocol
from fusionfer.training import read_recipe

__all__ = ["arrange", "released_splits"]


def arrange(protocol: Protocol, material: Material, seed: int) -> list[FaceSet]:
    """Return the faces of one run with the splits "train" and "test"; several sets where there are folds.

    Parameters
    ----------
    protocol : Protocol
    material : Material
    seed : int
        Draws splits and folds. Which faces take part, and how copies are changed, follows from that of `material`, so
        that repetitions need no other features.

    Returns
    -------
    list of FaceSet
        Marked as ``leaking`` where groups, or a face and its changed copies, are divided.

    Raises
    ------
    DataError
        If no face is left to train on or to score, or a class has too few to choose by folds.
    """
    faces = material.faces.take(material.pool(protocol.data.known, *released_splits(protocol)))
    apart = protocol.cleaning.copies == "apart"
    if apart:
        faces = replace(faces, groups=_joined(faces, material))
    before = protocol.augmentation.when == "before-split"
    if before:
        faces = _augmented(protocol, faces, material.seed)
    if protocol.split.how == "released":
        arranged = [_as_released(protocol, faces, without_copies=apart)]
    elif protocol.split.how == "draw":
        with warnings.catch_warnings():
            # The table says of each run what makes its figure too good.
            warnings.simplefilter("ignore", FusionferWarning)
            arranged = [split_faces(faces, protocol.split.parts, seed, override=True, group=protocol.split.groups)]
    else:
        arranged = _folded(protocol, faces, seed)
    if protocol.augmentation.when == "after-split":
        arranged = [_train_augmented(protocol, one, material.seed) for one in arranged]
    for one in arranged:
        missing = [split for split in ("train", "test") if split not in one.splits]
        if missing:
            msg = _nothing(protocol, material, missing)
            raise DataError(msg)
        if protocol.choice.by == "training" and not protocol.network.recipe:
            _check_classes(protocol, one)
    return arranged


def _check_classes(protocol: Protocol, faces: FaceSet) -> None:
    """Refuse, before anything is extracted, a class that two folds of the training faces cannot both hold."""
    train = faces.splits == "train"
    names = np.where(faces.groups != "", faces.groups, faces.ids)
    counts = {label: len(np.unique(names[train & (faces.labels == label)])) for label in faces.classes}
    few = [f"{label} ({n})" for label, n in counts.items() if n < 2]
    if few:
        msg = (
            f"The protocol {protocol.name} leaves too few faces, or persons, to train on: {', '.join(few)}. Folds that "
            "choose need two of each class: take more faces (--limit), another --seed, or leave the class out."
        )
        raise DataError(msg)


def released_splits(protocol: Protocol) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the splits that train and those that are scored; none where they are drawn."""
    return (protocol.split.train, protocol.split.test) if protocol.split.how == "released" else ((), ())


def _nothing(protocol: Protocol, material: Material, missing: list[str]) -> str:
    named = [split for splits in released_splits(protocol) for split in splits]
    left = {split: int(np.sum(material.faces.splits == split)) for split in named}
    there = ", ".join(f"{split} {n:,}" for split, n in left.items()) or f"{len(material.faces):,} faces"
    why = f"The protocol {protocol.name} leaves no face for {' and '.join(missing)} (there are {there}"
    if material.known.any() and protocol.data.known == "leave-out":
        why += f", of which {int(material.known.sum()):,} are left out as the weights know them"
    return why + "). Choose others by split.train and split.test, or draw a split (split.how = 'draw')."


def _joined(faces: FaceSet, material: Material) -> np.ndarray:
    """Return groups that hold persons and all copies of one picture together; str of shape (n,)."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    names = [f"id {name}" for name in faces.ids.tolist()]
    for name, group in zip(names, faces.groups.tolist(), strict=True):
        if group:
            parent[root(name)] = root(f"group {group}")
    known = set(names)
    for ids in material.copies:
        there = [f"id {one}" for one in ids if f"id {one}" in known]
        for one in there[1:]:
            parent[root(one)] = root(there[0])
    roots = np.array([root(name) for name in names], dtype=np.str_)
    _, which, counts = np.unique(roots, return_inverse=True, return_counts=True)
    return np.where((counts[which] > 1) | (faces.groups != ""), roots, "")


def _augmented(protocol: Protocol, faces: FaceSet, seed: int) -> FaceSet:
    return faces.augmented(read_recipe(protocol.augmentation.recipe), protocol.augmentation.copies, seed)


def _train_augmented(protocol: Protocol, faces: FaceSet, seed: int) -> FaceSet:
    """Add changed copies of the training faces alone."""
    more = _augmented(protocol, faces, seed)
    added = np.arange(len(more)) >= len(faces)
    return more.take(~added | (more.splits == "train"))


def _as_released(protocol: Protocol, faces: FaceSet, *, without_copies: bool) -> FaceSet:
    """Name the released splits train and test; copies and persons of test faces leave the training faces."""
    train, test = (np.isin(faces.splits, names) for names in (protocol.split.train, protocol.split.test))
    shared = train & (faces.groups != "") & np.isin(faces.groups, faces.groups[test])
    if without_copies:
        train &= ~shared
    splits = np.where(train, "train", np.where(test, "test", ""))
    return replace(faces, splits=splits, leaking=bool(np.any(shared & train))).take(train | test)


def _folded(protocol: Protocol, faces: FaceSet, seed: int) -> list[FaceSet]:
    """Return one set for each fold, in which it is the test; stratified, and groups stay together if respected."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    known = (faces.groups != "") & (protocol.split.groups == "respect")
    groups = np.where(known, faces.groups, faces.ids)
    smallest = min(len(np.unique(groups[faces.labels == label])) for label in faces.classes)
    if smallest < protocol.split.folds:
        msg = (
            f"{protocol.split.folds} folds need as many persons (or faces without one) of each class; one has "
            f"{smallest}. Set split.folds to fewer."
        )
        raise DataError(msg)
    # Groups are dealt out one by one, which takes minutes where every face is its own.
    kind = StratifiedGroupKFold if known.any() else StratifiedKFold
    folds = kind(protocol.split.folds, shuffle=True, random_state=seed)
    numbers = np.unique(groups, return_inverse=True)[1]
    arranged = []
    for _, test in folds.split(np.zeros(len(faces)), faces.labels, numbers if known.any() else None):
        splits = np.full(len(faces), "train", dtype="<U5")
        splits[test] = "test"
        grouped = faces.groups != ""
        divided = np.intersect1d(
            faces.groups[grouped & (splits == "train")], faces.groups[grouped & (splits == "test")]
        )
        arranged.append(replace(faces, splits=splits, leaking=len(divided) > 0))
    return arranged
