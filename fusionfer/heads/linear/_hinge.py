"""Linear support vector machines that share their rows, solved together by matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

__all__ = ["HingeSolution", "solve_hinge"]

_SWEEPS = 150  # sweeps of the first phase at most; where they do not suffice, Newton's method is quicker
_CHECK = 10  # sweeps between two looks at the duality gap
_RELAX = 1.6  # over-relaxation
_PATIENCE = 10  # looks at the gap without progress, after which rounding is taken to be the limit
_CHUNK_BYTES = 1 << 25  # rows are centred and widened to float64 in pieces of this size


@dataclass(frozen=True)
class HingeSolution:
    """What `solve_hinge` found, one entry a learner.

    Attributes
    ----------
    coef : ndarray of float64, shape (K, d)
    intercept : ndarray of float64, shape (K,)
    objective : ndarray of float64, shape (K,)
        1/2 ||w||^2 + sum_i c_i max(0, 1 - y_i (x_i.w + b)), at `coef` and `intercept`.
    gap : ndarray of float64, shape (K,)
        How far `objective` may lie above the minimum, as a share of itself: proven by a feasible dual point.
    n_iter : ndarray of int, shape (K,)
        Sweeps and Newton steps.
    """

    coef: np.ndarray
    intercept: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    n_iter: np.ndarray


def solve_hinge(
    X: np.ndarray, Y: np.ndarray, c: np.ndarray, *, tol: float = 1e-3, max_iter: int = 1000
) -> HingeSolution:
    """Minimise 1/2 ||w||^2 + sum_i c_i max(0, 1 - y_i (x_i.w + b)) for every column of `Y`.

    The intercept is free (not penalised). Learners share X, so in the first phase all of them are solved by the same
    products: the alternating direction method of multipliers [1]_ on z = Xw + b, whose linear step needs one
    eigenbasis of the centred Gram matrix for all learners, whatever their labels, weights and penalties. It reaches a
    gap of 1e-3 in some 70 sweeps on scaled features. Learners that are not there after 150 sweeps (unscaled or
    separable data, a small `tol`) are finished one by one with a semismooth Newton method on the augmented Lagrangian
    [2]_, whose linear systems hold only the rows on the margin and which does not mind the conditioning.
    Both end on the duality gap.

    Parameters
    ----------
    X : ndarray of float32 or float64, shape (n, d)
        Finite. Never copied as a whole, so it may be a memory map; products run in its dtype, sums in float64.
    Y : ndarray, shape (n, K)
        +1, -1, or 0 where a row takes no part in a learner.
    c : ndarray, shape (n,) or (n, K)
        Cost of each row, at least 0.
    tol : float
        Relative duality gap at which a learner is done.
    max_iter : int
        Most sweeps and Newton steps together, for each learner.

    Returns
    -------
    HingeSolution

    References
    ----------
    .. [1] S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein (2011). Distributed optimization and statistical learning
       via the alternating direction method of multipliers, sections 3.1, 3.4 and 6.
    .. [2] X. Li, D. Sun, K.-C. Toh (2018). A highly efficient semismooth Newton augmented Lagrangian method for solving
       lasso problems. SIAM J. Optimization 28(1), 433-458.

    Examples
    --------
    >>> X = np.array([[-2.0], [-1.0], [1.0], [3.0]])
    >>> fit = solve_hinge(X, np.array([[-1], [-1], [1], [1]]), np.full(4, 10.0), tol=1e-9)
    >>> np.round([fit.coef[0, 0], fit.intercept[0], fit.objective[0]], 6) + 0.0
    array([1. , 0. , 0.5])
    """
    Y = np.asarray(Y, dtype=np.float64)
    c = np.asarray(c, dtype=np.float64)
    c = np.where(Y == 0, 0.0, c[:, None] if c.ndim == 1 else c)
    rows = _Rows(X)
    best = _Best(rows, Y, c)
    alpha, rho, sweeps = _alternate(rows, Y, c, best, tol, min(max_iter, _SWEEPS))
    n_iter = np.full(Y.shape[1], sweeps)
    for k in np.flatnonzero(best.gap > tol).tolist():
        n_iter[k] += _newton(rows, Y[:, k], c[:, k], alpha[:, k], rho[k], best, k, tol, max_iter - sweeps)
    return HingeSolution(best.W.T.copy(), best.b - rows.mean @ best.W, best.primal, best.gap, n_iter)


class _Rows:
    """The rows of X with the column means taken off, without storing them: an intercept is free, so nothing changes."""

    def __init__(self, X: np.ndarray) -> None:
        self.X = X
        self.mean = X.mean(axis=0, dtype=np.float64)

    def forward(self, W: np.ndarray) -> np.ndarray:
        """Centred rows times W (d, K): (n, K) in float64."""
        return (self.X @ W.astype(self.X.dtype)).astype(np.float64) - self.mean @ W

    def backward(self, B: np.ndarray) -> np.ndarray:
        """Centred rows, transposed, times B (n, K): (d, K) in float64."""
        return (self.X.T @ B.astype(self.X.dtype)).astype(np.float64) - np.outer(self.mean, B.sum(axis=0))

    def take(self, index: np.ndarray | slice) -> np.ndarray:
        """Some centred rows in float64."""
        return self.X[index].astype(np.float64) - self.mean

    def gram(self, index: np.ndarray | None = None, centre: np.ndarray | None = None) -> np.ndarray:
        """Lower triangle of the sum of x x^T over some centred rows, (d, d) in float64; piece by piece.

        float32 sums would not do: with columns of very different size the small eigenvalues would be noise.
        """
        d = self.X.shape[1]
        index = np.arange(len(self.X)) if index is None else index
        total = np.zeros((d, d), order="F")
        step = max(1, _CHUNK_BYTES // (8 * d))
        for start in range(0, len(index), step):
            piece = self.take(index[start : start + step])
            if centre is not None:
                piece -= centre
            total = linalg.blas.dsyrk(1.0, piece.T, beta=1.0, c=total, lower=1, overwrite_c=1)
        return total

    def eigenbasis(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (r,) and eigenvectors (d, r) of the Gram matrix, from the smaller side of X."""
        n, d = self.X.shape
        if d <= n:
            values, vectors = linalg.eigh(self.gram(), lower=True, overwrite_a=True, check_finite=False)
            return np.maximum(values, 0.0), vectors
        centred = self.take(slice(None))
        values, left = linalg.eigh(centred @ centred.T, check_finite=False)
        kept = values > values[-1] * n * np.finfo(np.float64).eps
        return values[kept], centred.T @ (left[:, kept] / np.sqrt(values[kept]))


class _Best:
    """The lowest primal and the highest dual value seen of each learner, and where the primal was seen."""

    def __init__(self, rows: _Rows, Y: np.ndarray, c: np.ndarray) -> None:
        K = Y.shape[1]
        self.rows, self.Y, self.c = rows, Y, c
        self.W, self.b = np.zeros((rows.X.shape[1], K)), np.zeros(K)
        self.primal, self.dual = np.full(K, np.inf), np.zeros(K)  # alpha = 0 is feasible, its value is 0

    @property
    def gap(self) -> np.ndarray:
        return np.maximum(self.primal - self.dual, 0.0) / np.maximum(self.primal, np.finfo(np.float64).tiny)

    def see(self, W: np.ndarray, F: np.ndarray, alpha: np.ndarray, learners: np.ndarray) -> None:
        """Judge weights W (d, k) with scores F = forward(W), and the dual point `alpha` (n, k), of some learners."""
        Y, c = self.Y[:, learners], self.c[:, learners]
        alpha = _balanced(alpha, Y)
        W_dual = self.rows.backward(alpha * Y)
        dual = alpha.sum(axis=0) - 0.5 * np.sum(W_dual**2, axis=0)
        self.dual[learners] = np.maximum(self.dual[learners], dual)
        for W_, F_ in ((W, F), (W_dual, self.rows.forward(W_dual))):
            for j, k in enumerate(learners):
                b = _best_intercept(F_[:, j], Y[:, j], c[:, j])
                primal = 0.5 * (W_[:, j] @ W_[:, j]) + c[:, j] @ np.maximum(0.0, 1.0 - Y[:, j] * (F_[:, j] + b))
                if primal < self.primal[k]:
                    self.W[:, k], self.b[k], self.primal[k] = W_[:, j], b, primal


def _balanced(alpha: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Scale the heavier side of `alpha` down, so that sum_i alpha_i y_i = 0, as a free intercept demands."""
    positive = np.sum(alpha, axis=0, where=Y > 0)
    negative = np.sum(alpha, axis=0, where=Y < 0)
    low = np.minimum(positive, negative)
    tiny = np.finfo(np.float64).tiny
    return alpha * np.where(Y > 0, low / np.maximum(positive, tiny), low / np.maximum(negative, tiny))


def _best_intercept(f: np.ndarray, y: np.ndarray, c: np.ndarray) -> float:
    """Return the b that minimises sum_i c_i max(0, 1 - y_i (f_i + b)), the middle one where many do.

    The sum is piecewise linear in b with kinks at y_i - f_i; its slope rises by c_i at each.
    """
    kinks = y - f
    order = np.argsort(kinks)
    slopes = np.cumsum(c[order]) - np.sum(c, where=y > 0)
    eps = 1e-12 * c.sum()
    at = min(int(np.searchsorted(slopes, -eps)), len(f) - 1)
    if slopes[at] <= eps and at + 1 < len(f):
        return 0.5 * float(kinks[order[at]] + kinks[order[at + 1]])
    return float(kinks[order[at]])


def _alternate(
    rows: _Rows, Y: np.ndarray, c: np.ndarray, best: _Best, tol: float, sweeps: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """All learners at once by alternating directions; return the multipliers (n, K), penalties (K,) and sweeps.

    With z = Xw + b, multiplier alpha in [0, c] and penalty rho, one sweep is
    w = (I + rho X^T X)^-1 X^T (rho z + y alpha), b = mean(z + y alpha / rho),
    alpha <- clip(alpha + rho (1 - y a), 0, c), z <- a + y (alpha_new - alpha_old) / rho, where a is the over-relaxed
    Xw + b; the clip is the proximal step of the hinge, written in its multiplier.
    """
    n, K = Y.shape
    values, V = rows.eigenbasis()
    everyone = np.arange(K)
    # Where u = alpha / rho and the margins are of one size: at most 1 / cost, and the curvature of a mean row.
    cost = np.maximum(c.sum(axis=0) / np.maximum(np.count_nonzero(c, axis=0), 1), np.finfo(np.float64).tiny)
    rho = 1.0 / (1.0 / cost + 0.5 * values.sum() / n)
    Z, alpha = np.zeros((n, K)), np.zeros((n, K))
    for sweep in range(1, sweeps + 1):
        R = Z + Y * alpha / rho
        W = V @ ((V.T @ rows.backward(R)) * (rho / (1.0 + rho * values[:, None])))
        F = rows.forward(W)
        A = F + R.mean(axis=0)
        A_relaxed = _RELAX * A + (1.0 - _RELAX) * Z
        alpha_new = np.clip(alpha + rho * (1.0 - Y * A_relaxed), 0.0, c)
        Z_new = A_relaxed + Y * (alpha_new - alpha) / rho
        moved, Z, alpha = Z_new - Z, Z_new, alpha_new
        if sweep % _CHECK and sweep != sweeps:
            continue
        best.see(W, F, alpha, everyone)
        if np.all(best.gap <= tol):
            return alpha, rho, sweep
        rho = rho * _balance(np.linalg.norm(A - Z, axis=0), Z, rho * np.linalg.norm(moved, axis=0), alpha)
    return alpha, rho, sweeps


def _balance(primal: np.ndarray, Z: np.ndarray, dual: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Factor for the penalty that brings primal and dual residual, both relative, to one size ([1]_, 3.4.1)."""
    tiny = 1e-12
    primal = primal / np.maximum(np.linalg.norm(Z, axis=0), tiny)
    dual = dual / np.maximum(np.linalg.norm(alpha, axis=0), tiny)
    factor = np.sqrt(np.maximum(primal, tiny) / np.maximum(dual, tiny))
    return np.where((factor > 2.0) | (factor < 0.5), np.clip(factor, 0.2, 5.0), 1.0)


def _newton(
    rows: _Rows,
    y: np.ndarray,
    c: np.ndarray,
    alpha: np.ndarray,
    sigma: float,
    best: _Best,
    k: int,
    tol: float,
    steps: int,
) -> int:
    """Finish learner `k`: augmented Lagrangian outside, semismooth Newton inside; return the steps taken.

    Inside, phi(w, b) = 1/2 ||w||^2 + sum_i e(r_i) is minimised, with r = alpha + sigma (1 - y (Xw + b)),
    a = clip(r, 0, c) and e(r) = (a r - a^2 / 2) / sigma. Its gradient is (w - X^T (y a), -sum y a), its generalised
    Hessian I + sigma X_J^T X_J over the rows J with 0 < a < c. Outside, alpha <- a.
    """
    w, b = best.W[:, k].copy(), best.b[k]
    f = rows.forward(w[:, None])[:, 0]

    def phi(w: np.ndarray, f: np.ndarray, b: float) -> tuple[float, np.ndarray]:
        r = alpha + sigma * (1.0 - y * (f + b))
        a = np.clip(r, 0.0, c)
        return 0.5 * (w @ w) + a @ (r - 0.5 * a) / sigma, a

    stalled = 0
    for step in range(1, steps + 1):
        value, a = phi(w, f, b)
        g, g_b = w - rows.backward((a * y)[:, None])[:, 0], -(a @ y)
        p, q = _direction(rows, np.flatnonzero((a > 0) & (a < c)), sigma, g, g_b)
        slope = g @ p + g_b * q
        f_p = rows.forward(p[:, None])[:, 0]
        size = 1.0
        while size > 1e-8 and phi(w + size * p, f + size * f_p, b + size * q)[0] > value + 1e-4 * size * slope:
            size *= 0.5
        w, f, b = w + size * p, f + size * f_p, b + size * q
        if -slope > 0.1 * tol * best.primal[k] and size > 1e-8:
            continue
        alpha = phi(w, f, b)[1]
        before = best.gap[k]
        best.see(w[:, None], f[:, None], alpha[:, None], np.array([k]))
        stalled = stalled + 1 if best.gap[k] == before else 0
        if best.gap[k] <= tol or stalled == _PATIENCE:
            return step
        if best.gap[k] > 0.3 * before:
            sigma *= 10.0
        f = rows.forward(w[:, None])[:, 0]  # sums of steps drift
    return steps


def _direction(rows: _Rows, J: np.ndarray, sigma: float, g: np.ndarray, g_b: float) -> tuple[np.ndarray, float]:
    """Newton direction: solve [[I + s X_J^T X_J, s X_J^T 1], [s 1^T X_J, s |J|]] (p, q) = -(g, g_b).

    Eliminating q leaves the rows of J centred on their own mean; the smaller of the two sides is factored.
    """
    if len(J) == 0:
        return -g, -g_b / sigma
    d = rows.X.shape[1]
    centre = rows.X[J].mean(axis=0, dtype=np.float64) - rows.mean
    rhs = centre * g_b - g
    if len(J) < d:
        X_J = rows.take(J) - centre
        inner = X_J @ X_J.T
        _lift(inner, 1.0 / sigma)
        p = rhs - X_J.T @ linalg.solve(inner, X_J @ rhs, assume_a="pos", check_finite=False)
    else:
        inner = sigma * rows.gram(J, centre)
        _lift(inner, 1.0)
        p = linalg.solve(inner, rhs, assume_a="pos", lower=True, check_finite=False)
    return p, -g_b / (sigma * len(J)) - centre @ p


def _lift(A: np.ndarray, amount: float) -> None:
    """Add to the diagonal in place, at least so much that rounding cannot make the matrix indefinite."""
    A[np.diag_indices_from(A)] += max(amount, 10.0 * np.finfo(np.float64).eps * float(np.trace(A)))
