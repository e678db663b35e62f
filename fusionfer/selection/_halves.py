"""Five times two folds, for the test that asks for them: each candidate at the point that it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np

from fusionfer.selection._comparing import Comparison, Progress
from fusionfer.selection._folds import make_folds

__all__ = ["halves"]

REPETITIONS = 5


def halves(
    comparison: Comparison, head: Any, best: Mapping[str, int], named: Any, seed: Any, n_jobs: int | None,
    progress: Progress | None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the scores of 5x2 cross-validation.

    Parameters
    ----------
    comparison : Comparison
        What was compared.
    head : estimator
        The head.
    best : mapping of str to int
        Candidate -> the point that it was given.
    named, seed
        As `make_folds` takes them; repetitions go on from the seed.
    n_jobs, progress
        As `Comparison.scores` takes them; `progress` also hears how many fits there are.

    Returns
    -------
    dict of str to ndarray of float64, shape (5, 2)
        Candidate -> scores by repetition and fold.
    """
    first = int(seed) if isinstance(seed, Integral) else 0
    folds = [
        fold
        for repetition in range(REPETITIONS)
        for fold in make_folds(2, comparison.X, comparison.y, comparison.groups, named, first + repetition)
    ]
    label = f"5x2 cv, {len(folds) * len(best)} fits"
    heard = None if progress is None else (lambda done, total, what: progress(done, total, f"{label}: {what}"))
    found: dict[str, np.ndarray] = {}
    for point in sorted(set(best.values())):  # candidates at the same point share their work
        names = [name for name, its in best.items() if its == point]
        part = replace(
            comparison, folds=folds, candidates={name: comparison.candidates[name] for name in names},
            points=[comparison.points[point]], judge=None,
        )  # fmt: skip
        scores, _ = part.scores(head, n_jobs, heard)
        found.update({name: scores[name][0].reshape(REPETITIONS, 2) for name in names})
    return {name: found[name] for name in best}
