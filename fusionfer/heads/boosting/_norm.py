"""The size of a tree, and the step in which it enters: what "weight normalisation" means here."""

from __future__ import annotations

import json

import numpy as np

__all__ = ["NORMS", "bounds", "leaf_norms", "step_factors", "tree_norms"]

#: What `step_factors` knows, None beside it.
NORMS = ("bounded", "damped")


def tree_norms(outputs: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """Hessian-weighted norm of the leaf weights of each tree.

    With S_j and V_j the sums of dL/df and d2L/df2 over leaf j, and w_j its weight,

        ||w||_V = sqrt(sum_j V_j w_j^2 / sum_j V_j).

    For w_j = -S_j / V_j this is sqrt(sum_j S_j^2 / V_j / sum_j V_j): the paper's gain formula [1]_ over all leaves. As
    each row adds its h_i to the V_j of its leaf, the sums over leaves are sums over rows, and no leaf is looked up.

    Parameters
    ----------
    outputs : ndarray of float32, shape (n, C)
        What each of C trees gives for each row: w_j of its leaf.
    hessian : ndarray of float32, shape (n, C)
        d2L/df2 of each row.

    Returns
    -------
    ndarray of float64, shape (C,)
        In units of margins, at least 0.

    References
    ----------
    .. [1] Rajeshwari and Krishna Prasad (2024): gain 1/2 [S_L^2/V_L + S_R^2/V_R - S^2/V], leaf weight -S/V. The paper
       names weight normalisation without defining it; the norm is this project's.

    Examples
    --------
    >>> outputs, hessian = np.array([[3.0], [3.0], [-1.0]]), np.array([[1.0], [1.0], [6.0]])
    >>> tree_norms(outputs, hessian)  # sqrt((2 * 9 + 6 * 1) / 8)
    array([1.73205081])
    """
    squares = np.einsum("nc,nc,nc->c", hessian, outputs, outputs, dtype=np.float64)
    return np.sqrt(squares / hessian.sum(axis=0, dtype=np.float64))


def leaf_norms(model_json: bytes) -> np.ndarray:
    """Return the same norms from the trees themselves, where no process has all rows.

    XGBoost adds up the Hessians of all processes before it splits, and writes V_j and w_j into each leaf: whoever grew
    the tree gets the same norm to the bit, and nothing has to be sent.

    Parameters
    ----------
    model_json : bytes
        A model of XGBoost of one tree for each margin, with steps of 1.

    Returns
    -------
    ndarray of float64, shape (C,)
    """
    found = []
    for tree in json.loads(model_json)["learner"]["gradient_booster"]["model"]["trees"]:
        leaves = np.array(tree["left_children"]) == -1
        V, w = (np.array(tree[name], dtype=np.float64)[leaves] for name in ("sum_hessian", "split_conditions"))
        found.append(np.sqrt(np.sum(V * w**2) / V.sum()))
    return np.array(found)


def bounds(tau: float, lead: float, eta: float, covered: np.ndarray) -> np.ndarray:
    """Bound on the size of the next tree of each margin: `tau`, and more of it while little has been covered.

        tau_r = tau + lead / (10 eta) exp(-covered / lead)

    The way to the first good guess is long and needs no care: with tau alone it takes most of the rounds. The longest
    step, lead / 10 + eta tau, hardly depends on eta, so that a high rate does not make the first steps coarse.

    Parameters
    ----------
    tau : float
        Bound in the end, in units of margins, more than 0.
    lead : float
        How far long steps go, in units of margins; with 0 the bound is `tau` from the first tree on.
    eta : float
        Learning rate, more than 0.
    covered : ndarray of float64, shape (C,)
        Sum of the sizes of the steps so far, eta and bound counted.

    Returns
    -------
    ndarray of float64, shape (C,)

    Examples
    --------
    >>> bounds(0.05, 0.7, 0.2, np.array([0.0, 0.7, 70.0])).round(4).tolist()
    [0.4, 0.1788, 0.05]
    """
    if lead == 0:
        return np.full(len(covered), float(tau))
    return tau + lead / (10 * eta) * np.exp(-covered / lead)


def step_factors(norms: np.ndarray, eta: float, norm: str | None, tau: float | np.ndarray) -> np.ndarray:
    """What the leaf weights of each tree are multiplied with before the tree enters.

    - ``"bounded"``: eta / sqrt(1 + (||w||_V / tau)^2), so that the step is shorter than eta tau, whatever the tree;
    - ``"damped"``: eta / (1 + ||w||_V), the damped Newton step, shorter than eta;
    - None: eta.

    Parameters
    ----------
    norms : ndarray of float64, shape (C,)
        Of each tree.
    eta : float
        Learning rate.
    norm : {"bounded", "damped"} or None
        Which formula.
    tau : float or ndarray of float64, shape (C,)
        The bound, in units of margins; only for "bounded".

    Returns
    -------
    ndarray of float64, shape (C,)

    Examples
    --------
    >>> step_factors(np.array([0.0, 0.75, 3.0]), 0.5, "bounded", tau=1.0).round(4).tolist()
    [0.5, 0.4, 0.1581]
    >>> step_factors(np.array([0.0, 1.0, 3.0]), 0.5, "damped", tau=1.0).tolist()
    [0.5, 0.25, 0.125]
    """
    if norm == "bounded":
        return eta / np.hypot(1.0, norms / tau)
    if norm == "damped":
        return eta / (1.0 + norms)
    return np.full(len(norms), float(eta))
