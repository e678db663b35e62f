"""Smooth losses: all learners at once by preconditioned quasi-Newton steps, each to its own proven gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.heads.linear._losses import Point
from fusionfer.heads.linear._ridge import Hessian, Ridge
from fusionfer.heads.linear._stack import Stack
from fusionfer.heads.linear._threads import for_each
from fusionfer.matrices import is_mapped, take_rows

__all__ = ["COARSE", "FLAT", "Outcome", "Run", "descend", "follow", "silent"]

COARSE = 10.0 * float(np.finfo(np.float32).eps)  # a smaller gap cannot be proven by scores in float32
_MEMORY = 3  # pairs of steps and gradients; with this preconditioner more do not help
_PATIENCE = 25  # steps without progress of the gap, after which rounding is taken to be the limit
_THIN = 32  # a product with fewer columns than this takes as long as with so many
FLAT = 0.01  # share of the strongest curvature below which a row may be left out of a preconditioner,
_FAINT = 0.1  # if besides it adds less than this to any eigenvalue
_OWN_BYTES = 1 << 28  # that factored Hessians of single groups hold at most, but for one group alone


@dataclass(eq=False)
class Outcome:
    """Where the learners stand; one row a learner, one entry a group in `value`, `dual` and `n_iter`."""

    W: np.ndarray
    b: np.ndarray
    value: np.ndarray
    dual: np.ndarray
    n_iter: np.ndarray
    scale: np.ndarray

    @classmethod
    def start(cls, scale: np.ndarray, size: int, d: int) -> Outcome:
        """Nothing known yet of groups of `size` learners, whose costs sum to `scale` each."""
        G = len(scale)
        W, b = np.zeros((G * size, d)), np.zeros(G * size)
        return cls(W, b, np.full(G, np.inf), np.zeros(G), np.zeros(G, dtype=int), scale)

    @property
    def gap(self) -> np.ndarray:
        """Relative gap of each group; where nothing is left to lose, relative to the rounding of the total cost."""
        floor = np.finfo(np.float64).eps * self.scale + np.finfo(np.float64).tiny
        apart = np.maximum(self.value - self.dual, 0.0)
        unseen = np.full(len(apart), np.inf)
        return np.divide(apart, np.maximum(self.value, floor), out=unseen, where=np.isfinite(apart))


def silent(done: int) -> None:
    """Told of those that are solved again, and were counted before."""


def descend(
    stack: Stack,
    loss: Any,
    ridges: list[Ridge],
    outcome: Outcome,
    *,
    tol: float,
    max_iter: int,
    told: Callable[[int], None],
) -> None:
    """Bring every group's gap below `tol`, or as far as rounding or `max_iter` allow; results go into `outcome`.

    Each step is one product with X and one with its transpose for all groups that are not done. With the intercept at
    its best for the given weights, the objective is 1-strongly convex in w. So it lies above its minimum by at most
    ||g||^2 / 2; the dual point that proves it is minus the slopes of the losses, for which Fenchel's inequality is
    tight in every row. Directions are those of L-BFGS [1]_, whose starting matrix is (I + rho G)^-1, with G the Gram
    matrix and rho the mean curvature of the learner's losses. A learner that this serves badly (few rows of it
    curve) gets the Cholesky factor of its own Hessian once it has spent as much on steps as that factor costs, and
    waits where others hold the memory for it.

    References
    ----------
    .. [1] J. Nocedal, S. J. Wright (2006). Numerical Optimization, algorithm 7.4.
    """
    live = np.flatnonzero((outcome.gap > tol) & (outcome.n_iter < max_iter))
    if len(live) == 0:
        return
    follow(Run(stack, loss, ridges, outcome, live, tol), tol=tol, max_iter=max_iter, told=told)


def follow(run: Run, *, tol: float, max_iter: int, told: Callable[[int], None]) -> None:
    """Let a run take its steps until all of its groups are done."""
    while len(run.live):
        finished = run.judge(tol, max_iter)
        if finished.any():
            told(int(finished.sum()))
            run.drop(finished)
        if len(run.live):
            run.step()


class Run:
    """The state of those groups that are not done."""

    own_rows: tuple[str, ...] = ("W", "b", "owner", "F", "A", "rho", "level", "g")  # one row a learner in each
    own_groups: tuple[str, ...] = (
        *("live", "spent", "price", "size", "waiting"),
        *("best", "lowest", "since", "tried", "off"),
    )

    def __init__(
        self, stack: Stack, loss: Any, ridges: list[Ridge], outcome: Outcome, live: np.ndarray, tol: float
    ) -> None:
        self.precise = 1e-2 * tol
        self.stack, self.loss, self.ridges, self.outcome, self.live = stack, loss, ridges, outcome, live
        rows = self._rows()
        self.W, self.b, self.owner = outcome.W[rows], outcome.b[rows], stack.owner[rows]
        outcome.dual[live] = 0.0  # what it was, rounding may have flattered; all losses are at least 0
        self.rho, self.off = np.zeros(len(self.W)), np.zeros(len(self.live))
        self.spent = np.zeros(len(self.live))
        self.price, self.size = np.zeros(len(self.live)), np.zeros(len(self.live), dtype=np.int64)
        self.best, self.since = np.full(len(self.live), np.inf), np.zeros(len(self.live), dtype=int)
        self.waiting, self.tried = np.zeros(len(self.live), dtype=bool), np.full(len(self.live), np.inf)
        traces = {id(ridge): ridge.trace() for ridge in ridges}
        self.faint = np.array([_FAINT * stack.n / max(traces[id(ridge)], 1e-300) for ridge in ridges])
        self.lowest = np.full(len(self.live), np.inf)
        self.own: dict[int, Hessian] = {}
        self.pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._start()
        self.level = _level(self.rho)
        self.g = self._gradient()

    def _start(self) -> None:
        """Scores, and the best intercepts, of the weights that are there."""
        K = self.loss.size
        self.F = np.zeros((len(self.W), self.stack.n))
        if np.any(self.W):
            self.F += self.stack.forward(self.W, self.owner)
        self.A = np.empty(self.F.shape, dtype=self.stack.dtype)
        for i, g in enumerate(self.live):
            one = slice(i * K, (i + 1) * K)
            squares = (float(np.sum(self.W[one] ** 2)), 0.0, 0.0)
            self._keep(i, self.loss.search(g, self.F[one], None, self.b[one], squares, np.inf, self.precise))

    def _rows(self) -> np.ndarray:
        """Rows of the live groups in the outcome."""
        return (self.live[:, None] * self.loss.size + np.arange(self.loss.size)).ravel()

    def _keep(self, i: int, point: Point) -> None:
        """Take what was found on a line as the place where group `i` is."""
        K = self.loss.size
        rows = slice(i * K, (i + 1) * K)
        self.b[rows] = point.at[1:]
        self.A[rows] = point.A
        self.rho[rows] = point.h.mean(axis=1)
        self.outcome.value[self.live[i]] = point.value
        self.off[i] = np.abs(point.slope[1:]).sum()
        curved = [int(self._curved(h, r).sum()) for r, h in enumerate(point.h, rows.start)]
        # As `spent`, in units of one multiplication for each entry of X.
        self.price[i] = sum(Hessian.price(k, self.stack.d) for k in curved) / (self.stack.n * self.stack.d)
        itemsize = np.dtype(self.stack.dtype).itemsize
        self.size[i] = sum(Hessian.size(k, self.stack.d, itemsize) for k in curved)

    def _gradient(self) -> np.ndarray:
        return self.W - self.stack.backward(self.A, self.owner)

    def judge(self, tol: float, max_iter: int) -> np.ndarray:
        """Bring the bounds up to date and write down where all stand; say which groups are done."""
        out, live, rows = self.outcome, self.live, self._rows()
        # What the intercept's slope may hide, if it is less than 1 from its best.
        bound = out.value[live] - 0.5 * self._sum(self.g * self.g) - self.off
        out.dual[live] = np.maximum(out.dual[live], bound)
        out.W[rows], out.b[rows] = self.W, self.b
        gap = out.gap[live]
        behind = (out.value[live] - bound) / np.maximum(out.value[live], np.finfo(np.float64).tiny)
        better = (behind < 0.8 * self.best) | (out.value[live] < 0.999 * self.lowest)
        self.best = np.where(better, np.minimum(behind, self.best), self.best)
        self.lowest = np.where(better, out.value[live], self.lowest)
        self.since = np.where(better, 0, self.since + 1)
        return (gap <= tol) | (out.n_iter[live] >= max_iter) | self._stuck()

    def _stuck(self) -> np.ndarray:
        """Whether rounding is taken to be the limit of each group."""
        return (self.since >= _PATIENCE) & ~self.waiting

    def _sum(self, M: np.ndarray) -> np.ndarray:
        """Sums over all entries of each group."""
        return M.reshape(len(self.live), -1).sum(axis=1)

    def _spread(self, v: np.ndarray) -> np.ndarray:
        return np.repeat(v, self.loss.size)[:, None]

    def drop(self, groups: np.ndarray) -> None:
        """Forget the groups that are done."""
        kept = np.repeat(~groups, self.loss.size)
        numbers = np.cumsum(kept) - 1
        self.own = {int(numbers[r]): hessian for r, hessian in self.own.items() if kept[r]}
        for name in self.own_groups:
            setattr(self, name, getattr(self, name)[~groups])
        for name in self.own_rows:
            setattr(self, name, getattr(self, name)[kept])
        self.pairs = [(s[kept], t[kept], r[~groups]) for s, t, r in self.pairs]

    def step(self) -> None:
        """One step of all live groups."""
        self._invest()
        P = self._direction()
        s = self._move(P)
        before, self.g = self.g, self._gradient()
        S, T = self._spread(s) * P, self.g - before
        st = self._sum(S * T)
        # Strong convexity promises s.t >= s.s; less is rounding, and no curvature.
        sound = st > 0.5 * self._sum(S * S)
        self.pairs = [*self.pairs, (S, T, np.where(sound, 1.0 / np.where(sound, st, 1.0), 0.0))][-_MEMORY:]
        self.outcome.n_iter[self.live] += 1
        self.spent += max(len(self.W), _THIN) * 4.0 / len(self.live)
        level = _level(self.rho)
        self.level = np.where(np.abs(level - self.level) > 1, level, self.level)

    def _move(self, P: np.ndarray) -> np.ndarray:
        """Go along `P` as far as it helps each group, and return how far, (groups,)."""
        out, K = self.outcome, self.loss.size
        U = self.stack.forward(P, self.owner)
        ww, wp, pp = self._sum(self.W * self.W), self._sum(self.W * P), self._sum(P * P)
        s = np.empty(len(self.live))

        def move(i: int) -> None:
            rows = slice(i * K, (i + 1) * K)
            squares = (float(ww[i]), float(wp[i]), float(pp[i]))
            before = out.value[self.live[i]]
            point = self.loss.search(self.live[i], self.F[rows], U[rows], self.b[rows], squares, before, self.precise)
            s[i] = point.at[0]
            self.F[rows] += s[i] * U[rows]
            self.W[rows] += s[i] * P[rows]
            self._keep(i, point)

        for_each(len(self.live), move)
        return s

    def _invest(self) -> None:
        """Factor the Hessians of groups that have spent as much on steps, as far as memory may hold them."""
        K = self.loss.size
        held = np.zeros(len(self.live))
        for r, hessian in self.own.items():
            held[r // K] += hessian.nbytes
        self.waiting[:] = False
        chosen = []
        for i in np.flatnonzero(self.spent > self.price).tolist():
            others = float(held.sum() - held[i])
            if others and others + self.size[i] > _OWN_BYTES:
                self.waiting[i] = not held[i]
                continue
            chosen.append(i)
            held[i] = self.size[i]
        rows = [i * K + k for i in chosen for k in range(K)]
        for row in rows:
            self.own.pop(row, None)  # before their successors are made
        if chosen:
            self.own.update(zip(rows, self._hessians(chosen), strict=True))
        for i in chosen:
            self.spent[i] = 0.0
            if self.best[i] < self.tried[i]:  # else the last one did not help either
                self.since[i], self.tried[i] = 0, self.best[i]
            if K == 1:
                for _, _, known in self.pairs:
                    known[i] = 0.0  # steps from elsewhere know less than the whole Hessian of here

    def _hessians(self, groups: list[int]) -> list[Hessian]:
        """Hessians of the learners of some groups, where they stand."""
        K, made = self.loss.size, []
        for i in groups:
            rows = slice(i * K, (i + 1) * K)
            h = self.loss.line(self.live[i], self.F[rows], None)(np.concatenate([[0.0], self.b[rows]])).h
            made += [self._hessian(r, h[r - rows.start]) for r in range(rows.start, rows.stop)]
        return made

    def _curved(self, h: np.ndarray, r: int) -> np.ndarray:
        """Rows that count in the Hessian of learner `r`, by the curvatures `h` (n,) of its losses there."""
        return h > min(FLAT * h.max(), self.faint[self.owner[r]])

    def _hessian(self, r: int, h: np.ndarray) -> Hessian:
        """Hessian of one learner at curvatures `h` (n,) of its losses; the intercept follows the weights."""
        stack, problem = self.stack, int(self.owner[r])
        curved = np.flatnonzero(self._curved(h, r))
        weight = h[curved].astype(stack.dtype)
        X = take_rows(stack.X, curved)
        total = max(float(weight.sum()), np.finfo(np.float64).tiny)
        share = (weight / total).astype(stack.dtype)
        centre = X.combine(share[None])[0] if is_mapped(X) else share @ X
        # Of the mean only what a penalised intercept leaves.
        rest = (centre - stack.shift[problem]) * np.sqrt(self.loss.penalty * total / (self.loss.penalty + total))
        return Hessian(X, centre, rest, stack.factor[problem], weight, stack.dtype)

    def _direction(self) -> np.ndarray:
        """L-BFGS: the two loops of [1]_, for each group on its own."""
        q = self.g.copy()
        shares = []
        for S, T, r in reversed(self.pairs):
            share = r * self._sum(S * q)
            q -= self._spread(share) * T
            shares.append(share)
        q = self._precondition(q)
        for (S, T, r), share in zip(self.pairs, reversed(shares), strict=True):
            q += self._spread(share - r * self._sum(T * q)) * S
        # Rounding can spoil the history; then the preconditioned gradient is still a way down.
        spoilt = ~(self._sum(q * self.g) > 0)
        if spoilt.any():
            rows = np.repeat(spoilt, self.loss.size)
            q[rows] = self._precondition(self.g)[rows]
            for _, _, r in self.pairs:
                r[spoilt] = 0.0
        return -q

    def _precondition(self, V: np.ndarray) -> np.ndarray:
        out = np.empty_like(V)
        shared = np.ones(len(V), dtype=bool)
        for r, hessian in self.own.items():
            shared[r] = False
            out[r] = hessian.solve(V[r])
        which = {id(ridge): ridge for ridge in self.ridges}
        key = np.array([id(self.ridges[problem]) for problem in self.owner])
        for ridge in which.values():
            mine = shared & (key == id(ridge))
            for level in np.unique(self.level[mine]):
                rows = mine & (self.level == level)
                out[rows] = ridge.solve(V[rows], int(level))
        return out


def _level(rho: np.ndarray) -> np.ndarray:
    """Round to powers of 2, which lets learners share a factor."""
    return np.rint(np.log2(np.maximum(rho, 1e-30))).astype(int)
