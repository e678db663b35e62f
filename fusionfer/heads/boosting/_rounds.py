"""One round after the other: gradients, a tree for each margin on one slice, its norm, and the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from fusionfer.heads.boosting._losses import gradients, log_loss, start_margins
from fusionfer.heads.boosting._norm import bounds, step_factors, tree_norms

if TYPE_CHECKING:
    import xgboost

__all__ = ["Forest", "Recipe", "Rows", "Slice", "grow"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows as codes (d, n), with classes (n,) and weights (n,)."""

    codes: np.ndarray
    y: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Recipe:
    """How to grow: parameters of `WeightNormalisedXGBClassifier` by the same names, and of XGBoost's trees."""

    n_rounds: int
    eta: float
    norm: str | None
    tau: float
    lead: float
    hessian_factor: float
    patience: int | None
    n_bins: int
    tree: dict[str, Any]


class Slice:
    """Some of the columns, with a booster that knows no others.

    Attributes
    ----------
    columns : ndarray of int, shape (m,)
        Which.
    booster : xgboost.Booster
        Trees grown on them, with steps of 1, over codes in the place of values.
    """

    def __init__(
        self,
        columns: np.ndarray,
        sets: Sequence[Rows],
        recipe: Recipe,
        n_classes: int,
        sketches: dict[int, xgboost.QuantileDMatrix],
    ) -> None:
        import xgboost

        self.columns = columns
        names = ("nthread", "max_bin")
        common = {name: recipe.tree[name] for name in names if name in recipe.tree}
        if len(columns) not in sketches:
            # A sketch of all codes, each once: XGBoost then takes every code for a bin of its own.
            every_code = np.repeat(np.arange(recipe.n_bins, dtype=np.uint8)[:, None], len(columns), axis=1)
            sketches[len(columns)] = xgboost.QuantileDMatrix(every_code, **common)
        sketch = sketches[len(columns)]
        train, *others = [np.ascontiguousarray(rows.codes[columns].T) for rows in sets]
        threads = {name: common[name] for name in common.keys() & {"nthread"}}
        self._sets = [
            # Given as a sparse matrix that lacks nothing, values become bins in two thirds of the time.
            xgboost.QuantileDMatrix(_as_sparse(train), ref=sketch, **common),
            *(xgboost.DMatrix(values, **threads) for values in others),  # no tree is grown on them: nothing to cut
        ]
        objective = (
            {"objective": "binary:logistic", "base_score": 0.5}
            if n_classes == 2
            else {"objective": "multi:softprob", "num_class": n_classes, "base_score": 0.0}
        )
        self.booster: xgboost.Booster = xgboost.Booster(
            {**recipe.tree, **objective, "tree_method": "hist", "eta": 1.0, "disable_default_eval_metric": True},
            self._sets[:1],
        )
        self._grown = 0

    def grow(self, gradient: np.ndarray, hessian: np.ndarray) -> list[np.ndarray]:
        """Grow one tree for each margin, and return what they give for the rows of each set, (n, C)."""
        self.booster.boost(self._sets[0], self._grown, grad=gradient, hess=hessian)
        last = (self._grown, self._grown + 1)
        self._grown += 1
        # base_score is a margin of 0, which predict adds: nothing has to be taken off again.
        return [
            self.booster.predict(rows, output_margin=True, iteration_range=last).reshape(rows.num_row(), -1)
            for rows in self._sets
        ]


def _as_sparse(values: np.ndarray) -> csr_matrix:
    """Return the same matrix in rows of all columns; zeros stay values."""
    n, d = values.shape
    columns = np.tile(np.arange(d, dtype=np.int32), n)
    return csr_matrix((values.astype(np.float32).ravel(), columns, np.arange(n + 1, dtype=np.int64) * d), shape=(n, d))


@dataclass(frozen=True, eq=False)
class Forest:
    """What was grown.

    Attributes
    ----------
    start : ndarray of float32, shape (C,)
        Margins before the first round.
    slices : list of Slice
        Round r was grown on slice r mod S, as its tree r // S.
    factors : ndarray of float32, shape (rounds, C)
        What the leaf weights of each tree are to be multiplied with.
    best_round : int
        Rounds to keep: those up to the lowest loss on validation rows, or all.
    history : dict of str to ndarray
        By round.
    """

    start: np.ndarray
    slices: list[Slice]
    factors: np.ndarray
    best_round: int
    history: dict[str, np.ndarray]


def grow(
    columns: Sequence[np.ndarray],
    train: Rows,
    validation: Rows | None,
    n_classes: int,
    recipe: Recipe,
    progress: Progress | None = None,
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

    Returns
    -------
    Forest
    """
    sets = [train] if validation is None else [train, validation]
    sketches: dict[int, xgboost.QuantileDMatrix] = {}  # by number of columns: they depend on nothing else
    slices = [Slice(those, sets, recipe, n_classes, sketches) for those in columns]
    start = start_margins(train.y, train.weight, n_classes)
    margins = [np.tile(start, (len(rows.y), 1)) for rows in sets]
    weight = train.weight.astype(np.float32)
    covered = np.zeros(len(start))
    best, best_round = np.inf, 0
    told: dict[str, list[Any]] = {name: [] for name in ("S", "V", "norm", "step", "train_loss", "validation_loss")}
    for number in range(recipe.n_rounds):
        gradient, hessian = gradients(margins[0], train.y, weight, recipe.hessian_factor)
        outputs = slices[number % len(slices)].grow(gradient, hessian)
        norms = tree_norms(outputs[0], hessian)
        tau = bounds(recipe.tau, recipe.lead, recipe.eta, covered)
        factors = step_factors(norms, recipe.eta, recipe.norm, tau).astype(np.float32)
        covered += factors * norms
        for margin, output in zip(margins, outputs, strict=True):
            output *= factors
            margin += output
        losses = [log_loss(margin, rows.y, rows.weight) for margin, rows in zip(margins, sets, strict=True)]
        told["S"].append(gradient.sum(axis=0, dtype=np.float64))
        told["V"].append(hessian.sum(axis=0, dtype=np.float64))
        told["norm"].append(norms)
        told["step"].append(factors)
        told["train_loss"].append(losses[0])
        if validation is not None:
            told["validation_loss"].append(losses[1])
            if losses[1] < best:
                best, best_round = losses[1], number + 1
        if progress is not None:
            progress(number + 1, recipe.n_rounds, "rounds")
        if validation is not None and recipe.patience is not None and number + 1 - best_round >= recipe.patience:
            break
    history = {name: np.array(values) for name, values in told.items() if values}
    stopping = validation is not None and recipe.patience is not None
    return Forest(start, slices, history["step"], max(1, best_round) if stopping else len(history["step"]), history)
