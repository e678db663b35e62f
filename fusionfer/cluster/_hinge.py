"""Hinge loss over a cluster: alternating directions, then Newton's method, with the rows on the workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fusionfer.cluster._blocks import Blocks, Call
from fusionfer.cluster._intercepts import best_intercepts
from fusionfer.cluster._newton import Newton
from fusionfer.cluster._smooth import Scales
from fusionfer.heads.linear._hinge import CHECK, FEW, SWEEPS, balance
from fusionfer.heads.linear._ridge import Ridge
from fusionfer.heads.linear._solving import COARSE

__all__ = ["ClusterHinge"]


class ClusterHinge:
    """All learners of some problems; see `alternate` and `finish`, of which this is the part without rows.

    A sweep is one call: it sends weights and intercepts, and brings the sums from which the next ones follow. The
    duality gap takes a few more calls, every so many sweeps. A block that was lost begins again from the weights that
    were reached, which the method forgives from anywhere; the gap is proven as ever.

    Parameters
    ----------
    blocks : Blocks
        Of `HingeBlock`.
    scales : Scales
    problems : list of LinearProblem
    ridges : list of Ridge
        For each problem.
    penalty, tol, max_iter
        As in `solve_many`.

    Attributes
    ----------
    W, b, primal, dual, n_iter
        Best weights and intercepts seen of each learner, their objective, the best bound below it, and sweeps and
        steps.
    """

    def __init__(
        self,
        blocks: Blocks,
        scales: Scales,
        problems: Sequence[Any],
        ridges: list[Ridge],
        penalty: float,
        *,
        tol: float,
        max_iter: int,
    ) -> None:
        self.blocks, self.scales, self.ridges, self.penalty = blocks, scales, ridges, penalty
        self.tol, self.max_iter = tol, max_iter
        costs = [problem.cost(k) for problem in problems for k in range(problem.Y.shape[1])]
        self.cost_sum = np.array([cost.sum() for cost in costs])
        self.counted = np.array([max(np.count_nonzero(cost), 1) for cost in costs])
        R = len(costs)
        self.W, self.b = np.zeros((R, scales.d)), np.zeros(R)
        self.primal, self.dual = np.full(R, np.inf), np.zeros(R)
        self.n_iter = np.zeros(R, dtype=int)
        # Where the blocks are, which is not always the best place seen.
        self.exact, self.at, self.at_b = False, np.zeros((R, scales.d)), np.zeros(R)
        self.further: list[Call] = []
        blocks.replay = self._replay

    def _replay(self) -> list[Call]:
        return [("restart", (self.exact, self.at, self.at_b)), *self.further]

    @property
    def gap(self) -> np.ndarray:
        """Relative gap of each learner."""
        floor = np.finfo(np.float64).eps * self.cost_sum + np.finfo(np.float64).tiny
        seen = np.isfinite(self.primal)
        share = np.full(len(self.primal), np.inf)
        return np.divide(
            np.maximum(self.primal - self.dual, 0.0), np.maximum(self.primal, floor), out=share, where=seen
        )

    def solve(self, told: Callable[[int], None]) -> tuple[np.ndarray, ...]:
        """Weights, intercepts, objectives, gaps and counts of all learners."""
        sigma = self._alternate(told)
        left = np.flatnonzero(self.gap > self.tol)
        unfinished = len(left)
        for exact in (False, True):
            if exact and self.tol < COARSE:
                # What scores in float32 seemed to prove is proven again.
                left, self.primal[:], self.dual[:] = np.arange(len(self.W)), np.inf, 0.0
            live = left[(self.gap[left] > self.tol) & (self.n_iter[left] < self.max_iter)]
            if len(live) == 0:
                break
            if exact:
                self.exact = True
                self.blocks.call("sharpen")
                self.return_to_best(left)
                self.see(left)
                live = live[self.gap[live] > self.tol]
            Newton(self, live, sigma).run()
        told(unfinished)
        return self.W, self.b, self.primal, self.gap, self.n_iter

    def return_to_best(self, live: np.ndarray) -> None:
        """Bring the blocks to the best weights seen of some learners; their multipliers stay."""
        self.at[live], self.at_b[live] = self.W[live], self.b[live]
        self.blocks.call("place", live, self.at[live])

    def see(self, live: np.ndarray) -> None:
        """Judge the multipliers of some learners, and the weights where the blocks are."""
        products, sums = self.blocks.total("sides", live)
        low, tiny = sums.min(axis=0), np.finfo(np.float64).tiny
        scale = np.ones_like(sums) if self.penalty else low / np.maximum(sums, tiny)
        W_dual = scale[0][:, None] * products[0] - scale[1][:, None] * products[1]
        positive, negative = scale * sums
        bound = positive + negative - 0.5 * np.einsum("ij,ij->i", W_dual, W_dual)
        bound -= 0.5 * self.penalty * (positive - negative) ** 2
        self.dual[live] = np.maximum(self.dual[live], bound)
        ends = self.blocks.call("judge", live, W_dual)
        self.further.append(("judge", (live, W_dual)))
        first, last = np.min([e[:, 0] for e in ends], axis=0).ravel(), np.max([e[:, 1] for e in ends], axis=0).ravel()
        weights, learners = np.concatenate([self.at[live], W_dual]), np.concatenate([live, live])
        dual = np.repeat([False, True], len(live))
        squares = 0.5 * np.einsum("ij,ij->i", weights, weights)
        b, loss = best_intercepts(self.blocks, learners, dual, first, last, squares, self.penalty, 1e-2 * self.tol)
        self.further.pop()
        primal = squares + loss
        for half in (slice(0, len(live)), slice(len(live), None)):
            better = primal[half] < self.primal[live]
            where = live[better]
            self.W[where], self.b[where] = weights[half][better], b[half][better]
            self.primal[where] = primal[half][better]

    def _alternate(self, told: Callable[[int], None]) -> np.ndarray:
        """Sweep until all are done, or few are left that Newton's method finishes sooner; penalties (R,)."""
        scales, owner, n = self.scales, self.scales.owner, self.scales.n
        key = np.array([id(self.ridges[problem]) for problem in owner])
        kinds = {id(ridge): ridge for ridge in self.ridges}
        mean = self.ridges[0].gram.mean[self.ridges[0].columns]
        column_sums = n * (mean - scales.shift) * scales.factor  # of Z, for each problem
        traces = {number: ridge.trace() for number, ridge in kinds.items()}
        cost = np.maximum(self.cost_sum / self.counted, np.finfo(np.float64).tiny)
        level = np.rint(-np.log2(1.0 / cost + np.array([0.5 * traces[number] / n for number in key]))).astype(int)
        live, sweep = np.arange(len(owner)), 0
        aims = np.zeros(len(owner))  # sums of z + y alpha / rho
        e, e_sum = np.zeros((len(owner), scales.d)), np.zeros(len(owner))
        while len(live) and sweep < self.max_iter:
            sweep += 1
            rho = 2.0 ** level[live]
            keep = rho / (self.penalty + rho * n)
            b = self.at_b[live]
            rest = b + (e_sum[live] - n * b) * keep
            G = self.at[live] + rho[:, None] * (e[live] - rest[:, None] * column_sums[owner[live]])
            W = self.at[live]
            for number, ridge in kinds.items():
                for one in np.unique(level[live][key[live] == number]):
                    rows = np.flatnonzero((level[live] == one) & (key[live] == number))
                    W[rows] -= ridge.solve(G[rows], int(one))
            b = (aims[live] - np.einsum("ij,ij->i", column_sums[owner[live]], W)) * keep
            squares, products, sums = self.blocks.total("sweep", live, W, b, rho)
            self.at[live], self.at_b[live] = W, b
            e[live], (e_sum[live], aims[live]) = products, sums
            self.n_iter[live] = sweep
            last = sweep >= min(self.max_iter, SWEEPS if len(live) <= FEW else 4 * SWEEPS)
            if sweep % CHECK and not last:
                continue
            self.see(live)
            moved, off, z, alpha = np.sqrt(squares)
            change = balance(off, z, rho * moved, alpha)
            level[live] += change
            done = self.gap[live] <= self.tol
            told(int(done.sum()))
            live = live[~done]
            if last:
                break
            changed = live[change[~done] != 0]
            if len(changed):
                products, sums = self.blocks.total("residual", changed, self.at_b[changed], 2.0 ** level[changed])
                e[changed], (e_sum[changed], aims[changed]) = products, sums
        return 2.0**level
