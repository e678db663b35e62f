"""Labels that a classifier confidently contradicts: confident learning over out-of-fold probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.fusion import BlockScaler
from fusionfer.heads import make_head
from fusionfer.images import FaceSet
from fusionfer.matrices import take_rows

__all__ = ["LabelNoise", "confident_joint", "features_of", "find_label_noise"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """What a classifier that never saw a sample says against its label.

    Attributes
    ----------
    ids, labels : ndarray of str, shape (n,)
        Of the samples that were judged.
    classes : tuple of str
    proba : ndarray of float64, shape (n, n_classes)
        Of each sample by a head that was trained on other folds.
    thresholds : ndarray of float64, shape (n_classes,)
        Mean probability of a class over the samples that are labelled so: what counts as confident.
    joint : ndarray of float64, shape (n_classes, n_classes)
        Estimated share of samples that are labelled i (row) and are j (column); sums to 1.
    suggested : ndarray of str, shape (n,)
        The class that the head is confident of; empty where of none.
    notes : tuple of str
        Which rows were left out, and what figures rest on.
    """

    ids: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    classes: tuple[str, ...]
    proba: np.ndarray = field(repr=False)
    thresholds: np.ndarray
    joint: np.ndarray
    suggested: np.ndarray = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def flagged(self) -> np.ndarray:
        """Rows whose label is confidently contradicted, int64; the widest margin between the two first."""
        rows = np.flatnonzero((self.suggested != "") & (self.suggested != self.labels))
        return rows[np.argsort(-self.margin[rows], kind="stable")]

    @property
    def margin(self) -> np.ndarray:
        """Probability of the suggested class less that of the label, float64 of shape (n,); 0 without suggestion."""
        place = {name: k for k, name in enumerate(self.classes)}
        rows = np.arange(len(self.ids))
        own = self.proba[rows, [place[label] for label in self.labels.tolist()]]
        other = self.proba[rows, [place.get(label, 0) for label in self.suggested.tolist()]]
        return np.where(self.suggested == "", 0.0, other - own)

    @property
    def share(self) -> float:
        """Estimated share of wrong labels, in [0, 1]: what lies off the diagonal of `joint`."""
        return float(1.0 - np.trace(self.joint))

    @property
    def accuracy(self) -> float:
        """Share of samples for which the likeliest class is the label."""
        return float(np.mean(np.array(self.classes)[self.proba.argmax(axis=1)] == self.labels))

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON knows it; of the samples only those that are flagged."""
        flagged, margin = self.flagged, self.margin
        return {
            "n_samples": len(self.ids),
            "classes": list(self.classes),
            "accuracy": self.accuracy,
            "share": self.share,
            "thresholds": self.thresholds.tolist(),
            "joint": self.joint.tolist(),
            "flagged": [
                {"id": str(self.ids[i]), "label": str(self.labels[i]), "suggested": str(self.suggested[i]),
                 "margin": float(margin[i])}
                for i in flagged.tolist()
            ],
            "notes": list(self.notes),
        }  # fmt: skip


def find_label_noise(
    features: Features,
    split: str | None = None,
    *,
    copies: Iterable[Sequence[str]] = (),
    n_folds: int = 5,
    random_state: int = 0,
    progress: Progress | None = None,
) -> LabelNoise:
    """Find samples whose label a linear head contradicts with confidence, having been trained on other samples.

    Parameters
    ----------
    features : Features
        With labels.
    split : str, optional
        A split, or several joined by ``+``; by default all rows. Rows whose pictures the weights of a block were
        trained on are left out in any case: a network that has learned a wrong label by heart confirms it.
    copies : iterable of sequences of str
        Ids that show one picture, as an audit finds them. They stay in one fold, as do equal files and groups: else a
        copy would vote for its own label.
    n_folds : int
        At least 2.
    random_state : int
        Draws the folds.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    LabelNoise

    Raises
    ------
    DataError
        If there are fewer than two folds, or fewer than two classes have a sample in each fold's training part.
    UnknownNameError
        If there is no such split.

    Notes
    -----
    The head is multinomial logistic regression; its cost is found in the first fold's training rows, by held-out
    log-loss, and kept. It knows no more of faces than its features do: a flag is a reason to look, not a verdict, and
    faces that are hard are flagged more often than others.
    """
    if n_folds < 2:
        msg = f"Labels are judged in 2 folds at least, got n_folds={n_folds!r}."
        raise DataError(msg)
    rows, notes = _rows(features, split)
    units = _units(rows, copies)
    folds = _folds(rows.y, units, n_folds, random_state)
    classes = np.unique(rows.y)
    if len(classes) < 2 or any(len(np.unique(rows.y[folds != fold])) < len(classes) for fold in range(n_folds)):
        few = {str(name): len(np.unique(units[rows.y == name])) for name in classes}
        told = ", ".join(f"{name} ({n})" for name, n in few.items())
        msg = (
            f"Label noise is found in {n_folds} folds, which needs two classes and different pictures of each in all "
            f"of them; here are {told}. Drop rare classes, or take more splits."
        )
        raise DataError(msg)
    proba = np.empty((len(rows), len(classes)))
    cost: Any = "auto"
    for fold in range(n_folds):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        trained = take_rows(rows.X, inside)  # of memory maps no row is read here
        scaler = BlockScaler(rows.blocks).fit(trained)
        head = make_head("softmax", C=cost, random_state=random_state)
        head.fit(scaler.transform(trained), rows.y[inside], groups=units[inside])
        cost = head.C_
        if len(outside):
            proba[outside] = head.predict_proba(scaler.transform(take_rows(rows.X, outside)))
        if progress is not None:
            progress(fold + 1, n_folds, "label noise")
    found = np.searchsorted(classes, rows.y)
    counts, thresholds, confident = confident_joint(found, proba)
    return LabelNoise(
        ids=rows.ids,
        labels=rows.y,
        classes=tuple(classes.tolist()),
        proba=proba,
        thresholds=thresholds,
        joint=_calibrated(counts, found),
        suggested=np.where(confident < 0, "", classes[confident]),
        notes=notes,
    )


def features_of(faces: FaceSet, features: Features) -> Features:
    """Return the features of `faces`, with the labels, splits and groups that these have now.

    Raises
    ------
    DataError
        If no id of the features is one of the faces.
    """
    place = {str(name): i for i, name in enumerate(faces.ids.tolist())}
    at = np.array([place.get(name, -1) for name in features.ids.tolist()], dtype=np.intp)
    known = at >= 0
    if not known.any():
        msg = (
            f"None of the {len(features):,} ids of the features is one of the {len(faces):,} faces of {faces.name}: "
            "they are of another data set."
        )
        raise DataError(msg)
    rows = at[known]
    return replace(features.take(known), y=faces.labels[rows], splits=faces.splits[rows], groups=faces.groups[rows])


def confident_joint(labels: np.ndarray, proba: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count samples by their label and by the class that is confidently predicted [1]_.

    The threshold t_j is the mean of p_j over the samples that are labelled j. A sample counts as j where p_j is the
    largest of those probabilities that reach their thresholds; where none does, it does not count.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        Place of each label among the K classes.
    proba : ndarray of float, shape (n, K)
        Out of sample.

    Returns
    -------
    counts : ndarray of int64, shape (K, K)
        Row: label; column: confident class. What lies off the diagonal is flagged.
    thresholds : ndarray of float64, shape (K,)
        Infinite for a class without samples.
    confident : ndarray of int64, shape (n,)
        The confident class, -1 where there is none.

    References
    ----------
    .. [1] C. Northcutt, L. Jiang and I. Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70
       (2021), equations 1 to 3; what is flagged is their method "C_confusion" (section 3.2).
    """
    K = proba.shape[1]
    sizes = np.bincount(labels, minlength=K)
    sums = np.bincount(labels, proba[np.arange(len(labels)), labels], minlength=K)
    thresholds = np.divide(sums, sizes, out=np.full(K, np.inf), where=sizes > 0)
    reached = np.where(proba >= thresholds, proba, -1.0)
    confident = np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), -1)
    counts = np.zeros((K, K), dtype=np.int64)
    known = confident >= 0
    np.add.at(counts, (labels[known], confident[known]), 1)
    return counts, thresholds, confident


def _calibrated(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the joint distribution: rows are scaled to the number of samples of each label (their equation 3).

    Of a label of which no sample was confident nothing is known; it is taken to be right.
    """
    known = np.where(counts.sum(axis=1, keepdims=True) > 0, counts, np.eye(len(counts)))
    rows = known / known.sum(axis=1, keepdims=True) * np.bincount(labels, minlength=len(counts))[:, None]
    return rows / rows.sum()


def _rows(features: Features, split: str | None) -> tuple[Features, tuple[str, ...]]:
    """Return the labelled rows that no weights have seen, and notes."""
    rows = features if split is None else features.split(split)
    notes = []
    seen = rows.seen()
    known = np.logical_or.reduce([np.zeros(len(rows), dtype=bool), *seen.values()])
    judged = (rows.y != "") & ~known
    if known.any():
        notes.append(
            f"{np.sum(known):,} of {len(rows):,} rows are left out: the weights of "
            f"{', '.join(name for name, mask in seen.items() if mask.any())} were trained on these pictures."
        )
    told = [name for name in rows.blocks if name not in seen]
    if told:
        notes.append(
            f"It is not recorded which pictures the weights of {', '.join(told)} were trained on. If they have seen "
            "the judged ones, take other splits: what a network has learned by heart it confirms."
        )
    if not judged.any():
        msg = f"None of {len(rows):,} rows has a label and pictures that no weights were trained on: nothing to judge."
        raise DataError(msg)
    return rows.take(judged), tuple(notes)


def _units(rows: Features, copies: Iterable[Sequence[str]]) -> np.ndarray:
    """Return numbers (n,) that are equal where rows share a picture or a group, directly or over others."""
    place = {str(name): i for i, name in enumerate(rows.ids.tolist())}
    pairs: list[tuple[int, int]] = []
    for values in (rows.digests, rows.groups):
        first: dict[str, int] = {}
        pairs += [(i, first.setdefault(value, i)) for i, value in enumerate(values.tolist()) if value]
    for ids in copies:
        known = [place[name] for name in ids if name in place]
        pairs += [(known[0], other) for other in known[1:]]
    a, b = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(a), dtype=bool), (a, b)), shape=(len(rows), len(rows)))
    return connected_components(graph, directed=False)[1]


def _folds(y: np.ndarray, units: np.ndarray, n_folds: int, random_state: int) -> np.ndarray:
    """Return the fold of each row (n,): units whole, spread evenly over the label of each one's first row."""
    _, first, inverse = np.unique(units, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(random_state).permutation(len(first))
    order = np.lexsort((shuffled, np.unique(y[first], return_inverse=True)[1]))
    folds = np.empty(len(first), dtype=np.intp)
    folds[order] = np.arange(len(first)) % n_folds
    return folds[inverse]
