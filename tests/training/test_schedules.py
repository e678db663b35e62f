"""Learning rate, best epoch and early stop, against torch's own schedulers."""

import numpy as np
import pytest
import torch

from fusionfer.training import read_recipe
from fusionfer.training._schedules import best_epoch, has_ended, rate_factor


def history(losses, accuracies=None):
    accuracies = losses if accuracies is None else accuracies
    return [
        {"validation_loss": loss, "validation_accuracy": accuracy}
        for loss, accuracy in zip(losses, accuracies, strict=True)
    ]


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def test_cosine_is_torchs():
    """Step by step the same as CosineAnnealingLR."""
    recipe = read_recipe({"schedule": "cosine", "epochs": 4})
    oracle = optimizer()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(oracle, T_max=20)
    for step in range(20):
        assert rate_factor(recipe, step, 5, []) == pytest.approx(oracle.param_groups[0]["lr"], abs=1e-12)
        oracle.step()
        scheduler.step()


def test_warmup_rises_to_the_whole_rate_and_cosine_follows():
    """Linear from one step's share to 1, then the cosine over what is left."""
    recipe = read_recipe({"schedule": "cosine", "epochs": 3, "warmup": 1})
    factors = [rate_factor(recipe, step, 4, []) for step in range(12)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert factors[-1] < 0.1


def test_short_trainings_warm_up_for_a_third_at_most():
    """A recipe of 100 epochs with 3 to warm up also serves for one epoch of 9 steps."""
    recipe = read_recipe("fer", epochs=1)
    factors = [rate_factor(recipe, step, 9, []) for step in range(9)]
    assert factors[:4] == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0])
    assert factors[8] < 0.1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateau_is_torchs(seed, patience):
    """Over random losses the same rate as ReduceLROnPlateau, in every epoch."""
    losses = np.random.default_rng(seed).random(40).tolist()
    recipe = read_recipe({"schedule": "plateau", "plateau_patience": patience, "plateau_factor": 0.5, "epochs": 50})
    oracle = optimizer()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(oracle, factor=0.5, patience=patience)
    for epoch in range(40):
        got = rate_factor(recipe, epoch * 3, 3, history(losses[:epoch]))
        assert max(got, 1e-8) == pytest.approx(oracle.param_groups[0]["lr"], rel=0.5 if got < 1e-7 else 1e-12)
        scheduler.step(losses[epoch])


def test_constant_is_constant():
    """Without a schedule the rate stays."""
    assert {rate_factor(read_recipe({}), step, 3, []) for step in range(50)} == {1.0}


def test_best_epoch():
    """By accuracy, then by loss, then the first; or by loss alone."""
    epochs = history([1.0, 0.8, 0.8, 0.7], [0.5, 0.6, 0.6, 0.55])
    assert best_epoch(read_recipe({}), epochs) == 1
    assert best_epoch(read_recipe({"monitor": "loss"}), epochs) == 3


def test_early_stop():
    """After so many epochs that were not the best; a new best begins the count anew; 0 means never."""
    recipe = read_recipe({"patience": 2, "epochs": 9, "monitor": "loss"})
    assert not has_ended(recipe, [])
    assert not has_ended(recipe, history([1.0, 1.1]))
    assert has_ended(recipe, history([1.0, 1.1, 1.2]))
    assert not has_ended(recipe, history([1.0, 1.1, 0.9]))
    assert has_ended(recipe, history([9.0 - i for i in range(9)]))
    assert not has_ended(read_recipe({"epochs": 9}), history([1.0, *[2.0] * 7]))
