"""Smooth losses along a line: the best step and intercept for each learner, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

__all__ = ["Binary", "Losses", "Point", "Quadratic", "Search", "Softmax", "best", "sides"]

_LEAP = 64.0  # an intercept moves by less at a time, where all rows are so far off that no loss curves


@dataclass(eq=False)
class Point:
    """Objective along a line, at one step and intercept: value, slope and curvature in these few variables.

    For the losses alone: minus their slopes in the scores, and their curvatures, one row a learner.
    """

    at: np.ndarray
    value: float
    slope: np.ndarray
    curvature: np.ndarray
    A: np.ndarray
    h: np.ndarray


#: Squared norms along a line: ww + 2 s wp + s^2 pp at step s.
Quadratic = tuple[float, float, float]
Losses = tuple[float, np.ndarray, np.ndarray]
#: Asks for points by step and intercepts, gets them, and returns the one to go to: whoever evaluates may do so for
#: many searches at a time.
Search = Generator[np.ndarray, Point, Point]


def _minimise(point: Point, free: slice, enough: Callable[[float], float]) -> Search:
    """Damped Newton steps in the `free` variables of a convex function, until one gains at most `enough(value)`."""
    for _ in range(60):
        slope, H = point.slope[free], point.curvature[free, free]
        unit = 1.0 / np.sqrt(np.maximum(np.diagonal(H), np.finfo(np.float64).tiny))
        step = -unit * np.linalg.lstsq(H * np.outer(unit, unit), unit * slope, rcond=1e-13)[0]
        gain = -float(slope @ step)
        if not enough(point.value) < gain < np.inf:
            break
        size = 1.0
        while True:
            at = point.at.copy()
            at[free] += size * step
            new = yield at
            # Where rounding hides the gain in value, the fall of the slope decides.
            if new.value <= point.value - 1e-4 * size * gain or (
                new.value <= point.value * (1 + 1e-14) and abs(new.slope[free] @ step) <= 0.9 * gain
            ):
                break
            size *= 0.5
            if size < 1e-10:
                return point
        point = new
    return point


def best(at: np.ndarray, moving: bool, before: float, precise: float) -> Search:
    """Minimise over step and intercepts: the step to 5 % of what it gains, as the next direction corrects it.

    The intercepts until what is left of their slope is less than `precise` of the value, since the proven gap rests
    on it.
    """
    point = yield at
    if moving:
        if not point.value <= before:
            point = yield np.concatenate([[0.0], at[1:]])
        point = yield from _minimise(point, slice(0, None), lambda value: 0.05 * max(before - value, 0.0))
    # A step gains slope^2 / curvature, and the curvature is at most of the size of all costs.
    weight = max(float(point.h.sum()), float(np.abs(point.slope[1:]).sum()) / _LEAP, float(np.finfo(np.float64).tiny))
    return (yield from _minimise(point, slice(1, None), lambda value: float(precise * value) ** 2 / weight))


def _found(search: Search, evaluate: Callable[[np.ndarray], Point]) -> Point:
    """Let one search have all that it asks for."""
    at = next(search)
    while True:
        try:
            at = search.send(evaluate(at))
        except StopIteration as stop:
            return stop.value


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """Inner product without BLAS, whose threads cost more than they bring at this length."""
    return float(np.einsum("i,i->", a, b))


def sides(y: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) in float64, and costs (n,), 0 where the label is 0: such a row takes no part."""
    return y.astype(np.float64), c * (y != 0)


class Binary:
    """Squared hinge or logistic loss; each learner is a group of its own.

    Parameters
    ----------
    loss : {"squared_hinge", "logistic"}
    Y : ndarray of int8, shape (R, n)
    costs : list of ndarray of shape (n,), R of them
    penalty : float
        Of the intercept: 0 or 1.
    """

    size = 1

    def __init__(self, loss: str, Y: np.ndarray, costs: list[np.ndarray], penalty: float) -> None:
        self.loss, self.Y, self.costs, self.penalty = loss, Y, costs, penalty

    def search(
        self,
        r: int,
        f: np.ndarray,
        u: np.ndarray | None,
        b: np.ndarray,
        quadratic: Quadratic,
        before: float,
        precise: float,
    ) -> Point:
        """Minimise the losses of learner `r` at f + s u + b, plus (ww + 2 s wp + s^2 pp) / 2, over s and b.

        Parameters
        ----------
        r : int
        f, u : ndarray of shape (1, n)
            Scores, and how they change; without `u`, only b is sought.
        b : ndarray of shape (1,)
            Where to begin.
        quadratic : tuple of three floats
            ww, wp and pp.
        before, precise : float
            Value at s = 0, and share of the value to which the slope in b must fall.
        """
        line = self.line(r, f, u)
        search = best(np.array([0.0 if u is None else 1.0, b[0]]), u is not None, before, precise)
        return _found(search, lambda at: self.complete(line(at), quadratic))

    def line(self, r: int, f: np.ndarray, u: np.ndarray | None) -> Callable[[np.ndarray], Point]:
        """Return what gives the losses alone of learner `r` at a step and intercept, over the rows that are here."""
        y, c = self.sides(r)
        yf = y * f[0]
        yu = np.zeros_like(yf) if u is None else y * u[0]

        def measure(at: np.ndarray) -> Point:
            s, intercept = at
            m = s * yu
            m += yf
            m += intercept * y
            value, a, h = self.losses(r, m, c)
            hu = h * yu
            cross = _dot(hu, y)
            slope = np.array([-_dot(a, yu), -_dot(a, y)])
            curvature = np.array([[_dot(hu, yu), cross], [cross, h.sum()]])
            return Point(at, value, slope, curvature, (a * y)[None], h[None])

        return measure

    def sides(self, r: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels (n,) of learner `r` in float64, and costs (n,), 0 where a row takes no part."""
        return sides(self.Y[r], self.costs[r])

    def losses(self, r: int, m: np.ndarray, c: np.ndarray) -> Losses:
        """Sum of the losses of learner `r` at margins `m` (n,) and costs `c`, minus their slopes, their curvatures."""
        return _squared_hinge(m, c) if self.loss == "squared_hinge" else _logistic(m, c)

    def complete(self, point: Point, quadratic: Quadratic) -> Point:
        """Add to the losses of all rows what does not depend on rows, in place."""
        ww, wp, pp = quadratic
        s, intercept = point.at
        point.value += 0.5 * (ww + s * (2.0 * wp + s * pp) + self.penalty * intercept**2)
        point.slope += [wp + s * pp, self.penalty * intercept]
        point.curvature[0, 0] += pp
        point.curvature[1, 1] = max(self.penalty + point.curvature[1, 1], abs(point.slope[1]) / _LEAP)
        return point

    def settle(self, point: Point) -> Point:
        """Return what was found as it is: the one intercept is unique as far as it matters."""
        return point


def _squared_hinge(m: np.ndarray, c: np.ndarray) -> Losses:
    """Sum of c max(0, 1 - m)^2, minus its slopes, and its curvatures."""
    short = np.maximum(1.0 - m, 0.0)
    a = 2.0 * c * short
    return 0.5 * _dot(a, short), a, 2.0 * c * (short > 0)


def _logistic(m: np.ndarray, c: np.ndarray) -> Losses:
    """Sum of c log(1 + exp(-m)), minus its slopes, and its curvatures; no exponent is positive."""
    e = np.exp(-np.abs(m))
    wrong = np.where(m > 0, e, 1.0) / (1.0 + e)
    value = _dot(c, np.log(1.0 + e) + np.maximum(-m, 0.0))
    a = c * wrong
    return value, a, a * (1.0 - wrong)


class Softmax:
    """Cross entropy of the softmax; the K rows of one problem are a group.

    Parameters
    ----------
    y_index : list of ndarray of int, shape (n,)
        Classes of the rows of each problem; -1 for none.
    costs : list of ndarray of shape (n,)
    size : int
        K.
    penalty : float
        Of the intercepts: 0 or 1.
    """

    def __init__(self, y_index: list[np.ndarray], costs: list[np.ndarray], size: int, penalty: float) -> None:
        self.y_index, self.costs, self.size, self.penalty = y_index, costs, size, penalty

    def _losses(self, g: int, S: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Sum of the losses at scores S (K, n); class probabilities; costs; costs where the class is the right one."""
        y = self.y_index[g]
        c = self.costs[g] * (y >= 0)
        top = S.max(axis=0)
        P = np.exp(S - top)
        total = P.sum(axis=0)
        at = np.maximum(y, 0)
        value = float(c @ (top + np.log(total) - np.take_along_axis(S, at[None], axis=0)[0]))
        P /= total
        right = np.zeros_like(P)
        np.put_along_axis(right, at[None], c[None], axis=0)
        return value, P, c, right

    def search(
        self,
        g: int,
        F: np.ndarray,
        U: np.ndarray | None,
        b: np.ndarray,
        quadratic: Quadratic,
        before: float,
        precise: float,
    ) -> Point:
        """Minimise over the step s and the intercepts (K,), as `Binary.search` does; F and U are (K, n)."""
        line = self.line(g, F, U)
        moving = U is not None
        search = best(np.concatenate([[float(moving)], b]), moving, before, precise)
        return self.settle(_found(search, lambda at: self.complete(line(at), quadratic)))

    def line(self, g: int, F: np.ndarray, U: np.ndarray | None) -> Callable[[np.ndarray], Point]:
        """Return what gives the losses alone of problem `g` at a step and intercepts, over the rows that are here."""
        U = np.zeros_like(F) if U is None else U.astype(np.float64)
        K = self.size

        def measure(at: np.ndarray) -> Point:
            s, intercept = at[0], at[1:]
            value, P, c, right = self._losses(g, F + s * U + intercept[:, None])
            cP = c * P
            A = right - cP
            PU = P * U
            mean = PU.sum(axis=0)
            slope = np.concatenate([[-np.sum(A * U)], -A.sum(axis=1)])
            H = np.empty((K + 1, K + 1))
            H[0, 0] = np.sum(c * (np.sum(PU * U, axis=0) - mean * mean))
            H[0, 1:] = H[1:, 0] = np.sum(cP * (U - mean), axis=1)
            H[1:, 1:] = -np.einsum("in,jn->ij", cP, P)
            H[1:, 1:] += np.diag(cP.sum(axis=1))
            return Point(at, value, slope, H, A, cP * (1.0 - P))

        return measure

    def complete(self, point: Point, quadratic: Quadratic) -> Point:
        """As `Binary.complete`."""
        ww, wp, pp = quadratic
        s, intercept = point.at[0], point.at[1:]
        point.value += 0.5 * (ww + s * (2.0 * wp + s * pp) + self.penalty * float(intercept @ intercept))
        point.slope += np.concatenate([[wp + s * pp], self.penalty * intercept])
        point.curvature[0, 0] += pp
        point.curvature[1:, 1:] += np.diag(self.penalty + np.abs(point.slope[1:]) / _LEAP)
        return point

    def settle(self, point: Point) -> Point:
        """Take from free intercepts their mean, in place: a common part of them changes nothing."""
        if not self.penalty:
            point.at[1:] -= point.at[1:].mean()
        return point
