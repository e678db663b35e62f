"""Which estimators can be written as ONNX operators, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from fusionfer.export._decision import Decision
from fusionfer.export._graph import Graph, Value
from fusionfer.export._kernels import nystroem, rbf
from fusionfer.export._linear import ecoc, softmax
from fusionfer.export._sklearn import learner, transformer
from fusionfer.export._trees import boosted
from fusionfer.fusion import BlockScaler
from fusionfer.heads import HEADS, ECOCClassifier, NystroemSVMClassifier, RBFSVMClassifier, SoftmaxClassifier
from fusionfer.selection import HybridSelector

__all__ = ["SMOOTH", "decide", "final", "scaled"]

Output = tuple[Value, list[int | str]]

#: Name of a head -> what writes it.
_HEADS: dict[str, Callable[[Graph, Any, Value], Decision]] = {
    "ecoc": ecoc,
    "svm-linear": ecoc,
    "softmax": softmax,
    "svm-rbf": rbf,
    "svm-nystroem": nystroem,
    "xgb": boosted,
    "xgb-wn": boosted,
}

#: Heads whose probabilities are smooth functions of the features: `LinearSVMClassifier` is an `ECOCClassifier`.
SMOOTH = (ECOCClassifier, SoftmaxClassifier, RBFSVMClassifier, NystroemSVMClassifier)


def decide(
    graph: Graph, estimator: Any, classes: tuple[str, ...], X: Value
) -> dict[str, tuple[Value, list[int | str]]]:
    """Add an estimator to a graph.

    Parameters
    ----------
    graph : Graph
    estimator : scikit-learn classifier
        Fitted.
    classes : tuple of str
        Names of its classes.
    X : Value of float32, shape (n, d)

    Returns
    -------
    dict of str to tuple
        ``label`` and, where the head gives them, ``probabilities`` (float32), each with its shape.

    Raises
    ------
    ModelError
        If a part of it cannot be written as ONNX operators; the error names it.
    """
    decision = _decision(graph, estimator, X)
    label = graph.op("Gather", graph.constant(np.array(classes)), decision.index, axis=0)
    outputs: dict[str, Output] = {"label": (label, ["n"])}
    if decision.proba is not None:
        outputs["probabilities"] = (decision.proba.cast(np.float32), ["n", len(classes)])
    return outputs


def final(estimator: Any) -> Any:
    """Return the classifier at the end of an estimator."""
    if isinstance(estimator, HybridSelector):
        return final(estimator.estimator_)
    return final(estimator[-1]) if isinstance(estimator, Pipeline) else estimator


def scaled(estimator: Any, X: np.ndarray) -> np.ndarray:
    """Return features as the classifier at the end of an estimator is given them."""
    if isinstance(estimator, HybridSelector):
        return scaled(estimator.estimator_, X[:, estimator.columns_])
    if isinstance(estimator, Pipeline):
        for step in estimator[:-1]:
            X = X if step is None or step == "passthrough" else step.transform(X)
        return scaled(estimator[-1], X)
    return X


def _decision(graph: Graph, estimator: Any, X: Value) -> Decision:
    if isinstance(estimator, HybridSelector):
        kept = np.arange(estimator.n_features_in_)[estimator.columns_]
        return _decision(graph, estimator.estimator_, X.take(kept, 1))
    if isinstance(estimator, Pipeline):
        for step in estimator[:-1]:
            X = _transformed(graph, step, X)
        return _decision(graph, estimator[-1], X)
    for name, write in _HEADS.items():
        if type(estimator) is HEADS[name].load():
            return write(graph, estimator, X)
    return learner(graph, estimator, X)


def _transformed(graph: Graph, step: Any, X: Value) -> Value:
    if step is None or step == "passthrough":
        return X
    if type(step) is BlockScaler:  # in float32, as there
        return (X - step.mean_.astype(X.dtype)) * step.factor_.astype(X.dtype)
    return transformer(graph, step, X)
