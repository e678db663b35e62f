"""Several processes train as one does; a process that dies ends the training with its reason, never with silence."""

import os
import time
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from fusionfer.exceptions import DeviceMemoryError, ExtractionInterrupted, ModelError
from fusionfer.networks import read_checkpoint
from fusionfer.training import _ranks as ranks_module
from fusionfer.training import read_recipe, train
from fusionfer.training._batches import TrainingBatches, ViewingBatches
from fusionfer.training._learner import Learner
from fusionfer.training._pictures import Pictures
from fusionfer.training._rank import _end_with_the_caller, synchronised
from fusionfer.training._ranks import _Crew, _pack, fit_on_ranks, unpack
from fusionfer.training._train import _check_devices

CPU = torch.device("cpu")

#: All that is drawn, and all that has a state, but dropout and batch norm, which differ from rank to rank.
KEYS = {
    "size": 8, "crop": 8, "mean": [0.5] * 3, "std": [0.25] * 3, "epochs": 3, "batch_size": 7, "mixup": 0.5, "ema": 0.8,
    "schedule": "plateau", "plateau_patience": 0, "plateau_factor": 0.5, "flip": 0.5, "erasing": 0.5, "rotation": 10,
    "monitor": "loss", "clip": 1.0, "sgdm": {"rate": 0.1, "momentum": 0.9}, "balance": "loss",
}  # fmt: skip


def small_pictures(faces, n):
    return Pictures(faces.take(np.arange(n)), 8)


def fit(faces, state, ranks, *, say=None, progress=None):
    """Train a tiny network; 24 training pictures in uneven shares, 9 for validation."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    recipe = read_recipe(KEYS)
    one = Learner(
        network, recipe, "sgdm", class_weights=torch.tensor([0.5, 1.0, 2.0]), say=say, progress=progress
    )  # fmt: skip
    epoch = partial(getattr, one, "current_epoch")
    loaders = (
        TrainingBatches(small_pictures(faces, 24), np.arange(24) % 3, recipe, 0, epoch),
        ViewingBatches(small_pictures(faces, 9), np.arange(9) % 3, 4),
    )
    fit_on_ranks(one, loaders, state, device=CPU, recipe=recipe, ranks=ranks)
    return one


class Killed(Exception):  # noqa: N818
    """Stands for a kill."""


def test_two_processes_end_as_one_does(faces, tmp_path, capfd):
    """Gone on with by two after one process was killed in its second epoch: weights, average and history are equal."""
    whole = fit(faces, tmp_path / "whole" / "last.ckpt", 1)
    state, said, seen = tmp_path / "cut" / "last.ckpt", [], []

    def kill(text):
        if "epoch 2 " in text:
            raise Killed

    with pytest.raises(Killed):
        fit(faces, state, 1, say=kill)
    both = fit(faces, state, 2, say=said.append, progress=lambda *words: seen.append(words))
    for one, other in zip(whole.history, both.history, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    for name, value in whole.best.items():
        torch.testing.assert_close(both.best[name], value, rtol=1e-4, atol=1e-6)
    end, after = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "cut"))
    assert end["state_dict"].keys() == after["state_dict"].keys()
    for name, value in end["state_dict"].items():
        torch.testing.assert_close(after["state_dict"][name], value, rtol=1e-4, atol=1e-6)
    assert [text.partition(":")[0] for text in said] == [f"network, epoch {k} of 3" for k in (2, 3)]
    assert seen == [(done, 63, "network") for done in range(28, 64, 7)]
    assert [path.name for path in state.parent.iterdir()] == ["last.ckpt"]
    assert "".join(capfd.readouterr()) == ""
    assert fit(faces, state, 2).history == both.history  # finished: no process is begun


def test_a_network_on_two_devices_with_a_process_that_dies(faces, quick_keys, tmp_path, monkeypatch):
    """Batch norm, dropout and an average: the killed process is named, and one device goes on to all files."""
    monkeypatch.setattr("fusionfer.training._run.report_run", lambda *_: None)
    monkeypatch.setattr("fusionfer.training._train.report_training", lambda *_: tmp_path / "index.html")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    crews, real = [], _Crew.begin
    monkeypatch.setattr(_Crew, "begin", lambda crew, ranks: (crews.append(crew), real(crew, ranks)))

    def kill(text):
        if "epoch 2 " in text:
            crews[0].processes[1].kill()

    settings = {**quick_keys, "optimizer": "sgdm", "out": tmp_path, "device": "cpu"}
    with pytest.raises(ModelError, match=r"mobilenet_v2-sgdm: process 2 of 2 was ended by SIGKILL.* same command"):
        train(faces, "mobilenet_v2", devices=2, say=kill, **settings)
    assert all(process.poll() is not None for process in crews[0].processes)
    folder = tmp_path / "mobilenet_v2-sgdm"
    assert {path.name for path in folder.iterdir()} == {"settings.json", "last.ckpt"}
    result = train(faces, "mobilenet_v2", **settings)
    assert len(result.networks[0].history) == 3
    assert {path.name for path in folder.iterdir()} == {
        "settings.json", "validation.csv", "mobilenet_v2-sgdm.safetensors",
    }  # fmt: skip
    assert read_checkpoint(result.networks[0].checkpoint)[0].network == "mobilenet_v2"


def crew(monkeypatch, folder, *codes):
    """Return a crew of small programs that stand for ranks; `tell` writes what a rank says."""
    begin = "import json, os, sys, time, signal\ndef tell(*words): print(json.dumps(words), flush=True)\n"
    programs = [begin + code for code in codes]
    monkeypatch.setattr(ranks_module, "_CODE", f"exec({programs!r}[{{rank}}])")
    return _Crew(folder), len(codes)


SLEEPS = "time.sleep(100)"


@pytest.mark.parametrize(
    ("codes", "error", "text"),
    [
        ([SLEEPS, "print('bad news', file=sys.stderr); os._exit(3)"], ModelError,
         r"mine: process 2 of 2 ended with exit code 3 \(bad news\)\. The others were stopped"),
        (["os.kill(os.getpid(), signal.SIGKILL)", SLEEPS], ModelError, "process 1 of 2 was ended by SIGKILL"),
        ([SLEEPS, "tell('error', 'DeviceMemoryError', 'small', ''); os._exit(1)"], DeviceMemoryError, "^small$"),
        (["tell('error', '', 'RuntimeError: Connection closed by peer', 'trace'); os._exit(1)",
          "time.sleep(0.5); os._exit(9)"], ModelError, "process 2 of 2 ended with exit code 9"),
        (["tell('error', '', 'RuntimeError: odd.', 'trace'); os._exit(1)", "pass"], ModelError,
         r"mine: process 1 of 2 failed: RuntimeError: odd\. The others"),
        (["sys.stdout.write('[\"prog'); sys.stdout.flush(); os._exit(1)", SLEEPS], ModelError, "exit code 1"),
    ],
)  # fmt: skip
def test_the_reason_of_an_end(monkeypatch, tmp_path, codes, error, text):
    """What a rank raised is raised; one that is lost is named before those that only lost their neighbour."""
    several, n = crew(monkeypatch, tmp_path, *codes)
    begun = time.monotonic()
    several.begin(n)
    with pytest.raises(error, match=text):
        several.listen(Learner(nn.Flatten(), read_recipe({}), "sgdm", name="mine"))
    several.end()
    assert time.monotonic() - begun < 30
    assert all(process.poll() is not None for process in several.processes)


def test_what_the_caller_raises_ends_all(monkeypatch, faces, tmp_path):
    """A stop in the progress goes to the caller; no process and no half-written file is left, what was whole stays."""
    several, _ = crew(monkeypatch, tmp_path, "tell('progress', 1, 2, 'network'); time.sleep(100)", SLEEPS)
    monkeypatch.setattr(ranks_module, "_Crew", lambda folder: several)
    (tmp_path / ".last.ckpt.part").write_bytes(b"half")

    def stop(done, total, what):
        raise ExtractionInterrupted

    with pytest.raises(ExtractionInterrupted):
        fit(faces, tmp_path / "last.ckpt", 2, progress=stop)
    assert all(process.poll() is not None for process in several.processes)
    assert not (tmp_path / ".last.ckpt.part").exists()


def test_large_arrays_are_shared_by_files(faces, tmp_path):
    """Pixels are mapped from one file; faces whose pixels are kept stay at home, others go along."""
    kept, decoded = Pictures(faces, 64), Pictures(faces, 64, max_bytes=0)
    _pack(tmp_path, (kept, decoded))
    first, second = unpack(tmp_path)
    assert (tmp_path / "job").stat().st_size < 64 * 64 * len(faces)
    assert first.faces is None
    assert not first._kept.flags.writeable
    rows = np.array([3, 1])
    for one in (first, second):
        assert len(one) == len(faces)
        assert np.array_equal(one.take(rows)[:, :1], kept.take(rows)[:, :1])


def test_what_cannot_be_handed_over(tmp_path):
    """It is one error that says what to do."""
    one = Learner(nn.Flatten(), read_recipe({}), "sgdm", name="mine")
    with pytest.raises(ModelError, match=r"mine: this cannot be handed over .* Instead train on one device"):
        _pack(tmp_path, (one, lambda: 0))


@pytest.mark.parametrize(
    ("devices", "device", "text"),
    [
        (0, "cpu", "must be a whole number from 1, got 0"),
        (-2, "cpu", "must be a whole number from 1, got -2"),
        (True, "cpu", "must be a whole number from 1, got True"),
        (1.5, "cpu", "must be a whole number from 1, got 1.5"),
        (10**6, "cpu", "at most the number of CPU cores"),
        (10**6, "cuda", "at most the number of GPUs"),
        (2, "mps", "must be 1 here, got 2: mps is a single device"),
        (2, "cuda:1", "give device 'cuda' instead of 'cuda:1', and choose GPUs by CUDA_VISIBLE_DEVICES"),
    ],
)
def test_devices_that_are_not_there(devices, device, text):
    """Each has its own sentence, before anything is decoded."""
    with pytest.raises(ModelError, match=text):
        _check_devices(devices, torch.device(device))


def test_devices_without_a_picture(faces, quick_keys, tmp_path, monkeypatch):
    """More devices than pictures in a batch are refused, before anything is written."""
    monkeypatch.setattr(os, "cpu_count", lambda: 99)
    with pytest.raises(ModelError, match="15 devices have no picture each: a batch, or the split validation, has 14"):
        train(faces, "mobilenet_v2", out=tmp_path / "x", device="cpu", devices=15, **quick_keys)
    assert not (tmp_path / "x").exists()


def test_synchronised_batch_norm_keeps_everything_else():
    """The same outputs, weights and names, with timm's activation inside batch norm, and frozen weights frozen."""
    layers = pytest.importorskip("timm.layers")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3), layers.BatchNormAct2d(5))
    for buffer in network.buffers():
        if buffer.is_floating_point():
            nn.init.uniform_(buffer, 0.5, 2.0)
    network[1].weight.requires_grad_(False)
    network.eval()
    x, weights, state = torch.randn(2, 3, 9, 9), list(network.parameters()), network.state_dict()
    before = network(x)
    made = synchronised(network)
    assert sum(isinstance(one, nn.SyncBatchNorm) for one in made.modules()) == 2
    assert torch.equal(made(x), before)
    assert before.min() == 0
    assert all(one is other for one, other in zip(made.parameters(), weights, strict=True))
    assert list(made.state_dict()) == list(state)
    assert not made[1].weight.requires_grad


def test_a_rank_ends_with_its_caller(tmp_path, monkeypatch):
    """At the end of stdin, which the caller holds open, it ends at once, and takes the folder of the job with it."""
    folder = tmp_path / "job"
    folder.mkdir()
    monkeypatch.setattr(os, "read", lambda file, n: {0: b""}[file])

    def end(code):
        raise Killed(code)

    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(Killed, match="1"):
        _end_with_the_caller(str(folder))
    assert not folder.exists()
