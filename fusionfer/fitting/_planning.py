"""What a fit will take, before it begins: memory by what each kind of head holds, time by its products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from fusionfer.features import Features
from fusionfer.heads import find_head, make_head
from fusionfer.matrices import is_mapped
from fusionfer.memory import Estimate, anonymous_bytes, asked_bytes

__all__ = ["estimate_fit"]

_MB = 1 << 20
_PIECES = 160 * _MB  # pieces of rows that are worked on, and what BLAS keeps for its threads, at most
_LIBRARIES = 60 * _MB  # libraries that are loaded on the way, and what tables and pages take at the end
_SCORES = 1 << 28  # of the learners that the joint solver takes together, at most
_SHARE = 24  # and at most this part of --memory
# Passes over all rows that a learner takes, seen on FER-2013: each is a product with X and one with its transpose.
_PASSES = {"hinge": 90, "squared_hinge": 14, "logistic": 14, "softmax": 14}
# Arrays of float64 with a row for each learner that are held at once.
_HELD = {"hinge": 9, "squared_hinge": 7, "logistic": 7, "softmax": 7}
_CALIBRATION = 3  # folds
_GRID = 11  # values that C="auto" tries
_OPERATIONS = 4.0e10  # multiplications a second in thin products on two cores of 2024, float32
_BOOSTED = 2.2e-8  # seconds that a value costs in a round of xgb-wn, by slices of 40 columns
_PLAIN = 1.1e-8  # and in a round of XGBoost over all columns


@dataclass(frozen=True)
class _Selection:
    """What all heads are told: rows, widths of the candidates, classes, folds, points, and whether rows are mapped."""

    n: int
    widths: tuple[int, ...]
    classes: int
    folds: int
    points: int
    mapped: bool
    calibrated: bool
    jobs: int

    @property
    def widest(self) -> int:
        return max(self.widths)


def estimate_fit(
    features: Features,
    heads: Sequence[Any],
    *,
    split: str = "train",
    cv: int = 5,
    scoring: str = "accuracy",
    params: Mapping[str, Mapping[str, Any]] | None = None,
    search: Any = None,
    test: str = "auto",
    n_jobs: int | None = None,
) -> Estimate:
    """Estimate what `fusionfer.fitting.fit_heads` will take.

    Parameters
    ----------
    features : Features
        As they were read: what they hold in memory already is counted.
    heads : sequence of str or classifiers
    split, cv, scoring, params, search, test, n_jobs
        As `fit_heads` takes them.

    Returns
    -------
    Estimate
        Its seconds are right to a factor of about three, its bytes to a third: fits stop when they are good enough. On
        a cluster the bytes of each of the workers, which share the rows, and of this process alike.
    """
    workers = len(features.X.team.workers) if hasattr(features.X, "team") else 1
    inside = np.isin(features.splits, split.split("+")) if np.any(features.splits != "") else features.y != ""
    n = int(np.count_nonzero(inside & (features.y != "")))
    widths = [columns.stop - columns.start for columns in features.blocks.values()]
    candidates = (*widths, sum(widths)) if len(widths) > 1 else tuple(widths)
    folds = cv + (10 if test == "5x2" and len(widths) > 1 else 0)
    parts: dict[str, int] = {"rows and what is loaded": anonymous_bytes() + _LIBRARIES}
    seconds = 2e-10 * 4 * n * sum(widths)  # checksums, sums of columns
    solving: list[tuple[str, int]] = []
    most_points = 1
    for head in heads:
        name = find_head(head).name if isinstance(head, str) else type(head).__name__
        estimator = make_head(head, **dict((params or {}).get(name, {})))
        points = _points(search, head, (params or {}).get(name, {}))
        most_points = max(most_points, points)
        about = _Selection(
            -(-n // workers),
            candidates,
            max(len(features.classes), 2),
            folds,
            points,
            is_mapped(features.X),
            scoring == "neg_log_loss",
            effective_n_jobs(n_jobs),
        )
        n_bytes, spent = _of_head(name, estimator, about)
        solving.append((name, n_bytes))
        seconds += spent
    parts.update([max(solving, key=lambda one: one[1])])  # one head after the other
    parts["pieces of rows"] = min(_PIECES, 16 * _MB + 40 * n * sum(widths))
    # Ids, hashes, and what was said of every held-out row, with the bootstrap over them.
    parts["tables of rows"] = n * (400 + 4 * len(candidates) * most_points)
    ordered = tuple(sorted(parts.items(), key=lambda part: -part[1]))
    return Estimate(f"fit with {', '.join(name for name, _ in solving)}", sum(parts.values()), seconds, ordered)


def _points(search: Any, head: Any, params: Mapping[str, Any]) -> int:
    """Points that are searched for one candidate."""
    if isinstance(search, str) and isinstance(head, str):
        search = {name: values for name, values in find_head(head).search.items() if name not in params}
    grids = search if isinstance(search, (list, tuple)) else [search or {}]
    return max(1, sum(int(np.prod([len(values) for values in grid.values()])) for grid in grids))


def _of_head(name: str, head: Any, about: _Selection) -> tuple[int, float]:
    """Bytes and seconds of one head."""
    if name in ("ecoc", "svm-linear", "softmax") and getattr(head, "learner", None) is None:
        return _of_linear(name, head, about)
    if name in ("xgb", "xgb-wn"):
        return _of_boosting(name, head, about)
    if name == "svm-nystroem":
        n_bytes, seconds = _of_linear("svm-linear", head, about, width=int(head.n_components))
        rows = 0 if about.mapped else 4 * about.n * (int(head.n_components) + about.widest)
        kernel = 2.0 * about.n * head.n_components * sum(about.widths) * (about.folds + 1) / _OPERATIONS
        return n_bytes + rows, seconds + kernel
    copies = 4 * about.n * about.widest * (3 if about.mapped else 2) * min(about.jobs, about.folds)
    fits = (about.folds + 1) * about.points
    if name == "svm-rbf":
        costs = [head.estimate(about.n, width) for width in about.widths]
        return copies + max(cost.bytes for cost in costs), fits * sum(cost.seconds for cost in costs)
    # What other classifiers hold is not known; few hold more than the rows once more in float64.
    return copies + 8 * about.n * about.widest, fits * about.n * sum(about.widths) * about.classes * 2e-8


def _of_linear(name: str, head: Any, about: _Selection, width: int | None = None) -> tuple[int, float]:
    n, d = about.n, width or about.widest
    loss = "softmax" if name == "softmax" else getattr(head, "loss", "hinge")
    learners = _learners(name, head, about.classes)
    grid = _GRID if head.C == "auto" else 1
    parts = 1 + (_CALIBRATION if head.C == "auto" or (about.calibrated and name != "softmax") else 0)
    fits = about.folds * about.points * grid * parts
    calibrated = grid * (1 + _CALIBRATION) if name != "softmax" else grid * (parts if head.C == "auto" else 1)
    most = min(_SCORES, (asked_bytes() or _SHARE * _SCORES) // _SHARE)
    together = max(learners, min(max(fits, calibrated) * learners, most // (8 * max(n, 1))))
    plans = about.folds * about.points * n * (32 + learners) + fits * len(about.widths) * 8 * n
    few = min(n, d)  # with fewer rows than columns the matrix of the rows is factored
    gram = 4 * few * d * (3 if name != "softmax" else 2)
    factors = min(1 << 29, 6 * 4 * few * few) + min(1 << 28, 4 * few * few * 8)
    copies = 0 if about.mapped else 4 * n * d * (1 + 2 // about.folds)
    n_bytes = _HELD[loss] * 8 * n * together + plans + gram + factors + copies
    widths = about.widths if width is None else (width,) * len(about.widths)
    passes = _PASSES[loss] * learners * 2.0 * n * (fits * sum(widths) + calibrated * max(widths))
    grams = 0.5 * n * float(max(widths)) ** 2 * 2
    return int(n_bytes), passes / _OPERATIONS + grams / (4 * _OPERATIONS)


def _learners(name: str, head: Any, classes: int) -> int:
    """Binary learners, or rows of a softmax, of one fit."""
    if name == "softmax" or classes == 2:
        return classes if name == "softmax" else 1
    coding = getattr(head, "coding", "onevsall")
    if not isinstance(coding, str):
        return int(np.asarray(coding).shape[1])
    from fusionfer.heads.ecoc import coding_matrix

    return int(coding_matrix(coding, classes, max_learners=1 << 20, random_state=0).shape[1])


def _of_boosting(name: str, head: Any, about: _Selection) -> tuple[int, float]:
    from fusionfer.heads.boosting import fits_in_memory, plain_size, sliced_size

    n, d = about.n, about.widest
    if name == "xgb-wn":
        threads = effective_n_jobs(-1 if head.n_jobs is None else head.n_jobs)
        size = sliced_size(n, d, about.classes, n_slices=head.n_slices, threads=threads)
    else:
        size = plain_size(n, d, about.classes, max_bin=head.max_bin, max_depth=head.max_depth, mapped=about.mapped)
    copies = 0 if about.mapped else 2 * 4 * n * d * min(about.jobs, about.folds)
    n_bytes = size.in_memory if fits_in_memory(size.kept) else size.in_files
    fits = about.folds * about.points
    each = _BOOSTED * 40 if name == "xgb-wn" else _PLAIN
    values = [min(width, 40) / 40 if name == "xgb-wn" else width for width in about.widths]
    rounds = head.n_rounds * about.classes * n * each * (fits * sum(values) + max(values))
    cutting = 2e-8 * n * (fits * sum(about.widths) + d)
    return n_bytes + copies, rounds + cutting
