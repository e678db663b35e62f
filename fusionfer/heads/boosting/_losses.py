"""Log-loss of margins, its gradient and its Hessian; two classes have one margin, more have one each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["gradients", "log_loss", "probabilities", "start_margins"]

#: XGBoost's own floor: a Hessian of 0 would make the weight of a leaf -S / 0.
_LEAST_HESSIAN = np.float32(1e-16)


def start_margins(
    y: np.ndarray, weight: np.ndarray, n_classes: int, total: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Margins that give every row the (weighted) shares of the classes: the best constant.

    Bounded steps could need a hundred rounds to get from equal shares to those of a rare class.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
        Classes from 0 to ``n_classes - 1``, each with some weight.
    weight : ndarray of float64, shape (n,)
        Weight of each row.
    n_classes : int
        At least 2.
    total : callable, optional
        Adds the sums (n_classes,) of rows that lie elsewhere to those of the rows here.

    Returns
    -------
    ndarray of float32, shape (C,)
        ln p_k for each class, C = K; for two classes one, ln p_1 / p_0.
    """
    sums = np.bincount(y, weight, n_classes)
    sums = sums if total is None else total(sums)
    logs = np.log(sums / sums.sum())
    return (logs[1:] - logs[0] if n_classes == 2 else logs).astype(np.float32)


def probabilities(F: np.ndarray) -> np.ndarray:
    """Probability of each class, (n, K) float32, from margins F (n, C): softmax, or the logistic function for C = 1."""
    if F.shape[1] == 1:
        F = np.concatenate([np.zeros_like(F), F], axis=1)
    P = np.exp(F - F.max(axis=1, keepdims=True))
    P /= P.sum(axis=1, keepdims=True)
    return P


def gradients(F: np.ndarray, y: np.ndarray, weight: np.ndarray, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """First and second derivatives of each row's weighted log-loss by its margins.

    With p = softmax(F), row i of class y_i and weight s_i,

        dL/dF_ik = s_i (p_ik - [k = y_i]),    d2L/dF_ik^2 = s_i p_ik (1 - p_ik).

    Parameters
    ----------
    F : ndarray of float32, shape (n, C)
        Margins.
    y : ndarray of int, shape (n,)
        Classes.
    weight : ndarray of float32, shape (n,)
        Weight of each row, more than 0.
    factor : float
        The Hessian is multiplied with it. XGBoost's softmax has 2: an upper bound on what the other classes add, by
        which its steps are half as long.

    Returns
    -------
    gradient, hessian : ndarray of float32, shape (n, C)
    """
    P = probabilities(F)
    s = weight[:, None]
    if F.shape[1] == 1:
        P = P[:, 1:]
        gradient = P - y[:, None].astype(np.float32)
    else:
        gradient = P.copy()
        gradient[np.arange(len(y)), y] -= 1.0
    hessian = P * (1.0 - P)
    hessian *= s * np.float32(factor)
    gradient *= s
    return gradient, np.maximum(hessian, _LEAST_HESSIAN, out=hessian)


def log_loss(F: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Weighted mean of -ln p of each row's own class, in nats, from margins (n, C)."""
    if F.shape[1] == 1:
        losses = np.logaddexp(0.0, np.where(y == 1, -F[:, 0], F[:, 0]))
    else:
        top = F.max(axis=1)
        losses = np.log(np.exp(F - top[:, None]).sum(axis=1)) + top - F[np.arange(len(y)), y]
    return float(np.average(losses.astype(np.float64), weights=weight))
