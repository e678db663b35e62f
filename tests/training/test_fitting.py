"""Going on after an interruption gives the same bits; the state is one whole file that executes nothing."""

import hashlib
import logging
import os
import signal
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from fusionfer.exceptions import DeviceMemoryError, ExtractionInterrupted, ModelError
from fusionfer.training import read_recipe
from fusionfer.training._batches import TrainingBatches, ViewingBatches
from fusionfer.training._fitting import fit_learner, read_state
from fusionfer.training._learner import Learner

#: Everything that has a state: momentum, mixup, dropout, batch norm, an average, a plateau and an early stop.
KEYS = {
    "size": 8, "crop": 8, "mean": [0.5] * 3, "std": [0.25] * 3, "epochs": 5, "batch_size": 8, "mixup": 0.5, "ema": 0.8,
    "schedule": "plateau", "plateau_patience": 0, "plateau_factor": 0.5, "flip": 0.5, "erasing": 0.5, "rotation": 10,
    "balance": "sampler", "monitor": "loss", "clip": 1.0,
}  # fmt: skip


class Pixels:
    """Stands for `Pictures`."""

    def __init__(self, n, seed):
        self.pixels = np.random.default_rng(seed).integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)

    def __len__(self):
        return len(self.pixels)

    def take(self, rows):
        return self.pixels[rows]


def learner(optimizer="sgdm", *, say=None, progress=None, **keys):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3)
    )
    return Learner(network, read_recipe({**KEYS, **keys}), optimizer, say=say, progress=progress)


def fit(one, state):
    targets = np.arange(24) % 3
    training = TrainingBatches(Pixels(24, 0), targets, one.recipe, 0, lambda: one.current_epoch)
    validation = ViewingBatches(Pixels(9, 1), np.arange(9) % 3, 4)
    fit_learner(one, (training, validation), state, device=torch.device("cpu"), recipe=one.recipe)
    return one


def weights(one):
    """Hash of all weights, their averages, the best ones and the history."""
    seen = hashlib.sha256(str(one.history).encode())
    for state in (one.state_dict(), one.best):
        for name, value in sorted(state.items()):
            seen.update(name.encode() + value.numpy().tobytes())
    return seen.hexdigest()


class Killed(Exception):  # noqa: N818
    """Stands for a kill: raised after an epoch was counted, before its state is written."""


@pytest.mark.parametrize("optimizer", ["sgdm", "adam", "rmsprop"])
@pytest.mark.parametrize("epoch", [2, 5])
def test_a_killed_run_ends_with_the_same_bits(tmp_path, optimizer, epoch):
    """Killed in its second or last epoch and gone on: weights, averages, best weights and history are the same."""
    whole = fit(learner(optimizer), tmp_path / "whole" / "last.ckpt")

    def kill(text):
        if f"epoch {epoch} " in text:
            raise Killed

    with pytest.raises(Killed):
        fit(learner(optimizer, say=kill), tmp_path / "cut" / "last.ckpt")
    torch.manual_seed(12345)  # another process has another state
    resumed = learner(optimizer)
    with torch.no_grad():
        resumed.network[0].weight.zero_()  # whatever was built
    fit(resumed, tmp_path / "cut" / "last.ckpt")
    assert len(resumed.history) == len(whole.history) == 5
    assert weights(resumed) == weights(whole)


def test_stopping_in_every_epoch_changes_nothing(tmp_path):
    """Five runs of one epoch each are one run of five."""
    whole = fit(learner(), tmp_path / "whole" / "last.ckpt")
    for epoch in range(5):

        def stop_later(done, total, what, last=24 * (epoch + 1)):
            assert (total, what) == (24 * 5, "network")
            if done > last:
                raise Killed

        one = learner(progress=stop_later)
        if epoch < 4:
            with pytest.raises(Killed):
                fit(one, tmp_path / "cut" / "last.ckpt")
        else:
            fit(one, tmp_path / "cut" / "last.ckpt")
        assert len(one.history) == epoch + 1
    assert weights(one) == weights(whole)


def test_sigterm_and_ctrl_c_are_what_they_are(tmp_path):
    """Lightning would end the process, with exit code 0 or 1, and leave it deaf to Ctrl-C."""
    whole = fit(learner(), tmp_path / "whole" / "last.ckpt")
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ExtractionInterrupted, match="network: stopped; the same command goes on"):
        fit(learner(say=lambda text: os.kill(os.getpid(), signal.SIGTERM)), tmp_path / "last.ckpt")

    def interrupt(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(learner(say=interrupt), tmp_path / "last.ckpt")
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    assert weights(fit(learner(), tmp_path / "last.ckpt")) == weights(whole)


def test_a_device_without_memory_is_named(tmp_path):
    """What torch raises becomes an error that says what to set."""

    def full(text):
        msg = "CUDA out of memory. Tried to allocate 1 TiB."
        raise torch.cuda.OutOfMemoryError(msg)

    with pytest.raises(DeviceMemoryError, match=r"network: the device has too little memory .* batch_size"):
        fit(learner(say=full), tmp_path / "last.ckpt")


def test_an_early_stop_is_not_trained_over(tmp_path):
    """A run that was killed after its early stop does not train one epoch more."""
    one = fit(learner(patience=1, epochs=50, sgdm={"rate": 1.0}), tmp_path / "last.ckpt")
    assert len(one.history) < 50
    again = fit(learner(patience=1, epochs=50, sgdm={"rate": 1.0}), tmp_path / "last.ckpt")
    assert again.history == one.history
    assert all(torch.equal(again.best[name], value) for name, value in one.best.items())


def test_the_state_is_read_without_executing_anything(tmp_path):
    """torch.load with weights_only takes it, and no part of a file is left beside it."""
    fit(learner(epochs=1), tmp_path / "last.ckpt")
    found = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert {"history", "best", "state_dict", "optimizer_states", "loops"} <= set(found)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"cos\nsystem\n(S'true'\ntR."])
def test_a_damaged_state_is_an_error(tmp_path, content):
    """It is named, with what to do; a pickle that would run something is refused."""
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"last.ckpt cannot be read .* train with resume=False \(--restart\)"):
        fit(learner(), path)


def test_a_state_of_something_else_is_an_error(tmp_path):
    """A file that torch reads and that is no state of a training."""
    torch.save({"weights": torch.zeros(2)}, tmp_path / "last.ckpt")
    with pytest.raises(ModelError, match="is no state of a training"):
        read_state(tmp_path / "last.ckpt")


def test_a_failed_write_leaves_the_last_state(tmp_path, monkeypatch):
    """A full disk in the second epoch is one error; the first epoch's state is whole, and training goes on from it."""
    state = tmp_path / "last.ckpt"
    real = torch.save

    def fails(what, file):
        if len(what["history"]) == 2:
            file.write(b"half")
            raise OSError(28, "No space left on device")
        real(what, file)

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(ModelError, match=r"last.ckpt cannot be written: No space left .* unchanged"):
        fit(learner(), state)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert len(read_state(state)["history"]) == 1
    whole = fit(learner(), tmp_path / "other" / "last.ckpt")
    assert weights(fit(learner(), state)) == weights(whole)


def test_arithmetic_of_half_the_width(tmp_path):
    """With precision bf16-mixed it trains to nearly the same loss; the weights stay float32."""
    full, half = (fit(learner(epochs=2, precision=p), tmp_path / p / "last.ckpt") for p in ("32-true", "bf16-mixed"))
    assert half.history[-1]["train_loss"] == pytest.approx(full.history[-1]["train_loss"], rel=0.05)
    assert half.history != full.history
    assert half.best["0.weight"].dtype == torch.float32


def test_nothing_is_said_and_nothing_global_changes(tmp_path, capfd):
    """No word on stdout or stderr, no folder of logs; levels of loggers and the caller's random state are as before."""
    torch.manual_seed(3)
    level, state = logging.getLogger("lightning.pytorch").level, torch.get_rng_state()
    one = learner(epochs=1)
    torch.set_rng_state(state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(one, tmp_path / "last.ckpt")
    assert torch.equal(torch.get_rng_state(), state)
    assert logging.getLogger("lightning.pytorch").level == level
    assert "".join(capfd.readouterr()) == ""
