"""``python -m benchmarks.accuracy.boosting CACHE``: what each part of weight normalisation does to the log-loss.

CACHE holds features of rows that the backbones were not trained on. Settings are fitted on one split and judged on
another (``--fit-on validation --judge-on test``), or by folds of one split (``--fit-on validation --folds 3``). What is
printed is the lowest log-loss on the judging rows, in nats, the round it was reached in, accuracy and balanced accuracy
there, and the seconds of the whole fit. Both heads see the judging rows for early stopping: figures of different
settings compare, but none of them is what a new data set would show.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss

from benchmarks.speed._timing import machine
from fusionfer.features import Features
from fusionfer.heads._folds import inner_folds
from fusionfer.heads.boosting import PlainXGBClassifier, WeightNormalisedXGBClassifier

ETAS = (0.1, 0.2, 0.5, 1.0)
NORMS: dict[str, dict[str, Any]] = {
    "plain": {"norm": None},
    "damped": {"norm": "damped"},
    "tau 0.25": {"tau": 0.25, "lead": 0},
    "tau 0.1": {"tau": 0.1, "lead": 0},
    "tau 0.05": {"tau": 0.05, "lead": 0},
    "tau 0.05, lead 0.4": {"tau": 0.05, "lead": 0.4},
}
PARTS: dict[str, list[dict[str, Any]]] = {
    "slices": [{"n_slices": n} for n in (1, 4, 16, 32, 64)],
    "lead": [{"lead": lead} for lead in (0, 0.2, 0.4, 0.6)],
    "bins": [{"max_bin": n} for n in (16, 32, 64, 256)],
    "depth": [{"max_depth": n} for n in (3, 4, 6)],
    "features": [{"shares": "proportional"}, {"shares": "equal"}],
    "samples": [{"class_weight": None}, {"class_weight": "balanced"}],
    "hessian": [{"hessian": "exact"}, {"hessian": "xgboost"}],
    "penalties": [{"reg_lambda": 0.0}, {"min_child_weight": 0.0}],
    "plain at small rates": [{"norm": None, "eta": eta} for eta in (0.02, 0.03, 0.05)],
    "seed": [{"random_state": n} for n in range(3)],
}

Pair = tuple[Features, Features]


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.boosting", description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--fit-on", default="validation")
    parser.add_argument("--judge-on", help="a split; by default folds of --fit-on")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--pairs", type=int, help="so many of the folds alone (default: all)")
    parser.add_argument("--rows", type=int, help="rows of --fit-on, drawn with seed 0 (default: all)")
    parser.add_argument("--only", nargs="*", choices=["eta", "stock", *PARTS], help="which tables (default: all)")
    parser.add_argument("--depth", type=int, help="max_depth of all fits (default: that of each head)")
    parser.add_argument("--slices", type=int, help="n_slices of xgb-wn (default: its own)")
    parser.add_argument("--patience", type=int, default=30)
    parser.add_argument("--stock-eta", type=float, nargs="*", default=[0.05, 0.1, 0.3])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seeds", type=int, default=1, help="means of so many seeds, with lowest and highest loss")
    options = parser.parse_args()
    features = Features.read(options.cache)
    pairs = list(_pairs(features, options))
    fixed: dict[str, Any] = {"n_jobs": options.threads, "early_stopping_rounds": options.patience, "n_rounds": 1500}
    if options.depth:
        fixed["max_depth"] = options.depth
    sliced = {**fixed, "n_slices": options.slices} if options.slices else fixed
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    judged = options.judge_on or f"{len(pairs)} of {options.folds} folds"
    print(f"{len(pairs[0][0]):,} rows of {options.fit_on} x {features.X.shape[1]:,}, judged on {judged}\n", flush=True)
    wanted = options.only or ["eta", *PARTS, "stock"]
    if "eta" in wanted:
        _etas(pairs, sliced)
    for part in [name for name in PARTS if name in wanted]:
        _head(part)
        for params in PARTS[part]:
            blocks = {"blocks": features.blocks} if part == "features" else {}
            _row(_words(params), pairs, WeightNormalisedXGBClassifier(**{**sliced, **blocks, **params}), options.seeds)
    if "stock" in wanted:
        _head("stock XGBoost, 256 bins, all columns")
        for eta in options.stock_eta:
            stock = PlainXGBClassifier(**{**fixed, "eta": eta, "early_stopping_rounds": 10})
            _row(f"eta={eta:g}", pairs, stock, options.seeds)


def _pairs(features: Features, options: argparse.Namespace) -> Iterator[Pair]:
    """Yield rows to fit on and rows to judge on."""
    rows = np.flatnonzero(features.splits == options.fit_on)
    rows = np.sort(np.random.default_rng(0).permutation(rows)[: options.rows])
    if options.judge_on:
        yield features.take(rows), features.split(options.judge_on)
        return
    folds = inner_folds(features.y[rows], options.folds)
    for number in range(min(options.folds, options.pairs or options.folds)):
        yield features.take(rows[folds != number]), features.take(rows[folds == number])


def _fit(pairs: list[Pair], head: Any) -> tuple[float, ...]:
    """Mean over the pairs of loss, round, accuracy and balanced accuracy in percent, and seconds; nothing weighted."""
    found = []
    for inside, outside in pairs:
        begin = time.perf_counter()
        head.fit(inside.X, inside.y, eval_set=(outside.X, outside.y))
        taken = time.perf_counter() - begin
        P = head.predict_proba(outside.X).astype(np.float64)
        P /= P.sum(axis=1, keepdims=True)
        labels = head.classes_[P.argmax(axis=1)]
        right = [100 * measure(outside.y, labels) for measure in (accuracy_score, balanced_accuracy_score)]
        loss = log_loss(outside.y, P, labels=head.classes_)
        found.append((loss, head.best_round_, *right, taken))
    return tuple(np.mean(found, axis=0).tolist())


def _etas(pairs: list[Pair], fixed: dict[str, Any]) -> None:
    """Lowest loss (and round) for each norm and eta, and how far the worst eta lies above the best of the norm."""
    print("| norm | " + " | ".join(f"eta {eta:g}" for eta in ETAS) + " | worst over best |")
    print("|---|" + "---:|" * (len(ETAS) + 1))
    for name, params in NORMS.items():
        losses, cells = [], []
        for eta in ETAS:
            loss, number, *_ = _fit(pairs, WeightNormalisedXGBClassifier(**{**fixed, **params, "eta": eta}))
            losses.append(loss)
            cells.append(f"{loss:.4f} ({number:.0f})")
        print(f"| {name} | {' | '.join(cells)} | {100 * (max(losses) / min(losses) - 1):.1f} % |", flush=True)
    print()


def _head(title: str) -> None:
    print(f"\n| {title} | log-loss | round | accuracy, % | balanced, % | fit, s |\n|---|---:|---:|---:|---:|---:|")


def _row(name: str, pairs: list[Pair], head: Any, seeds: int) -> None:
    first = head.random_state or 0
    fits = [_fit(pairs, head.set_params(random_state=first + seed)) for seed in range(seeds)]
    loss, number, right, balanced, taken = np.mean(fits, axis=0)
    losses = [fit[0] for fit in fits]
    spread = f" ({min(losses):.4f} to {max(losses):.4f})" if seeds > 1 else ""
    print(f"| {name} | {loss:.4f}{spread} | {number:.0f} | {right:.1f} | {balanced:.1f} | {taken:.1f} |", flush=True)


def _words(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in params.items()) or "default"


if __name__ == "__main__":
    main()
