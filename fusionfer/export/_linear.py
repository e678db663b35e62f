"""Linear heads as ONNX operators: ``softmax``, ``ecoc``, ``svm-linear``."""

from __future__ import annotations

import numpy as np

from fusionfer.exceptions import ModelError
from fusionfer.export._coupling import couple
from fusionfer.export._decision import Decision
from fusionfer.export._graph import Graph, Value
from fusionfer.heads import ECOCClassifier, SoftmaxClassifier

__all__ = ["calibrated", "ecoc", "softmax"]

_LARGEST = 709.0  # exp of more is infinite


def softmax(graph: Graph, head: SoftmaxClassifier, X: Value) -> Decision:
    """Scores, and the probabilities that are proportional to their exponentials."""
    scores = _scores(graph, X, head.coef_, head.intercept_)
    return Decision(scores.argmax(1), graph.softmax(scores))


def ecoc(graph: Graph, head: ECOCClassifier, X: Value) -> Decision:
    """Scores of all learners, decoded to a class; posteriors coupled to probabilities.

    Raises
    ------
    ModelError
        If the head has learners of the user's own.
    """
    if head.learner is not None:
        msg = (
            f"ECOCClassifier with learner={head.learner!r} cannot be exported to ONNX; with its own linear learners "
            "(learner=None) it can."
        )
        raise ModelError(msg)
    code, loss = np.asarray(head.code_matrix_), head.binary_loss_
    raw = _scores(graph, X, head.coef_, head.intercept_)
    logits = None
    if hasattr(head, "calibration_"):
        logits = raw * head.calibration_[:, 0] + head.calibration_[:, 1]
    real = logits if loss == "quadratic" and head.loss != "logistic" and logits is not None else raw
    if len(code) == 2:
        decided = real * code[:, 0]
    elif np.array_equal(code, 2 * np.eye(len(code)) - 1) and loss != "hamming":
        decided = real
    else:
        decided = -_average_losses(graph, graph.sigmoid(real) if loss == "quadratic" else real, code, head)
    if logits is None or not head.probability:  # of the latter, the quadratic loss alone goes by posteriors
        return Decision(decided.argmax(1), None)
    return Decision(decided.argmax(1), calibrated(graph, logits, code, head.learner_weight_))


def calibrated(graph: Graph, logits: Value, code: np.ndarray, weight: np.ndarray) -> Value:
    """Probabilities of the classes (n, K) from the log-odds of the learners (n, L)."""
    posteriors = graph.sigmoid(logits)
    if len(code) == 2:
        second = posteriors if code[1, 0] > 0 else 1.0 - posteriors
        return graph.concat([1.0 - second, second], 1)
    return couple(graph, posteriors, code, weight)


def _scores(graph: Graph, X: Value, coef: np.ndarray, intercept: np.ndarray) -> Value:
    """X @ coef.T + intercept, float64.

    The Python heads round the weights to the dtype of X, and so does this; products are float64 here.
    """
    weights = graph.constant(coef.T, X.dtype).cast(np.float64)
    return X.cast(np.float64) @ weights + intercept


def _average_losses(graph: Graph, scores: Value, code: np.ndarray, head: ECOCClassifier) -> Value:
    """Average binary loss of each class, (n, K); see `fusionfer.heads.ecoc`."""
    margin = scores * 2.0 - 1.0 if head.binary_loss_ == "quadratic" else scores
    positive, negative = (code > 0).astype(np.float64), (code < 0).astype(np.float64)
    total = _loss(graph, head.binary_loss_, margin) @ positive.T + _loss(graph, head.binary_loss_, -margin) @ negative.T
    sides = np.count_nonzero(code, axis=1).astype(np.float64)
    if head.decoding == "lossweighted":
        return total / sides
    return (total + 0.5 * (code.shape[1] - sides)) / float(code.shape[1])


def _loss(graph: Graph, name: str, m: Value) -> Value:
    """A binary loss as a function of the margin."""
    if name == "hamming":
        return (1.0 - graph.op("Sign", m)) * 0.5
    if name == "linear":
        return (1.0 - m) * 0.5
    if name in ("logistic", "binodeviance"):
        m = m if name == "logistic" else m * 2.0
        # log(1 + exp(-m)) in the form that does not overflow
        soft = graph.op("Max", -m, 0.0) + graph.op("Log", graph.op("Exp", -graph.op("Abs", m)) + 1.0)
        return soft / (2.0 * np.log(2.0))
    if name == "exponential":
        return graph.op("Exp", graph.op("Min", -m, _LARGEST)) * 0.5
    if name == "hinge":
        return graph.op("Max", 1.0 - m, 0.0) * 0.5
    rest = 1.0 - m
    return rest * rest * 0.5
