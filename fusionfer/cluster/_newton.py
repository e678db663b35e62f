"""Newton's method for the hinge loss over a cluster: all learners that need it, step by step side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from fusionfer.heads.linear import LinearProblem
from fusionfer.heads.linear._hinge import PATIENCE, direction, lift
from fusionfer.heads.linear._stack import Stack

if TYPE_CHECKING:
    from fusionfer.cluster._hinge import ClusterHinge

__all__ = ["Newton"]


class Newton:
    """As `finish`, with the rows on workers: what is asked of them, is asked for all learners in one call.

    Parameters
    ----------
    hinge : ClusterHinge
        Where the learners stand; brought on in place.
    live : ndarray of int
        Numbers of the learners.
    sigma : ndarray of shape (R,)
        Penalties of all learners; changed in place.
    """

    def __init__(self, hinge: ClusterHinge, live: np.ndarray, sigma: np.ndarray) -> None:
        self.hinge, self.blocks, self.live, self.sigma = hinge, hinge.blocks, live, sigma
        self.stalled = np.zeros(len(sigma), dtype=int)

    def run(self) -> None:
        """Bring every gap below the tolerance, or as far as rounding and the number of steps allow."""
        self.hinge.return_to_best(self.live)
        while len(self.live):
            self._judge(self._step())

    def _step(self) -> np.ndarray:
        """One step of all; returns those for which their multipliers should move now."""
        hinge, live = self.hinge, self.live
        hinge.n_iter[live] += 1
        W, b, sigma, penalty = hinge.at[live], hinge.at_b[live], self.sigma[live], hinge.penalty
        products, sums, counts = self.blocks.total("slopes", live, b, sigma)
        g, g_b = W - products, penalty * b - sums[0]
        value = 0.5 * (np.einsum("ij,ij->i", W, W) + penalty * b * b) + sums[1]
        P, q = np.empty_like(W), np.empty(len(live))
        for j, r in enumerate(live.tolist()):
            P[j], q[j] = self._direction(r, int(counts[j]), g[j], float(g_b[j]))
        slope = np.einsum("ij,ij->i", g, P) + g_b * q
        along = (live, P, b + q, sigma)
        rows = self.blocks.total("direct", *along)
        hinge.further.append(("direct", along))
        size, open_ = np.ones(len(live)), np.arange(len(live))
        while True:
            s = size[open_]
            w, c = W[open_] + s[:, None] * P[open_], b[open_] + s * q[open_]
            reached = 0.5 * (np.einsum("ij,ij->i", w, w) + penalty * c * c) + rows
            low = reached <= value[open_] + 1e-4 * s * slope[open_]
            open_ = open_[~low & (s > 1e-8)]
            if len(open_) == 0:
                break
            size[open_] *= 0.5
            rows = self.blocks.total("penalties", live[open_], size[open_], (b + size * q)[open_], sigma[open_])
        self.blocks.call("advance", live, size)
        hinge.further.pop()
        hinge.at[live] = W + size[:, None] * P
        hinge.at_b[live] = b + size * q
        return live[~((-slope > 0.1 * hinge.tol * hinge.primal[live]) & (size > 1e-8))]

    def _judge(self, settled: np.ndarray) -> None:
        """Move the multipliers of some learners, look at their gaps, and forget who is done."""
        hinge = self.hinge
        if len(settled):
            self.blocks.call("multiply", settled, hinge.at_b[settled], self.sigma[settled])
            before = hinge.gap[settled]
            hinge.see(settled)
            gap = hinge.gap[settled]
            self.stalled[settled] = np.where(gap == before, self.stalled[settled] + 1, 0)
            self.sigma[settled[gap > 0.3 * before]] *= 10.0
            self.blocks.call("place", settled, hinge.at[settled])  # sums of steps drift
        live = self.live
        done = (
            (hinge.gap[live] <= hinge.tol) | (self.stalled[live] >= PATIENCE) | (hinge.n_iter[live] >= hinge.max_iter)
        )
        self.live = live[~done]

    def _direction(self, r: int, count: int, g: np.ndarray, g_b: float) -> tuple[np.ndarray, float]:
        """Newton direction of learner `r` with so many rows on its margin; see `direction`."""
        hinge, scales = self.hinge, self.hinge.scales
        where = (r, float(hinge.at_b[r]), float(self.sigma[r]))
        sigma, penalty, problem = where[2], hinge.penalty, int(scales.owner[r])
        shift, factor = scales.shift[problem], scales.factor[problem]
        if count < scales.d:
            X = np.concatenate(self.blocks.call("take", *where)) if count else np.empty((0, scales.d))
            alone = LinearProblem(np.zeros((len(X), 1)), np.zeros(len(X)), None, shift, factor)
            return direction(Stack(X, [alone], [1]), 0, np.arange(len(X)), sigma, g, g_b, penalty)
        heft = sigma * count
        share = heft / (penalty + heft)
        raw = self.blocks.total("total", *where) / count
        centre = (raw - shift) * factor
        rest = np.sqrt(count * (1.0 - share)) * centre
        inner = self.blocks.total("gram", *where, raw) * factor * factor[:, None] + np.outer(rest, rest)
        inner *= sigma
        lift(inner, 1.0)
        p = linalg.solve(inner, share * centre * g_b - g, assume_a="pos", lower=True, check_finite=False)
        return p, -(g_b + heft * float(centre @ p)) / (penalty + heft)
