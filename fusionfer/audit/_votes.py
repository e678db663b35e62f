"""How far annotators disagree, and how far the labels disagree with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.images import FaceSet, FerPlus, VoteCeiling, label_ceiling

__all__ = ["Disagreement", "find_disagreement"]


@dataclass(frozen=True, eq=False)
class Disagreement:
    """What annotators' votes say of labelled faces.

    Attributes
    ----------
    ids, labels : ndarray of str, shape (n,)
    classes : tuple of str
        The labels that occur.
    entropy : ndarray of float64, shape (n,)
        Of the votes for all choices, in bits: 0 where all annotators agree.
    largest : ndarray of float64, shape (n,)
        Share of all votes that the most frequent choice has.
    agreement : ndarray of float64, shape (n,)
        Share of all votes that are for the label.
    contradicted : ndarray of bool, shape (n,)
        Whether another choice, "unknown" and "not a face" among them, has more votes than the label.
    ceiling : VoteCeiling
        Of labels that are made as the votes are, with the classes as answers.
    """

    ids: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    entropy: np.ndarray
    largest: np.ndarray
    agreement: np.ndarray
    contradicted: np.ndarray
    ceiling: VoteCeiling

    def of_class(self, name: str) -> dict[str, Any]:
        """Means over the faces that are labelled `name`; over all for the empty name."""
        rows = self.labels == name if name else np.ones(len(self.labels), dtype=bool)
        return {
            "n": int(rows.sum()),
            "entropy": float(self.entropy[rows].mean()),
            "largest": float(self.largest[rows].mean()),
            "agreement": float(self.agreement[rows].mean()),
            "contradicted": float(self.contradicted[rows].mean()),
        }

    def contradicted_among(self, ids: np.ndarray) -> float:
        """Share of these faces whose label the votes contradict, in [0, 1]; NaN if none of them has votes."""
        rows = np.isin(self.ids, ids)
        return float(self.contradicted[rows].mean()) if rows.any() else float("nan")

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON knows it."""
        return {
            "all": self.of_class(""),
            "classes": {name: self.of_class(name) for name in self.classes},
            "ceiling": self.ceiling.describe(),
        }


def find_disagreement(faces: FaceSet, ferplus: FerPlus) -> Disagreement:
    """Compare the labels of faces of FER-2013 with FER+'s ten votes for each.

    Parameters
    ----------
    faces : FaceSet
        With emotions as labels; those without a label are passed over.
    ferplus : FerPlus

    Returns
    -------
    Disagreement

    Raises
    ------
    DataError
        If no face has a label, or any is no face of FER-2013.
    UnknownNameError
        If a label is no emotion of FER+.
    """
    labelled = faces.take(faces.labels != "")
    if not len(labelled):
        msg = f"None of the {len(faces):,} faces of {faces.name} has a label to compare with votes."
        raise DataError(msg)
    classes = labelled.classes
    votes = ferplus.votes[ferplus.find(labelled.ids, labelled.splits)]
    answers = ferplus.votes_for(classes, labelled.ids, labelled.splits)
    places = np.searchsorted(classes, labelled.labels)
    own = answers[np.arange(len(labelled)), places]
    shares = votes / votes.sum(axis=1, keepdims=True)
    logs = np.log2(np.where(shares > 0, shares, 1.0))
    return Disagreement(
        ids=labelled.ids,
        labels=labelled.labels,
        classes=classes,
        entropy=-(shares * logs).sum(axis=1) + 0.0,
        largest=shares.max(axis=1),
        agreement=own / votes.sum(axis=1),
        contradicted=votes.max(axis=1) > own,
        ceiling=label_ceiling(answers, {"labels": places}),
    )
