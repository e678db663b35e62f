"""Platt scaling of many binary learners at once: from their scores to probabilities."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

__all__ = ["CALIBRATION_FOLDS", "apply_sigmoid", "fit_sigmoid"]

CALIBRATION_FOLDS = 3  # a learner is fitted on two thirds of the rows, and scored on the third that was left out

_STEPS = 100
_GRADIENT = 1e-10  # a share of the weight, in units of the standardised scores


def fit_sigmoid(scores: np.ndarray, sides: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Find slope and offset such that expit(slope * score + offset) is the probability of the positive side.

    The two numbers of a learner minimise the weighted cross-entropy, a convex function of both, by Newton's method
    with halved steps; learners are done one after the other, in float64.

    Parameters
    ----------
    scores : ndarray of float64, shape (n, L)
        Scores of rows that the learners have not seen.
    sides : ndarray, shape (n, L)
        +1 or -1; 0 where a row takes no part in a learner.
    weight : ndarray of float64, shape (n,)
        Weight of each row, at least 0. Only their ratios count: they are brought to mean 1 over the rows that have
        any, so that the targets depend on how many rows there are and not on the unit of the weights.

    Returns
    -------
    ndarray of float64, shape (L, 2)
        Slope and offset. The slope is never negative: a score that ranks backwards on held-out rows carries no
        information, and is given the slope 0 instead of a reversed decision.

    References
    ----------
    .. [1] J. Platt (1999). Probabilistic outputs for support vector machines. Targets (N+ + 1) / (N+ + 2) and
       1 / (N- + 2) instead of 1 and 0, section 3.
    .. [2] H.-T. Lin, C.-J. Lin, R. C. Weng (2007). A note on Platt's probabilistic outputs for support vector machines.
       Machine Learning 68, 267-276: Newton's method (algorithm 1), and the loss in the form that does not overflow
       (equation 13).

    Examples
    --------
    >>> scores = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> found = fit_sigmoid(scores, np.sign(scores), np.ones(4))
    >>> apply_sigmoid(scores, found).round(2).ravel().tolist()
    [0.21, 0.34, 0.66, 0.79]
    """
    found = np.empty((scores.shape[1], 2))
    for j in range(scores.shape[1]):
        part = (sides[:, j] != 0) & (weight > 0)
        found[j] = _fit_one(scores[part, j], sides[part, j] > 0, weight[part] / weight[part].mean())
    return found


def apply_sigmoid(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Probability of the positive side for scores (n, L), with slope and offset of each learner (L, 2)."""
    return expit(scores * calibration[:, 0] + calibration[:, 1])


def _fit_one(scores: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    n_positive, n_negative = weight[positive].sum(), weight[~positive].sum()
    target = np.where(positive, (n_positive + 1.0) / (n_positive + 2.0), 1.0 / (n_negative + 2.0))
    flat = float(logit(np.average(target, weights=weight)))  # the best offset where the slope is 0
    size = float(np.sqrt(np.average(scores**2, weights=weight)))
    if size == 0:
        return 0.0, flat
    s = scores / size

    def loss(a: float, b: float) -> float:
        f = a * s + b
        return float(weight @ (np.logaddexp(0.0, f) - target * f))

    a, b = 0.0, flat
    value = loss(a, b)
    for _ in range(_STEPS):
        p = expit(a * s + b)
        residual, curvature = weight * (p - target), weight * p * (1.0 - p)
        g_a, g_b = residual @ s, residual.sum()
        if max(abs(g_a), abs(g_b)) <= _GRADIENT * weight.sum():
            break
        h_ab = curvature @ s
        # Scores that do not vary leave the slope open; the lift then picks the smallest.
        lift = 1e-12 * weight.sum()
        h_aa, h_bb = curvature @ s**2 + lift, curvature.sum() + lift
        determinant = h_aa * h_bb - h_ab**2
        d_a, d_b = (h_ab * g_b - h_bb * g_a) / determinant, (h_ab * g_a - h_aa * g_b) / determinant
        step, slope = 1.0, g_a * d_a + g_b * d_b
        while step > 1e-10 and loss(a + step * d_a, b + step * d_b) > value + 1e-4 * step * slope:
            step *= 0.5
        if step <= 1e-10:
            break  # rounding is the limit
        a, b = a + step * d_a, b + step * d_b
        value = loss(a, b)
    return (a / size, b) if a > 0 else (0.0, flat)
