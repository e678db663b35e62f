"""From one confusion matrix, every figure that the field reports; what is undefined says so instead of being zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["METRICS", "Scores", "SoftScores", "Undefined", "score", "score_shares"]

METRICS = ("accuracy", "precision", "recall", "specificity", "f1", "jaccard", "dice", "roc_auc")

_SMALLEST = 1e-15  # a probability of zero for what has a share counts as this one

_NO_SAMPLES = "no samples of this class"
_NEVER_PREDICTED = "never predicted"
_NOTHING_ELSE = "no samples of any other class"
_NEITHER = "no samples of this class, and never predicted"


class Undefined(NamedTuple):
    """One figure that has no value: which, of which class ("macro", "weighted" for an average), and why."""

    metric: str
    of: str
    reason: str


@dataclass(frozen=True, eq=False)
class Scores:
    """Every figure that follows from one confusion matrix.

    Only the matrix and the areas under the ROC curves are stored; the rest is computed from them, so that no two
    figures can contradict each other.

    Attributes
    ----------
    classes : tuple of str, length K
        Names of the classes, in the order of rows and columns.
    confusion : ndarray of int64, shape (K, K)
        Number of samples of class i (row, true) that were predicted as class j (column).
    auc : ndarray of float64, shape (K,), or None
        Area under the ROC curve of each class against the rest, in [0, 1]; None where no probabilities were given.

    Notes
    -----
    With TP, FP, FN and TN of one class against the rest, and n samples in all [1]_:

    ============ ======================== ==============================================
    figure       formula                  NaN if
    ============ ======================== ==============================================
    accuracy     (TP + TN) / n            never
    precision    TP / (TP + FP)           the class is never predicted
    recall       TP / (TP + FN)           it has no samples (recall = sensitivity)
    specificity  TN / (TN + FP)           no other class has samples
    f1, dice     2 TP / (2 TP + FP + FN)  it has no samples and is never predicted
    jaccard      TP / (TP + FP + FN)      it has no samples and is never predicted
    roc_auc      see `score`              it has no samples, or no other class has any
    ============ ======================== ==============================================

    Everything else is a true value; in particular f1, dice and jaccard are 0 (not NaN) for a class that has samples and
    is never predicted, and for one that is predicted without having samples. F1 and the Dice coefficient are the same
    number [2]_; both names are kept because both are reported.

    The macro average is the plain mean over the classes for which the figure is defined; the weighted average weighs
    these by their numbers of samples. `undefined` lists every NaN with its reason.

    References
    ----------
    .. [1] Sokolova, M., Lapalme, G. (2009). A systematic analysis of performance measures for classification tasks.
       Information Processing & Management 45(4), 427-437, tables 2 and 3.
    .. [2] Dice, L. R. (1945). Measures of the amount of ecologic association between species. Ecology 26(3), 297-302.

    Examples
    --------
    >>> scores = score(["joy", "joy", "fear", "anger"], ["joy", "fear", "fear", "fear"])
    >>> scores.classes
    ('anger', 'fear', 'joy')
    >>> scores.per_class["recall"]
    array([0. , 1. , 0.5])
    >>> scores.undefined
    (Undefined(metric='precision', of='anger', reason='never predicted'),)
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    auc: np.ndarray | None = None

    def __post_init__(self) -> None:
        classes = tuple(str(name) for name in self.classes)
        confusion = np.array(self.confusion, dtype=np.int64)
        auc = None if self.auc is None else np.array(self.auc, dtype=np.float64)
        K = len(classes)
        if len(set(classes)) != K:
            twice = sorted({name for name in classes if classes.count(name) > 1})
            msg = f"Classes are named more than once: {', '.join(twice)}."
            raise DataError(msg)
        if confusion.shape != (K, K) or (auc is not None and auc.shape != (K,)):
            msg = f"{K} classes need a confusion matrix of shape ({K}, {K}), not {confusion.shape}, and {K} areas."
            raise DataError(msg)
        if not confusion.sum() or confusion.min() < 0:
            msg = "There is nothing to score: the confusion matrix must hold at least one sample and no negative count."
            raise DataError(msg)
        for name, value in [("classes", classes), ("confusion", confusion), ("auc", auc)]:
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.confusion.sum())

    @property
    def support(self) -> np.ndarray:
        """Number of samples of each class, shape (K,)."""
        return self.confusion.sum(axis=1)

    @property
    def accuracy(self) -> float:
        """Share of samples that were predicted right, in [0, 1]."""
        return float(np.trace(self.confusion) / self.n)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have samples, in [0, 1]."""
        return self.macro["recall"]

    @property
    def roc_auc(self) -> float | None:
        """Macro average of the one-vs-rest areas under the ROC curve, in [0, 1]; None without probabilities."""
        return self.macro.get("roc_auc")

    @cached_property
    def per_class(self) -> dict[str, np.ndarray]:
        """Figures of each class: metric -> array of shape (K,), in [0, 1], NaN where undefined."""
        tp = np.diag(self.confusion)
        fp = self.confusion.sum(axis=0) - tp
        fn = self.support - tp
        tn = self.n - tp - fp - fn
        overlap = _ratio(2 * tp, 2 * tp + fp + fn)
        values = {
            "accuracy": (tp + tn) / self.n,
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "specificity": _ratio(tn, tn + fp),
            "f1": overlap,
            "jaccard": _ratio(tp, tp + fp + fn),
            "dice": overlap,
        }
        return values if self.auc is None else {**values, "roc_auc": self.auc}

    @cached_property
    def macro(self) -> dict[str, float]:
        """Plain mean over the classes for which each figure is defined, in [0, 1]; NaN if there is none."""
        return {metric: _mean(values, np.ones(len(values))) for metric, values in self.per_class.items()}

    @cached_property
    def weighted(self) -> dict[str, float]:
        """Mean over the classes for which each figure is defined, weighed by their samples; NaN if there is none."""
        return {metric: _mean(values, self.support) for metric, values in self.per_class.items()}

    @cached_property
    def undefined(self) -> tuple[Undefined, ...]:
        """Every figure without a value, with the reason; empty if there is none."""
        found = [
            Undefined(metric, self.classes[int(k)], self._reason(metric, int(k)))
            for metric, values in self.per_class.items()
            for k in np.flatnonzero(np.isnan(values))
        ]
        found += [
            Undefined(metric, name, "defined for no class that counts")
            for name, average in [("macro", self.macro), ("weighted", self.weighted)]
            for metric, value in average.items()
            if np.isnan(value)
        ]
        return tuple(found)

    def _reason(self, metric: str, k: int) -> str:
        if metric == "precision":
            return _NEVER_PREDICTED
        if metric in ("f1", "dice", "jaccard"):
            return _NEITHER
        return _NO_SAMPLES if self.support[k] == 0 else _NOTHING_ELSE

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON knows it: strings, numbers, lists, and None where a figure is undefined."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "balanced_accuracy": _json_number(self.balanced_accuracy),
            "roc_auc": _json_number(self.roc_auc),
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "per_class": {
                name: {
                    "support": int(self.support[k]),
                    **{metric: _json_number(values[k]) for metric, values in self.per_class.items()},
                }
                for k, name in enumerate(self.classes)
            },
            "macro": {metric: _json_number(value) for metric, value in self.macro.items()},
            "weighted": {metric: _json_number(value) for metric, value in self.weighted.items()},
            "undefined": [{"metric": u.metric, "of": u.of, "reason": u.reason} for u in self.undefined],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scores:
        """Return the scores that `to_dict` described.

        Raises
        ------
        DataError
            If `data` lacks classes or confusion matrix, or they do not fit each other.
        """
        try:
            classes = tuple(data["classes"])
            areas = [data["per_class"][name].get("roc_auc") for name in classes]
            known = any("roc_auc" in data["per_class"][name] for name in classes)
            confusion = np.array(data["confusion"], dtype=np.int64)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"These are no scores: {type(error).__name__}: {error}."
            raise DataError(msg) from error
        return cls(classes, confusion, np.array(areas, dtype=np.float64) if known else None)


def score(
    y_true: Sequence[Any] | np.ndarray,
    y_pred: Sequence[Any] | np.ndarray,
    proba: np.ndarray | None = None,
    classes: Sequence[Any] | np.ndarray | None = None,
) -> Scores:
    """Compare predictions with the truth.

    Parameters
    ----------
    y_true, y_pred : array-like of labels, shape (n,)
        True and predicted labels.
    proba : array-like of float, shape (n, K), optional
        Probability (or any score that grows with confidence) of each class, columns in the order of `classes`.
        From it comes the area under the ROC curve of each class against the rest: the probability that a random sample
        of the class scores higher than a random one of the others, ties counting half [1]_.
    classes : sequence of labels, length K, optional
        All classes, in the order to be shown; a class may be without samples. By default those that occur, sorted.

    Returns
    -------
    Scores

    Raises
    ------
    DataError
        If lengths differ, nothing is given, a label is none of `classes`, or `proba` has another shape or holds NaN.

    References
    ----------
    .. [1] Hanley, J. A., McNeil, B. J. (1982). The meaning and use of the area under a receiver operating
       characteristic (ROC) curve. Radiology 143(1), 29-36.

    Examples
    --------
    >>> score(["a", "a", "b"], ["a", "b", "b"], proba=[[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]).to_dict()["accuracy"]
    0.6666666666666666
    """
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.ndim != 1 or true.shape != predicted.shape or not len(true):
        msg = f"Truth and predictions must be two lists of one length, at least 1, not {true.shape}, {predicted.shape}."
        raise DataError(msg)
    labels = np.unique(np.concatenate([np.unique(true), np.unique(predicted)])) if classes is None else classes
    names = tuple(str(label) for label in labels)
    rows, columns = _positions(true, names, "true"), _positions(predicted, names, "predicted")
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (rows, columns), 1)
    return Scores(names, confusion, None if proba is None else _areas(rows, np.asarray(proba), names))


def _positions(labels: np.ndarray, names: tuple[str, ...], what: str) -> np.ndarray:
    """Return the position of each label in `names`."""
    position = {name: k for k, name in enumerate(names)}
    unique, inverse, counts = np.unique(labels.astype(np.str_), return_inverse=True, return_counts=True)
    strange = [
        f"{label!r} ({count})" for label, count in zip(unique.tolist(), counts, strict=True) if label not in position
    ]
    if strange:
        more = f" and {len(strange) - 10} more" if len(strange) > 10 else ""
        msg = f"Labels among the {what} ones that are none of the classes: {', '.join(strange[:10])}{more}. "
        msg += f"Classes: {', '.join(names)}."
        raise DataError(msg)
    return np.array([position[label] for label in unique.tolist()])[inverse]


def _areas(rows: np.ndarray, proba: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Return the one-vs-rest areas under the ROC curve by the rank formula, NaN where one side is empty."""
    if proba.shape != (len(rows), len(names)):
        msg = f"Probabilities must have the shape ({len(rows)}, {len(names)}): one row a sample, one column a class "
        msg += f"({', '.join(names)}), not {proba.shape}. Give `classes` if not every class occurs."
        raise DataError(msg)
    bad = np.flatnonzero(~np.isfinite(proba).all(axis=1))
    if len(bad):
        msg = f"Probabilities are NaN or infinite in {len(bad)} rows (first: {bad[0]})."
        raise DataError(msg)
    areas = np.full(len(names), np.nan)
    for k in range(len(names)):
        positive = rows == k
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        if n_positive and n_negative:
            _, inverse, counts = np.unique(proba[:, k], return_inverse=True, return_counts=True)
            ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # ties share their mean rank
            wins = ranks[positive].sum() - n_positive * (n_positive + 1) / 2
            areas[k] = wins / (n_positive * n_negative)
    return areas


@dataclass(frozen=True)
class SoftScores:
    """What probabilities are worth where several classes have a share in each sample.

    Attributes
    ----------
    n : int
        Samples.
    agreement : float
        Mean share of the class that was predicted: the accuracy against a label drawn by the shares.
    highest : float
        Mean of the largest share: what the best predictor agrees.
    acceptable : float
        Share of samples whose predicted class has any share.
    cross_entropy : float
        Mean of -sum_k t_k log q_k in nats, for shares t and probabilities q.
    entropy : float
        Mean of -sum_k t_k log t_k in nats: the least cross-entropy that there is.
    """

    n: int
    agreement: float
    highest: float
    acceptable: float
    cross_entropy: float
    entropy: float

    @property
    def divergence(self) -> float:
        """Mean Kullback-Leibler divergence of the probabilities from the shares, in nats; at least 0."""
        return self.cross_entropy - self.entropy

    def to_dict(self) -> dict[str, float]:
        """Return all figures, as JSON knows them."""
        return {**vars(self), "divergence": self.divergence}


def score_shares(shares: np.ndarray, proba: np.ndarray) -> SoftScores:
    """Compare probabilities with shares, such as those of annotators' votes.

    Parameters
    ----------
    shares, proba : ndarray of float, shape (n, K)
        Rows sum to 1; the columns are the same classes.

    Returns
    -------
    SoftScores

    Raises
    ------
    DataError
        If there is no sample, shapes differ, or probabilities are not finite.

    Examples
    --------
    >>> found = score_shares([[0.6, 0.4], [0.0, 1.0]], [[0.2, 0.8], [0.5, 0.5]])
    >>> found.agreement, found.highest, found.acceptable
    (0.2, 0.8, 0.5)
    """
    t, q = np.asarray(shares, dtype=np.float64), np.asarray(proba, dtype=np.float64)
    if t.ndim != 2 or t.shape != q.shape or not len(t) or not np.isfinite(q).all():
        msg = f"Shares and finite probabilities of the same shape (samples, classes) are compared; got {t.shape} and "
        msg += f"{q.shape}."
        raise DataError(msg)
    said = t[np.arange(len(t)), q.argmax(axis=1)]
    inside = np.where(t > 0, t, 1.0)
    return SoftScores(
        n=len(t),
        agreement=float(said.mean()),
        highest=float(t.max(axis=1).mean()),
        acceptable=float(np.mean(said > 0)),
        cross_entropy=float(-(t * np.log(np.maximum(q, _SMALLEST))).sum(axis=1).mean()),
        entropy=float(-(t * np.log(inside)).sum(axis=1).mean()) + 0.0,
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, with NaN where the denominator is zero."""
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean of the values that are not NaN; NaN if they weigh nothing."""
    defined = ~np.isnan(values)
    total = weights[defined].sum()
    return float(values[defined] @ weights[defined] / total) if total else float("nan")


def _json_number(value: float | None) -> float | None:
    """Return a plain float, or None for NaN, which JSON does not know."""
    return None if value is None or np.isnan(value) else float(value)
