"""Boosters that know one slice of the columns each, in memory or in files; both grow the same trees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    import xgboost

__all__ = ["Recipe", "Rows", "Slice", "TurnSlice", "Turns"]

#: Rows of a page of a slice in files.
_PAGE = 1 << 16


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
        common = _common(recipe)
        sketch = _sketch(len(columns), recipe, sketches)
        train, *others = [np.ascontiguousarray(rows.codes[columns].T) for rows in sets]
        threads = {name: common[name] for name in common.keys() & {"nthread"}}
        self._sets = [
            # Given as a sparse matrix that lacks nothing, values become bins in two thirds of the time.
            xgboost.QuantileDMatrix(_as_sparse(train), ref=sketch, **common),
            *(xgboost.DMatrix(values, **threads) for values in others),  # no tree is grown on them: nothing to cut
        ]
        self.booster: xgboost.Booster = xgboost.Booster(_parameters(recipe, n_classes), self._sets[:1])
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

    def document(self) -> dict[str, Any]:
        """Return a model of XGBoost of all trees so far, parsed."""
        return json.loads(bytes(self.booster.save_raw("json")))

    def close(self) -> None:
        """Nothing is held but memory."""


class Turns:
    """Trees of one slice, as models of XGBoost in JSON: one for each turn that it had.

    Attributes
    ----------
    columns : ndarray of int, shape (m,)
        Which.
    turns : list of bytes
        Each of one tree for each margin, over codes, with steps of 1.
    """

    def __init__(self, columns: np.ndarray, turns: Sequence[bytes] = ()) -> None:
        self.columns, self.turns = columns, list(turns)

    def document(self) -> dict[str, Any]:
        """Return a model of XGBoost of all trees so far, parsed."""
        first, *others = (json.loads(turn) for turn in self.turns)
        for other in others:
            _trees_of(first).extend(_trees_of(other))
        return first


class TurnSlice(Turns):
    """A slice that has a new booster at each turn, of which the trees stay, as JSON.

    A booster that has grown a tree keeps margins and places of all rows, and that adds up over the slices. Its bins are
    pages in a folder, if there is one; they are made at the first turn.
    """

    def __init__(
        self,
        columns: np.ndarray,
        sets: Sequence[Rows],
        recipe: Recipe,
        n_classes: int,
        sketches: dict[int, xgboost.QuantileDMatrix],
        folder: Path | None = None,
    ) -> None:
        super().__init__(columns)
        self._given, self._recipe, self._sketches, self._folder = sets, recipe, sketches, folder
        self._parameters = _parameters(recipe, n_classes)
        self._train: Any = None

    def prepare(self) -> None:
        """Make the bins, if they are not there yet."""
        import xgboost

        if self._train is not None:
            return
        codes = self._given[0].codes
        given = {"ref": _sketch(len(self.columns), self._recipe, self._sketches), **_common(self._recipe)}
        if self._folder is None:
            values = np.ascontiguousarray(codes[self.columns].T)
            self._train = xgboost.QuantileDMatrix(_as_sparse(values), **given)
        else:
            self._train = xgboost.ExtMemQuantileDMatrix(_pages(codes, self.columns, self._folder), **given)

    def grow(self, gradient: np.ndarray, hessian: np.ndarray) -> list[np.ndarray]:
        """Grow one tree for each margin, and return what they give for the rows of each set, (n, C)."""
        import xgboost

        self.prepare()
        booster = xgboost.Booster(self._parameters, [self._train])
        booster.boost(self._train, 0, grad=gradient, hess=hessian)
        self.turns.append(bytes(booster.save_raw("json")))
        train, *others = self._given
        grown = booster.predict(self._train, output_margin=True).reshape(len(train.y), -1)
        return [grown, *(self._outputs(booster, rows.codes, gradient.shape[1]) for rows in others)]

    def replay(self, turn: bytes, n_outputs: int) -> list[np.ndarray]:
        """Take trees that were grown before, and return what they give for the rows of each set, (n, C)."""
        import xgboost

        booster = xgboost.Booster(_common(self._recipe))
        booster.load_model(bytearray(turn))
        self.turns.append(turn)
        return [self._outputs(booster, rows.codes, n_outputs) for rows in self._given]

    def _outputs(self, booster: xgboost.Booster, codes: np.ndarray, n_outputs: int) -> np.ndarray:
        """What the trees give for rows that have no bins, but are read as they lie."""
        found = np.empty((codes.shape[1], n_outputs), dtype=np.float32)
        for start in range(0, len(found), _PAGE):
            piece = np.ascontiguousarray(codes[self.columns, start : start + _PAGE].T, dtype=np.float32)
            found[start : start + _PAGE] = booster.inplace_predict(piece, predict_type="margin").reshape(len(piece), -1)
        return found

    def close(self) -> None:
        """Let go of the bins; XGBoost deletes the pages."""
        self._train = None


def _trees_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return document["learner"]["gradient_booster"]["model"]["trees"]


def _pages(codes: np.ndarray, columns: np.ndarray, folder: Path) -> Any:
    """Return an iterator of XGBoost's over rows of some columns, which puts its pages into the folder."""
    import xgboost

    class Pages(xgboost.DataIter):
        def __init__(self) -> None:
            self.start = 0
            super().__init__(cache_prefix=str(folder / "slice"))

        def reset(self) -> None:
            self.start = 0

        def next(self, input_data: Any) -> bool:
            if self.start >= codes.shape[1]:
                return False
            input_data(data=np.ascontiguousarray(codes[columns, self.start : self.start + _PAGE].T))
            self.start += _PAGE
            return True

    return Pages()


def _common(recipe: Recipe) -> dict[str, Any]:
    """Parameters that matrices share with boosters."""
    return {name: recipe.tree[name] for name in ("nthread", "max_bin") if name in recipe.tree}


def _sketch(n_columns: int, recipe: Recipe, sketches: dict[int, xgboost.QuantileDMatrix]) -> xgboost.QuantileDMatrix:
    """A sketch of all codes, each once: XGBoost then takes every code for a bin of its own."""
    import xgboost

    if n_columns not in sketches:
        every_code = np.repeat(np.arange(recipe.n_bins, dtype=np.uint8)[:, None], n_columns, axis=1)
        sketches[n_columns] = xgboost.QuantileDMatrix(every_code, **_common(recipe))
    return sketches[n_columns]


def _parameters(recipe: Recipe, n_classes: int) -> dict[str, Any]:
    objective = (
        {"objective": "binary:logistic", "base_score": 0.5}
        if n_classes == 2
        else {"objective": "multi:softprob", "num_class": n_classes, "base_score": 0.0}
    )
    return {**recipe.tree, **objective, "tree_method": "hist", "eta": 1.0, "disable_default_eval_metric": True}


def _as_sparse(values: np.ndarray) -> csr_matrix:
    """Return the same matrix in rows of all columns; zeros stay values."""
    n, d = values.shape
    columns = np.tile(np.arange(d, dtype=np.int32), n)
    return csr_matrix((values.astype(np.float32).ravel(), columns, np.arange(n + 1, dtype=np.int64) * d), shape=(n, d))
