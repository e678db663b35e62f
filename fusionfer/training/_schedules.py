"""Learning rate, best epoch and early stop, as functions of the step and of what the epochs have scored.

Lightning's own callbacks and torch's schedulers keep a state of their own, which is saved before or after they have
looked at an epoch, by where the checkpoint falls; functions of the history have none, so that a resumed run cannot
differ from one that was never interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fusionfer.training._recipe import Recipe

__all__ = ["best_epoch", "has_ended", "rate_factor"]

History = Sequence[Mapping[str, Any]]

_THRESHOLD = 1e-4  # relative; a loss that falls by less is a plateau, as in torch's ReduceLROnPlateau


def rate_factor(recipe: Recipe, step: int, steps_per_epoch: int, history: History) -> float:
    """Return what the learning rate is multiplied by in a step.

    Parameters
    ----------
    recipe : Recipe
    step : int
        From 0, counted over all epochs.
    steps_per_epoch : int
    history : sequence of mapping
        One for each finished epoch, with ``validation_loss``.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> from fusionfer.training import read_recipe
    >>> recipe = read_recipe({"schedule": "cosine", "epochs": 2})
    >>> [round(rate_factor(recipe, step, 2, []), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    warm = int(min(recipe.warmup, recipe.epochs / 3) * steps_per_epoch)
    if step < warm:
        return (step + 1) / warm
    if recipe.schedule == "cosine":
        total = recipe.epochs * steps_per_epoch
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / (total - warm)))
    if recipe.schedule == "plateau":
        losses = [epoch["validation_loss"] for epoch in history]
        return recipe.plateau_factor ** _plateaus(losses, recipe.plateau_patience)
    return 1.0


def _plateaus(losses: Sequence[float], patience: int) -> int:
    """Return how many times the loss has stood still for more than `patience` epochs."""
    lowest, waited, found = math.inf, 0, 0
    for loss in losses:
        if loss < lowest * (1 - _THRESHOLD):
            lowest, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            waited, found = 0, found + 1
    return found


def best_epoch(recipe: Recipe, history: History) -> int:
    """Return the place of the best epoch, from 0: by accuracy, then loss, then the first; or by loss alone.

    Examples
    --------
    >>> from fusionfer.training import read_recipe
    >>> epochs = [{"validation_accuracy": a, "validation_loss": l} for a, l in [(0.5, 1.0), (0.6, 1.2), (0.6, 1.1)]]
    >>> best_epoch(read_recipe({}), epochs), best_epoch(read_recipe({"monitor": "loss"}), epochs)
    (2, 0)
    """

    def merit(i: int) -> tuple[float, ...]:
        epoch = history[i]
        loss = (-epoch["validation_loss"],)
        return loss if recipe.monitor == "loss" else (epoch["validation_accuracy"], *loss)

    return max(range(len(history)), key=merit)  # the first, where several are equal


def has_ended(recipe: Recipe, history: History) -> bool:
    """Tell whether there is nothing more to train: all epochs are done, or the best is too long ago."""
    if not history:
        return False
    waited = len(history) - 1 - best_epoch(recipe, history)
    return len(history) >= recipe.epochs or (recipe.patience > 0 and waited >= recipe.patience)
