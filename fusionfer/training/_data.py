"""Which faces train, which tune and which are scored; and what was seen before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.images import FaceSet, SoftLabels, split_faces
from fusionfer.training._pictures import Pictures

__all__ = ["Part", "divide", "fingerprint"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Part:
    """The labelled faces of one split, as a network is shown them.

    Attributes
    ----------
    faces : FaceSet
    pictures : Pictures
    targets : ndarray of int64, shape (n,)
        Place of each label among the classes.
    shares : ndarray of float32, shape (n, n_classes), or None
        Of the classes of each face, where soft labels are given.
    """

    faces: FaceSet
    pictures: Pictures
    targets: np.ndarray
    shares: np.ndarray | None = None

    @classmethod
    def read(
        cls,
        faces: FaceSet,
        classes: Sequence[str],
        size: int,
        progress: Progress | None = None,
        soft: SoftLabels | None = None,
    ) -> Part:
        """Decode the faces."""
        place = {name: k for k, name in enumerate(classes)}
        targets = np.array([place[str(label)] for label in faces.labels], dtype=np.int64)
        shares = None if soft is None else soft.take(faces.ids, classes)
        return cls(faces, Pictures(faces, size, progress=progress), targets, shares)

    def unlike(self, other: Part) -> np.ndarray:
        """Return which pictures are no exact copy of one in `other`, bool of shape (n,)."""
        known = set(other.pictures.digests)
        return np.array([digest not in known for digest in self.pictures.digests], dtype=bool)


def divide(faces: FaceSet, holdout: int, seed: int, *, test: bool) -> tuple[dict[str, FaceSet], tuple[str, ...]]:
    """Return the labelled faces of train, validation and (where asked for) test, and notes.

    Where the data bring no validation split, `holdout` percent of the training split are held out, per label, groups
    undivided.

    Raises
    ------
    DataError
        If a split that is needed is empty, there are fewer than two classes, or a split has labels that training lacks.
    """
    notes: list[str] = []
    labelled = faces.take(faces.labels != "")
    if len(labelled) < len(faces):
        notes.append(f"{len(faces) - len(labelled):,} pictures without a label are left out.")
    found = {name: labelled.take(labelled.splits == name) for name in ("train", "validation", "test")}
    if not len(found["train"]):
        msg = (
            f"{faces.name} has no labelled picture in the split train ({len(labelled):,} labelled in all). Draw one "
            "with split_faces (on the command line --split 70/15/15)."
        )
        raise DataError(msg)
    if not len(found["validation"]):
        drawn = split_faces(found["train"], f"{100 - holdout}/{holdout}", seed, override=True)
        held = drawn.splits == "test"
        found["train"] = replace(drawn.take(~held), splits=np.full(int(np.sum(~held)), "train"), notes=())
        found["validation"] = replace(drawn.take(held), splits=np.full(int(np.sum(held)), "validation"), notes=())
        notes.append(
            f"The data bring no validation split: {holdout} % of the training split ({int(held.sum()):,} of "
            f"{len(held):,} pictures) are held out with seed {seed}."
        )
    if not test:
        del found["test"]
    elif not len(found["test"]):
        msg = f"{faces.name} has no labelled picture in the split test to score."
        raise DataError(msg)
    classes = found["train"].classes
    if len(classes) < 2:
        msg = f"Training needs two classes or more; the split train of {faces.name} has {', '.join(classes)}."
        raise DataError(msg)
    for name, part in found.items():
        strange = sorted(set(part.classes) - set(classes))
        if strange:
            msg = f"The split {name} has labels that the split train lacks: {', '.join(strange)}. Map or drop them."
            raise DataError(msg)
    return found, (*notes, *_shared_groups(found))


def fingerprint(parts: Sequence[Part]) -> str:
    """Return a hash of pictures, labels and shares, in their order: equal where training sees the same."""
    seen = hashlib.sha256()
    for part in parts:
        for digest, target in zip(part.pictures.digests, part.targets.tolist(), strict=True):
            seen.update(f"{digest} {target}\n".encode())
        seen.update(b"\n" if part.shares is None else np.ascontiguousarray(part.shares, "<f4").tobytes())
    return seen.hexdigest()


def _shared_groups(found: dict[str, FaceSet]) -> list[str]:
    """Say where a person stands on both sides: figures of that split then say little about new persons."""
    known = set(found["train"].groups.tolist()) - {""}
    notes = []
    for name in [name for name in found if name != "train"]:
        shared = sorted(known & set(found[name].groups.tolist()))
        if shared:
            notes.append(
                f"{len(shared)} groups (persons, sequences) stand in both train and {name} (first: {shared[0]!r}): the "
                f"figures of {name} say little about new persons."
            )
    return notes
