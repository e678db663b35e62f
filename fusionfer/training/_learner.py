"""The Lightning module: one step, one epoch, and what must be kept to go on after either."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, distributed, nn

from fusionfer.exceptions import NonFiniteFeaturesError
from fusionfer.networks import train_mode
from fusionfer.training._augmentation import augment, mix, views
from fusionfer.training._lightning import pl
from fusionfer.training._losses import target_loss, target_weight
from fusionfer.training._recipe import Recipe
from fusionfer.training._schedules import best_epoch, has_ended, rate_factor

__all__ = ["Learner"]


class Learner(pl.LightningModule):
    """A network in training.

    Parameters
    ----------
    network : torch.nn.Module
        Maps pictures to logits.
    recipe : Recipe
        With size, mean and deviation settled.
    optimizer : str
    class_weights : Tensor of float32, shape (n_classes,), optional
        Weights of the classes in the loss.
    any_of : bool
        Where batches bring shares of classes, any class with a share is right; else the shares are to be predicted.
    name : str
        For progress and messages.
    progress : callable, optional
        Called as ``progress(done, total, what)`` with pictures of all epochs; what it raises stops the training.
    say : callable, optional
        Called with a sentence after each epoch.

    Attributes
    ----------
    history : list of dict
        One for each finished epoch.
    best : dict of str to Tensor
        Weights of the best epoch, on the CPU. They are kept in the one file with all else, so that no kill can leave a
        best epoch beside a history that does not know it.
    ranks : int
        How many processes share each batch; more than one are connected by `torch.distributed`.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        optimizer: str,
        *,
        class_weights: Tensor | None = None,
        any_of: bool = False,
        name: str = "network",
        progress: Callable[[int, int, str], None] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False) if recipe.ema else None
        self.recipe, self.optimizer_name, self.name = recipe, optimizer, name
        self.class_weights, self.any_of = class_weights, any_of
        self.progress, self.say = progress, say
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self._sums = {"train": torch.zeros(3), "validation": torch.zeros(3)}
        self.ranks = 1

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind who is told: another process cannot call them."""
        return {**super().__getstate__(), "progress": None, "say": None}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer; the learning rate is set anew in each step, so there is no scheduler."""
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        one = self.recipe.settings(self.optimizer_name)
        if self.optimizer_name == "sgdm":
            return torch.optim.SGD(
                weights, lr=one.rate, momentum=one.momentum, nesterov=one.nesterov, weight_decay=one.decay
            )
        if self.optimizer_name == "adam":
            return torch.optim.Adam(weights, lr=one.rate, betas=(one.momentum, one.smoothing), weight_decay=one.decay)
        return torch.optim.RMSprop(
            weights, lr=one.rate, alpha=one.smoothing, momentum=one.momentum, weight_decay=one.decay
        )

    def on_train_epoch_start(self) -> None:
        """Begin to count."""
        train_mode(self.network)
        self._sums["train"] = torch.zeros(3, device=self.device)

    def on_train_batch_start(self, batch: dict[str, Tensor], index: int) -> None:
        """Set the learning rate of this step."""
        steps = int(self.trainer.num_training_batches)
        factor = rate_factor(self.recipe, self.current_epoch * steps + index, steps, self.history)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = max(self.recipe.settings(self.optimizer_name).rate * factor, self.recipe.min_rate)

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """Return the loss of one batch."""
        torch.manual_seed(int(batch["seed"]))  # of dropout; a resumed run draws the same
        share = float(batch.get("share", 1.0))
        with torch.autocast(self.device.type, enabled=False):  # places in a picture need more than 8 bits
            picture = augment(batch["pixels"], batch["draws"], self.recipe)
            if self.recipe.mixup:
                picture = mix(picture, batch["partners"], share)
        logits = self.network(picture.contiguous(memory_format=torch.channels_last)).float()
        targets, whole = batch["targets"][: len(logits)], batch.get("whole")
        shown = batch.get("shares", batch["targets"])
        loss = self._loss(logits, shown[: len(logits)], whole)
        if self.recipe.mixup:
            loss = share * loss + (1.0 - share) * self._loss(logits, shown[batch["partners"]], whole)
        self._count("train", loss, logits, targets, len(targets) if whole is None else len(whole) / self.ranks)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Tensor], index: int) -> None:
        """Move the averaged weights after the step."""
        if self.average is not None:
            self._follow(self.current_epoch * int(self.trainer.num_training_batches) + index)
        if self.progress is not None:
            steps = int(self.trainer.num_training_batches)
            size = len(batch.get("whole", batch["targets"]))
            done = (self.current_epoch * steps + index + 1) * size
            self.progress(done, self.recipe.epochs * steps * size, self.name)

    def on_validation_epoch_start(self) -> None:
        """Begin to count, and let all processes judge the same network."""
        if self.ranks > 1:
            self._share_statistics()
        self._sums["validation"] = torch.zeros(3, device=self.device)

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Count what the network, or its average, says of whole pictures."""
        (picture,) = views(batch["pixels"], self.recipe, "none")
        network = self.network if self.average is None else self.average
        logits = network(picture.contiguous(memory_format=torch.channels_last)).float()
        targets = batch["targets"]
        loss = target_loss(logits, batch.get("shares", targets), any_of=self.any_of)
        self._count("validation", loss, logits, targets, len(targets))

    def on_train_epoch_end(self) -> None:
        """Write the epoch down, keep its weights where it is the best, and say whether it was the last."""
        row: dict[str, float] = {
            "epoch": len(self.history) + 1,
            "rate": self.trainer.optimizers[0].param_groups[0]["lr"],
        }
        for split in ("train", "validation"):
            if self.ranks > 1:  # then all write down the same, and decide the same
                distributed.all_reduce(self._sums[split])
            sums = self._sums[split].tolist()
            row[f"{split}_loss"], row[f"{split}_accuracy"] = sums[0] / sums[2], sums[1] / sums[2]
        if not all(math.isfinite(value) for value in row.values()):
            rate = self.recipe.settings(self.optimizer_name).rate
            msg = (
                f"{self.name}: the loss of epoch {row['epoch']:.0f} is {row['train_loss']} in training and "
                f"{row['validation_loss']} in validation: the training has diverged. Take a lower rate than {rate:g}, "
                "or a smaller clip."
            )
            raise NonFiniteFeaturesError(msg)
        self.history.append(row)
        if best_epoch(self.recipe, self.history) == len(self.history) - 1:
            network = self.network if self.average is None else self.average
            self.best = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        self.trainer.should_stop = has_ended(self.recipe, self.history)
        if self.say is not None:
            self.say(
                f"{self.name}, epoch {row['epoch']:.0f} of {self.recipe.epochs}: loss {row['train_loss']:.3f}, "
                f"validation {row['validation_loss']:.3f}, accuracy {100 * row['validation_accuracy']:.1f} %"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is not among the weights."""
        checkpoint["history"], checkpoint["best"] = self.history, self.best

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        self.history, self.best = list(checkpoint["history"]), dict(checkpoint["best"])

    def _loss(self, logits: Tensor, targets: Tensor, whole: Tensor | None = None) -> Tensor:
        """Return the mean loss; of a part of `whole`, such that the mean over all ranks is the mean of the whole batch.

        The gradients of the ranks are averaged as if all had the same number of pictures.
        """
        weights = None if self.class_weights is None else self.class_weights.to(logits.device)
        loss = target_loss(logits, targets, weights, smoothing=self.recipe.label_smoothing, any_of=self.any_of)
        if whole is None:
            return loss
        return loss * (self.ranks * target_weight(targets, weights) / target_weight(whole, weights))

    @torch.no_grad()
    def _count(self, split: str, loss: Tensor, logits: Tensor, targets: Tensor, n: float) -> None:
        """Add to loss (which stands for `n`), hits and number of pictures, on the device: nothing waits for it."""
        hits = (logits.argmax(dim=1) == targets).sum()
        self._sums[split] += torch.stack([loss.detach() * n, hits.float(), loss.new_tensor(float(len(targets)))])

    @torch.no_grad()
    def _share_statistics(self) -> None:
        """Take the mean over all ranks of what batch norm has seen; where it is synchronised, nothing changes.

        It is a linear function of the batches, and so is its moving average: once an epoch is as good as in each step.
        """
        networks = [network for network in (self.network, self.average) if network is not None]
        mine = [one for network in networks for one in network.buffers() if one.is_floating_point()]
        if mine:
            every = torch.cat([one.double().flatten() for one in mine])
            distributed.all_reduce(every)
            for one, mean in zip(mine, (every / self.ranks).split([one.numel() for one in mine]), strict=True):
                one.copy_(mean.view_as(one))

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """Move the average a part of the way to the weights; the first steps more, as it begins with random ones."""
        decay = min(self.recipe.ema, (1.0 + step) / (10.0 + step))
        assert self.average is not None
        mine, theirs = self.average.state_dict(), self.network.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in floats], [theirs[name] for name in floats], 1.0 - decay)
        for name in mine.keys() - set(floats):
            mine[name].copy_(theirs[name])
