"""What a worker does when it boosts: cut columns, hold its rows as codes, and grow in a collective with the others."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from fusionfer.cluster._blocks import Held
from fusionfer.heads.boosting._binning import Bins, find_bins
from fusionfer.heads.boosting._boosters import Recipe, Rows, TurnSlice
from fusionfer.heads.boosting._collective import InCollective, joined
from fusionfer.heads.boosting._rounds import TOLD, Growth
from fusionfer.heads.boosting._scratch import scratch
from fusionfer.heads.boosting._size import columns_at_once, sliced_size, stays_in_memory
from fusionfer.heads.linear._threads import at_most
from fusionfer.matrices import scratch_array
from fusionfer.memory import memory_limit

__all__ = ["begin", "cut_columns", "segment"]

Share = tuple[Any, np.ndarray, np.ndarray]


def cut_columns(X: Any, max_bin: int, weight: np.ndarray, memory: int | None, threads: int) -> list[np.ndarray]:
    """Return where each column of a MappedMatrix is cut."""
    n, d = X.shape
    with memory_limit(memory):
        width = max(1, columns_at_once(n, d, threads) // 2)
        groups = (X.columns(slice(start, min(start + width, d))) for start in range(0, d, width))
        return [cuts for group in groups for cuts in find_bins(group, max_bin, weight, threads)[0].cuts]


class Grower(Held):
    """The rows of one worker, and the forest that grows on all workers at once."""

    def __init__(
        self,
        threads: int,
        sets: Sequence[Share],
        columns: Sequence[np.ndarray],
        n_classes: int,
        recipe: Recipe,
        bins: Bins,
        state: dict[str, list[Any]],
        turns: Sequence[bytes],
    ) -> None:
        asked = recipe.tree.get("nthread", threads)
        self.recipe = replace(recipe, tree={**recipe.tree, "nthread": min(threads, asked)})
        self.n_classes, self.state, self.turns = n_classes, state, list(turns)
        n, d = sum(len(y) for _, y, _ in sets), len(bins.cuts)
        size = sliced_size(n, d, n_classes, n_slices=len(columns), validation=1 - len(sets[0][1]) / n)
        with ExitStack() as stack:
            here = stays_in_memory(size.kept, recipe.tree.get("device", "cpu"))
            folder = None if here else stack.enter_context(scratch(size.disk))
            self.sets = []
            for X, y, weight in sets:
                out = None if folder is None or not len(y) else scratch_array((d, len(y)), np.uint8, "Codes")
                codes = bins.codes(X, out, threads=threads) if len(y) else np.empty((d, 0), dtype=np.uint8)
                self.sets.append(Rows(codes, y, weight))
            sketches: dict[int, Any] = {}
            self.slices = [TurnSlice(those, self.sets, self.recipe, n_classes, sketches, folder) for those in columns]
            # In a collective XGBoost would take what is made of these rows for a part of one matrix.
            for part in self.slices:
                part.prepare()
            self.growth: Growth | None = None
            weakref.finalize(self, _close, self.slices, stack.pop_all())

    def grow(self, until: int) -> dict[str, Any]:
        """Grow up to a round, in a collective, and tell of the rounds that were new."""
        if self.growth is None:
            judged = len(self.sets) > 1
            self.growth = Growth(self.slices, self.sets, self.n_classes, self.recipe, InCollective(), judged)
            self.growth.resume(self.state, self.turns)
        growth, first = self.growth, self.growth.rounds
        turns = []
        while not growth.done and growth.rounds < until:
            part = growth.slices[growth.rounds % len(growth.slices)]
            growth.round()
            turns.append(part.turns[-1])
        return {
            "turns": turns,
            "told": {name: growth.told[name][first:] for name in TOLD},
            "done": growth.done,
            "start": growth.start,
            "keep": growth.keep,
            "norms": np.array(growth.told["norm"][first:]).tobytes(),
        }


def _close(slices: Sequence[TurnSlice], stack: ExitStack) -> None:
    for part in slices:
        part.close()
    stack.close()


_growers: WeakValueDictionary[str, Grower] = WeakValueDictionary()


def begin(key: str, memory: int | None, threads: int, *given: Any) -> Grower:
    """Make what this worker holds of a fit; Dask keeps it until the client lets go of it."""
    with memory_limit(memory), at_most(threads):
        grower = Grower(threads, *given)
    _growers[key] = grower
    return grower


def segment(
    key: str, memory: int | None, threads: int, collective: dict[str, Any], until: int, first: bool
) -> dict[str, Any] | None:
    """Grow some rounds together with the other workers; None if this worker knows nothing of the fit.

    All tell their norms, the first one all the rest.
    """
    grower = _growers.get(key)
    if grower is None:
        return None
    with memory_limit(memory), at_most(threads), joined(collective):
        told = grower.grow(until)
    return told if first else {"norms": told["norms"]}
