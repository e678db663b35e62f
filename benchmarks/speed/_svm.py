"""svm-rbf, with scikit-learn's solver and with scikit-learn-intelex, against scikit-learn's SVC."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.svm import SVC

from benchmarks.speed._linear import training_features
from benchmarks.speed._timing import Figure, Report, alternate, once, ratio, seconds
from fusionfer.fusion import BlockScaler
from fusionfer.heads import make_head

__all__ = ["run"]

ROWS = 3_000


def run(rounds: int, n: int | None, folder: Path | None) -> Iterator[Report]:
    """Fit to n rows and predict as many others, of a cache folder or of one that is extracted here."""
    rows, what = training_features(folder, 2 * (n or ROWS))
    X = BlockScaler(rows.blocks).fit_transform(rows.X)
    train, new = slice(0, None, 2), slice(1, None, 2)
    setting = f"{len(X[train]):,} x {X.shape[1]:,} features of {what}, as many rows predicted, C = 1, no calibration"
    missing = importlib.util.find_spec("sklearnex") is None
    if missing:
        setting += "; without scikit-learn-intelex, which is not installed (pip install 'fusionfer[intelex]')"
    solvers = ("scikit-learn",) if missing else ("scikit-learn", "intelex")
    yield Report("svm", setting, _figures(X[train], rows.y[train], X[new], rounds, solvers))


def _figures(
    X: np.ndarray, y: np.ndarray, new: np.ndarray, rounds: int, solvers: tuple[str, ...]
) -> tuple[Figure, ...]:
    contenders = {solver: make_head("svm-rbf", solver=solver, probability=False) for solver in solvers}
    gamma = contenders["scikit-learn"].fit(X, y).gamma_
    # float64, since SVC would copy float32 with every call; ties of votes broken as the head breaks them.
    contenders["SVC"] = SVC(gamma=gamma, cache_size=500, break_ties=True)
    given = dict.fromkeys(solvers, (X, new)) | {"SVC": (X.astype(np.float64), new.astype(np.float64))}
    labels = {}

    def fit(name: str) -> None:
        contenders[name].fit(given[name][0], y)

    def predict(name: str) -> None:
        labels[name] = contenders[name].predict(given[name][1])

    fitting = alternate({name: partial(fit, name) for name in contenders}, rounds, warm_up=False)
    predicting = alternate({name: partial(predict, name) for name in contenders}, rounds, warm_up=False)
    figures: list[Figure] = []
    for name in solvers:
        figures += [
            ratio(f"fit with {name} against SVC", fitting["SVC"], fitting[name]),
            ratio(f"predict with {name} against SVC", predicting["SVC"], predicting[name]),
            once(f"labels with {name} that differ", float(np.mean(labels[name] != labels["SVC"])), "", at_most=1e-3),
        ]
    figures += [seconds(f"fit: {name}", taken) for name, taken in fitting.items()]
    figures += [seconds(f"predict: {name}", taken) for name, taken in predicting.items()]
    return tuple(figures)
