"""What a worker does for learners of the hinge loss: scores and multipliers of its rows, and sums over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusionfer.cluster._smooth_block import SmoothBlock
from fusionfer.heads.linear._augmented import AugmentedHinge
from fusionfer.heads.linear._threads import for_each

__all__ = ["HingeBlock"]


class HingeBlock(SmoothBlock):
    """As `SmoothBlock`, with a loss whose multipliers move."""

    loss: AugmentedHinge

    def _margins(self, i: int, b: float) -> tuple[int, np.ndarray, np.ndarray]:
        """Number, margins and costs (rows,) of live learner `i` where it stands, with intercept `b`."""
        r = int(self.live[i])
        y, c = self.loss.sides(r)
        return r, y * (self.F[i] + b), c

    def settle(self, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """As `SmoothBlock.settle`, and sums (2, live) of c max(0, 1 - m) and of multipliers times 1 - m there."""
        settled = super().settle(places)
        sums = np.empty((2, len(self.live)))

        def one(i: int) -> None:
            sums[:, i] = self.loss.hinge(*self._margins(i, places[i, 1]))

        for_each(len(self.live), one)
        return *settled, sums

    def recentre(self, moved: Sequence[int], b: np.ndarray) -> None:
        """Let multipliers of live learners, by their places, move to where they stand."""
        for i, intercept in zip(moved, b, strict=True):
            self.loss.recentre(*self._margins(i, intercept)[:2])

    def retrace(self, exact: bool, learners: np.ndarray, W: np.ndarray, b: np.ndarray) -> None:
        """Let multipliers of learners, by their numbers, move to where they stood with weights W (learners, d)."""
        stack = self.stacks[exact]
        F = stack.forward(W, stack.owner[learners])
        for f, r, intercept in zip(F, learners.tolist(), b, strict=True):
            self.loss.recentre(r, self.loss.sides(r)[0] * (f + intercept))

    def sides(self, chosen: Sequence[int], b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Multipliers of the positive and of the negative rows: sums of the rows by them (2, r, d), and sums (2, r)."""
        A = np.empty((2, len(chosen), self.stack.n))
        for j, (i, intercept) in enumerate(zip(chosen, b, strict=True)):
            r, m, c = self._margins(i, intercept)
            a = c * self.loss.multipliers(r, m)
            A[0, j], A[1, j] = a * (self.loss.Y[r] > 0), a * (self.loss.Y[r] < 0)
        owner = self.owner[np.asarray(chosen)]
        return np.stack([self.stack.backward(side, owner) for side in A]), A.sum(axis=2)
