"""``python -m benchmarks.accuracy.seen_rows CACHE``: select on rows that the backbones were trained on, and on others.

CACHE holds features of backbones that were trained on its split "train". The selection runs once on rows drawn from
that split and once on as many of "validation"; both winners are scored on "test". What the folds promise too much in
the first case is what ``docs/selection.md`` warns of.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.speed._timing import machine
from fusionfer.evaluation import evaluate
from fusionfer.features import Features
from fusionfer.fitting import fit


def drawn(features: Features, split: str, n: int, seed: int) -> np.ndarray:
    """Return the positions of `n` rows of a split, in the order of the rows."""
    rows = np.flatnonzero(features.splits == split)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:n])


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.seen_rows", description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--head", default="ecoc")
    parser.add_argument("--rows", type=int, help="rows to select on (default: all of the smaller split)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    features = Features.read(options.cache)
    counts = [int(np.sum(features.splits == split)) for split in ("train", "validation")]
    n = min(*counts, options.rows or max(counts))
    test = np.flatnonzero(features.splits == "test")
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{n:,} rows of each split, drawn with seed {options.seed}; {len(test):,} test rows; head {options.head}\n")
    print("| rows selected on | candidate | folds, % | test, % | kept |")
    print("|---|---|---:|---:|---|")
    for split in ("train", "validation"):
        taken = features.take(np.concatenate([drawn(features, split, n, options.seed), test]))
        result = fit(taken, options.head, split=split, random_state=options.seed)
        for name, scores in result.selector.scores_.items():
            fitted = result
            if name != result.selector.selected_:
                blocks = [block for block in taken.blocks if block in name.split(" + ")]
                fitted = fit(taken.only(*blocks), options.head, split=split, random_state=options.seed)
            right = evaluate(taken, fitted.model).scores.accuracy
            mark = "kept" if name == result.selector.selected_ else ""
            print(f"| {split} | {name} | {100 * np.mean(scores):.1f} | {100 * right:.1f} | {mark} |", flush=True)


if __name__ == "__main__":
    main()
