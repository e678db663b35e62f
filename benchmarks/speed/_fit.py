"""Fitting from a cache: how soon the first fold is done, and the head against scikit-learn's in the same selector."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.svm import LinearSVC

from benchmarks.speed._pictures import pictures
from benchmarks.speed._timing import Report, alternate, once, ratio, seconds
from fusionfer.features import Features
from fusionfer.heads import make_head
from fusionfer.selection import HybridSelector

__all__ = ["run"]

ROWS = 1000
ROOT = Path(__file__).resolve().parents[2]


def run(rounds: int, n: int | None, folder: Path | None) -> Iterator[Report]:
    """Measure with a cache folder that is given, or with one extracted here."""
    n = n or ROWS
    with tempfile.TemporaryDirectory() as place:
        if folder is None:
            folder, what = _extracted(Path(place) / "cache", n)
        else:
            what = str(folder)
        features = Features.read(folder)
        yield _start(folder, Path(place) / "model", f"{len(features):,} rows of {what}", rounds)
        yield _selection(features, n, what, rounds)


def _extracted(folder: Path, n: int) -> tuple[Path, str]:
    from fusionfer.extraction import extract_to_cache  # torch, which those who bring a folder need not load

    faces, what = pictures(n * 3 // 2)  # of both kinds of faces at least two thirds are for training
    extract_to_cache(faces, weights="none", size=48, cache=folder)
    return folder, f"{what} at 48 pixels, random weights"


def _start(folder: Path, model: Path, what: str, rounds: int) -> Report:
    """Time ``fusionfer fit`` as a process of its own, from before the interpreter starts."""
    _run_verb(folder, model, "first")  # fills the page cache
    told = [_run_verb(folder, model, "first") for _ in range(rounds)]
    whole = _run_verb(folder, model, "all")
    read, first = (np.array([one["reached"][name] for one in told]) for name in ("read", "first fold"))
    return Report(
        "fit",
        f"`fusionfer fit`, a process of its own: {what}, {rounds} rounds",
        (
            seconds("from process start until features are read and fitting begins", read, target=2.0),
            seconds("from process start until the first fold is done", first),
            once("from process start until the model is saved, once", whole["reached"]["saved"], "s"),
            once("runs that loaded torch", sum(one["torch"] for one in [*told, whole]), "", at_most=0),
        ),
    )


def _run_verb(folder: Path, model: Path, how_far: str) -> dict[str, Any]:
    arguments = [repr(time.monotonic()), str(folder.resolve()), str(model), how_far]
    child = [sys.executable, "-m", "benchmarks.speed._first_fold", *arguments]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def _selection(features: Features, n: int, what: str, rounds: int) -> Report:
    """Select with the library's head and with scikit-learn's linear SVM of the same loss and C, on the same folds."""
    rows = features.split("train") if np.any(features.splits != "") else features
    rows = rows.take(np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(int))
    selectors = {
        "ours": HybridSelector(make_head("ecoc", probability=False), blocks=rows.blocks),
        "theirs": HybridSelector(LinearSVC(loss="hinge", random_state=0), blocks=rows.blocks),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fits = {name: partial(one.fit, rows.X, rows.y) for name, one in selectors.items()}
        taken = alternate(fits, rounds, warm_up=False)
    unfinished = sum("liblinear" in str(warning.message).lower() for warning in caught) / rounds
    fits_each = 5 * len(selectors["ours"].scores_) + 1
    best = {name: 100 * max(one.mean_scores_.values()) for name, one in selectors.items()}
    return Report(
        "fit",
        f"selection of {' and '.join(rows.blocks)}, 5 folds, {len(rows):,} training rows of {what}, {rounds} rounds",
        (
            ratio("speed against LinearSVC(loss='hinge')", taken["theirs"], taken["ours"]),
            seconds("selection with the head ecoc", taken["ours"]),
            seconds("selection with LinearSVC(loss='hinge')", taken["theirs"]),
            once(f"LinearSVC fits, of {fits_each}, that stopped short of their tolerance", unfinished, ""),
            once("best mean accuracy with ecoc", best["ours"], "%"),
            once("best mean accuracy with LinearSVC", best["theirs"], "%"),
        ),
    )
