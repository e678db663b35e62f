"""Linear learners on two worker processes against one process: how near, in how many steps, in what time."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from fusionfer.cluster import connect
from fusionfer.features import Features
from fusionfer.fitting import read_on_cluster
from fusionfer.heads.linear import LinearProblem, solve_many

__all__ = ["run"]

_COST = 1e-3


def run() -> None:
    """Print a line for each loss and each set of columns: the first block, and all of them."""
    parser = argparse.ArgumentParser(description="Linear learners, one for each class, on two workers and on none.")
    parser.add_argument("--folder", type=Path, required=True, help="a cache folder")
    parser.add_argument("--split", default="validation", help="rows to solve (validation)")
    parser.add_argument("--tol", type=float, default=1e-3, help="gap (1e-3)")
    options = parser.parse_args()
    with connect("local") as team:
        there = read_on_cluster(options.folder, team).split(options.split)
        here = Features.read(options.folder).split(options.split)
        X, y = np.asarray(here.X), np.unique(here.y, return_inverse=True)[1]
        Y = np.where(y[:, None] == np.arange(y.max() + 1), 1, -1).astype(np.int8)
        shift, factor = X.mean(axis=0, dtype=np.float64), 1.0 / X.std(axis=0, dtype=np.float64)
        print("| loss | rows x columns | objectives apart by | steps: workers; one process | seconds: the same |")
        print("|---|---|---:|---:|---:|")
        for columns in (next(iter(here.blocks.values())), slice(0, X.shape[1])):
            problem = LinearProblem(Y, np.full(len(y), _COST), columns, shift[columns], factor[columns])
            for loss in ("hinge", "squared_hinge"):
                found, seconds = [], []
                for rows in (there.X, X):
                    begin = time.monotonic()
                    found.append(solve_many(rows, [problem], loss=loss, tol=options.tol)[0])
                    seconds.append(time.monotonic() - begin)
                apart = np.max(np.abs(found[0].objective / found[1].objective - 1.0))
                steps = "; ".join(str(one.n_iter.max()) for one in found)
                size = f"{len(y):,} x {columns.stop - columns.start:,}"
                print(f"| {loss} | {size} | {apart:.1e} | {steps} | {seconds[0]:.1f}; {seconds[1]:.1f} |", flush=True)
