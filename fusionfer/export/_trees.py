"""Boosted trees as ONNX operators (``xgb-wn``, ``xgb``), and where two rows of features part in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.export._decision import Decision
from fusionfer.export._graph import Graph, Value

__all__ = ["Crossing", "Forest", "boosted"]

_CHUNK = 1 << 20  # pairs of row and tree that are walked at once


@dataclass(frozen=True)
class Crossing:
    """A split at which two nearly equal rows go different ways.

    Attributes
    ----------
    row, tree, node, column : int
    threshold, first, second : float
        The split sends values below its threshold to the left; one of the two rows is below it, the other is not.
    """

    row: int
    tree: int
    node: int
    column: int
    threshold: float
    first: float
    second: float


@dataclass(frozen=True, eq=False)
class Forest:
    """All trees of a stock model, node by node.

    Attributes
    ----------
    tree, node, column, left, right, missing_left, output : ndarray of int64, shape (N,)
        Tree, its node, the column that it looks at, its children (-1: a leaf), where NaN goes, and the margin of its
        tree.
    value : ndarray of float32, shape (N,)
        Threshold; of a leaf its weight.
    start : ndarray of float32, shape (C,)
        Margins before the first tree.
    first : ndarray of int64, shape (trees,)
        Where each tree begins.
    """

    tree: np.ndarray
    node: np.ndarray
    column: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    output: np.ndarray
    value: np.ndarray
    start: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, head: Any) -> Forest:
        """Read the trees of a fitted boosted head."""
        # From the Booster, which was checked when it was built, and not from the head's own bytes.
        learner = json.loads(bytes(head.booster_.save_raw("json")))["learner"]
        model = learner["gradient_booster"]["model"]
        trees, outputs = model["trees"], model["tree_info"]
        sizes = [len(tree["left_children"]) for tree in trees]

        def joined(name: str, dtype: Any = np.int64) -> np.ndarray:
            return np.concatenate([np.array(tree[name], dtype=dtype) for tree in trees])

        start = np.array(json.loads(f"[{learner['learner_model_param']['base_score'].strip('[]')}]"), np.float32)
        if learner["objective"]["name"] == "binary:logistic":  # stored as a probability
            start = -np.log(1.0 / start - 1.0)
        n_outputs = max(1, int(learner["learner_model_param"]["num_class"]))
        return cls(
            tree=np.repeat(np.arange(len(trees)), sizes),
            node=np.concatenate([np.arange(size) for size in sizes]),
            column=joined("split_indices"),
            left=joined("left_children"),
            right=joined("right_children"),
            missing_left=joined("default_left"),
            output=np.repeat(np.array(outputs, np.int64), sizes),
            value=joined("split_conditions", np.float32),
            start=np.broadcast_to(start, n_outputs).astype(np.float32),
            first=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        )

    def crossings(self, first: np.ndarray, second: np.ndarray) -> list[Crossing]:
        """Find every tree in which two rows end in different leaves, and the split where they part.

        Parameters
        ----------
        first, second : ndarray of float32, shape (n, d)
            Features as the trees see them, finite.

        Returns
        -------
        list of Crossing
        """
        found: list[Crossing] = []
        step = max(1, _CHUNK // len(self.first))
        for start in range(0, len(first), step):
            rows = np.arange(start, min(start + step, len(first)))
            found += self._crossings(first, second, np.repeat(rows, len(self.first)), np.tile(self.first, len(rows)))
        return sorted(found, key=lambda one: (one.row, one.tree))

    def _crossings(self, first: np.ndarray, second: np.ndarray, rows: np.ndarray, at: np.ndarray) -> list[Crossing]:
        """Go down from the nodes `at`, at which both rows stand, as long as they go the same way."""
        found = []
        while len(rows):
            inner = self.left[at] != -1
            rows, at = rows[inner], at[inner]
            a, b = first[rows, self.column[at]], second[rows, self.column[at]]
            below, same = a < self.value[at], (a < self.value[at]) == (b < self.value[at])
            found += [
                Crossing(
                    row=int(rows[i]),
                    tree=int(self.tree[at[i]]),
                    node=int(self.node[at[i]]),
                    column=int(self.column[at[i]]),
                    threshold=float(self.value[at[i]]),
                    first=float(a[i]),
                    second=float(b[i]),
                )
                for i in np.flatnonzero(~same)
            ]
            rows, at, below = rows[same], at[same], below[same]
            at = self.first[self.tree[at]] + np.where(below, self.left[at], self.right[at])
        return found


def boosted(graph: Graph, head: Any, X: Value) -> Decision:
    """Margins of all trees; softmax in float32, as the head does it."""
    forest = Forest.of(head)
    leaf = forest.left == -1
    margins = graph.learner(
        "TreeEnsembleRegressor",
        X.cast(np.float32),
        dtype=np.float32,
        nodes_treeids=forest.tree,
        nodes_nodeids=forest.node,
        nodes_featureids=forest.column,
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LT").tolist(),
        nodes_values=np.where(leaf, np.float32(0), forest.value),
        nodes_truenodeids=np.where(leaf, 0, forest.left),
        nodes_falsenodeids=np.where(leaf, 0, forest.right),
        nodes_missing_value_tracks_true=forest.missing_left,
        target_treeids=forest.tree[leaf],
        target_nodeids=forest.node[leaf],
        target_ids=forest.output[leaf],
        target_weights=forest.value[leaf],
        n_targets=len(forest.start),
        base_values=forest.start,
        aggregate_function="SUM",
        post_transform="NONE",
    )
    if len(forest.start) == 1:
        margins = graph.concat([margins * 0.0, margins], 1)
    return Decision(margins.argmax(1), graph.softmax(margins))
