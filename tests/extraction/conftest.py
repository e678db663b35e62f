"""A handful of faces in memory, and a network small enough to run in milliseconds."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from fusionfer.backbones import Backbone, Preprocess
from fusionfer.exceptions import ImageError
from fusionfer.images import FaceSet


class Pictures:
    """A source of drawn noise that counts reads, and fails where it is told to."""

    def __init__(self, pictures, broken=()):
        self.pictures, self.broken, self.reads = pictures, set(broken), 0

    def read(self, key):
        self.reads += 1
        if key in self.broken:
            msg = "The picture is gone."
            raise ImageError(msg)
        return self.pictures[key]


@pytest.fixture
def make_faces():
    """Return a function that makes n noisy faces with ids, labels and splits."""

    def make(n=50, *, broken=(), seed=0, order=None):
        rng = np.random.default_rng(seed)
        pictures = rng.integers(0, 256, (n, 20, 20), dtype=np.uint8)
        rows = np.arange(n) if order is None else np.asarray(order)
        return FaceSet(
            ids=[f"{i:04d}.png" for i in rows],
            keys=tuple(int(i) for i in rows),
            source=Pictures(pictures, broken),
            labels=["happy" if i % 2 else "sad" for i in rows],
            splits=["train" if i % 5 else "test" for i in rows],
            name="noise",
        )

    return make


class Counting(torch.nn.Module):
    """A convolution that counts how many pictures went through it and remembers the shapes of batches."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = torch.nn.Conv2d(3, 6, 3)
        self.relu = torch.nn.ReLU(inplace=True)
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return self.relu(self.conv(x))


@pytest.fixture
def make_backbone():
    """Return a function that makes a counting backbone."""

    def make(name="tiny", *, size=32, seed=0):
        return Backbone(name, Counting(seed), Preprocess(size=size), {"conv": "conv", "out": "relu"})

    return make


@pytest.fixture(scope="module")
def bench():
    """The script, which is no part of the installed package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2]))
        yield importlib.import_module("benchmarks.reliability.kill_extract")


@pytest.fixture(scope="module")
def server(bench, tmp_path_factory):
    """What forks `fusionfer` processes; its log lies on another disk than any that a test fills."""
    with bench.ForkServer(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def faces(bench, tmp_path_factory):
    """A small folder of PNG files; the last block of four is not full."""
    folder = tmp_path_factory.mktemp("faces")
    bench.write_faces(folder)
    return folder


@pytest.fixture(scope="module")
def reference(bench, server, faces, tmp_path_factory):
    """What undisturbed runs leave."""
    folder = tmp_path_factory.mktemp("reference")
    return bench.undisturbed(server, bench.Job(faces, folder), folder / "whole")
