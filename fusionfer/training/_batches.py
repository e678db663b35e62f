"""What an epoch shows to the network: order, augmentation and mixup follow from seed and epoch, never from a state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from fusionfer.training._augmentation import DRAWS
from fusionfer.training._pictures import Pictures
from fusionfer.training._recipe import Recipe

__all__ = ["TrainingBatches", "ViewingBatches", "draw"]

# What is drawn, so that no two kinds share a stream of numbers.
ORDER, AUGMENTATION, MIXUP, DROPOUT = range(4)


def draw(seed: int, epoch: int, kind: int, step: int = 0, rank: int = 0) -> np.random.Generator:
    """Return the generator of one kind of draws, in one epoch (step, rank); it depends on these numbers alone."""
    numbers = [seed, epoch, kind, step, *([rank] if rank else [])]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(numbers)))


class TrainingBatches:
    """The batches of an epoch, as a sized iterable that Lightning takes for a loader.

    Parameters
    ----------
    pictures : Pictures
    targets : ndarray of int, shape (n,)
        Class of each picture.
    recipe : Recipe
    seed : int
    epoch : callable
        Returns the epoch that is to be shown, from 0.
    shares : ndarray of float32, shape (n, n_classes), optional
        Of the classes of each picture, where these are to be learned.

    Attributes
    ----------
    rank, ranks : int
        Of several processes that share each batch, this one (from 0) takes the rows ``rank::ranks``.

    Notes
    -----
    An epoch is a permutation of the pictures; what does not fill a batch at its end is left out (another part of the
    pictures in every epoch). With the sampler of classes, it is as many draws with replacement, each class as likely.
    """

    def __init__(
        self,
        pictures: Pictures,
        targets: np.ndarray,
        recipe: Recipe,
        seed: int,
        epoch: Callable[[], int],
        shares: np.ndarray | None = None,
    ) -> None:
        self.pictures, self.targets, self.recipe, self.seed = pictures, np.asarray(targets), recipe, seed
        self.epoch, self.shares = epoch, shares
        self.batch_size = min(recipe.batch_size, len(pictures))
        self.rank, self.ranks = 0, 1

    def __len__(self) -> int:
        return max(1, len(self.pictures) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Return which pictures are shown, in their order, shape (n,)."""
        n, rng = len(self.pictures), draw(self.seed, epoch, ORDER)
        if self.recipe.balance != "sampler":
            return rng.permutation(n)
        weight = 1.0 / np.bincount(self.targets)[self.targets]
        return rng.choice(n, size=n, p=weight / weight.sum())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        # Here, not before: Lightning makes the iterator of the first epoch before it knows which one that is.
        epoch = self.epoch()
        order = self.order(epoch)
        draws = draw(self.seed, epoch, AUGMENTATION).random((len(order), DRAWS), dtype=np.float32)
        # The sampler shows a picture several times, each time changed in another way: by its place, not by itself.
        row_of = np.arange(len(order)) if self.recipe.balance == "sampler" else order

        def batch(step: int) -> dict[str, Any]:
            places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
            return self._batch(epoch, step, order[places], draws[row_of[places]])

        # One batch is made while the network works on the one before.
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(batch, 0)
            for step in range(len(self)):
                ready = coming.result()
                if step + 1 < len(self):
                    coming = ahead.submit(batch, step + 1)
                yield ready

    def _batch(self, epoch: int, step: int, rows: np.ndarray, draws: np.ndarray) -> dict[str, Any]:
        rng = draw(self.seed, epoch, MIXUP, step)
        made: dict[str, Any] = {}
        if self.recipe.mixup:
            made["partners"] = rng.permutation(len(rows))
        if self.ranks > 1:
            made["whole"] = (self.targets if self.shares is None else self.shares)[rows]
            shown = np.arange(len(rows))[self.rank :: self.ranks]
            if self.recipe.mixup:  # partners may be those of another rank: they follow behind the own pictures
                shown = np.concatenate([shown, made["partners"][shown]])
                made["partners"] = np.arange(len(shown) // 2, len(shown))
            rows, draws = rows[shown], draws[shown]
        made |= {"pixels": self.pictures.take(rows), "targets": self.targets[rows], "draws": draws}
        made |= {} if self.shares is None else {"shares": self.shares[rows]}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in made.items()}
        # Plain numbers stay where they are: on a GPU the step would wait to read them.
        numbers: dict[str, Any] = {"seed": int(draw(self.seed, epoch, DROPOUT, step, self.rank).integers(2**62))}
        if self.recipe.mixup:
            numbers["share"] = float(rng.beta(self.recipe.mixup, self.recipe.mixup))
        return {**tensors, **numbers}


class ViewingBatches:
    """Pictures in their order, with their classes, for validation; of several ranks, each shows rows of its own."""

    def __init__(
        self, pictures: Pictures, targets: np.ndarray, batch_size: int, shares: np.ndarray | None = None
    ) -> None:
        self.pictures, self.targets, self.batch_size = pictures, np.asarray(targets), batch_size
        self.shares = shares
        self.rank, self.ranks = 0, 1

    def __len__(self) -> int:
        return -(-len(self._rows) // self.batch_size)

    @property
    def _rows(self) -> np.ndarray:
        return np.arange(len(self.pictures))[self.rank :: self.ranks]

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        mine = self._rows
        for start in range(0, len(mine), self.batch_size):
            rows = mine[start : start + self.batch_size]
            made = {"pixels": self.pictures.take(rows), "targets": self.targets[rows]}
            made |= {} if self.shares is None else {"shares": self.shares[rows]}
            yield {name: torch.from_numpy(value) for name, value in made.items()}
