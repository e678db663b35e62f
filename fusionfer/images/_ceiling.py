"""The ceiling that annotators' disagreement puts on accuracy, from their votes and from copies with several labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["CopiesCeiling", "VoteCeiling", "copies_ceiling", "label_ceiling"]

_Z = 1.959963984540054  # of the normal distribution, for 95 %

#: What stands in every ceiling, and how it is said.
_LEVELS = {
    "annotators": "another annotator",
    "others": "the best guess by the other annotators",
    "highest": "no predictor more than",
}

Interval = tuple[float, float]


@dataclass(frozen=True)
class VoteCeiling:
    """How often answers can agree with one annotator's vote; shares in [0, 1].

    Attributes
    ----------
    n : int
        Faces with two votes or more.
    annotators : float
        One annotator with another one.
    others : float
        The best guess by the votes of all the other annotators with the one that is left: what can be reached by who
        knows the face as well as they do. A new annotator's vote cannot be met less often by the best predictor.
    highest : float
        The most frequent vote of each face with all its votes: no predictor whatever agrees with these votes more.
    answered : dict of str to float
        Name of what was answered (predictions, labels) -> how often that agrees with a vote.
    intervals : dict of str to (float, float)
        Of each of these by its name, 95 %.
    """

    n: int
    annotators: float
    others: float
    highest: float
    intervals: dict[str, Interval]
    answered: dict[str, float] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON knows it."""

        def both(name: str, share: float) -> dict[str, Any]:
            return {"share": share, "interval": list(self.intervals[name])}

        found = {name: both(name, getattr(self, name)) for name in _LEVELS}
        return {"n": self.n, **found, "answered": {name: both(name, one) for name, one in self.answered.items()}}

    def sentence(self) -> str:
        """Say it in one sentence."""

        def said(words: str, name: str, share: float) -> str:
            low, high = self.intervals[name]
            return f"{words} {100 * share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"

        parts = [said(name, name, share) for name, share in self.answered.items()]
        parts += [said(words, name, getattr(self, name)) for name, words in _LEVELS.items()]
        return f"Agreement with one annotator's vote, {self.n:,} faces: {', '.join(parts)}."


@dataclass(frozen=True)
class CopiesCeiling:
    """What the labels of copies tell of the best accuracy that there can be; shares in [0, 1].

    Attributes
    ----------
    n : int
        Pictures that have several labelled copies.
    agreement : float
        Probability that two copies of a picture have one label.
    highest : float
        No predictor is right more often, if the assumptions of `copies_ceiling` hold.
    interval : (float, float)
        Of `highest`, 95 %.
    """

    n: int
    agreement: float
    highest: float
    interval: Interval

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON knows it."""
        return {"n": self.n, "agreement": self.agreement, "highest": self.highest, "interval": list(self.interval)}


def label_ceiling(
    votes: np.ndarray, answers: Mapping[str, np.ndarray] | None = None, groups: np.ndarray | None = None
) -> VoteCeiling:
    """Tell how often any predictor can agree with a vote of annotators who disagree.

    Let p_k be the probability that an annotator chooses k for a face. Who answers k agrees with a new vote with
    probability p_k, so at best with max_k p_k. Of N votes, n_k for k:

    - max_k n_k / N is on average at least max_k p_k (Jensen's inequality), and the exact ceiling for these N votes;
    - the most frequent of N - 1 votes agrees with the other one at most as often as max_k p_k, on average.

    So the ceiling for a new annotator lies between `VoteCeiling.others` and `VoteCeiling.highest`. Assumed is that
    votes are independent given the face, and faces a sample of those in question. Votes for other choices than those
    given are left out. It is a ceiling for labels that are made **as the votes are**; for other labels of the same
    faces it is one only as far as they are as if one of the annotators had given them.

    Parameters
    ----------
    votes : ndarray of int, shape (n, K)
        How many annotators chose each of the K answers that a predictor can give.
    answers : mapping of str to ndarray of int, shape (n,), optional
        What is answered, by name (predictions, labels): places among the K answers.
    groups : ndarray of str, shape (n,), optional
        Faces of one group (copies, a person) are not independent: intervals are as wide as that makes them.

    Returns
    -------
    VoteCeiling

    Raises
    ------
    DataError
        If no face has two votes, or shapes do not fit.

    Examples
    --------
    >>> label_ceiling(np.array([[10, 0], [5, 5]])).highest
    0.75
    """
    votes = np.asarray(votes, dtype=np.float64)
    given = dict(answers or {})
    if votes.ndim != 2 or any(np.shape(one) != votes.shape[:1] for one in given.values()):
        shapes = ", ".join(str(np.shape(one)) for one in [votes, *given.values()])
        msg = f"Votes must have the shape (faces, answers), and what is answered (faces,); got {shapes}."
        raise DataError(msg)
    enough = votes.sum(axis=1) >= 2
    if not enough.any():
        msg = f"None of {len(votes):,} faces has two votes or more for what can be answered: there is no ceiling."
        raise DataError(msg)
    counts = votes[enough]
    n = counts.sum(axis=1)
    values = {
        "annotators": (counts * (counts - 1)).sum(axis=1) / (n * (n - 1)),
        "others": _others(counts) / n,
        "highest": counts.max(axis=1) / n,
    }
    for name, one in given.items():
        values[name] = counts[np.arange(len(counts)), np.asarray(one)[enough]] / n
    units = None if groups is None else np.asarray(groups)[enough]
    found = {name: _mean(value, units) for name, value in values.items()}
    return VoteCeiling(
        n=len(counts),
        **{name: found[name][0] for name in _LEVELS},
        intervals={name: interval for name, (_, interval) in found.items()},
        answered={name: found[name][0] for name in given},
    )


def copies_ceiling(labels: Sequence[Sequence[str]], n_classes: int) -> CopiesCeiling:
    """Tell the best accuracy by how often copies of one picture have different labels.

    A predictor gives all copies of a picture one answer. With p_k the probability that a copy is labelled k, it is
    right with probability m = max_k p_k at best, and two copies agree with probability s = sum_k p_k^2. Of all p with
    this m, s is least where the others are equal: s >= m^2 + (1 - m)^2 / (K - 1), hence

        m <= (1 + sqrt((K - 1) (K s - 1))) / K,

    which is concave in s, so it holds for the means over pictures, too.

    Assumed is that copies were labelled independently of each other, and that pictures with copies are as hard as
    others. Where copies were collected by the same word or by one hand, they agree more than that, and the ceiling is
    too high.

    Parameters
    ----------
    labels : sequence of sequences of str
        Labels of the copies of each picture; pictures with fewer than two labelled copies are passed over.
    n_classes : int
        K, at least 2.

    Returns
    -------
    CopiesCeiling

    Raises
    ------
    DataError
        If no picture has two labelled copies.

    Examples
    --------
    >>> copies_ceiling([["sad", "sad"], ["sad", "fear"]], 2).agreement
    0.5
    """
    agreeing = []
    for one in labels:
        _, counts = np.unique([label for label in one if label], return_counts=True)
        n = counts.sum()
        if n >= 2:
            agreeing.append(float((counts * (counts - 1)).sum() / (n * (n - 1))))
    if not agreeing:
        msg = "No picture has two labelled copies: they tell no ceiling."
        raise DataError(msg)
    mean, (low, high) = _mean(np.array(agreeing), None)
    return CopiesCeiling(
        len(agreeing), mean, _largest(mean, n_classes), (_largest(low, n_classes), _largest(high, n_classes))
    )


def _others(counts: np.ndarray) -> np.ndarray:
    """Votes (n,) that the most frequent of the other votes agrees with; of equally frequent ones any is guessed."""
    hits = np.zeros(len(counts))
    for k in range(counts.shape[1]):
        rest = counts.copy()
        rest[:, k] -= 1
        best = rest == rest.max(axis=1, keepdims=True)
        hits += counts[:, k] * best[:, k] / best.sum(axis=1)
    return hits


def _largest(agreement: float, n_classes: int) -> float:
    """Return the largest probability that goes with this sum of squares of `n_classes` probabilities."""
    inside = (n_classes - 1) * (n_classes * agreement - 1)
    return float((1 + np.sqrt(max(inside, 0.0))) / n_classes)


def _mean(values: np.ndarray, groups: np.ndarray | None) -> tuple[float, Interval]:
    """Mean and its interval (95 %, in [0, 1]) by the normal distribution; groups vary together."""
    mean = float(values.mean())
    rest = values - mean
    if groups is not None:
        named = np.where(groups == "", [f"\0{i}" for i in range(len(groups))], groups)
        rest = np.bincount(np.unique(named, return_inverse=True)[1].ravel(), rest).astype(np.float64)
    n = len(rest)
    error = _Z * float(np.sqrt((rest**2).sum() * n / max(n - 1, 1))) / len(values)
    return mean, (max(mean - error, 0.0), min(mean + error, 1.0))
