"""Labels that say how likely each class is, made of annotators' votes by published rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.images._complaints import shorten
from fusionfer.images._names import map_classes

__all__ = ["TARGETS", "SoftLabels", "vote_shares"]

#: Rules by which votes become what a network is to say.
TARGETS = ("majority", "probabilistic", "multi-target")

_ACCEPTABLE = 0.3  # share of the votes from which a choice is one of several right ones [Barsoum et al., section 3]
_ENOUGH = 0.75  # share of the votes at which the probabilistic rule looks no further
_MOST = 3  # choices that it takes


def vote_shares(votes: np.ndarray, rule: str, n_emotions: int | None = None) -> np.ndarray:
    """Turn votes into the share of each emotion, by a rule of FER+'s own code [1]_.

    By every rule, a choice that only one annotator made does not count. Of the votes that are left:

    - ``majority``: the choice with more than half is the only one.
    - ``probabilistic`` (their modes "crossentropy" and "probability"): choices are taken from the most votes down,
      equal ones together, until three quarters of the votes are taken, or three choices, or one that is no emotion;
      that one does not count, unless it has the most votes. Shares are the votes of those taken.
    - ``multi-target``: all choices with 30 % or more are equally right.

    A face has no label where what is taken has half of the votes or fewer, where it is more than three choices, or
    where the largest is no emotion. What votes there are for no emotion is left out of the shares.

    Parameters
    ----------
    votes : ndarray of int, shape (n, m)
        Of each face for each choice: the emotions, then choices that are none ("unknown", "not a face").
    rule : {"majority", "probabilistic", "multi-target"}
    n_emotions : int, optional
        How many of the choices are emotions; by default all.

    Returns
    -------
    ndarray of float64, shape (n, n_emotions)
        Rows sum to 1, or are 0 where there is no label. By "multi-target" what is right has equal shares.

    Raises
    ------
    UnknownNameError
        If there is no such rule.

    References
    ----------
    .. [1] E. Barsoum, C. Zhang, C. Canton Ferrer and Z. Zhang, "Training deep networks for facial expression
       recognition with crowd-sourced label distribution", ICMI 2016, section 3; ``_process_data`` of
       https://github.com/microsoft/FERPlus.

    Examples
    --------
    >>> votes = np.array([[5, 3, 1, 1]])
    >>> [vote_shares(votes, rule).round(3).tolist()[0] for rule in TARGETS]
    [[1.0, 0.0, 0.0, 0.0], [0.625, 0.375, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]]
    """
    if rule not in TARGETS:
        raise unknown_name("rule for targets", rule, TARGETS, plural="rules")
    counted = np.where(votes > 1, votes, 0)
    n = votes.shape[1] if n_emotions is None else n_emotions
    kinds, which = np.unique(counted, axis=0, return_inverse=True)  # 10 votes fall in a few thousand ways
    shares = np.zeros((len(kinds), n))
    for one, row in zip(shares, kinds, strict=True):
        taken = _taken(row, rule, n)
        if 2 * taken.sum() > row.sum() and np.count_nonzero(taken) <= _MOST and taken.argmax() < n:
            one[:] = taken[:n] > 0 if rule == "multi-target" else taken[:n]
            one /= one.sum()
    return shares[which.ravel()]


def _taken(row: np.ndarray, rule: str, n_emotions: int) -> np.ndarray:
    """Return the votes (m,) of the choices that the rule takes, 0 elsewhere."""
    if rule == "majority":
        return np.where(2 * row > row.sum(), row, 0)
    if rule == "multi-target":
        return np.where(row >= _ACCEPTABLE * row.sum(), row, 0)
    taken = np.zeros_like(row)
    done = 0
    for count in sorted(set(row.tolist()) - {0}, reverse=True):
        if done >= _ENOUGH * row.sum() or np.count_nonzero(taken) >= _MOST:
            break
        for choice in np.flatnonzero(row == count).tolist():
            if choice >= n_emotions:
                if not taken.any():
                    taken[choice] = count
                return taken
            taken[choice] = count
            done += count
    return taken


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """How likely each class is for each face; to train on in the place of one label.

    Attributes
    ----------
    ids : tuple of str
        Of the faces.
    classes : tuple of str
    shares : ndarray of float64, shape (n, n_classes)
        Rows sum to 1.
    rule : {"probabilistic", "multi-target"}
        What a network is to say: these shares, or any class that has one.
    name : str
        Where they came from; used in messages only.

    Raises
    ------
    DataError
        If shapes do not fit or rows are no shares.

    Examples
    --------
    >>> soft = SoftLabels(("a",), ("contempt", "fear", "sad"), np.array([[0.2, 0.2, 0.6]]), "probabilistic")
    >>> soft.mapped({"contempt": ""}).take(["a"], ["fear", "sad"]).tolist()
    [[0.25, 0.75]]
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    shares: np.ndarray = field(repr=False)
    rule: str
    name: str = "soft labels"

    def __post_init__(self) -> None:
        if self.rule not in TARGETS[1:]:
            raise unknown_name("rule for soft labels", self.rule, TARGETS[1:], plural="rules")
        sums = np.ones(1) if not self.shares.size else self.shares.sum(axis=1)
        if self.shares.shape != (len(self.ids), len(self.classes)) or len(set(self.ids)) < len(self.ids):
            msg = (
                f"{self.name}: {len(self.ids):,} ids, all different, and {len(self.classes)} classes need shares of "
                f"shape ({len(self.ids)}, {len(self.classes)}), got {self.shares.shape}."
            )
            raise DataError(msg)
        if not (np.all(self.shares >= 0) and np.allclose(sums, 1.0, atol=1e-6)):
            msg = f"{self.name}: each row of the shares must be numbers from 0 that sum to 1."
            raise DataError(msg)

    def mapped(self, classes: Mapping[str, str]) -> SoftLabels:
        """Rename, join or drop classes, as `read_faces` does it to labels; what is left of each row sums to 1.

        Parameters
        ----------
        classes : mapping of str to str
            From class to new class; an empty one drops it. Faces of which nothing is left are dropped.

        Raises
        ------
        UnknownNameError
            If there is no such class.
        """
        new = map_classes(list(self.classes), classes)
        names = [new.get(name, name) for name in self.classes]
        kept = tuple(sorted(set(names) - {""}))
        joined = np.array([[name == one for one in kept] for name in names], dtype=np.float64).reshape(len(names), -1)
        shares = self.shares @ joined
        sums = shares.sum(axis=1)
        left = sums > 0
        ids = tuple(one for one, stays in zip(self.ids, left.tolist(), strict=True) if stays)
        return replace(self, ids=ids, classes=kept, shares=shares[left] / sums[left, None])

    def take(self, ids: Sequence[str] | np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """Return the shares of some faces, in their order and in the order of `classes`.

        Other classes are left out, and what is left of each row sums to 1. Copies that were made of a face
        (``<id>#aug<k>``) have its shares.

        Returns
        -------
        ndarray of float32, shape (len(ids), len(classes))

        Raises
        ------
        DataError
            If a face has none, or none of these classes.
        """
        place = {name: i for i, name in enumerate(self.ids)}
        names = [str(one) for one in ids]
        rows = [place.get(name, place.get(name.partition("#aug")[0], -1)) for name in names]
        column = {name: k for k, name in enumerate(self.classes)}
        nothing = np.zeros((1, len(self.classes) + 1))
        table = np.vstack([np.pad(self.shares, [(0, 0), (0, 1)]), nothing])  # of unknown faces and classes, at -1
        found = table[rows][:, [column.get(str(name), -1) for name in classes]]
        sums = found.sum(axis=1, keepdims=True)
        missing = [name for name, known in zip(names, (sums > 0).ravel().tolist(), strict=True) if not known]
        if missing:
            msg = (
                f"{self.name}: {len(missing):,} of {len(names):,} faces have no share in any of the classes "
                f"{', '.join(map(str, classes))}: {shorten(missing)}."
            )
            raise DataError(msg)
        return (found / sums).astype(np.float32)
