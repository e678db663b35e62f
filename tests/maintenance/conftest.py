"""A network small enough to run in milliseconds, its cache of 22 faces, and ways to spoil it."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fusionfer.backbones import Backbone, Preprocess
from fusionfer.cache import CacheFolder, read_feature_file
from fusionfer.exceptions import ImageError
from fusionfer.extraction import extract_to_cache
from fusionfer.images import FaceSet

ARRAYS = ("features", "state", "crc32", "reasons")


class Pictures:
    """A source of noise that keeps which pictures were read, and fails where it is told to."""

    def __init__(self, n, broken=()):
        self.pictures = np.random.default_rng(0).integers(0, 256, (n, 20, 20), dtype=np.uint8)
        self.broken, self.read_keys = set(broken), []

    def read(self, key):
        self.read_keys.append(key)
        if key in self.broken:
            msg = "The picture is gone."
            raise ImageError(msg)
        return self.pictures[key]


def make_faces(n=22, *, broken=(), rows=None):
    """Noisy faces; `rows` chooses and orders them."""
    rows = list(range(n)) if rows is None else list(rows)
    return FaceSet(
        ids=[f"{i:02d}.png" for i in rows],
        keys=tuple(rows),
        source=Pictures(n, broken),
        labels=["happy" if i % 2 else "sad" for i in rows],
        splits=["train" if i % 5 else "test" for i in rows],
        name="noise",
    )


def make_backbone(seed=0, size=32):
    """A convolution with two levels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU())
    return Backbone("tiny", module.eval(), Preprocess(size=size), {"conv": "0", "out": "1"})


def extract(faces, cache, levels=("conv", "out"), **options):
    return extract_to_cache(
        faces, make_backbone(), levels, cache=cache, batch_size=4, device="cpu", on_error="skip", **options
    )


def contents(folder):
    """All that the files of a folder hold, apart from the time at which they were made."""
    found = {}
    for path in CacheFolder(folder).files():
        stored = read_feature_file(path)
        tables = [getattr(stored.rows, name).tolist() for name in ("ids", "labels", "splits", "groups", "digests")]
        found[path.name] = ({a: stored.layout.map(a).tobytes() for a in ARRAYS}, tables, stored.key, stored.record)
    return found


def flip(path, row):
    """Flip a bit in the features of a row."""
    layout = read_feature_file(path).layout
    content = bytearray(path.read_bytes())
    content[layout.offsets["features"] + row * layout.dim * 4] ^= 1
    path.write_bytes(content)


def cut(path, rows):
    """Take the last rows' features away."""
    layout = read_feature_file(path).layout
    path.write_bytes(path.read_bytes()[: -rows * layout.dim * 4])


class StopLater:
    """An event that is set from the n-th look on, when rows are computed."""

    def __init__(self, n):
        self.left = n

    def is_set(self):
        if any(frame.function == "one_pass" for frame in inspect.stack()):
            self.left -= 1
        return self.left <= 0


@pytest.fixture
def tools():
    """The functions above; conftest files cannot be imported by name."""
    return SimpleNamespace(
        faces=make_faces,
        backbone=make_backbone,
        extract=extract,
        contents=contents,
        flip=flip,
        cut=cut,
        StopLater=StopLater,
    )


@pytest.fixture
def folder(tmp_path):
    """Two files of 22 rows in batches of 4; picture 5 cannot be read."""
    extract(make_faces(broken=(5,)), tmp_path / "cache")
    return tmp_path / "cache"
