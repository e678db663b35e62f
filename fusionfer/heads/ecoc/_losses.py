"""Binary losses: what it costs a class that a learner's score contradicts its side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fusionfer.exceptions import unknown_name

__all__ = ["BINARY_LOSSES", "binary_loss"]

_LARGEST = 709.0  # exp of more is infinite, and a sum of infinities cannot be compared


def _hamming(m: np.ndarray) -> np.ndarray:
    return (1.0 - np.sign(m)) / 2.0


def _linear(m: np.ndarray) -> np.ndarray:
    return (1.0 - m) / 2.0


def _logistic(m: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, -m) / (2.0 * np.log(2.0))


def _exponential(m: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(-m, _LARGEST)) / 2.0


def _binodeviance(m: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, -2.0 * m) / (2.0 * np.log(2.0))


def _hinge(m: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - m) / 2.0


def _quadratic(m: np.ndarray) -> np.ndarray:
    return (1.0 - m) ** 2 / 2.0


#: Name -> loss as a function of the margin, 1/2 at 0. All but hamming fall strictly (hinge: up to a margin of 1;
#: quadratic: over its range, -1 to 1).
BINARY_LOSSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "hamming": _hamming,
    "linear": _linear,
    "logistic": _logistic,
    "exponential": _exponential,
    "binodeviance": _binodeviance,
    "hinge": _hinge,
    "quadratic": _quadratic,
}


def binary_loss(name: str, side: np.ndarray | float, score: np.ndarray) -> np.ndarray:
    """Loss g(y, s) of score s for a class on side y, in the constants of MATLAB (docs/ecoc.md) [1]_.

    ============ ==================================== ======================
    name         g(y, s)                              scores
    ============ ==================================== ======================
    hamming      (1 - sign(y s)) / 2                  any
    linear       (1 - y s) / 2                        any
    logistic     log(1 + exp(-y s)) / (2 log 2)       any ("logit" there)
    exponential  exp(-y s) / 2                        any
    binodeviance log(1 + exp(-2 y s)) / (2 log 2)     any
    hinge        max(0, 1 - y s) / 2                  any
    quadratic    (1 - y (2 s - 1))^2 / 2              posteriors, 0 to 1
    ============ ==================================== ======================

    All are 1/2 where the score says nothing. Logarithms of exponentials are taken in the form that does not overflow;
    the exponential loss ends at exp(709) / 2.

    Parameters
    ----------
    name : str
        Of the table.
    side : ndarray or float
        +1 or -1; broadcast against `score`.
    score : ndarray of float64
        Scores for the positive side; for quadratic its probability.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    UnknownNameError
        If there is no such loss.

    References
    ----------
    .. [1] MathWorks, documentation of predict (ClassificationECOC), section "Binary Loss".

    Examples
    --------
    >>> binary_loss("hinge", -1, np.array([0.5, -3.0])).tolist()
    [0.75, 0.0]
    """
    if name not in BINARY_LOSSES:
        raise unknown_name("binary loss", name, BINARY_LOSSES, plural="binary losses")
    margin = 2.0 * score - 1.0 if name == "quadratic" else score
    return BINARY_LOSSES[name](side * margin)
