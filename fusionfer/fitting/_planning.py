"""What a fit will take, before it begins: memory by what each kind of head holds, time by its products."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from fusionfer.costs import cores, slowness, summed
from fusionfer.features import Features
from fusionfer.heads import find_head, make_head
from fusionfer.matrices import is_mapped
from fusionfer.memory import Estimate, anonymous_bytes, asked_bytes, memory_limit, planned_bytes

__all__ = ["estimate_fit"]

_MB = 1 << 20
_PIECES = 160 * _MB  # pieces of rows that are worked on, and what BLAS keeps for its threads, at most
_LIBRARIES = 60 * _MB  # libraries that are loaded on the way, and what tables and pages take at the end
# Passes over all rows that a learner takes, seen on FER-2013 and generated rows.
# Each is a product with X and one with its transpose.
_PASSES = {"hinge": 30, "squared_hinge": 14, "logistic": 14, "softmax": 14}
_ALTERNATING = 90  # of the hinge, with so few rows that it is solved by alternating directions
# Arrays of float64 with a row for each learner that are held at once.
_HELD = {"hinge": 9, "squared_hinge": 7, "logistic": 7, "softmax": 7}
_CALIBRATION = 3  # folds
_GRID = 11  # values that C="auto" tries
# Times are those of two cores of the machine that `fusionfer.costs.REFERENCE_GFLOPS` tells of.
_CORES = 2
_OPERATIONS = 4.0e10  # multiplications a second in thin products, float32
_PASSED = 0.5e-9  # seconds a value and pass where rows are read from their files again and again
_BOOSTED = 2.2e-8  # seconds that a value costs in a round of xgb-wn, by slices of 40 columns
_PLAIN = 1.1e-8  # and in a round of XGBoost over all columns
_CUT = 0.75e-8  # seconds to cut a value
_START = 3.0  # seconds: imports, and what is written at the end
_READ, _READ_ROW = 3e-9, 1e-5  # seconds a byte of features that is compared with its checksum, and a row of the tables
#: Heads that the workers of a cluster fit, each from rows of its own; the rows of all others are read here.
_DISTRIBUTED = ("ecoc", "svm-linear", "softmax", "xgb-wn")


@dataclass(frozen=True)
class _Selection:
    """What all heads are told: rows, widths of the candidates, classes, folds, points, and whether rows are mapped.

    `side_by_side` is how many fits of heads that cannot share the work run at a time.
    """

    n: int
    widths: tuple[int, ...]
    classes: int
    folds: int
    points: int
    mapped: bool
    calibrated: bool
    side_by_side: int

    @property
    def widest(self) -> int:
        return max(self.widths)

    @property
    def most(self) -> float:
        """What the largest fits that run at a time take, as a multiple of the widest one."""
        every = sorted(self.widths * self.folds, reverse=True)
        return sum(every[: self.side_by_side]) / self.widest


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
    local: bool = False,
) -> Estimate:
    """Estimate what `fusionfer.fitting.fit_heads` will take.

    Parameters
    ----------
    features : Features
        As they were read: what they hold in memory already is counted.
    heads : sequence of str or classifiers
    split, cv, scoring, params, search, test, n_jobs
        As `fit_heads` takes them.
    local : bool
        Whether the workers of a cluster are on this machine: then their memory counts, too.

    Returns
    -------
    Estimate
        Its seconds are right to a factor of about two, its bytes to a third: fits stop when they are good enough. On
        a cluster, that is not `local`, the bytes of each of the workers, which share the rows, and of this process
        alike; a head that is not made for clusters takes the rows of all workers here.
    """
    team = getattr(features.X, "team", None)
    workers = len(team.workers) if team is not None else 1
    inside = np.isin(features.splits, split.split("+")) if np.any(features.splits != "") else features.y != ""
    n = int(np.count_nonzero(inside & (features.y != "")))
    widths = [columns.stop - columns.start for columns in features.blocks.values()]
    candidates = (*widths, sum(widths)) if len(widths) > 1 else tuple(widths)
    folds = cv + (10 if test == "5x2" and len(widths) > 1 else 0)
    held = anonymous_bytes()
    processes = 1 + (workers if local and team is not None else 0)
    parts: dict[str, int] = {"rows and what is loaded": (held + _LIBRARIES) * processes}
    seconds = slowness() * (_START + len(features.splits) * (_READ_ROW + _READ * 4 * sum(widths)))
    solving: list[tuple[str, int]] = []
    most_points = 1
    for head in heads:
        name = find_head(head).name if isinstance(head, str) else type(head).__name__
        estimator = make_head(head, **dict((params or {}).get(name, {})))
        points = _points(search, head, (params or {}).get(name, {}))
        most_points = max(most_points, points)
        shared = team is not None and _is_distributed(name, estimator)
        about = _Selection(
            -(-n // workers) if shared else n,
            candidates,
            max(len(features.classes), 2),
            folds,
            points,
            is_mapped(features.X),
            scoring == "neg_log_loss",
            min(_side_by_side(name, features, n, n_jobs, shared), folds * len(candidates)),
        )
        n_bytes, spent = _of_head(name, estimator, about)
        solving.append((name, n_bytes * (processes if shared else 1)))
        seconds += spent * slowness()
    parts.update([max(solving, key=lambda one: one[1])])  # one head after the other
    parts["pieces of rows"] = min(_PIECES, 16 * _MB + 40 * n * sum(widths))
    # Ids, hashes, and what was said of every held-out row, with the bootstrap over them.
    parts["tables of rows"] = n * (400 + 4 * len(candidates) * most_points)
    return summed(f"fit with {', '.join(name for name, _ in solving)}", parts.items(), seconds, known=held)


def _is_distributed(name: str, head: Any) -> bool:
    return name in _DISTRIBUTED and getattr(head, "learner", None) is None


def _side_by_side(name: str, features: Features, n: int, n_jobs: int | None, shared: bool) -> int:
    """How many fits run at a time: as many as asked for, or as a team of workers has room for; linear ones are one."""
    if not shared:
        return effective_n_jobs(n_jobs)
    if name != "xgb-wn":
        return 1
    from fusionfer.fitting._on_cluster import folds_side_by_side  # which needs the extra dask

    team = features.X.team
    before = team.fits  # which is for the fit to set
    try:
        return folds_side_by_side(team, n, features.X.shape[1], max(len(features.classes), 2))
    finally:
        team.fits = before


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
        return n_bytes + rows, seconds + kernel * _CORES / cores()
    copies = 4 * about.n * about.widest * (3 if about.mapped else 2)
    fits = (about.folds + 1) * about.points
    at_a_time = min(about.side_by_side, cores())  # each on a core of its own
    if name == "svm-rbf":
        costs = [head.estimate(about.n, width) for width in about.widths]
        each = copies + max(cost.bytes for cost in costs)
        return int(each * about.most), fits * sum(cost.seconds for cost in costs) / at_a_time
    # What other classifiers hold is not known; few hold more than the rows once more in float64.
    each = copies + 8 * about.n * about.widest
    return int(each * about.most), fits * about.n * sum(about.widths) * about.classes * 2e-8 / at_a_time


def _of_linear(name: str, head: Any, about: _Selection, width: int | None = None) -> tuple[int, float]:
    from fusionfer.heads.linear._augmented import is_tall
    from fusionfer.heads.linear._solving import BATCH_BYTES, BATCH_SHARE

    n, d = about.n, width or about.widest
    loss = "softmax" if name == "softmax" else getattr(head, "loss", "hinge")
    learners = _learners(name, head, about.classes)
    grid = _GRID if head.C == "auto" else 1
    parts = 1 + (_CALIBRATION if head.C == "auto" or (about.calibrated and name != "softmax") else 0)
    fits = about.folds * about.points * grid * parts
    calibrated = grid * (1 + _CALIBRATION) if name != "softmax" else grid * (parts if head.C == "auto" else 1)
    most = min(BATCH_BYTES, (asked_bytes() or BATCH_SHARE * BATCH_BYTES) // BATCH_SHARE)
    together = max(learners, min(max(fits, calibrated) * learners, most // (8 * max(n, 1))))
    plans = about.folds * about.points * n * (32 + learners) + fits * len(about.widths) * 8 * n
    few = min(n, d)  # with fewer rows than columns the matrix of the rows is factored
    gram = 4 * few * d * (3 if name != "softmax" else 2)
    factors = min(1 << 29, 6 * 4 * few * few) + min(1 << 28, 4 * few * few * 8)
    copies = 0 if about.mapped else 4 * n * d * (1 + 2 / about.folds)
    n_bytes = _HELD[loss] * 8 * n * together + plans + gram + factors + copies
    widths = about.widths if width is None else (width,) * len(about.widths)
    inside = np.array([n * (1 - 1 / about.folds)])
    passes = [_ALTERNATING if loss == "hinge" and not is_tall(inside, w) else _PASSES[loss] for w in widths]
    weighed = [many * w for many, w in zip(passes, widths, strict=True)]
    products = learners * 2.0 * n * (fits * sum(weighed) + calibrated * max(weighed))
    grams = 0.5 * n * float(max(widths)) ** 2 * 2
    seconds = (products / _OPERATIONS + grams / (4 * _OPERATIONS)) * _CORES / cores()
    if about.mapped and width is None:  # all learners that are solved together share a pass
        batches, last = (math.ceil(many * learners / together) for many in (fits, calibrated))
        seconds += _PASSED * 2.0 * n * (batches * sum(weighed) + last * max(weighed))
    return int(n_bytes), seconds


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
    # Fits side by side share what may be planned with.
    with memory_limit(planned_bytes() // about.side_by_side if about.side_by_side > 1 else None):
        if name == "xgb-wn":
            threads = effective_n_jobs(-1 if head.n_jobs is None else head.n_jobs)
            size = sliced_size(n, d, about.classes, n_slices=head.n_slices, threads=threads)
        else:
            size = plain_size(n, d, about.classes, max_bin=head.max_bin, max_depth=head.max_depth, mapped=about.mapped)
        n_bytes = size.in_memory if fits_in_memory(size.kept) else size.in_files
    copies = 0 if about.mapped else 2 * 4 * n * d
    fits = about.folds * about.points
    each = _BOOSTED * 40 if name == "xgb-wn" else _PLAIN
    values = [min(width, 40) / 40 if name == "xgb-wn" else width for width in about.widths]
    rounds = head.n_rounds * about.classes * n * each * (fits * sum(values) + max(values))
    cutting = _CUT * n * (fits * sum(about.widths) + d)
    return int((n_bytes + copies) * about.most), (rounds + cutting) * _CORES / cores()
