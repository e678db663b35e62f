"""The command line run in this process, and one small extracted data set that many tests share."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest

from fusionfer.cli import main
from fusionfer.features import Features
from fusionfer.images import generate_faces

# Batches of tests are too small to gain from threads, and where cores are shared, threads that wait cost tenfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: Two backbones at the smallest size, with random weights: seconds for a whole data set.
SMALL = ("--backbone", "resnet34", "--backbone", "mobilenet_v2", "--weights", "none", "--size", "32")


@dataclass(frozen=True)
class Outcome:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def notes(self) -> str:
        """What stderr says besides the estimate of memory and time, and what it came to."""
        text = re.sub(r"(?m)^fusionfer: [^:\n]+: about [^\n]* of memory and [^\n]*\n", "", self.err)
        return re.sub(r"(?m)^fusionfer: [^:\n]+ took [^\n]* of memory at its peak\.\n", "", text)

    @property
    def error(self) -> str:
        """The one line of a command that failed; there must be no other, but for the estimate."""
        assert self.out == ""
        (line,) = self.notes.splitlines()
        return line


def run_cli(*arguments: object) -> Outcome:
    """Run ``fusionfer ARGUMENTS`` through `main`, as a shell would."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["fusionfer", *map(str, arguments)]),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as exit_,
    ):
        main()
    return Outcome(exit_.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def cli():
    """`run_cli`: arguments -> Outcome."""
    return run_cli


@pytest.fixture(scope="session")
def small():
    """Options of `extract` that make it take a second."""
    return SMALL


@pytest.fixture(scope="session")
def shared_faces(tmp_path_factory):
    """Twelve persons with seven expressions each as split/label/*.png; not to be changed."""
    root = tmp_path_factory.mktemp("data") / "faces"
    faces = generate_faces(n_identities=12, takes=1, size=32, seed=0)
    for i in range(len(faces)):
        path = root / faces.splits[i] / faces.labels[i] / f"{faces.groups[i]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), faces.load(i)[0][..., ::-1])
    return root


@pytest.fixture
def faces(shared_faces, tmp_path):
    """A copy of `shared_faces` that a test may spoil."""
    return Path(shutil.copytree(shared_faces, tmp_path / "faces"))


@pytest.fixture(scope="session")
def shared_cache(shared_faces, tmp_path_factory):
    """The features of `shared_faces`, by the command line; not to be changed."""
    folder = tmp_path_factory.mktemp("features_cache") / "faces"
    outcome = run_cli("extract", shared_faces, *SMALL, "--cache", folder)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture
def cache(shared_cache, tmp_path):
    """A copy of `shared_cache` that a test may spoil."""
    return Path(shutil.copytree(shared_cache, tmp_path / "cache"))


@pytest.fixture(scope="session")
def shared_model(shared_cache, tmp_path_factory):
    """A model fitted to `shared_cache`, by the command line."""
    path = tmp_path_factory.mktemp("models") / "faces.fusionfer"
    outcome = run_cli("fit", shared_cache, "--out", path, "--folds", 3)
    assert outcome.code == 0, outcome.err
    return path


@pytest.fixture(scope="session")
def make_features():
    """Return a function that makes 60 rows of two blocks of three columns, 40 to train and 20 to test."""

    def make(n=60, *, n_train=40, y=None, splits="two", groups=None, seed=0):
        rng = np.random.default_rng(seed)
        y = np.array(["ab"[i % 2] for i in range(n)] if y is None else y)
        X = rng.normal(size=(n, 6)) + 1.5 * (y == "a")[:, None]
        if isinstance(splits, str):
            splits = ["train"] * n_train + ["test"] * (n - n_train)
        blocks = {"left": slice(0, 3), "right": slice(3, 6)}
        return Features.from_arrays([f"{i:03d}" for i in range(n)], X, y, blocks, splits, groups)

    return make


@pytest.fixture
def make_cache(make_features, tmp_path):
    """Return a function that writes what `make_features` makes as caches, and gives their folder."""

    def make(name="arrays", **options):
        make_features(**options).to_hdf5(tmp_path / name)
        return tmp_path / name

    return make
