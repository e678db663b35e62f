"""The joint linear solver against scikit-learn's solvers at equal objective, and whole selections against one fit."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from benchmarks.speed._pictures import pictures
from benchmarks.speed._timing import Figure, Report, alternate, once, ratio, seconds
from fusionfer.features import Features
from fusionfer.fusion import BlockScaler
from fusionfer.heads import find_head, make_head
from fusionfer.heads.linear import LinearProblem, LinearSolution, solve_linear, solve_many, solve_softmax
from fusionfer.selection import HybridSelector

__all__ = ["run", "training_features"]

ROWS = 30_000  # all of FER-2013's training rows
C = 1e-3
# Eight values; on FER-2013 the fourth is the best on validation rows.
GRID = tuple(float(value) for value in 10.0 ** np.arange(-6.0, -2.0, 0.5))
FOLDS = 5
EPOCHS = 20  # of LIBLINEAR's dual solver for the hinge, which takes more than ten minutes to converge


def run(rounds: int, n: int | None, folder: Path | None) -> Iterator[Report]:
    """Measure with a cache folder that is given, or with one extracted here."""
    rows, what = training_features(folder, n or (2_000 if folder is None else ROWS))
    X = BlockScaler(rows.blocks, "standard").fit_transform(rows.X)
    y = np.unique(rows.y, return_inverse=True)[1]
    setting = f"{X.shape[0]:,} x {X.shape[1]:,} standardised features of {what}, {y.max() + 1} classes, C = {C:g}"
    yield _squared_hinge(X, y, rounds, setting)
    yield _hinge(X, y, rounds, setting)
    yield _logistic(X, y, rounds, setting)
    yield _softmax(X, y, rounds, setting)
    yield _backends(X, y, rounds, setting)
    yield _selection(X, y, rows.blocks, rounds, setting)
    yield _selector(rows, rounds, what)


def training_features(folder: Path | None, n: int) -> tuple[Features, str]:
    """Return at most n training rows, and whose they are: of a cache folder, or of one that is extracted here."""
    with tempfile.TemporaryDirectory() as place:
        if folder is None:
            folder, what = _extracted(Path(place) / "cache", n)
        else:
            what = str(folder)
        features = Features.read(folder)
        rows = features.split("train") if np.any(features.splits != "") else features
        return rows.take(np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(int)), what


def _extracted(folder: Path, n: int) -> tuple[Path, str]:
    from fusionfer.extraction import extract_to_cache  # torch, which those who bring a folder need not load

    faces, what = pictures(n * 3 // 2)  # of both kinds of faces at least two thirds are for training
    extract_to_cache(faces, weights="none", size=48, cache=folder)
    return folder, f"{what} at 48 pixels, random weights"


def _codes(y: np.ndarray) -> np.ndarray:
    return np.where(y[:, None] == np.arange(y.max() + 1), 1, -1).astype(np.int8)


def _timed(solve: Callable[[], Any], rounds: int) -> tuple[Any, np.ndarray]:
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        found = solve()
        taken.append(time.perf_counter() - begin)
    return found, np.array(taken)


def _binary_values(loss: str, X: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray, penalty: float) -> np.ndarray:
    """Objective of each class's learner, whoever found it."""
    m = _codes(y) * (X @ W.T.astype(X.dtype) + b)
    losses = {
        "hinge": lambda: np.maximum(0, 1 - m),
        "squared_hinge": lambda: np.maximum(0, 1 - m) ** 2,
        "logistic": lambda: np.logaddexp(0, -m),
    }
    return 0.5 * (np.sum(W**2, axis=1) + penalty * b**2) + C * losses[loss]().sum(axis=0)


def _softmax_value(X: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    S = (X @ W.T.astype(X.dtype)).astype(np.float64) + b
    S -= S.max(axis=1, keepdims=True)
    entropy = np.log(np.exp(S).sum(axis=1)) - S[np.arange(len(y)), y]
    return np.array([0.5 * np.sum(W**2) + C * entropy.sum()])


def _figures(
    name: str, ours: np.ndarray, theirs: float, values: tuple[np.ndarray, np.ndarray], target: float | None = None
) -> tuple[Figure, ...]:
    """Ratio, times, and both objectives; ours must not be worse by more than 1e-3."""
    mine, other = values
    speed = theirs / ours
    return (
        Figure(f"speed against {name}", float(np.median(speed)), speed.min(), speed.max(), target=target),
        seconds("joint solver", ours),
        once(name, theirs, "s"),
        once("objective of the joint solver, sum", float(mine.sum()), ""),
        once(f"objective of {name}, sum", float(other.sum()), ""),
        once(
            "worst learner of the joint solver above the other, relative",
            float(np.max(mine / other - 1)),
            "",
            at_most=1e-3,
        ),
    )


def _quietly(fit: Callable[[], Any]) -> tuple[Any, float]:
    """Fit once; whether the other one converged is seen from its objective."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, taken = _timed(fit, 1)
    return found, float(taken[0])


def _squared_hinge(X: np.ndarray, y: np.ndarray, rounds: int, setting: str) -> Report:
    """LIBLINEAR penalises the intercept, so that is what both solve."""
    ours, taken = _timed(
        lambda: solve_linear(X, _codes(y), np.full(len(y), C), loss="squared_hinge", penalize_intercept=True), rounds
    )
    theirs, slow = _quietly(lambda: LinearSVC(C=C, dual=False).fit(X, y))
    values = (
        _binary_values("squared_hinge", X, y, ours.coef, ours.intercept, 1.0),
        _binary_values("squared_hinge", X, y, theirs.coef_, theirs.intercept_, 1.0),
    )
    return Report("linear", setting, _figures("LinearSVC(dual=False)", taken, slow, values, target=25.0))


def _hinge(X: np.ndarray, y: np.ndarray, rounds: int, setting: str) -> Report:
    ours, taken = _timed(
        lambda: solve_linear(X, _codes(y), np.full(len(y), C), loss="hinge", penalize_intercept=True), rounds
    )
    theirs, slow = _quietly(lambda: LinearSVC(C=C, loss="hinge", max_iter=EPOCHS, random_state=0).fit(X, y))
    values = (
        _binary_values("hinge", X, y, ours.coef, ours.intercept, 1.0),
        _binary_values("hinge", X, y, theirs.coef_, theirs.intercept_, 1.0),
    )
    return Report("linear", setting, _figures(f"LinearSVC(loss='hinge'), {EPOCHS} epochs", taken, slow, values))


def _logistic(X: np.ndarray, y: np.ndarray, rounds: int, setting: str) -> Report:
    ours, taken = _timed(lambda: solve_linear(X, _codes(y), np.full(len(y), C), loss="logistic"), rounds)
    theirs, slow = _quietly(lambda: OneVsRestClassifier(LogisticRegression(C=C, max_iter=1000)).fit(X, y))
    W, b = (np.concatenate([getattr(one, part) for one in theirs.estimators_]) for part in ("coef_", "intercept_"))
    values = (
        _binary_values("logistic", X, y, ours.coef, ours.intercept, 0.0),
        _binary_values("logistic", X, y, W, b, 0.0),
    )
    return Report("linear", setting, _figures("LogisticRegression, one-vs-rest", taken, slow, values))


def _softmax(X: np.ndarray, y: np.ndarray, rounds: int, setting: str) -> Report:
    ours, taken = _timed(lambda: solve_softmax(X, y, int(y.max()) + 1, np.full(len(y), C)), rounds)
    theirs, slow = _quietly(lambda: LogisticRegression(C=C, max_iter=1000).fit(X, y))
    values = _softmax_value(X, y, ours.coef, ours.intercept), _softmax_value(X, y, theirs.coef_, theirs.intercept_)
    return Report("linear", setting, _figures("LogisticRegression, multinomial", taken, slow, values))


def _backends(X: np.ndarray, y: np.ndarray, rounds: int, setting: str) -> Report:
    """The same solver with the products of torch, on its GPU where it has one."""
    import torch  # only here: whoever runs another benchmark need not load it

    found: dict[str, LinearSolution] = {}

    def solve(backend: str) -> None:
        found[backend] = solve_linear(X, _codes(y), np.full(len(y), C), loss="squared_hinge", backend=backend)

    taken = alternate({name: partial(solve, name) for name in ("numpy", "torch")}, rounds)
    place = torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return Report(
        "linear",
        f"products by numpy and by torch ({place}), squared hinge; {setting}",
        (
            ratio("speed of torch against numpy", taken["numpy"], taken["torch"]),
            seconds("numpy", taken["numpy"]),
            seconds("torch", taken["torch"]),
            once("objectives apart by", _apart(found["numpy"], found["torch"]), "", at_most=1e-3),
        ),
    )


def _problems(X: np.ndarray, y: np.ndarray, blocks: dict[str, slice]) -> list[LinearProblem]:
    """Every block and all together, every fold standardised for itself, every value of C."""
    folds = np.random.default_rng(0).integers(0, FOLDS, size=len(y))
    problems = []
    for columns in (*blocks.values(), slice(0, X.shape[1])):
        for fold in range(FOLDS):
            inside = folds != fold
            scaler = BlockScaler(mode="standard").fit(X[inside, columns])
            Y = _codes(y) * inside[:, None].astype(np.int8)
            problems += [
                LinearProblem(Y, np.full(len(y), cost), columns, scaler.mean_, scaler.factor_) for cost in GRID
            ]
    return problems


def _selection(X: np.ndarray, y: np.ndarray, blocks: dict[str, slice], rounds: int, setting: str) -> Report:
    problems = _problems(X, y, blocks)
    _, single = _timed(lambda: solve_linear(X, _codes(y), np.full(len(y), C), loss="squared_hinge"), rounds)
    solved, whole = _timed(lambda: solve_many(X, problems, loss="squared_hinge"), 1)
    sample = np.random.default_rng(0).choice(len(problems), size=3, replace=False)
    apart = max(_apart(solved[i], solve_many(X, [problems[i]], loss="squared_hinge")[0]) for i in sample)
    what = f"{len(blocks) + 1} column sets, {FOLDS} folds, {len(GRID)} values of C: {len(problems)} fits"
    return Report(
        "linear",
        f"{what}; {setting}",
        (
            once(
                "all fits together, in single fits of all columns", float(whole[0] / np.median(single)), "x", at_most=10
            ),
            seconds("one single fit", single),
            once("all fits together", float(whole[0]), "s"),
            once("largest proven gap", max(float(one.gap.max()) for one in solved), "", at_most=1e-3),
            once("objective together and alone, of three fits, apart by", apart, "", at_most=1e-3),
        ),
    )


def _selector(rows: Features, rounds: int, what: str) -> Report:
    """All that `HybridSelector` does, scaling, scores and refit too, in fits of the head to the scaled rows."""
    head = make_head("svm-linear", probability=False)
    Z = BlockScaler(rows.blocks).fit_transform(rows.X)
    _, single = _timed(lambda: clone(head).fit(Z, rows.y), rounds)
    found, whole = _timed(lambda: HybridSelector(head, rows.blocks, search="default").fit(rows.X, rows.y), 1)
    chosen = found.best_params_[found.selected_]
    _, best = _timed(lambda: clone(head).set_params(**chosen).fit(Z, rows.y), 1)
    n_values = len(find_head("svm-linear").search["C"])
    return Report(
        "linear",
        f"HybridSelector('svm-linear', search='default'): {len(rows.blocks) + 1} column sets, 5 folds, {n_values} "
        f"values of C, scaling, scores and refit; {Z.shape[0]:,} x {Z.shape[1]:,} features of {what}",
        (
            once("whole selection, in fits at C = 1", float(whole[0] / np.median(single)), "x", at_most=10),
            once(f"whole selection, in fits at C = {chosen['C']:g}, which it chose", float(whole[0] / best[0]), "x"),
            once("whole selection", float(whole[0]), "s"),
            seconds("one fit at C = 1", single),
            once(f"one fit at C = {chosen['C']:g}", float(best[0]), "s"),
        ),
    )


def _apart(one: LinearSolution, other: LinearSolution) -> float:
    return float(np.max(np.abs(one.objective / other.objective - 1)))
