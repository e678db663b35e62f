"""Hinge loss over a cluster: the method of multipliers, whose multipliers lie with the rows on the workers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fusionfer.cluster._blocks import Call
from fusionfer.cluster._smooth import ClusterRun
from fusionfer.heads.linear._augmented import AugmentedRun
from fusionfer.heads.linear._descent import Outcome

__all__ = ["HingeRun"]


class HingeRun(AugmentedRun, ClusterRun):
    """As `augment`, over blocks of `HingeBlock`; wide problems too, which one machine solves otherwise.

    Multipliers follow from the weights at which they moved, and so does the way back for a block that was lost: it
    moves its own at each of these weights, and is where the others are but for rounding.

    Parameters
    ----------
    proven : Outcome
    history : list of (str, tuple)
        The moves so far, of a run in float32 before this one; brought on in place.
    *given
        As for `ClusterRun`.
    """

    def __init__(self, proven: Outcome, history: list[Call], *given: Any) -> None:
        self.history = history
        super().__init__(proven, *given)

    def _replay(self) -> list[Call]:
        return [*self.history, *super()._replay()]

    def _hinge(self) -> tuple[np.ndarray, np.ndarray]:
        (sums,) = self.also
        return sums[0], sums[1]

    def _recentre(self, moved: np.ndarray) -> None:
        self.blocks.call("recentre", moved, self.b[moved])
        self.history.append(("retrace", (self.exact, self.live[moved], self.W[moved], self.b[moved])))
        self._stay()
        self.g = self._gradient()

    def _prove(self, chosen: np.ndarray, value: np.ndarray) -> None:
        """The heavier side's multipliers are scaled down, so that all sum to 0 as a free intercept demands."""
        proven, penalty, live = self.proven, self.loss.penalty, self.live[chosen]
        products, sums = self.blocks.total("sides", np.flatnonzero(chosen), self.b[chosen])
        scale = np.ones_like(sums) if penalty else sums.min(axis=0) / np.maximum(sums, np.finfo(np.float64).tiny)
        W = scale[0][:, None] * products[0] - scale[1][:, None] * products[1]
        positive, negative = scale * sums
        bound = positive + negative - 0.5 * np.einsum("ij,ij->i", W, W) - 0.5 * penalty * (positive - negative) ** 2
        proven.dual[live] = np.maximum(proven.dual[live], bound)
        better = value[chosen] < proven.value[live]
        where = live[better]
        proven.W[where], proven.b[where] = self.W[chosen][better], self.b[chosen][better]
        proven.value[where] = value[chosen][better]
