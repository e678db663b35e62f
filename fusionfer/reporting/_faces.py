"""Faces for a report: some of each class, their mean, and those that a model gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fusionfer.eda import eda
from fusionfer.exceptions import DataError
from fusionfer.images import FaceSet
from fusionfer.report import Sheet

__all__ = ["Album", "mistake_sheets", "sample_sheets"]

_OF_EACH = 4  # sample faces of each class
_AVERAGED = 500  # faces of each class in a mean
_MISTAKES = 24
_HARDEST = 3  # of each class


@dataclass(frozen=True, eq=False)
class Album:
    """Pictures of the samples of a cache or a training, found by their ids and proven by their hashes.

    Attributes
    ----------
    faces : FaceSet
        With the labels and splits of the samples.
    digests : dict of str to str
        Id -> SHA-256 of the picture that was used; "" where it is not known.
    """

    faces: FaceSet
    digests: dict[str, str]
    places: dict[str, int]

    @classmethod
    def of(
        cls, faces: FaceSet, ids: np.ndarray, labels: np.ndarray, splits: np.ndarray, digests: np.ndarray | None = None
    ) -> Album:
        """Find the pictures of samples in a data set; those that are not there are passed over.

        Parameters
        ----------
        faces : FaceSet
            The data; its own labels and splits do not matter.
        ids, labels, splits : ndarray of str, shape (n,)
        digests : ndarray of str, shape (n,), optional
            SHA-256 of their pictures.

        Raises
        ------
        DataError
            If none of the ids is there.
        """
        known = {str(one): i for i, one in enumerate(faces.ids)}
        here = np.array([one in known for one in ids.tolist()], dtype=bool)
        if not here.any():
            first = f", such as {str(ids[0])!r} (there: {str(faces.ids[0])!r})" if len(ids) and len(faces) else ""
            msg = f"{faces.name} holds none of the {len(ids):,} samples of this run{first}. Give its own data."
            raise DataError(msg)
        found = ids[here].tolist()
        taken = replace(faces.take([known[one] for one in found]), labels=labels[here], splits=splits[here])
        hashes = np.full(len(ids), "") if digests is None else digests
        return cls(taken, dict(zip(found, hashes[here].tolist(), strict=True)), {one: i for i, one in enumerate(found)})

    def __contains__(self, one: object) -> bool:
        return one in self.places

    def pixels(self, one: str) -> np.ndarray:
        """Return the picture of the sample with this id.

        Raises
        ------
        DataError
            If it is another one than was used.
        ImageError
            If it cannot be read.
        """
        pixels, digest = self.faces.load(self.places[one])
        used = self.digests[one]
        if used and digest != used:
            msg = f"{self.faces.name}: {one} is not the picture that was used (SHA-256 {digest[:8]}, not {used[:8]}). "
            msg += "Give the data it was made from."
            raise DataError(msg)
        return pixels


def sample_sheets(faces: FaceSet, seed: int = 0) -> list[Sheet]:
    """Return some faces of each class, and the mean face of each.

    Parameters
    ----------
    faces : FaceSet
        With labels; those of the training split are shown, or all where there is none.
    seed : int
        Of the faces that are drawn.

    Returns
    -------
    list of Sheet
        Empty where no face has a label, or none can be read.
    """
    train = faces.splits == "train"
    shown = train if train.any() else np.ones(len(faces), dtype=bool)
    split = "the training split" if train.any() else "the data"
    rng = np.random.default_rng(seed)
    of_class = [np.flatnonzero(shown & (faces.labels == label)) for label in faces.classes]
    drawn = [np.sort(rng.choice(rows, min(len(rows), _AVERAGED), replace=False)) for rows in of_class if len(rows)]
    if not drawn:
        return []
    seen = eda(faces.take(np.concatenate(drawn)), samples=_OF_EACH, seed=seed)
    samples = [(pixels, label) for label, some in seen.samples.items() for _, pixels in some]
    means = [(np.rint(mean).astype(np.uint8), label) for label, mean in seen.mean_faces.items()]
    return [
        Sheet("samples", f"Some faces of each class, drawn from {split}.", *_columns(samples)),
        Sheet("means", f"Mean face of each class, of up to {_AVERAGED} drawn from {split}.", *_columns(means)),
    ]


def mistake_sheets(
    album: Album,
    ids: np.ndarray,
    y_true: np.ndarray,
    y_pred: np.ndarray,
    proba: np.ndarray | None,
    classes: Sequence[str],
) -> list[Sheet]:
    """Return the mistakes of which a model was surest, and of each class the faces that it finds hardest.

    Parameters
    ----------
    album : Album
        Faces that it lacks are passed over.
    ids, y_true, y_pred : ndarray of str, shape (n,)
    proba : ndarray of float, shape (n, K), or None
        Columns in the order of `classes`; without it, the first mistakes are shown.
    classes : sequence of str, length K

    Returns
    -------
    list of Sheet
        Empty where nothing is wrong.

    Raises
    ------
    DataError
        If a picture is another one than the features are of.
    ImageError
        If one cannot be read.
    """
    there = np.array([one in album for one in ids.tolist()])
    wrong = np.flatnonzero((y_true != y_pred) & there)
    if not len(wrong):
        return []

    def face(i: int, *lines: str) -> tuple[np.ndarray, str]:
        return album.pixels(str(ids[i])), "\n".join(lines)

    if proba is None:
        some = [face(i, str(y_true[i]), f"said: {y_pred[i]}") for i in wrong[:_MISTAKES].tolist()]
        return [Sheet("mistakes", "The first mistakes: label, and what the model said.", *_columns(some))]
    column = {name: k for k, name in enumerate(classes)}
    own = proba[np.arange(len(ids)), [column[str(label)] for label in y_true]]
    said = proba[np.arange(len(ids)), [column[str(label)] for label in y_pred]]
    surest = wrong[np.argsort(-said[wrong], kind="stable")][:_MISTAKES].tolist()
    confident = [face(i, str(y_true[i]), f"said: {y_pred[i]}", f"{100 * said[i]:.0f} %") for i in surest]
    hardest: list[Any] = []
    for label in classes:
        rows = np.flatnonzero((y_true == label) & there)
        for i in rows[np.argsort(own[rows], kind="stable")][:_HARDEST].tolist():
            hardest.append(face(i, f"{label}: {100 * own[i]:.1f} %", f"said: {y_pred[i]}"))
    return [
        Sheet(
            "mistakes",
            "The most confident mistakes: label, what the model said, and how surely. Some labels are wrong.",
            *_columns(confident),
        ),
        Sheet(
            "hardest",
            "The hardest faces of each class: those whose own class got the least probability.",
            *_columns(hardest),
        ),
    ]


def _columns(faces: Sequence[tuple[np.ndarray, str]]) -> tuple[list[np.ndarray], list[str]]:
    return [pixels for pixels, _ in faces], [caption for _, caption in faces]
