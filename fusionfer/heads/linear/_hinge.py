"""Hinge loss: all learners at once by alternating directions, and the few that need more by Newton's method."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import linalg

from fusionfer.heads.linear._descent import Outcome
from fusionfer.heads.linear._losses import sides
from fusionfer.heads.linear._ridge import Ridge, weighted_gram
from fusionfer.heads.linear._stack import Stack
from fusionfer.heads.linear._threads import for_each
from fusionfer.matrices import is_mapped, take_rows

__all__ = [
    "HingeLearners",
    "alternate",
    "best_intercept",
    "finish",
    "first_penalties",
    "mean_costs",
]

_CHECK = 10  # sweeps between two looks at the duality gap
_RELAX = 1.6  # over-relaxation
_SWEEPS = 150  # of the first phase, for few learners; then Newton's method is quicker
_FEW = 8  # learners that are soon finished one by one; more are worth up to four times as many sweeps
_PATIENCE = 10  # looks at the gap without progress, after which rounding is taken to be the limit


class HingeLearners(Outcome):
    """Labels and costs of R learners, and the best objective and bound seen of each.

    Parameters
    ----------
    Y : ndarray of int8, shape (R, n)
    costs : list of ndarray of shape (n,), R of them
    d : int
        Columns.
    penalty : float
        Of the intercept: 0 or 1.
    """

    def __init__(self, Y: np.ndarray, costs: list[np.ndarray], d: int, penalty: float) -> None:
        self.Y, self.costs, self.penalty = Y, costs, penalty
        R = len(Y)
        # No multipliers are feasible, with value 0.
        unseen = (np.full(R, np.inf), np.zeros(R), np.zeros(R, dtype=int))
        super().__init__(np.zeros((R, d)), np.zeros(R), *unseen, np.array([cost.sum() for cost in costs]))
        self.counted = np.array([np.count_nonzero(cost * y) for cost, y in zip(costs, Y, strict=True)])

    def sides(self, r: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels (n,) in float64, and costs (n,), 0 where a row takes no part."""
        return sides(self.Y[r], self.costs[r])

    def see(self, stack: Stack, learners: np.ndarray, W: np.ndarray, F: np.ndarray, alpha: np.ndarray) -> None:
        """Judge weights W (r, d) with scores F (r, n), and multipliers alpha (r, n), of some learners."""
        owner = stack.owner[learners]
        B = np.empty_like(alpha)
        for j, r in enumerate(learners):
            B[j] = self._feasible(alpha[j], self.Y[r].astype(np.float64))
        W_dual = stack.backward(B, owner)
        bound = np.abs(B).sum(axis=1) - 0.5 * np.einsum("ij,ij->i", W_dual, W_dual)
        bound -= 0.5 * self.penalty * B.sum(axis=1) ** 2
        self.dual[learners] = np.maximum(self.dual[learners], bound)
        F_dual = stack.forward(W_dual, owner)

        def judge(j: int) -> None:
            r = int(learners[j])
            y, c = self.sides(r)
            for w, scores in ((W[j], F[j]), (W_dual[j], F_dual[j])):
                f = scores.astype(np.float64)
                b = best_intercept(f, y, c, self.penalty)
                loss = float(np.sum(c * np.maximum(0.0, 1.0 - y * (f + b))))
                primal = 0.5 * (float(w @ w) + self.penalty * b * b) + loss
                if primal < self.value[r]:
                    self.W[r], self.b[r], self.value[r] = w, b, primal

        for_each(len(learners), judge)

    def _feasible(self, alpha: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Multipliers times labels; the heavier side scaled down to sum to 0, as a free intercept demands."""
        if self.penalty:
            return alpha * y
        positive, negative = float(np.sum(alpha[y > 0])), float(np.sum(alpha[y < 0]))
        low, tiny = min(positive, negative), np.finfo(np.float64).tiny
        return alpha * y * np.where(y > 0, low / max(positive, tiny), low / max(negative, tiny))


def best_intercept(f: np.ndarray, y: np.ndarray, c: np.ndarray, penalty: float = 0.0) -> float:
    """Return the b that minimises penalty / 2 b^2 + sum_i c_i max(0, 1 - y_i (f_i + b)), the middle one where many do.

    The sum is piecewise linear in b with kinks at y_i - f_i; its slope rises by c_i at each.
    """
    counted = np.flatnonzero(c * y)
    if len(counted) == 0:
        return 0.0
    f, y, c = f[counted], y[counted], c[counted]
    kinks = y - f
    order = np.argsort(kinks)
    kinks = kinks[order]
    slopes = np.cumsum(c[order]) - np.sum(c, where=y > 0)
    if penalty:
        at = int(np.searchsorted(slopes + penalty * kinks, 0.0))
        before = slopes[at - 1] if at else -np.sum(c, where=y > 0)
        return float(min(-before / penalty, kinks[at]) if at < len(kinks) else -slopes[-1] / penalty)
    eps = 1e-12 * c.sum()
    at = min(int(np.searchsorted(slopes, -eps)), len(f) - 1)
    if slopes[at] <= eps and at + 1 < len(f):
        return 0.5 * float(kinks[at] + kinks[at + 1])
    return float(kinks[at])


def first_penalties(cost: np.ndarray, ridges: list[Ridge], n: int) -> np.ndarray:
    """Penalties (R,) at which alpha / rho and the margins are of one size.

    They are at most the mean cost (R,) of the rows that take part, and 1 over the curvature of a mean row of n, by the
    Gram matrix of each learner.
    """
    traces = {id(ridge): ridge.trace() for ridge in ridges}
    return np.asarray(1.0 / (1.0 / cost + np.array([0.5 * traces[id(ridge)] / n for ridge in ridges])))


def mean_costs(scale: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean costs (R,), more than 0, of so many rows each whose costs sum to `scale`."""
    return np.maximum(scale / np.maximum(counted, 1), np.finfo(np.float64).tiny)


def alternate(
    stack: Stack,
    learners: HingeLearners,
    ridges: list[Ridge],
    *,
    tol: float,
    max_iter: int,
    told: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """All learners at once by the alternating direction method of multipliers [1]_ on z = Zw + b.

    With multipliers alpha in [0, c] and penalty rho, one sweep is: (w, b) minimise 1/2 ||w||^2 +
    rho/2 ||Zw + b - z - y alpha / rho||^2, a ridge regression; alpha <- clip(alpha + rho (1 - y a), 0, c);
    z <- a + y (alpha_new - alpha_old) / rho, where a is the over-relaxed Zw + b. The clip is the proximal step of the
    hinge, written in its multiplier. Rows that take no part keep the z that they had: the Gram matrix may then be that
    of all rows, for all learners. rho is a power of 2, so that learners share Cholesky factors.

    Returns the multipliers (R, n) and penalties (R,) for `finish`.

    References
    ----------
    .. [1] S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein (2011). Distributed optimization and statistical learning
       via the alternating direction method of multipliers, sections 3.1, 3.4 and 6.
    """
    R, n = learners.Y.shape
    kinds = {id(ridge): ridge for ridge in ridges}
    key = np.array([id(ridges[problem]) for problem in stack.owner])
    cost = mean_costs(learners.scale, learners.counted)
    level = np.rint(np.log2(first_penalties(cost, [ridges[problem] for problem in stack.owner], n))).astype(int)
    alpha, Z, F, W = (np.zeros((R, width)) for width in (n, n, n, stack.d))
    live, sweep = np.arange(R), 0
    while len(live) and sweep < max_iter:
        sweep += 1
        owner = stack.owner[live]
        rho = 2.0 ** level[live]
        E = np.empty((len(live), n), dtype=stack.dtype)
        moved, off = np.empty((2, len(live)))
        for_each(len(live), partial(_residual, learners, live, rho, F, Z, alpha, E))
        G = W[live] + stack.backward(E, owner)
        for number, ridge in kinds.items():
            for one in np.unique(level[live][key[live] == number]):
                rows = np.flatnonzero((level[live] == one) & (key[live] == number))
                W[live[rows]] -= ridge.solve(G[rows], int(one))
        F[live] = stack.forward(W[live], owner)
        for_each(len(live), partial(_proximal, learners, live, rho, F, Z, alpha, moved, off))
        learners.n_iter[live] = sweep
        last = sweep >= min(max_iter, _SWEEPS if len(live) <= _FEW else 4 * _SWEEPS)
        if sweep % _CHECK and not last:
            continue
        learners.see(stack, live, W[live], F[live], alpha[live])
        level[live] += _balance(off, _norms(Z[live]), rho * moved, _norms(alpha[live]))
        done = learners.gap[live] <= tol
        told(int(done.sum()))
        live = live[~done]
        if last:
            break
    return alpha, 2.0**level


def _residual(
    learners: HingeLearners,
    live: np.ndarray,
    rho: np.ndarray,
    F: np.ndarray,
    Z: np.ndarray,
    alpha: np.ndarray,
    E: np.ndarray,
    j: int,
) -> None:
    """Slope of the ridge regression's loss in the scores of live learner `j`, with the intercept at its best."""
    r = live[j]
    residual = F[r] - Z[r] - learners.Y[r] * (alpha[r] / rho[j])
    E[j] = rho[j] * (residual - residual.sum() * rho[j] / (learners.penalty + rho[j] * len(residual)))


def _proximal(
    learners: HingeLearners,
    live: np.ndarray,
    rho: np.ndarray,
    F: np.ndarray,
    Z: np.ndarray,
    alpha: np.ndarray,
    moved: np.ndarray,
    off: np.ndarray,
    j: int,
) -> None:
    """Intercept, multipliers and z of live learner `j`, in place; how far z moved and is from the scores."""
    r = int(live[j])
    y, c = learners.sides(r)
    b = float(np.sum(Z[r] + y * alpha[r] / rho[j] - F[r])) * rho[j] / (learners.penalty + rho[j] * len(y))
    A = F[r] + b
    relaxed = _RELAX * A + (1.0 - _RELAX) * Z[r]
    new = np.clip(alpha[r] + rho[j] * (1.0 - y * relaxed), 0.0, c)
    z = relaxed + y * (new - alpha[r]) / rho[j]
    moved[j] = np.sqrt(np.sum((z - Z[r]) ** 2))
    off[j] = np.sqrt(np.sum((A - z) ** 2))
    Z[r], alpha[r] = z, new


def _norms(M: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(M, axis=1))


def _balance(primal: np.ndarray, Z: np.ndarray, dual: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Power of 2 for the penalty that brings primal and dual residual, both relative, to one size ([1]_, 3.4.1).

    `Z` and `alpha` are the norms (r,) that they are relative to.
    """
    tiny = 1e-12
    primal, dual = primal / np.maximum(Z, tiny), dual / np.maximum(alpha, tiny)
    power = 0.5 * np.log2(np.maximum(primal, tiny) / np.maximum(dual, tiny))
    return np.where(np.abs(power) > 1.0, np.rint(np.clip(power, -2.3, 2.3)), 0.0).astype(int)


def finish(
    stack: Stack, learners: HingeLearners, r: int, alpha: np.ndarray, sigma: float, *, tol: float, max_iter: int
) -> np.ndarray:
    """Finish learner `r`: augmented Lagrangian outside, semismooth Newton inside [1]_; return its multipliers (n,).

    Inside, phi(w, b) = 1/2 ||w||^2 + sum_i e(r_i) is minimised, with r = alpha + sigma (1 - y (Zw + b)),
    a = clip(r, 0, c) and e(r) = (a r - a^2 / 2) / sigma. Its gradient is (w - Z^T (y a), -sum y a), its generalised
    Hessian I + sigma Z_J^T Z_J over the rows J with 0 < a < c: only the rows on the margin, and no conditioning.
    Outside, alpha <- a.

    References
    ----------
    .. [1] X. Li, D. Sun, K.-C. Toh (2018). A highly efficient semismooth Newton augmented Lagrangian method for solving
       lasso problems. SIAM J. Optimization 28(1), 433-458.
    """
    y, c = learners.sides(r)
    owner, penalty, me = stack.owner[[r]], learners.penalty, np.array([r])

    def forward(w: np.ndarray) -> np.ndarray:
        return stack.forward(w[None], owner)[0].astype(np.float64)

    def phi(w: np.ndarray, f: np.ndarray, b: float) -> tuple[float, np.ndarray]:
        r = alpha + sigma * (1.0 - y * (f + b))
        a = np.clip(r, 0.0, c)
        return 0.5 * (w @ w + penalty * b * b) + a @ (r - 0.5 * a) / sigma, a

    w, b = learners.W[r].copy(), float(learners.b[r])
    f = forward(w)
    stalled = 0
    for _ in range(max_iter - int(learners.n_iter[r])):
        learners.n_iter[r] += 1
        value, a = phi(w, f, b)
        g, g_b = w - stack.backward((a * y)[None], owner)[0], penalty * b - float(a @ y)
        p, q = _direction(stack, int(owner[0]), np.flatnonzero((a > 0) & (a < c)), sigma, g, g_b, penalty)
        slope = g @ p + g_b * q
        f_p = forward(p)
        size = 1.0
        while size > 1e-8 and phi(w + size * p, f + size * f_p, b + size * q)[0] > value + 1e-4 * size * slope:
            size *= 0.5
        w, f, b = w + size * p, f + size * f_p, b + size * q
        if -slope > 0.1 * tol * learners.value[r] and size > 1e-8:
            continue
        alpha = phi(w, f, b)[1]
        before = learners.gap[r]
        learners.see(stack, me, w[None], f[None], alpha[None])
        stalled = stalled + 1 if learners.gap[r] == before else 0
        if learners.gap[r] <= tol or stalled == _PATIENCE:
            break
        if learners.gap[r] > 0.3 * before:
            sigma *= 10.0
        f = forward(w)  # sums of steps drift
    return alpha


def _direction(
    stack: Stack, problem: int, J: np.ndarray, sigma: float, g: np.ndarray, g_b: float, penalty: float
) -> tuple[np.ndarray, float]:
    """Newton direction: solve [[I + s Z_J^T Z_J, s Z_J^T 1], [s 1^T Z_J, penalty + s |J|]] (p, q) = -(g, g_b).

    Eliminating q leaves the rows of J about their mean (wholly, where the intercept is free); the smaller of the two
    sides is factored.
    """
    heft = sigma * len(J)
    if len(J) == 0:
        return -g, -g_b / (penalty + sigma)
    share = heft / (penalty + heft)
    shift, factor = stack.shift[problem], stack.factor[problem]
    X_J = take_rows(stack.X, J)
    even = np.full((1, len(J)), 1.0 / len(J))
    raw = X_J.combine(even)[0] if is_mapped(X_J) else X_J.mean(axis=0, dtype=np.float64)
    centre = (raw - shift) * factor
    rhs = share * centre * g_b - g
    rest = np.sqrt(len(J) * (1.0 - share)) * centre  # what is left of the mean
    if len(J) < stack.d:
        Z_J = np.vstack([stack.take(J, problem) - centre, rest])
        inner = Z_J @ Z_J.T
        _lift(inner, 1.0 / sigma)
        p = rhs - Z_J.T @ linalg.solve(inner, Z_J @ rhs, assume_a="pos", check_finite=False)
    else:
        inner = weighted_gram(X_J, raw, dtype=np.float64) * factor * factor[:, None] + np.outer(rest, rest)
        inner *= sigma
        _lift(inner, 1.0)
        p = linalg.solve(inner, rhs, assume_a="pos", lower=True, check_finite=False)
    return p, -(g_b + heft * (centre @ p)) / (penalty + heft)


def _lift(A: np.ndarray, amount: float) -> None:
    """Add to the diagonal in place, at least so much that rounding cannot make the matrix indefinite."""
    A[np.diag_indices_from(A)] += max(amount, 10.0 * np.finfo(np.float64).eps * float(np.trace(A)))
