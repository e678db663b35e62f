"""Class priors and misclassification costs, as weights of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError

__all__ = ["check_cost", "class_priors", "side_costs", "weigh_by_prior"]


def class_priors(prior: Any, classes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the prior probability of each class.

    Parameters
    ----------
    prior : {"empirical", "uniform"}, array-like of shape (K,) or dict
        "empirical" is `shares`; an array follows the order of `classes`, a dict has every label. Brought to sum 1.
    classes : ndarray of shape (K,)
        Labels.
    shares : ndarray of float64, shape (K,)
        Share of each class in the weight of the rows.

    Returns
    -------
    ndarray of float64, shape (K,)
        Sums to 1.

    Raises
    ------
    DataError
        If classes are missing, unknown, or not more than 0.

    Examples
    --------
    >>> class_priors({"sad": 1, "happy": 3}, np.array(["happy", "sad"]), np.array([0.5, 0.5])).tolist()
    [0.75, 0.25]
    """
    if isinstance(prior, str):
        if prior == "empirical":
            return shares
        if prior == "uniform":
            return np.full(len(classes), 1.0 / len(classes))
        msg = f"A prior is 'empirical', 'uniform', an array with one number a class, or a dict; got {prior!r}."
        raise DataError(msg)
    if isinstance(prior, Mapping):
        labels = classes.tolist()
        if set(prior) != set(labels):
            msg = f"A prior has one number for each of the classes {labels}, got {list(prior)}."
            raise DataError(msg)
        prior = [prior[label] for label in labels]
    numbers = _numbers(prior, "A prior")
    if numbers.shape != classes.shape or not np.all(np.isfinite(numbers) & (numbers > 0)):
        msg = f"A prior has one finite number above 0 for each of the {len(classes)} classes, got {prior!r}."
        raise DataError(msg)
    return numbers / numbers.sum()


def weigh_by_prior(weight: np.ndarray, y_index: np.ndarray, prior: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Scale the weights (n,) of each class to its prior, as ``fitcecoc`` does; their sum stays as it is.

    `y_index` is the number of the class, or -1 for a row without weight.
    """
    return weight * np.append(prior / shares, 0.0)[y_index]


def check_cost(cost: Any, n_classes: int) -> np.ndarray:
    """Return a cost matrix as float64.

    Raises
    ------
    DataError
        If it is not (K, K) with 0 on the diagonal and finite numbers above 0 elsewhere.
    """
    numbers = _numbers(cost, "A cost matrix")
    off = ~np.eye(n_classes, dtype=bool)
    shaped = numbers.shape == off.shape
    if not (shaped and np.all(numbers[~off] == 0) and np.all(np.isfinite(numbers[off]) & (numbers[off] > 0))):
        msg = (
            f"A cost matrix has a row for each of the {n_classes} true classes and a column for each predicted one, 0 "
            f"on the diagonal and finite numbers above 0 elsewhere; got {cost!r}."
        )
        raise DataError(msg)
    return numbers


def side_costs(cost: np.ndarray, code: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Cost, for each class and learner, of scoring rows of the class on the wrong side.

    A learner confuses its two sides, not two classes. So, with the priors of the classes on a side brought to sum 1, a
    row of the positive side costs pi+ C pi-, one of the negative side pi- C pi+: the mean cost of mistaking a class of
    one side for one of the other, as in ``fitcecoc``. Each learner's costs are scaled such that the sum of weights of
    its rows stays as it is.

    Parameters
    ----------
    cost : ndarray of float64, shape (K, K)
        C, of true (row) and predicted (column) class.
    code : ndarray of int8, shape (K, L)
        Side of each class in each learner.
    prior : ndarray of float64, shape (K,)
        Share of each class in the weight of the rows.

    Returns
    -------
    ndarray of float64, shape (K, L)
        Factors for the weights of the rows; 1 where a class takes no part.

    Examples
    --------
    >>> cost = np.array([[0, 3], [1, 0]])
    >>> side_costs(cost, np.array([[-1], [1]]), np.array([0.5, 0.5])).ravel().tolist()
    [1.5, 0.5]
    """
    shares = [np.where(side, prior[:, None], 0.0) for side in (code > 0, code < 0)]
    masses = [share.sum(axis=0) for share in shares]
    positive, negative = (share / mass for share, mass in zip(shares, masses, strict=True))
    of_positive = np.einsum("kj,kl,lj->j", positive, cost, negative)
    of_negative = np.einsum("kj,kl,lj->j", negative, cost, positive)
    scale = (masses[0] + masses[1]) / (masses[0] * of_positive + masses[1] * of_negative)
    return np.where(code > 0, of_positive * scale, np.where(code < 0, of_negative * scale, 1.0))


def _numbers(given: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"{what} holds numbers, got {given!r}."
        raise DataError(msg) from error
