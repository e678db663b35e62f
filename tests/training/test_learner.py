"""One step and one epoch: loss, average of the weights, optimizers, frozen parts, divergence."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fusionfer.exceptions import NonFiniteFeaturesError
from fusionfer.training import _learner, read_recipe
from fusionfer.training._augmentation import DRAWS, normalise
from fusionfer.training._batches import TrainingBatches
from fusionfer.training._learner import Learner


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(3)
    )


def settled(**keys):
    return read_recipe({"size": 8, "crop": 8, "mean": [0.5] * 3, "std": [0.25] * 3, "epochs": 3, **keys})


def batch(n=6, **extra):
    rng = np.random.default_rng(0)
    made = {
        "pixels": rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8),
        "targets": rng.integers(0, 3, n),
        "draws": rng.random((n, DRAWS), dtype=np.float32),
        "seed": np.array([5]),
        **extra,
    }
    return {name: torch.from_numpy(np.asarray(value)) for name, value in made.items()}


def learner(optimizer="sgdm", network=None, class_weights=None, **keys):
    made = small() if network is None else network
    made(torch.zeros(2, 3, 8, 8))
    one = Learner(made, settled(**keys), optimizer, class_weights=class_weights)
    one._trainer = SimpleNamespace(num_training_batches=4, current_epoch=0, should_stop=False)
    one._trainer.optimizers = [one.configure_optimizers()]
    return one


def eval_logits(one, made):
    one.network.eval()
    return one.network(normalise(made["pixels"].float() / 255, one.recipe))


def test_the_loss_is_cross_entropy_with_weights_and_smoothing():
    """Against a loop over samples: smoothed targets, each class with its weight."""
    weights = torch.tensor([0.5, 1.0, 2.0])
    one, made = learner(class_weights=weights, label_smoothing=0.2), batch()
    logits = eval_logits(one, made).detach()
    log_p = torch.log_softmax(logits, dim=1)
    total = norm = 0.0
    for row, target in zip(log_p, made["targets"].tolist(), strict=True):
        smooth = [0.2 / 3 + 0.8 * (k == target) for k in range(3)]
        total -= sum(s * float(w) * float(v) for s, w, v in zip(smooth, weights, row, strict=True))
        norm += float(weights[target])
    assert one.training_step(made, 0).item() == pytest.approx(total / norm, rel=1e-5)


def test_mixup_mixes_pictures_and_losses():
    """The network sees the mixed picture; the loss is the same mixture of the losses to both targets."""
    made = batch(partners=np.array([1, 2, 3, 4, 5, 0]), share=np.array([0.3], np.float32))
    one = learner(mixup=0.4)
    one.network.eval()
    x = normalise(made["pixels"].float() / 255, one.recipe)
    logits = one.network(0.3 * x + 0.7 * x.roll(-1, 0))
    y = made["targets"]
    expected = 0.3 * functional.cross_entropy(logits, y) + 0.7 * functional.cross_entropy(logits, y.roll(-1))
    assert one.training_step(made, 0).item() == pytest.approx(expected.item(), rel=1e-5)


def test_mixup_mixes_shares():
    """The shares of both pictures count as they are mixed; hits are counted by the classes."""
    shares = np.random.default_rng(1).dirichlet([0.5] * 3, 6).astype(np.float32)
    made = batch(partners=np.array([1, 2, 3, 4, 5, 0]), share=np.array([0.3], np.float32), shares=shares)
    one = learner(mixup=0.4)
    one.network.eval()
    x = normalise(made["pixels"].float() / 255, one.recipe)
    logits = one.network(0.3 * x + 0.7 * x.roll(-1, 0))
    mixed = 0.3 * made["shares"] + 0.7 * made["shares"].roll(-1, 0)
    assert one.training_step(made, 0).item() == pytest.approx(functional.cross_entropy(logits, mixed).item(), rel=1e-5)
    assert one._sums["train"][1] == (logits.argmax(1) == made["targets"]).sum()


@pytest.mark.parametrize("any_of", [False, True])
def test_validation_goes_by_the_same_targets(any_of):
    """The loss is that of the shares, by their rule, without smoothing; accuracy is by the classes."""
    shares = np.array([[0.5, 0.5, 0.0]] * 6, dtype=np.float32)
    one, made = learner(label_smoothing=0.2), batch(shares=shares)
    one.any_of = any_of
    logits = eval_logits(one, made).detach()
    log_q = torch.log_softmax(logits, dim=1)
    losses = -log_q[:, :2].max(dim=1).values if any_of else -log_q[:, :2].mean(dim=1)
    one.validation_step(made, 0)
    loss, hits, n = one._sums["validation"].tolist()
    assert loss == pytest.approx(losses.sum().item(), rel=1e-5)
    assert (hits, n) == ((logits.argmax(1) == made["targets"]).sum().item(), 6)


def test_pictures_are_made_in_full_precision():
    """Under autocast to bfloat16 the network is shown the same picture: its places need more than 8 bits."""
    one, shown = learner(rotation=20.0, zoom=0.2, shift=0.1), []
    one.network.register_forward_pre_hook(lambda module, given: shown.append(given[0]))
    one.training_step(batch(), 0)
    with torch.autocast("cpu", torch.bfloat16):
        one.training_step(batch(), 0)
    assert torch.equal(*shown)


def test_dropout_follows_the_seed_of_the_step():
    """The same step draws the same, whatever the global state; another step draws otherwise."""
    one = learner()
    one.network.train()
    losses = []
    for number, before in ((5, 1), (5, 2), (6, 1)):
        torch.manual_seed(before)
        losses.append(one.training_step(batch(seed=np.array([number])), 0).item())
    assert losses[0] == losses[1] != losses[2]


def test_average_of_the_weights():
    """Each step moves the average by 1 - decay, with less decay in the first steps; counters are copied."""
    one = learner(ema=0.9)
    before = {name: value.clone() for name, value in one.average.state_dict().items()}
    with torch.no_grad():
        for value in one.network.state_dict().values():
            value.add_(1)
    one._follow(2)
    decay = 3 / 12
    for name, value in one.average.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, before[name] + (1 - decay))
        else:
            assert torch.equal(value, before[name] + 1)
    one._follow(10**6)
    theirs = one.network.state_dict()
    name = "0.weight"
    torch.testing.assert_close(
        one.average.state_dict()[name], theirs[name] - 0.9 * decay, msg="decay is at most what the recipe says"
    )


def test_steps_are_counted_over_all_epochs():
    """The average and the progress know how many steps and pictures were before."""
    one, steps, said = learner(ema=0.9), [], []
    one._follow, one.progress, one._trainer.current_epoch = steps.append, lambda *words: said.append(words), 2
    one.on_train_batch_end(None, batch(), 1)
    assert steps == [9]
    assert said == [(60, 72, "network")]


@pytest.mark.parametrize(
    ("optimizer", "kind", "keys"),
    [
        ("sgdm", torch.optim.SGD, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
        ("adam", torch.optim.Adam, {"betas": (0.8, 0.99), "weight_decay": 0.01}),
        ("rmsprop", torch.optim.RMSprop, {"momentum": 0.8, "alpha": 0.99, "weight_decay": 0.01}),
    ],
)
def test_optimizers(optimizer, kind, keys):
    """Each optimizer is torch's, with the rate and settings of its table."""
    table = {"rate": 0.3, "momentum": 0.8, "decay": 0.01, "smoothing": 0.99}
    if optimizer == "sgdm":
        table["nesterov"] = True
    made = learner(optimizer, **{optimizer: table}).configure_optimizers()
    assert type(made) is kind
    assert {name: made.defaults[name] for name in keys} == keys
    assert made.defaults["lr"] == 0.3


def test_the_rate_of_each_step():
    """The schedule times the optimizer's rate, not below the lowest."""
    one = learner(schedule="cosine", sgdm={"rate": 1.0}, min_rate=0.4)
    rates = []
    for epoch in range(3):
        one._trainer.current_epoch = epoch
        for index in range(4):
            one.on_train_batch_start(batch(), index)
            rates.append(one._trainer.optimizers[0].param_groups[0]["lr"])
    expected = [max(0.5 * (1 + np.cos(np.pi * step / 12)), 0.4) for step in range(12)]
    np.testing.assert_allclose(rates, expected)


def test_frozen_parts_are_not_in_the_optimizer():
    """Weights that are not trained stay out, and their batch norm goes on with what it has."""
    network = small()
    network(torch.zeros(2, 3, 8, 8))
    for weight in network[1].parameters():
        weight.requires_grad_(False)
    one = learner(network=network)
    one.on_train_epoch_start()
    assert len(one.configure_optimizers().param_groups[0]["params"]) == 4
    assert not network[1].training
    assert network[3].training


def test_divergence_is_an_error():
    """A loss that is no number stops the training, and says what to do."""
    one = learner(sgdm={"rate": 2.0})
    one._sums = {"train": torch.tensor([float("nan"), 0, 3]), "validation": torch.tensor([1.0, 0, 3])}
    with pytest.raises(NonFiniteFeaturesError, match=r"the loss of epoch 1 is nan .* Take a lower rate than 2"):
        one.on_train_epoch_end()


def test_the_history_and_the_best_weights():
    """Loss and hits are means over pictures; the best epoch's weights are kept, those of a worse one are not."""
    one = learner()
    for epoch, hits in enumerate([2.0, 1.0]):
        one._sums = {"train": torch.tensor([6.0, 1.0, 4.0]), "validation": torch.tensor([4.0, hits, 4.0])}
        one.on_train_epoch_end()
        assert len(one.history) == epoch + 1
        with torch.no_grad():
            one.network[0].weight.add_(1.0)
    assert one.history[0]["train_loss"] == 1.5
    assert one.history[0]["validation_accuracy"] == 0.5
    torch.testing.assert_close(one.best["0.weight"], one.network[0].weight.detach() - 2.0)


class Pixels:
    """Stands for `Pictures`."""

    def __len__(self):
        return 8

    def take(self, rows):
        return np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8), dtype=np.uint8)[rows]


@pytest.mark.parametrize("soft", ["", "shares", "any of"])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0])])
@pytest.mark.parametrize("keys", [{}, {"mixup": 0.5, "label_smoothing": 0.1, "rotation": 20.0, "flip": 0.5}])
def test_the_mean_gradient_of_ranks_is_that_of_the_whole_batch(weights, keys, soft):
    """Seven pictures on three ranks: gradient and sums are those of one process, with weights, mixup and smoothing.

    With soft labels, too.
    """
    shares = np.random.default_rng(1).dirichlet([0.5] * 3, 8).astype(np.float32) if soft else None

    def trained(rank, ranks):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).double()
        network.register_forward_pre_hook(lambda module, given: (given[0].double(),))
        one = learner(network=network, class_weights=weights, batch_size=7, **keys)
        one.any_of = soft == "any of"
        batches = TrainingBatches(Pixels(), np.arange(8) % 3, one.recipe, 0, lambda: 0, shares)
        batches.rank, batches.ranks, one.ranks = rank, ranks, ranks
        one.training_step(next(iter(batches)), 0).backward()
        return torch.cat([weight.grad.flatten() for weight in network.parameters()]), one._sums["train"]

    gradient, sums = trained(0, 1)
    gradients, each = zip(*(trained(rank, 3) for rank in range(3)), strict=True)
    torch.testing.assert_close(torch.stack(gradients).mean(0), gradient, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(torch.stack(each).sum(0), sums)
    assert sums[2] == 7


def test_ranks_agree_on_the_statistics_of_batch_norm(monkeypatch):
    """Of the network and its average they become the mean over all ranks; weights and counters stay."""
    one = learner(ema=0.9)
    one.ranks = 2
    before = {name: value.clone() for name, value in one.state_dict().items()}
    monkeypatch.setattr(_learner.distributed, "all_reduce", lambda mine: mine.add_(3.0))
    one.on_validation_epoch_start()
    for name, value in one.state_dict().items():
        expected = (before[name] + 3) / 2 if "running" in name else before[name]
        assert torch.equal(value, expected), name
    assert sum("running" in name for name in before) == 4
