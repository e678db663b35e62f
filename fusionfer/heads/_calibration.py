"""Platt scaling: from the score of a binary learner to a probability."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

__all__ = ["apply_platt", "fit_platt", "held_out_folds"]


def fit_platt(scores: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Find slope and offset such that expit(slope * score + offset) is the probability of the positive class.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
        Scores of rows that the learner has not seen.
    positive : ndarray of bool, shape (n,)
        Which rows are of the positive class.
    weight : ndarray of float64, shape (n,)
        Weight of each row, at least 0. Only their ratios count: they are brought to mean 1 over the rows that have
        any, so that the targets depend on how many rows there are and not on the unit of the weights.

    Returns
    -------
    slope, offset : float
        The slope is never negative: a score that ranks backwards on held-out rows carries no information, and is given
        the slope 0 instead of a reversed decision.

    References
    ----------
    .. [1] J. Platt (1999). Probabilistic outputs for support vector machines. Targets (N+ + 1) / (N+ + 2) and
       1 / (N- + 2) instead of 1 and 0, section 3.
    .. [2] H.-T. Lin, C.-J. Lin, R. C. Weng (2007). A note on Platt's probabilistic outputs for support vector machines.
       Machine Learning 68, 267-276: the loss in the form that does not overflow, equation 13.
    """
    weight = weight / weight[weight > 0].mean()
    n_positive, n_negative = weight[positive].sum(), weight[~positive].sum()
    target = np.where(positive, (n_positive + 1.0) / (n_positive + 2.0), 1.0 / (n_negative + 2.0))
    size = np.sqrt(np.average(scores**2, weights=weight)) or 1.0  # one scale for slope and offset

    def loss(ab: np.ndarray) -> tuple[float, np.ndarray]:
        f = ab[0] * scores / size + ab[1]
        residual = weight * (expit(f) - target)
        return weight @ (np.logaddexp(0.0, f) - target * f), np.array([residual @ scores / size, residual.sum()])

    prior = np.log((n_positive + 1.0) / (n_negative + 1.0))
    found = minimize(loss, np.array([1.0, prior]), jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)])
    return found.x[0] / size, found.x[1]


def apply_platt(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Probability of the positive class for scores (n, L), with slope and offset of each learner (L, 2)."""
    return expit(scores * calibration[:, 0] + calibration[:, 1])


def held_out_folds(y: np.ndarray, n_folds: int, rng: np.random.RandomState) -> np.ndarray:
    """Return a fold number for each row, (n,): shuffled, and every class spread as evenly as its count allows.

    Unlike scikit-learn's StratifiedKFold this never fails: with fewer rows than folds some folds lack the class.
    """
    order = np.lexsort((rng.permutation(len(y)), y))
    folds = np.empty(len(y), dtype=np.intp)
    folds[order] = np.arange(len(y)) % n_folds
    return folds
