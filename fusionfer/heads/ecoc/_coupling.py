"""Coupling: from the posteriors of the learners to those of the classes, by Kullback-Leibler divergence."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

__all__ = ["couple"]

_EDGE = 1e-12  # posteriors of 0 and 1 would make divergences infinite
_TOLERANCE = 1e-9  # of the gradient, where the weights of the learners sum to 1
_STEPS = 100
_LONGEST = 4.0  # step in log p
_SIZES = (1.0, 0.25, 0.05)  # shares of a step that are tried
_CHUNK = 1 << 22  # values of a (rows, learners) array that is worked on at once


def couple(posteriors: np.ndarray, code: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Class probabilities p that agree best with what the learners say.

    With r_j the posterior of the positive side of learner j, and that which p implies,

        q_j(p) = sum_k [m_kj = +1] p_k / sum_k [m_kj != 0] p_k,

    p minimises sum_j w_j (r_j log(r_j / q_j) + (1 - r_j) log((1 - r_j) / (1 - q_j))) [1]_, [2]_, over all rows at once.
    From equal probabilities, each step is the best of some in the logarithms of p: Newton's and Fisher's scoring, whole
    and shortened, and the minorisation [3]_

        p_k <- p_k sum_j w_j ([m_kj = +1] r_j / a_j + [m_kj = -1] (1 - r_j) / b_j)
                   / sum_j w_j [m_kj != 0] / (a_j + b_j),

    a_j and b_j being the sums of p over the two sides, which never raises the divergence.

    Parameters
    ----------
    posteriors : ndarray of float64, shape (n, L)
        r, from 0 to 1.
    code : ndarray of int8, shape (K, L)
        Side m of each class in each learner.
    weight : ndarray of float64, shape (L,)
        w, above 0: how many rows, or which weight of rows, the learner was trained with.

    Returns
    -------
    ndarray of float64, shape (n, K)
        Rows sum to 1.

    References
    ----------
    .. [1] T. Hastie, R. Tibshirani (1998). Classification by pairwise coupling. Annals of Statistics 26(2), 451-471;
       equation 8 for one against one.
    .. [2] B. Zadrozny (2001). Reducing multiclass to binary by coupling probability estimates. NIPS 14, 1041-1048:
       any coding matrix.
    .. [3] T.-K. Huang, R. Weng, C.-J. Lin (2006). Generalized Bradley-Terry models and multi-class probability
       estimates. Journal of Machine Learning Research 7, 85-115; algorithm 1.

    Examples
    --------
    >>> code = 2 * np.eye(3) - 1
    >>> couple(np.array([[0.7, 0.2, 0.1]]), code, np.ones(3)).round(6).tolist()
    [[0.7, 0.2, 0.1]]
    """
    sides = _Sides(code, weight)
    step = max(1, _CHUNK // max(code.shape[1], code.shape[0] ** 2))
    parts = [_couple_chunk(posteriors[at : at + step], sides) for at in range(0, len(posteriors), step)]
    return np.concatenate(parts) if parts else np.empty((0, code.shape[0]))


class _Sides:
    """A coding matrix as indicators, and their products class by class, for sums over learners."""

    def __init__(self, code: np.ndarray, weight: np.ndarray) -> None:
        self.weight = weight / weight.sum()
        self.positive = (code > 0).astype(np.float64)
        self.negative = (code < 0).astype(np.float64)
        self.either = self.positive + self.negative
        self.pp = self._products(self.positive, self.positive)
        self.nn = self._products(self.negative, self.negative)
        cross = self._products(self.positive, self.negative)
        self.pn = cross + cross.reshape(len(cross), len(code), len(code)).swapaxes(1, 2).reshape(cross.shape)

    @staticmethod
    def _products(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return (A.T[:, :, None] * B.T[:, None, :]).reshape(A.shape[1], -1)


def _couple_chunk(posteriors: np.ndarray, sides: _Sides) -> np.ndarray:
    r = np.clip(posteriors, _EDGE, 1.0 - _EDGE)
    theta = np.zeros((len(r), len(sides.positive)))
    value = _divergence(theta, r, sides)
    active = np.arange(len(r))
    for _ in range(_STEPS):
        gradient, tried = _candidates(theta[active], r[active], sides)
        values = np.array([_divergence(candidate, r[active], sides) for candidate in tried])
        best = np.argmin(values, axis=0)
        here = np.arange(len(active))
        going = (np.max(np.abs(gradient), axis=1) > _TOLERANCE) & (values[best, here] < value[active])
        active, best, here = active[going], best[going], here[going]
        if not len(active):
            break
        theta[active], value[active] = tried[best, here], values[best, here]
    return softmax(theta, axis=1)


def _divergence(theta: np.ndarray, r: np.ndarray, sides: _Sides) -> np.ndarray:
    """The divergence of each row, less the part that does not depend on p."""
    p = softmax(theta, axis=1)
    a, b = _sums(p, sides)
    return (np.log(a + b) - r * np.log(a) - (1.0 - r) * np.log(b)) @ sides.weight


def _sums(p: np.ndarray, sides: _Sides) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the positive and the negative sides, kept off zero."""
    tiny = 1e-200
    return np.maximum(p @ sides.positive, tiny), np.maximum(p @ sides.negative, tiny)


def _candidates(theta: np.ndarray, r: np.ndarray, sides: _Sides) -> tuple[np.ndarray, np.ndarray]:
    """Gradient by log p (n, K), and log p after steps of Newton, of Fisher and of minorisation (many, n, K)."""
    n, K = theta.shape
    p = softmax(theta, axis=1)
    a, b = _sums(p, sides)
    w = sides.weight / (a + b)
    up = (sides.weight * r / a) @ sides.positive.T + (sides.weight * (1.0 - r) / b) @ sides.negative.T
    down = w @ sides.either.T
    gradient = p * (down - up)
    w2 = w / (a + b)
    fisher = (w2 * b / a) @ sides.pp + (w2 * a / b) @ sides.nn - w2 @ sides.pn
    newton = (sides.weight * r / a**2 - w2) @ sides.pp + (sides.weight * (1.0 - r) / b**2 - w2) @ sides.nn
    newton -= w2 @ sides.pn
    outer = p[:, :, None] * p[:, None, :]
    hessians = np.stack([newton, fisher]).reshape(2, n, K, K) * outer
    hessians[0] += gradient[:, :, None] * np.eye(K)
    # All logarithms may grow alike without changing p: ones fill that direction, in the Hessian's own size.
    size = np.maximum(np.trace(hessians[1], axis1=1, axis2=2), np.finfo(np.float64).tiny)[:, None, None]
    lifted = hessians + size * (np.ones((K, K)) + 1e-12 * np.eye(K))
    steps = np.linalg.solve(lifted, -gradient[:, :, None])[..., 0]
    moved = [theta + size * np.clip(step, -_LONGEST, _LONGEST) for step in steps for size in _SIZES]
    tried = np.stack([*moved, theta + np.log(up) - np.log(down)])
    return gradient, tried - tried.max(axis=2, keepdims=True)
