"""One round after the other: gradients, a tree for each margin on one slice, its norm, and the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.heads.boosting._boosters import Recipe, Rows, Slice, TurnSlice
from fusionfer.heads.boosting._losses import gradients, log_loss, start_margins
from fusionfer.heads.boosting._norm import bounds, step_factors, tree_norms

if TYPE_CHECKING:
    import xgboost

__all__ = ["TOLD", "Alone", "Forest", "Growth", "grow", "make_slices"]

Progress = Callable[[int, int, str], None]
#: What is told of each round.
TOLD = ("S", "V", "norm", "step", "train_loss", "validation_loss")


@dataclass(frozen=True, eq=False)
class Forest:
    """What was grown.

    Attributes
    ----------
    start : ndarray of float32, shape (C,)
        Margins before the first round.
    slices : list of Slice or TurnSlice
        Round r was grown on slice r mod S, as its tree r // S.
    factors : ndarray of float32, shape (rounds, C)
        What the leaf weights of each tree are to be multiplied with.
    best_round : int
        Rounds to keep: those up to the lowest loss on validation rows, or all.
    history : dict of str to ndarray
        By round.
    """

    start: np.ndarray
    slices: Sequence[Any]
    factors: np.ndarray
    best_round: int
    history: dict[str, np.ndarray]


class Alone:
    """All rows are here: sums over them need nobody else, and norms are taken over rows."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over all who grow together."""
        return values

    def norms(self, part: Any, outputs: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        """Return the norm (C,) of each tree that `part` has just grown."""
        return tree_norms(outputs, hessian)


class Growth:
    """A forest while it grows.

    Parameters
    ----------
    slices : sequence of Slice or TurnSlice
    sets : sequence of Rows
        Those that are grown on, and perhaps those that are stopped by.
    n_classes : int
        At least 2.
    recipe : Recipe
    together : Alone
        Or whoever sums up over several processes, each with rows of its own.
    judged : bool
        Whether there are rows to stop by, be it in another process.

    Attributes
    ----------
    start : ndarray of float32, shape (C,)
    margins : list of ndarray of float32, shapes (n, C)
        Of the rows of each set.
    covered : ndarray of float64, shape (C,)
        Sum of the sizes of the steps so far.
    told : dict of str to list
        By round.
    best, best_round : float, int
        Lowest loss on the rows that are stopped by, and the rounds up to it.
    """

    def __init__(
        self, slices: Sequence[Any], sets: Sequence[Rows], n_classes: int, recipe: Recipe, together: Any, judged: bool
    ) -> None:
        self.slices, self.sets, self.recipe, self.together, self.judged = slices, sets, recipe, together, judged
        train = sets[0]
        self.start = start_margins(train.y, train.weight, n_classes, together.sum)
        self.margins = [np.tile(self.start, (len(rows.y), 1)) for rows in sets]
        self.weights = [together.sum(np.array([rows.weight.sum()]))[0] for rows in sets]
        self.covered = np.zeros(len(self.start))
        self.told: dict[str, list[Any]] = {name: [] for name in TOLD}
        self.best, self.best_round = np.inf, 0

    @property
    def rounds(self) -> int:
        """How many have been grown."""
        return len(self.told["step"])

    @property
    def done(self) -> bool:
        """Whether there are enough rounds, or the loss has not fallen for too long."""
        patience = self.recipe.patience
        stopped = self.judged and patience is not None and self.rounds - self.best_round >= patience
        return stopped or self.rounds >= self.recipe.n_rounds

    def round(self) -> None:
        """Grow one tree for each margin on the slice whose turn it is, and step."""
        train, recipe = self.sets[0], self.recipe
        gradient, hessian = gradients(self.margins[0], train.y, train.weight.astype(np.float32), recipe.hessian_factor)
        part = self.slices[self.rounds % len(self.slices)]
        outputs = part.grow(gradient, hessian)
        norms = self.together.norms(part, outputs[0], hessian)
        tau = bounds(recipe.tau, recipe.lead, recipe.eta, self.covered)
        factors = step_factors(norms, recipe.eta, recipe.norm, tau).astype(np.float32)
        self.covered += factors * norms
        sums = np.stack([gradient.sum(axis=0, dtype=np.float64), hessian.sum(axis=0, dtype=np.float64)])
        del gradient, hessian
        for margin, output in zip(self.margins, outputs, strict=True):
            output *= factors
            margin += output
        self._tell(norms, factors, *self.together.sum(sums))

    def resume(self, told: dict[str, list[Any]], turns: Sequence[bytes]) -> None:
        """Take over rounds that were grown before: what was told of each, and its trees."""
        self.told = {name: list(told[name]) for name in TOLD}
        for number, turn in enumerate(turns):
            norms, factors = told["norm"][number], told["step"][number]
            for margin, output in zip(
                self.margins, self.slices[number % len(self.slices)].replay(turn, len(self.start)), strict=True
            ):
                output *= factors
                margin += output
            self.covered += factors * norms
            if self.judged and told["validation_loss"][number] < self.best:
                self.best, self.best_round = told["validation_loss"][number], number + 1

    def _tell(self, norms: np.ndarray, factors: np.ndarray, S: np.ndarray, V: np.ndarray) -> None:
        """Note what a round did, and what the losses are now."""
        losses = [
            log_loss(margin, rows.y, rows.weight) * rows.weight.sum() if len(rows.y) else 0.0
            for margin, rows in zip(self.margins, self.sets, strict=True)
        ]
        losses = self.together.sum(np.array(losses)) / self.weights
        for name, value in zip(TOLD, (S, V, norms, factors, *losses), strict=False):
            self.told[name].append(value)
        if self.judged and losses[-1] < self.best:
            self.best, self.best_round = losses[-1], self.rounds

    @property
    def keep(self) -> int:
        """Rounds to keep."""
        return max(1, self.best_round) if self.judged and self.recipe.patience is not None else self.rounds

    def forest(self) -> Forest:
        """What has been grown, with the number of rounds to keep."""
        history = {name: np.array(values) for name, values in self.told.items() if values}
        return Forest(self.start, self.slices, history["step"], self.keep, history)


def grow(
    columns: Sequence[np.ndarray],
    train: Rows,
    validation: Rows | None,
    n_classes: int,
    recipe: Recipe,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Forest:
    """Grow rounds until there are enough, or the validation loss has not fallen for `patience` rounds.

    Parameters
    ----------
    columns : sequence of ndarray of int
        Columns of each slice.
    train, validation : Rows
        Rows to grow on, and to judge by.
    n_classes : int
        At least 2.
    recipe : Recipe
    progress : callable, optional
        ``progress(done, total, what)``.
    folder : Path, optional
        Where slices keep their bins; by default in memory. The forest is the same.

    Returns
    -------
    Forest
    """
    sets = [train] if validation is None else [train, validation]
    slices = make_slices(columns, sets, recipe, n_classes, folder)
    try:
        growth = Growth(slices, sets, n_classes, recipe, Alone(), judged=validation is not None)
        while not growth.done:
            growth.round()
            if progress is not None:
                progress(growth.rounds, recipe.n_rounds, "rounds")
        return growth.forest()
    finally:
        for part in slices:
            part.close()


def make_slices(
    columns: Sequence[np.ndarray], sets: Sequence[Rows], recipe: Recipe, n_classes: int, folder: Path | None = None
) -> list[Any]:
    """Make the boosters of all slices, with bins in memory, or in the files of a folder."""
    sketches: dict[int, xgboost.QuantileDMatrix] = {}  # by number of columns: they depend on nothing else
    if folder is None:
        return [Slice(those, sets, recipe, n_classes, sketches) for those in columns]
    return [TurnSlice(those, sets, recipe, n_classes, sketches, folder) for those in columns]
