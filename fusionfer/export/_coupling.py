"""Posteriors of binary learners coupled to those of the classes, as `fusionfer.heads` does it, as ONNX operators."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fusionfer.export._graph import Graph, Value

__all__ = ["couple"]

# The numbers of fusionfer.heads.ecoc._coupling, whose docstring has the formulas and their sources.
_EDGE, _TOLERANCE, _STEPS, _LONGEST, _SIZES, _TINY = 1e-12, 1e-9, 100, 4.0, (1.0, 0.25, 0.05), 1e-200


def couple(graph: Graph, posteriors: Value, code: np.ndarray, weight: np.ndarray) -> Value:
    """Class probabilities (n, K) that minimise the divergence from the posteriors (n, L), float64.

    The iteration is that of the Python head: each step is the best of Newton's, Fisher's and the minorisation. The
    linear systems are eliminated without pivoting: ONNX has no solver. Fisher's are positive definite, for which that
    is stable; a step of Newton's that comes out wrong is not taken, as it does not lower the divergence.

    Parameters
    ----------
    graph : Graph
    posteriors : Value of float64, shape (n, L)
    code : ndarray of int8, shape (K, L)
    weight : ndarray of float64, shape (L,)
    """
    sides = _Sides(np.asarray(code), weight / weight.sum())
    r = graph.op("Clip", posteriors, _EDGE, 1.0 - _EDGE)
    theta = r @ np.zeros(code.T.shape)
    value = _divergence(graph, theta, r, sides)

    def turn(inner: Graph, theta: Value, value: Value, active: Value) -> tuple[Value, ...]:
        held = Value(inner, r.name, r.dtype)
        gradient, tried = _candidates(inner, theta, held, sides)
        values = _divergence(inner, tried, held, sides)
        values = inner.where(inner.op("IsNaN", values), inner.constant(np.inf), values)
        best = (-values).argmax(0)
        least = -((-values).max(0))
        steep = inner.op("Abs", gradient).max(1) > _TOLERANCE
        going = active & steep & (least < value)
        place = inner.op("Expand", best.insert_axis(0).insert_axis(2), inner.op("Shape", theta.insert_axis(0)))
        moved = inner.op("GatherElements", tried, place, axis=0).reshape(-1, len(code))
        theta = inner.where(going.insert_axis(1), moved, theta)
        value = inner.where(going, least, value)
        return going.cast(np.int64).sum(0) > 0, theta, value, going

    active = graph.op("Equal", value, value)
    # Without rows there is no first turn: ONNX Runtime's sums of nothing have the wrong shape.
    some = graph.op("Shape", r, dtype=np.int64).take(0, 0) > 0
    theta, _, _ = graph.loop(_STEPS, some, [theta, value, active], turn)
    return graph.softmax(theta)


@dataclass(frozen=True)
class _Sides:
    """A coding matrix (K, L) as indicators, and their products class by class, for sums over learners."""

    code: np.ndarray
    weight: np.ndarray

    @cached_property
    def positive(self) -> np.ndarray:
        return (self.code > 0).astype(np.float64)

    @cached_property
    def negative(self) -> np.ndarray:
        return (self.code < 0).astype(np.float64)

    @cached_property
    def products(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of positive and positive, negative and negative, both: (L, K K) each."""
        P, N = self.positive.T, self.negative.T
        pairs = [A[:, :, None] * B[:, None, :] for A, B in [(P, P), (N, N), (P, N)]]
        pairs[2] = pairs[2] + pairs[2].swapaxes(1, 2)
        pp, nn, pn = (pair.reshape(len(P), -1) for pair in pairs)
        return pp, nn, pn


def _sums(graph: Graph, p: Value, sides: _Sides) -> tuple[Value, Value]:
    """Probability of the positive and the negative sides, kept off zero."""
    return graph.op("Max", p @ sides.positive, _TINY), graph.op("Max", p @ sides.negative, _TINY)


def _divergence(graph: Graph, theta: Value, r: Value, sides: _Sides) -> Value:
    """The divergence of each row, less the part that does not depend on p."""
    a, b = _sums(graph, graph.softmax(theta), sides)
    terms = graph.op("Log", a + b) - r * graph.op("Log", a) - (1.0 - r) * graph.op("Log", b)
    return (terms * sides.weight).sum(-1)


def _candidates(graph: Graph, theta: Value, r: Value, sides: _Sides) -> tuple[Value, Value]:
    """Gradient by log p (n, K), and log p after steps of Newton, of Fisher and of minorisation (many, n, K)."""
    K = len(sides.code)
    pp, nn, pn = sides.products
    p = graph.softmax(theta)
    a, b = _sums(graph, p, sides)
    w = graph.constant(sides.weight) / (a + b)
    from_a, from_b = r * sides.weight / a, (1.0 - r) * sides.weight / b
    up = from_a @ sides.positive.T + from_b @ sides.negative.T
    down = w @ (sides.positive + sides.negative).T
    gradient = p * (down - up)
    w2 = w / (a + b)
    fisher = (w2 * b / a) @ pp + (w2 * a / b) @ nn - w2 @ pn
    newton = (from_a / a - w2) @ pp + (from_b / b - w2) @ nn - w2 @ pn
    outer = p.insert_axis(2) * p.insert_axis(1)
    fisher, newton = fisher.reshape(-1, K, K) * outer, newton.reshape(-1, K, K) * outer
    newton = newton + gradient.insert_axis(2) * np.eye(K)
    # Ones fill the direction in which all logarithms grow alike, in the Hessian's own size.
    size = graph.op("Max", (fisher * np.eye(K)).sum(1, 2, keepdims=True), np.finfo(np.float64).tiny)
    lift = size * (np.ones((K, K)) + 1e-12 * np.eye(K))
    hessians = graph.concat([(newton + lift).insert_axis(0), (fisher + lift).insert_axis(0)], 0)
    steps = graph.op("Clip", _solved(hessians, -gradient, K), -_LONGEST, _LONGEST)
    # In the order of the Python head, which takes the first of equals.
    parts = [steps.take([which], 0) * share + theta for which in (0, 1) for share in _SIZES]
    parts.append((theta + graph.op("Log", up) - graph.op("Log", down)).insert_axis(0))
    tried = graph.concat(parts, 0)
    return gradient, tried - tried.max(2, keepdims=True)


def _solved(A: Value, b: Value, K: int) -> Value:
    """Return x (2, n, K) of A x = b for A (2, n, K, K) and b (n, K), by Gauss and Jordan's elimination."""
    graph = A.graph
    right = b.insert_axis(0).insert_axis(3)
    table = graph.concat([A, graph.concat([right, right], 0)], 3)
    for k in range(K):
        row, column = table.take([k], 2), table.take([k], 3)
        row = row / row.take([k], 3)
        table = table - (column - np.eye(K)[:, [k]]) * row
    return table.take(K, 3)
