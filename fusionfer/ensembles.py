"""Several classifiers as one: the weighted average of their probabilities, with weights found on validation data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, unknown_name

__all__ = ["METRICS", "average", "find_weights"]

METRICS = ("log_loss", "accuracy")

_SMALLEST = 1e-15  # a probability of zero for what then happens counts as this one
_ROUNDS = 50  # of lines towards every member; a handful is usual
_GAP = 1e-12  # the log loss that is found lies at most this far above the least there is


def average(
    probas: Sequence[Any], weights: Any = None, *, classes: Sequence[Sequence[str]] | None = None
) -> np.ndarray:
    """Return the weighted average of the members' probabilities.

    Parameters
    ----------
    probas : sequence of array-like of float, each of shape (n, K)
        Probabilities of each member for the same n samples; rows sum to 1.
    weights : array-like of float, shape (m,), optional
        One for each member, not negative; they are divided by their sum. By default equal.
    classes : sequence of sequences of str, optional
        Names of each member's columns. Members that name the same classes in another order are put into that of the
        first.

    Returns
    -------
    ndarray of float64, shape (n, K)
        Rows sum to 1.

    Raises
    ------
    DataError
        If the members have other classes or samples than each other, their rows are no probabilities, or the weights
        are not one for each member.

    Examples
    --------
    >>> average([[[0.8, 0.2]], [[0.4, 0.6]]], [3, 1])
    array([[0.7, 0.3]])
    """
    members = _stack(probas, classes)
    share = np.full(len(members), 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != (len(members),) or not np.isfinite(share).all() or share.min() < 0 or not share.sum():
        msg = (
            f"The {len(members)} members need as many weights, finite, not negative and not all zero; "
            f"got {np.array2string(share, threshold=10)}."
        )
        raise DataError(msg)
    # One product over all: no temporary of the members' size.
    return np.tensordot(share / share.sum(), members, axes=1)


def find_weights(
    probas: Sequence[Any],
    y_true: Any,
    *,
    metric: str = "log_loss",
    classes: Sequence[Sequence[str]] | None = None,
    random_state: int = 0,
) -> np.ndarray:
    """Find the weights with which the average of the members is best on validation data.

    Give it rows that no member was trained on; the figures of the average are then to be taken from yet other rows.

    Parameters
    ----------
    probas : sequence of array-like of float, each of shape (n, K)
        Probabilities of each member for the same n samples.
    y_true : array-like, shape (n,)
        The labels: names where `classes` are given, else the columns' numbers.
    metric : {"log_loss", "accuracy"}
        The mean of -log p of what is true, which is convex in the weights, so that its minimum is found up to 1e-12
        [1]_; or the share of samples whose largest average is that of the true class. That one is a step function:
        the best step of every line towards a member is found exactly [2]_, from several starts, which is the best of
        all weights for two members and may be a local one for more.
    classes : sequence of sequences of str, optional
        As for `average`.
    random_state : int
        Draws four of the starts for "accuracy".

    Returns
    -------
    ndarray of float64, shape (m,)
        Not negative; they sum to 1. Of equally good ones the most equal.

    Raises
    ------
    DataError
        As `average`; or if the labels are not n of the members' classes.
    UnknownNameError
        If there is no such metric.

    References
    ----------
    .. [1] Boyd and Vandenberghe, "Convex optimization", 2004, section 11.3 (the barrier method).
    .. [2] Och, "Minimum error rate training in statistical machine translation", ACL 2003, section 5.

    Examples
    --------
    >>> sure, unsure = [[0.9, 0.1], [0.1, 0.9]], [[0.5, 0.5], [0.5, 0.5]]
    >>> find_weights([sure, unsure], [0, 1])
    array([1., 0.])
    """
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    members = _stack(probas, classes)
    truth = _codes(y_true, members, classes)
    least_loss = _least_log_loss(members[:, np.arange(len(truth)), truth].T)
    return least_loss if metric == "log_loss" else _most_accurate(members, truth, least_loss, random_state)


def _stack(probas: Sequence[Any], classes: Sequence[Sequence[str]] | None) -> np.ndarray:
    members = [np.asarray(proba, dtype=np.float64) for proba in probas]
    if not members:
        msg = "An average needs at least one member, got none."
        raise DataError(msg)
    shapes = [member.shape for member in members]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2 or 0 in shapes[0]:
        msg = f"All members must give probabilities of one shape (samples, classes), got {', '.join(map(str, shapes))}."
        raise DataError(msg)
    for i, member in enumerate(members):
        # The negated comparisons are true for NaN, too.
        wrong = ~((member >= 0).all(axis=1) & (np.abs(member.sum(axis=1) - 1) <= 1e-3))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            msg = (
                f"Member {i} gives no probabilities in {int(wrong.sum())} of {len(member)} rows (first: row {row}, "
                f"{np.array2string(member[row], precision=4, threshold=10)}); they must not be negative and sum to 1."
            )
            raise DataError(msg)
    if classes is not None:
        members = _in_one_order(members, [tuple(map(str, names)) for names in classes])
    return np.stack(members)


def _in_one_order(members: list[np.ndarray], classes: list[tuple[str, ...]]) -> list[np.ndarray]:
    """Return the members with their columns in the order of the first one's classes."""
    first, n_columns = classes[0] if classes else (), members[0].shape[1]
    agree = all(len(names) == n_columns == len(set(names)) and set(names) == set(first) for names in classes)
    if not agree or len(classes) != len(members):
        told = "; ".join(f"member {i}: {', '.join(names)}" for i, names in enumerate(classes))
        msg = (
            f"All {len(members)} members must name the same {n_columns} classes, each once. {told or 'None do'}. "
            "Train them on one set of labels, or leave the odd one out."
        )
        raise DataError(msg)
    return [member[:, [names.index(name) for name in first]] for member, names in zip(members, classes, strict=True)]


def _codes(y_true: Any, members: np.ndarray, classes: Sequence[Sequence[str]] | None) -> np.ndarray:
    """Return the columns of the true classes, int (n,)."""
    labels = np.asarray(y_true)
    n, n_columns = members.shape[1:]
    if labels.shape != (n,):
        msg = f"The members give {n} samples, so there must be {n} labels, got shape {labels.shape}."
        raise DataError(msg)
    if classes is not None:
        column = {str(name): j for j, name in enumerate(classes[0])}
        codes = np.array([column.get(str(label), -1) for label in labels.tolist()])
        allowed = ", ".join(column)
    else:
        whole = labels.dtype.kind in "iu"
        codes = np.where((labels >= 0) & (labels < n_columns), labels, -1) if whole else np.full(n, -1)
        allowed = f"whole numbers from 0 to {n_columns - 1}"
    if (codes < 0).any():
        msg = f"Labels must be {allowed}; got {labels[codes < 0].tolist()[0]!r} and {int((codes < 0).sum()) - 1} more."
        raise DataError(msg)
    return codes.astype(np.intp)


def _least_log_loss(p: np.ndarray) -> np.ndarray:
    """Minimise -mean(log(p @ w)) over weights w >= 0 that sum to 1; p (n, m) are probabilities of what is true.

    Newton's method for the loss with a barrier, -t * sum(log(w)), for ever smaller t: there the loss is at most m * t
    above its minimum. Members that are equal share what one of them would get.
    """
    p, which, times = np.unique(np.maximum(p, _SMALLEST), axis=1, return_inverse=True, return_counts=True)
    m = p.shape[1]
    w = np.full(m, 1.0 / m)
    t = 1.0
    while m > 1 and t * m > _GAP:
        t = max(t / 10, _GAP / (2 * m))
        for _ in range(50):
            ratios = p / (p @ w)[:, None] * w  # rows sum to 1
            # In the unknowns z = step / w, in which the system stays well scaled where weights vanish.
            gradient = -ratios.mean(axis=0) - t
            hessian = ratios.T @ ratios / len(p) + t * np.eye(m)
            solved = np.linalg.solve(hessian, np.stack([-gradient, w], axis=1))
            z = solved[:, 0] - solved[:, 1] * (w @ solved[:, 0]) / (w @ solved[:, 1])  # so that steps sum to 0
            decrement = float(z @ hessian @ z)
            if decrement <= 1e-3 * t:
                break
            w = _damped(p, w, z, t, decrement)
    w[w < 1e-9] = 0.0
    return (w / w.sum() / times)[which]


def _damped(p: np.ndarray, w: np.ndarray, z: np.ndarray, t: float, decrement: float) -> np.ndarray:
    """Take as much of a Newton step as keeps the weights positive and lessens the loss with its barrier."""

    def value(w: np.ndarray) -> float:
        return float(-np.log(p @ w).mean() - t * np.log(w).sum())

    now, size = value(w), min(1.0, 0.99 / max(-z.min(), 1e-300))
    while size > 1e-12 and not value(w * (1 + size * z)) <= now - 0.1 * size * decrement + 1e-15:
        size /= 2
    stepped = w * (1 + size * z)
    return stepped / stepped.sum()


def _most_accurate(members: np.ndarray, truth: np.ndarray, least_loss: np.ndarray, seed: int) -> np.ndarray:
    """Search along the lines towards each member, from several starts, until none is better."""
    m = len(members)
    if m == 1:
        return np.ones(1)
    rng = np.random.default_rng(seed)
    single = np.eye(m)[(members.argmax(axis=2) == truth).sum(axis=1).argmax()]
    starts = [np.full(m, 1.0 / m), least_loss, single, *(rng.dirichlet(np.ones(m), 4) if m > 2 else [])]
    best = (-1.0, 0.0, starts[0])
    for w in starts:
        here = _rank(members, truth, w)
        for _ in range(_ROUNDS):
            found = max((_along(members, truth, here[2], j) for j in range(m)), key=lambda rank: rank[:2])
            if found[:2] <= here[:2]:
                break
            here = found
        best = max(best, here, key=lambda rank: rank[:2])
    return best[2]


def _rank(members: np.ndarray, truth: np.ndarray, w: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return what is to be largest: correct samples, then evenness; and the weights."""
    correct = float((np.tensordot(w, members, axes=1).argmax(axis=1) == truth).sum())
    return correct, round(-float(((w - 1 / len(w)) ** 2).sum()), 4), w


def _along(members: np.ndarray, truth: np.ndarray, w: np.ndarray, j: int) -> tuple[float, float, np.ndarray]:
    """Return the best rank on the line through `w` and member j alone, as far as weights are not negative.

    On the line every average is linear in the place x, so a sample is right on one interval of it. What is right most
    often is where most intervals overlap.
    """
    here = _rank(members, truth, w)
    if w[j] >= 1.0:  # the corner itself is no line; the line to the middle is as good as any
        direction = np.full(len(w), 1.0 / len(w)) - w
        left, right = 0.0, 1.0
    else:
        direction = -w
        direction[j] += 1.0
        left, right = -w[j] / (1 - w[j]), 1.0
    rows = np.arange(len(truth))
    at, slope = np.tensordot(w, members, axes=1), np.tensordot(direction, members, axes=1)
    ahead, gains = at[rows, truth][:, None] - at, slope[rows, truth][:, None] - slope
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -ahead / gains
    never = ((gains == 0) & ((ahead < 0) | ((ahead == 0) & (np.arange(at.shape[1]) < truth[:, None])))).any(axis=1)
    low = np.maximum(np.where(gains > 0, crossing, -np.inf).max(axis=1), left)
    high = np.minimum(np.where(gains < 0, crossing, np.inf).min(axis=1), right)
    usable = ~never & (low < high)
    places = np.unique(np.concatenate([[left, right], low[usable], high[usable]]))
    if len(places) < 2:
        return here
    changes = np.zeros(len(places), dtype=np.int64)
    np.add.at(changes, np.searchsorted(places, low[usable]), 1)
    np.add.at(changes, np.searchsorted(places, high[usable]), -1)
    overlaps = changes.cumsum()[:-1]
    top = np.flatnonzero(overlaps == overlaps.max())
    begin, end = places[top], places[top + 1]
    margin = 1e-3 * (end - begin)  # an end itself is a tie between two classes
    even = float((1 / len(w) - w) @ direction / (direction @ direction))
    candidates = np.clip(even, begin + margin, end - margin)
    x = candidates[np.argmin(np.abs(candidates - even))]
    point = np.maximum(w + x * direction, 0.0)
    return max(here, _rank(members, truth, point / point.sum()), key=lambda rank: rank[:2])
