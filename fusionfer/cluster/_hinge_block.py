"""What a worker does for learners of the hinge loss: scores, multipliers and proximal steps of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fusionfer.cluster._blocks import Held
from fusionfer.cluster._gram import loaded
from fusionfer.heads.linear._hinge import RELAX
from fusionfer.heads.linear._ridge import weighted_gram
from fusionfer.heads.linear._solving import learners_of
from fusionfer.heads.linear._stack import Stack
from fusionfer.heads.linear._threads import for_each
from fusionfer.matrices import MappedMatrix, is_mapped, read_rows, take_rows

__all__ = ["HingeBlock"]


class HingeBlock(Held):
    """Scores F, splitting variable Z and multipliers alpha, (learners, rows) each; see `alternate` and `finish`.

    Parameters
    ----------
    matrix : MappedMatrix
        The rows of this block, and the columns of all problems.
    problems : sequence of LinearProblem
        With the labels and costs of these rows.
    counts : sequence of int
        Learners of each.
    penalty : float
    """

    def __init__(self, matrix: MappedMatrix, problems: Sequence[Any], counts: Sequence[int], penalty: float) -> None:
        X = loaded(matrix)
        self.stacks = [Stack(X, problems, counts), Stack(X, problems, counts, exact=True)]
        self.stack, self.penalty = self.stacks[0], penalty
        self.Y, self.costs = learners_of(list(problems))
        self.F, self.Z, self.alpha, self.F_dual, self.U = np.zeros((5, len(self.Y), len(X)))

    def _sides(self, r: int) -> tuple[np.ndarray, np.ndarray]:
        y = self.Y[r].astype(np.float64)
        return y, self.costs[r] * (y != 0)

    def restart(self, exact: bool, W: np.ndarray, b: np.ndarray) -> None:
        """Begin again from weights and intercepts of all learners: with the multipliers that they would have there."""
        self.stack = self.stacks[exact]
        self.F[:] = self.stack.forward(W, self.stack.owner)
        self.Z[:] = self.F + b[:, None]
        for r in range(len(W)):
            y, c = self._sides(r)
            self.alpha[r] = c * (y * self.Z[r] < 1.0)

    def sharpen(self) -> None:
        """Products in float64 from now on."""
        self.stack = self.stacks[1]

    def sweep(self, live: np.ndarray, W: np.ndarray, b: np.ndarray, rho: np.ndarray) -> tuple[np.ndarray, ...]:
        """Take the proximal step at weights W (r, d), intercepts b (r,): sums of squares, then what `residual` gives.

        The sums are, one row each: how far z moved, how far it is from the scores, z and alpha.
        """
        F = self.stack.forward(W, self.stack.owner[live])
        squares = np.empty((4, len(live)))

        def step(j: int) -> None:
            r = int(live[j])
            y, c = self._sides(r)
            self.F[r] = F[j]
            A = self.F[r] + b[j]
            relaxed = RELAX * A + (1.0 - RELAX) * self.Z[r]
            new = np.clip(self.alpha[r] + rho[j] * (1.0 - y * relaxed), 0.0, c)
            z = relaxed + y * (new - self.alpha[r]) / rho[j]
            squares[:, j] = np.sum((z - self.Z[r]) ** 2), np.sum((A - z) ** 2), np.sum(z**2), np.sum(new**2)
            self.Z[r], self.alpha[r] = z, new

        for_each(len(live), step)
        return squares, *self.residual(live, b, rho)

    def residual(self, live: np.ndarray, b: np.ndarray, rho: np.ndarray) -> tuple[np.ndarray, ...]:
        """Residuals e = F + b - z - y alpha / rho: sums of the rows by them (r, d), their sums, sums of F + b - e."""
        E = np.empty((len(live), self.stack.n), dtype=self.stack.dtype)
        sums = np.empty((2, len(live)))

        def one(j: int) -> None:
            r = int(live[j])
            aim = self.Z[r] + self.Y[r] * (self.alpha[r] / rho[j])
            e = self.F[r] + b[j] - aim
            E[j], sums[:, j] = e, (e.sum(), aim.sum())

        for_each(len(live), one)
        return self.stack.backward(E, self.stack.owner[live]), sums

    def sides(self, live: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Multipliers of the positive and of the negative rows: sums of the rows by them (2, r, d), and sums (2, r)."""
        products, sums = np.empty((2, len(live), self.stack.d)), np.empty((2, len(live)))
        for k, side in enumerate((1, -1)):
            B = self.alpha[live] * (self.Y[live] == side)
            products[k], sums[k] = self.stack.backward(B, self.stack.owner[live]), B.sum(axis=1)
        return products, sums

    def judge(self, live: np.ndarray, W_dual: np.ndarray) -> np.ndarray:
        """Lowest and highest intercept (2, 2, r) at which the loss kinks, for F and for the scores of W_dual."""
        self.F_dual[live] = self.stack.forward(W_dual, self.stack.owner[live])
        ends = np.empty((2, 2, len(live)))
        for j, r in enumerate(live.tolist()):
            for k, scores in enumerate((self.F, self.F_dual)):
                y, c = self._sides(r)
                kinks = (y - scores[r])[c > 0]
                ends[k, :, j] = kinks.min(initial=np.inf), kinks.max(initial=-np.inf)
        return ends

    def losses(self, learners: np.ndarray, which: np.ndarray, grid: np.ndarray) -> np.ndarray:
        """Loss and its slope to the right (2, q, m) at intercepts `grid` (q, m), ascending, of F or F_dual (q,)."""
        found = np.empty((2, *grid.shape))

        def one(q: int) -> None:
            r = int(learners[q])
            y, c = self._sides(r)
            kinks = y - (self.F_dual if which[q] else self.F)[r]
            cell, m = np.searchsorted(grid[q], kinks), grid.shape[1]

            def up_to(weight: np.ndarray) -> np.ndarray:
                return np.cumsum(np.bincount(cell, weight, minlength=m + 1))

            # A positive row loses left of its kink, a negative one right of it.
            right, left = c * (y > 0), c * (y < 0)
            heavy, moment = up_to(right), up_to(right * kinks)
            value = (moment[-1] - moment[:m]) - grid[q] * (heavy[-1] - heavy[:m])
            slope = heavy[:m] - heavy[-1]
            heavy, moment = up_to(left), up_to(left * kinks)
            found[0, q] = value + grid[q] * heavy[:m] - moment[:m]
            found[1, q] = slope + heavy[:m]

        for_each(len(grid), one)
        return found

    # Newton's method, for the learners that need it.

    def place(self, live: np.ndarray, W: np.ndarray) -> None:
        """Scores of weights W (r, d)."""
        self.F[live] = self.stack.forward(W, self.stack.owner[live])

    def direct(self, live: np.ndarray, P: np.ndarray, b: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Look along P (r, d); what `penalties` gives at step 1."""
        self.U[live] = self.stack.forward(P, self.stack.owner[live])
        return self.penalties(live, np.ones(len(live)), b, sigma)

    def _multipliers(self, r: int, s: float, b: float, sigma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels, unclipped and clipped multipliers at F + s U + b."""
        y, c = self._sides(r)
        scores = self.F[r] + (s * self.U[r] if s else 0.0) + b
        wanted = self.alpha[r] + sigma * (1.0 - y * scores)
        return y, wanted, np.clip(wanted, 0.0, c)

    def penalties(self, live: np.ndarray, s: np.ndarray, b: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Sums of e(r_i) of `finish`, (r,), at F + s U + b."""
        found = np.empty(len(live))

        def one(j: int) -> None:
            _, wanted, a = self._multipliers(int(live[j]), s[j], b[j], sigma[j])
            found[j] = a @ (wanted - 0.5 * a) / sigma[j]

        for_each(len(live), one)
        return found

    def slopes(self, live: np.ndarray, b: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, ...]:
        """Sums of the rows by y a (r, d), sums of y a and of e, and how many rows lie on the margin, (r,) each."""
        B, sums, counts = np.empty((len(live), self.stack.n)), np.empty((2, len(live))), np.empty(len(live), dtype=int)
        for j, r in enumerate(live.tolist()):
            y, wanted, a = self._multipliers(r, 0.0, b[j], sigma[j])
            B[j], sums[:, j] = a * y, (a @ y, a @ (wanted - 0.5 * a) / sigma[j])
            counts[j] = len(self._margin(r, b[j], sigma[j]))
        return self.stack.backward(B, self.stack.owner[live]), sums, counts

    def _margin(self, r: int, b: float, sigma: float) -> np.ndarray:
        _, _, a = self._multipliers(r, 0.0, b, sigma)
        return np.flatnonzero((a > 0) & (a < self._sides(r)[1]))

    def take(self, r: int, b: float, sigma: float) -> np.ndarray:
        """Rows of X on the margin of learner `r`, (k, d)."""
        return np.asarray(read_rows(self.stack.X, self._margin(r, b, sigma)))

    def total(self, r: int, b: float, sigma: float) -> np.ndarray:
        """Sum of these rows (d,), in float64."""
        rows = take_rows(self.stack.X, self._margin(r, b, sigma))
        return rows.combine(np.ones((1, len(rows))))[0] if is_mapped(rows) else rows.sum(axis=0, dtype=np.float64)

    def gram(self, r: int, b: float, sigma: float, centre: np.ndarray) -> np.ndarray:
        """Lower triangle of their outer products about `centre`, in float64."""
        return weighted_gram(take_rows(self.stack.X, self._margin(r, b, sigma)), centre, dtype=np.float64)

    def advance(self, live: np.ndarray, s: np.ndarray) -> None:
        """Go a step along U."""
        self.F[live] += s[:, None] * self.U[live]

    def multiply(self, live: np.ndarray, b: np.ndarray, sigma: np.ndarray) -> None:
        """Let the multipliers become what they are at F + b."""
        for j, r in enumerate(live.tolist()):
            self.alpha[r] = self._multipliers(r, 0.0, b[j], sigma[j])[2]
