"""Trees of several boosters, over codes of some columns each, put together as one stock model over all columns."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fusionfer.heads.boosting._binning import Bins
from fusionfer.heads.boosting._rounds import Forest

__all__ = ["column_gains", "stock_model", "tree_gains"]


def stock_model(forest: Forest, bins: Bins, n_features: int, n_classes: int) -> bytes:
    """Return the kept rounds of a forest as a stock model of XGBoost, in its JSON.

    Each tree is taken from its slice's booster; thresholds and numbers of columns are mapped back, and the leaf weights
    (``split_conditions`` of leaves, and ``base_weights``) are multiplied with the tree's factor, once. The sums of
    Hessians and the gains of splits stay those that the tree was grown with.

    Parameters
    ----------
    forest : Forest
    bins : Bins
        Of all columns.
    n_features, n_classes : int
        Of the model.

    Returns
    -------
    bytes
        What ``Booster.load_model(bytearray(...))`` or, from a file, ``Booster(model_file=...)`` reads.
    """
    n_outputs = len(forest.start)
    # A slice may not have had its turn yet.
    documents = [part.document() for part in forest.slices[: forest.best_round]]
    trees: list[dict[str, Any]] = []
    for number in range(forest.best_round):
        turn, which = divmod(number, len(forest.slices))
        grown = documents[which]["learner"]["gradient_booster"]["model"]["trees"]
        columns = forest.slices[which].columns
        for k in range(n_outputs):
            tree = grown[turn * n_outputs + k]
            _map_back(tree, columns, bins, forest.factors[number, k])
            tree["id"] = len(trees)
            tree["tree_param"]["num_feature"] = str(n_features)
            trees.append(tree)
    document = documents[0]
    learner = document["learner"]
    model = learner["gradient_booster"]["model"]
    model["trees"] = trees
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    model["tree_info"] = list(range(n_outputs)) * forest.best_round
    model["iteration_indptr"] = list(range(0, len(trees) + 1, n_outputs))
    learner["learner_model_param"].update(num_feature=str(n_features), base_score=_base_score(forest.start))
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def column_gains(model_json: bytes, n_features: int) -> np.ndarray:
    """Return the gains of all splits on each column, summed, (n_features,) float64, as XGBoost reports them."""
    gains = np.zeros(n_features)
    for tree in _trees(model_json):
        inner = np.array(tree["left_children"]) != -1
        columns, changes = np.array(tree["split_indices"])[inner], np.array(tree["loss_changes"])[inner]
        gains += np.bincount(columns.astype(np.intp), changes, n_features)
    return gains


def tree_gains(model_json: bytes, n_outputs: int) -> np.ndarray:
    """Return the paper's gain A of all splits of each tree, summed: half of what XGBoost reports, (rounds, C)."""
    return np.array([0.5 * sum(tree["loss_changes"]) for tree in _trees(model_json)]).reshape(-1, n_outputs)


def _trees(model_json: bytes) -> list[dict[str, Any]]:
    return json.loads(model_json)["learner"]["gradient_booster"]["model"]["trees"]


def _map_back(tree: dict[str, Any], columns: np.ndarray, bins: Bins, factor: np.float32) -> None:
    """Turn a tree over codes of a slice, with leaves of step 1, into one over values of all columns."""
    inner = np.array(tree["left_children"]) != -1
    split = np.zeros(len(inner), dtype=np.intp)
    split[inner] = columns[np.array(tree["split_indices"], dtype=np.intp)[inner]]
    conditions = np.array(tree["split_conditions"], dtype=np.float32)
    codes = np.rint(conditions[inner]).astype(np.intp)
    conditions[~inner] *= factor
    conditions[inner] = bins.thresholds(split[inner], codes)
    tree["split_indices"] = split.tolist()
    tree["split_conditions"] = _shortest(conditions)
    tree["base_weights"] = _shortest(np.array(tree["base_weights"], dtype=np.float32) * factor)


def _shortest(values: np.ndarray) -> list[float]:
    """Return float32 values with nine digits, which tell all of them apart: half the length in JSON."""
    return [float(text) for text in map("{:.9g}".format, values.tolist())]


def _base_score(start: np.ndarray) -> str:
    """Return the start as XGBoost stores it: a margin for each class, or for two classes a probability."""
    if len(start) == 1:
        start = 1.0 / (1.0 + np.exp(-start.astype(np.float64)))
    return f"[{','.join(f'{value:.9g}' for value in start.tolist())}]"
