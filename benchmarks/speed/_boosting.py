"""Weight-normalised boosting on slices against stock XGBoost: time to its best validation loss, and cost of a round."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed._pictures import pictures
from benchmarks.speed._timing import Figure, Report, once, ratio, seconds
from fusionfer.features import Features
from fusionfer.heads.boosting import PlainXGBClassifier, WeightNormalisedXGBClassifier

__all__ = ["run"]

ROWS = 12_000
ETA, DEPTH, SLICES, BINS = 0.2, 6, 64, 32
PATIENCE = 6  # of stock, whose rounds take seconds; its best round is not far from the first that looks best
ROUNDS = 12  # of which the cost of one is the median
TIMES = 5  # that a fit of a second or two is repeated; stock's half minute evens itself out


@dataclass(frozen=True)
class Track:
    """Seconds from the start of `fit` after each round, and validation losses."""

    times: np.ndarray
    losses: np.ndarray

    @property
    def best(self) -> tuple[float, float, int]:
        """Lowest loss, seconds until it was reached, round."""
        at = int(np.argmin(self.losses))
        return float(self.losses[at]), float(self.times[at]), at + 1

    def reaches(self, loss: float) -> float:
        """Seconds until a loss is reached, infinity if never."""
        below = np.flatnonzero(self.losses <= loss)
        return float(self.times[below[0]]) if len(below) else float("inf")

    @property
    def round(self) -> float:
        """Median seconds of a round."""
        return float(np.median(np.diff(self.times)))


def run(rounds: int, n: int | None, folder: Path | None) -> Iterator[Report]:
    """Measure with a cache folder, without its training rows if it has others, or with one extracted here."""
    with tempfile.TemporaryDirectory() as place:
        if folder is None:
            folder, what = _extracted(Path(place) / "cache", n or ROWS)
        else:
            what = str(folder)
        features = Features.read(folder)
        if np.any(features.splits != "train"):  # rows that backbones of one's own have not been trained on
            features = features.take(features.splits != "train")
        order = np.random.default_rng(0).permutation(len(features))[: (n or ROWS) * 4 // 3]
        inside, outside = np.split(order, [len(order) * 3 // 4])
        rows, held = features.take(np.sort(inside)), features.take(np.sort(outside))
    what = f"{len(rows):,} x {rows.X.shape[1]:,} of {what}, {len(held):,} rows to judge by, depth {DEPTH}, eta {ETA}"
    common: dict[str, Any] = {"eta": ETA, "max_depth": DEPTH}
    yield _to_the_best(rows, held, what, common)
    yield _cost_of_a_round(rows, held, what, common, rounds)
    yield _slices_or_sampling(rows, held, what, common)


def _extracted(folder: Path, n: int) -> tuple[Path, str]:
    from fusionfer.extraction import extract_to_cache  # torch, which those who bring a folder need not load

    faces, what = pictures(n * 4 // 3)
    extract_to_cache(faces, weights="none", size=48, cache=folder)
    return folder, f"{what} at 48 pixels, random weights"


def _track(head: Any, rows: Features, held: Features) -> Track:
    times: list[float] = []
    begin = time.perf_counter()
    head.fit(rows.X, rows.y, eval_set=(held.X, held.y), progress=lambda *_: times.append(time.perf_counter() - begin))
    return Track(np.array(times), head.history_["validation_loss"])


def _median_track(head: Any, rows: Features, held: Features) -> Track:
    """Fit several times, which gives the same losses each time, and take the median of the times."""
    tracks = [_track(head, rows, held) for _ in range(TIMES)]
    return Track(np.median([track.times for track in tracks], axis=0), tracks[0].losses)


def _to_the_best(rows: Features, held: Features, what: str, common: dict[str, Any]) -> Report:
    stock = _track(PlainXGBClassifier(**common, early_stopping_rounds=PATIENCE), rows, held)
    ours = _median_track(WeightNormalisedXGBClassifier(**common), rows, held)
    no_norm = _median_track(WeightNormalisedXGBClassifier(**common, norm=None, hessian="xgboost"), rows, held)
    loss, taken, number = stock.best
    found, took, at = ours.best
    return Report(
        "boosting",
        f"time to the best validation log-loss of default stock XGBoost (256 bins), quantising counted: {what}",
        (
            _least("speed of xgb-wn to that loss", taken / ours.reaches(loss), 20.0),
            once("speed of slices alone (norm=None) to that loss; 0 is never", taken / no_norm.reaches(loss), "x"),
            once("stock: lowest log-loss", loss, f"@ {number}"),
            once("stock: seconds until then", taken, "s"),
            once("stock: one round", stock.round, "s"),
            once("xgb-wn: seconds until stock's lowest loss", ours.reaches(loss), "s"),
            once("xgb-wn: lowest log-loss", found, f"@ {at}"),
            once("xgb-wn: seconds until then", took, "s"),
            once("xgb-wn: one round", ours.round, "s"),
            once("slices alone: lowest log-loss", no_norm.best[0], f"@ {no_norm.best[2]}"),
        ),
    )


def _least(what: str, value: float, target: float) -> Figure:
    return Figure(what, value, value, value, target=target)


def _cost_of_a_round(rows: Features, held: Features, what: str, common: dict[str, Any], rounds: int) -> Report:
    fixed = {**common, "n_rounds": ROUNDS, "early_stopping_rounds": None, "max_bin": BINS}
    heads = {
        "normalised": WeightNormalisedXGBClassifier(**fixed, n_slices=SLICES),
        "plain": WeightNormalisedXGBClassifier(**fixed, n_slices=SLICES, norm=None),
        "normalised, 1": WeightNormalisedXGBClassifier(**fixed, n_slices=1),
        "native, 1": PlainXGBClassifier(**fixed),
    }
    taken: dict[str, list[float]] = {name: [] for name in heads}
    for number in range(rounds):
        for name in list(heads) if number % 2 else reversed(heads):
            taken[name].append(_track(heads[name], rows, held).round)
    one = {name: np.array(values) for name, values in taken.items()}
    return Report(
        "boosting",
        f"one round, {BINS} bins, {rounds} rounds of {ROUNDS} rounds each: {what}",
        (
            _at_most(f"normalised round against plain, {SLICES} slices", one["normalised"] / one["plain"], 1.1),
            _at_most("normalised against XGBoost's own loop, one slice", one["normalised, 1"] / one["native, 1"], 1.1),
            ratio(f"{SLICES} slices against one, normalised", one["normalised, 1"], one["normalised"]),
            seconds(f"normalised round on a slice of {SLICES}", one["normalised"]),
            seconds("normalised round, one slice", one["normalised, 1"]),
            seconds("XGBoost's own round, one slice", one["native, 1"]),
        ),
    )


def _at_most(what: str, values: np.ndarray, target: float) -> Figure:
    return Figure(what, float(np.median(values)), float(values.min()), float(values.max()), "x", target, at_most=True)


def _slices_or_sampling(rows: Features, held: Features, what: str, common: dict[str, Any]) -> Report:
    limit = {**common, "max_bin": BINS, "early_stopping_rounds": 15}
    slices = _track(WeightNormalisedXGBClassifier(**limit, n_slices=SLICES, norm=None, hessian="xgboost"), rows, held)
    sampled = _track(PlainXGBClassifier(**limit, colsample_bytree=1 / SLICES), rows, held)
    return Report(
        "boosting",
        f"{SLICES} slices without norm against colsample_bytree=1/{SLICES}, both {BINS} bins: {what}",
        (
            once("speed of a round", sampled.round / slices.round, "x"),
            once("speed to the lowest loss", sampled.best[1] / slices.best[1], "x"),
            once("slices: lowest log-loss", slices.best[0], f"@ {slices.best[2]}"),
            once("colsample_bytree: lowest log-loss", sampled.best[0], f"@ {sampled.best[2]}"),
            once("slices: one round", slices.round, "s"),
            once("colsample_bytree: one round", sampled.round, "s"),
        ),
    )
