"""Support vector machines with a Gaussian kernel as ONNX operators: ``svm-rbf`` and ``svm-nystroem``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fusionfer.export._decision import Decision
from fusionfer.export._graph import Graph, Value
from fusionfer.export._linear import calibrated, ecoc
from fusionfer.heads import NystroemSVMClassifier, RBFSVMClassifier

__all__ = ["nystroem", "rbf"]


def rbf(graph: Graph, head: RBFSVMClassifier, X: Value) -> Decision:
    """Scores of all pairs; the class with most votes wins, margins break ties."""
    pairs = np.asarray(head.pairs_)
    scores = _kernel(graph, head, X, head.support_vectors_) @ head.dual_coef_ + head.intercept_
    if len(pairs) == 2:
        index = (scores > 0.0).cast(np.int64).reshape(-1)
    else:
        won = (scores > 0.0).cast(np.float64)
        votes = won @ (pairs > 0).T.astype(float) + (1.0 - won) @ (pairs < 0).T.astype(float)
        sums = scores @ pairs.T.astype(float)
        index = (votes + sums / ((graph.op("Abs", sums) + 1.0) * 3.0)).argmax(1)
    if not hasattr(head, "calibration_"):
        return Decision(index, None)
    logits = scores * head.calibration_[:, 0] + head.calibration_[:, 1]
    return Decision(index, calibrated(graph, logits, pairs, head.pair_weight_))


def nystroem(graph: Graph, head: NystroemSVMClassifier, X: Value) -> Decision:
    """Features that approximate the kernel, and linear machines on them."""
    features = (_kernel(graph, head, X, head.landmarks_) @ head.map_).cast(X.dtype)
    return ecoc(graph, head.linear_, features)


def _kernel(graph: Graph, head: Any, X: Value, points: np.ndarray) -> Value:
    """exp(-gamma ||z - s||^2) of rows and `points`, float64 (n, m); products in the dtype of the points, as there."""
    Z = ((X.cast(np.float64) - head.shift_) * head.factor_).cast(points.dtype)
    norms = np.einsum("ij,ij->i", points, points, dtype=np.float64)
    own = Z.cast(np.float64)
    squares = (Z @ points.T).cast(np.float64) * -2.0 + norms + (own * own).sum(1, keepdims=True)
    return graph.op("Exp", graph.op("Max", squares, 0.0) * -head.gamma_)
