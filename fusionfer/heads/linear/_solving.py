"""Solve many linear problems over one X: sorted by their columns, each sort in the same products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.heads.linear._augmented import augment, is_tall
from fusionfer.heads.linear._descent import COARSE, Outcome, descend, silent
from fusionfer.heads.linear._hinge import HingeLearners, alternate, finish
from fusionfer.heads.linear._losses import Binary, Softmax
from fusionfer.heads.linear._problem import LOSSES, LinearProblem, LinearSolution, SoftmaxProblem
from fusionfer.heads.linear._ridge import Gram, Ridge
from fusionfer.heads.linear._stack import Stack
from fusionfer.matrices import MappedMatrix, is_mapped
from fusionfer.memory import asked_bytes

__all__ = ["solve_linear", "solve_many", "solve_softmax", "solve_softmax_many"]

BATCH_BYTES = 1 << 28  # the scores of all learners that are solved together,
BATCH_SHARE = 24  # and at most this part of the memory that was asked for: solvers hold about nine such arrays
_ALIKE = 1.25  # ratio of scalings that may share a preconditioner

Progress = Callable[[int, int, str], None]


def solve_linear(
    X: np.ndarray,
    Y: np.ndarray,
    c: np.ndarray,
    *,
    loss: str,
    tol: float = 1e-3,
    max_iter: int = 1000,
    penalize_intercept: bool = False,
    backend: str = "numpy",
) -> LinearSolution:
    """Minimise 1/2 ||w||^2 + sum_i c_i loss(y_i (x_i.w + b)) for every column of `Y`.

    Parameters
    ----------
    X : ndarray of float32 or float64, or MappedMatrix, shape (n, d)
        Finite. Never copied as a whole, so it may be a memory map; products run in its dtype, sums in float64.
    Y : ndarray, shape (n, K)
        +1, -1, or 0 where a row takes no part in a learner.
    c : ndarray, shape (n,) or (n, K)
        Cost of each row, at least 0.
    loss : {"hinge", "squared_hinge", "logistic"}
        Of the margin m: max(0, 1 - m), max(0, 1 - m)^2, log(1 + exp(-m)).
    tol : float
        Relative duality gap at which a learner is done.
    max_iter : int
        Most steps for each learner.
    penalize_intercept : bool
        Whether b^2 / 2 is added, as LIBLINEAR does; by default the intercept is free.
    backend : {"numpy", "torch"}
        Library of the products with X; a MappedMatrix is always multiplied by numpy.

    Returns
    -------
    LinearSolution

    Raises
    ------
    DataError
        If shapes, labels or costs do not fit, or X is not finite.
    UnknownNameError
        If the loss or the backend is not known.

    Examples
    --------
    >>> X = np.array([[-2.0], [-1.0], [1.0], [3.0]])
    >>> fit = solve_linear(X, np.array([[-1], [-1], [1], [1]]), np.full(4, 10.0), loss="hinge", tol=1e-9)
    >>> np.round([fit.coef[0, 0], fit.intercept[0], fit.objective[0]], 6) + 0.0
    array([1. , 0. , 0.5])
    """
    options: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "backend": backend}
    return solve_many(X, [LinearProblem(Y, c)], loss=loss, penalize_intercept=penalize_intercept, **options)[0]


def solve_softmax(
    X: np.ndarray,
    y_index: np.ndarray,
    n_classes: int,
    c: np.ndarray,
    *,
    tol: float = 1e-3,
    max_iter: int = 1000,
    penalize_intercept: bool = False,
    backend: str = "numpy",
) -> LinearSolution:
    """Minimise 1/2 ||W||^2 + sum_i c_i (log sum_k exp(s_ik) - s_i,y_i), with s_i = W x_i + b.

    Parameters
    ----------
    X : ndarray of float32 or float64, shape (n, d)
        As in `solve_linear`.
    y_index : ndarray of int, shape (n,)
        Number of the class of each row, or -1 where a row takes no part.
    n_classes : int
        At least 2.
    c : ndarray of shape (n,)
        Cost of each row, at least 0.
    tol, max_iter, penalize_intercept, backend
        As in `solve_linear`.

    Returns
    -------
    LinearSolution
        With one objective, gap and count for all classes; free intercepts have mean 0.
    """
    problem = SoftmaxProblem(y_index, n_classes, c)
    options: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "backend": backend}
    return solve_softmax_many(X, [problem], penalize_intercept=penalize_intercept, **options)[0]


def solve_many(
    X: np.ndarray,
    problems: Sequence[LinearProblem],
    *,
    loss: str,
    tol: float = 1e-3,
    max_iter: int = 1000,
    penalize_intercept: bool = False,
    backend: str = "numpy",
    progress: Progress | None = None,
) -> list[LinearSolution]:
    """Solve several problems over the same X, each as `solve_linear` would solve it alone.

    All learners of all problems with the same columns are rows of the same products, and leave them when they are
    done. One Gram matrix serves all: that of a block of columns is a part of it, and that of a training fold is near
    enough to that of all rows to precondition with.

    Parameters
    ----------
    X : ndarray of float32 or float64, shape (n, D)
        As in `solve_linear`.
    problems : sequence of LinearProblem
        Held-out rows are 0 in `Y`, or have cost 0.
    loss, tol, max_iter, penalize_intercept, backend
        As in `solve_linear`.
    progress : callable, optional
        Called with the number of learners done, the number of all, and "learners".

    Returns
    -------
    list of LinearSolution
        In the order of `problems`.
    """
    options: dict[str, Any] = {"tol": tol, "max_iter": max_iter}
    if hasattr(X, "solver"):  # rows that others hold, who multiply there
        elsewhere = {**options, "penalize_intercept": penalize_intercept, "progress": progress}
        return X.solver.solve_many(problems, loss=loss, **elsewhere)
    if loss not in LOSSES:
        raise unknown_name("loss", loss, LOSSES, plural="losses")
    X = _checked(X)
    ready = [problem.checked(*X.shape) for problem in problems]
    counts = [problem.Y.shape[1] for problem in ready]
    solver = _hinge_batch if loss == "hinge" else _binary_batch
    options |= {"loss": loss, "penalty": float(penalize_intercept)}
    return _in_batches(X, ready, counts, solver, backend, progress, options)


def solve_softmax_many(
    X: np.ndarray,
    problems: Sequence[SoftmaxProblem],
    *,
    tol: float = 1e-3,
    max_iter: int = 1000,
    penalize_intercept: bool = False,
    backend: str = "numpy",
    progress: Progress | None = None,
) -> list[LinearSolution]:
    """Solve several multinomial problems over the same X; see `solve_many` and `solve_softmax`.

    Parameters
    ----------
    X : ndarray of float32 or float64, shape (n, D)
        As in `solve_linear`.
    problems : sequence of SoftmaxProblem
        Held-out rows have class -1, or cost 0.
    tol, max_iter, penalize_intercept, backend, progress
        As in `solve_many`.

    Returns
    -------
    list of LinearSolution
        In the order of `problems`.
    """
    if hasattr(X, "solver"):
        elsewhere = {"tol": tol, "max_iter": max_iter, "penalize_intercept": penalize_intercept, "progress": progress}
        return X.solver.solve_softmax_many(problems, **elsewhere)
    X = _checked(X)
    ready = [problem.checked(*X.shape) for problem in problems]
    counts = [problem.n_classes for problem in ready]
    options: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "penalty": float(penalize_intercept)}
    return _in_batches(X, ready, counts, _softmax_batch, backend, progress, options)


def _checked(X: Any) -> Any:
    """X as something that matrix products take as it is."""
    if is_mapped(X):
        return X
    X = np.asarray(X)
    if X.ndim != 2 or 0 in X.shape:
        msg = f"X must have two dimensions, with rows and columns, got shape {X.shape}."
        raise DataError(msg)
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if X.dtype.byteorder not in "=|" or X.itemsize not in X.strides:
        X = np.ascontiguousarray(X, dtype=X.dtype.newbyteorder("="))
    return X


def _in_batches(
    X: np.ndarray | MappedMatrix,
    problems: list[Any],
    counts: list[int],
    solver: Callable[..., list[LinearSolution]],
    backend: str,
    progress: Progress | None,
    options: dict[str, Any],
) -> list[LinearSolution]:
    """Solve all problems over rows that are here."""

    def solve(columns: slice, chosen: list[Any], size: list[int], ridges: list[Ridge], told: Any) -> Any:
        stacks = [Stack(X[:, columns], chosen, size, backend)]
        if X.dtype != np.float64:
            stacks.append(Stack(X[:, columns], chosen, size, exact=True))
        return solver(stacks, chosen, ridges, told, **options)

    return in_batches(Gram(X), len(X), problems, counts, solve, progress, bool(options["penalty"]))


def in_batches(
    gram: Gram,
    n: int,
    problems: list[Any],
    counts: list[int],
    solve: Callable[[slice, list[Any], list[int], list[Ridge], Callable[[int], None]], list[LinearSolution]],
    progress: Progress | None,
    penalized: bool,
) -> list[LinearSolution]:
    """Solve those of the same columns, and number of classes, together; as many as memory should hold.

    Parameters
    ----------
    gram : Gram
        Of all columns.
    n : int
        Rows that are held in one place.
    problems : list of LinearProblem or SoftmaxProblem
    counts : list of int
        Learners of each.
    solve : callable
        ``solve(columns, problems, counts, ridges, told)`` for some of them.
    progress : callable or None
    penalized : bool
        Whether intercepts are penalised.

    Returns
    -------
    list of LinearSolution
        In the order of `problems`.
    """
    done = 0

    def told(learners: int) -> None:
        nonlocal done
        done += learners
        if progress is not None:
            progress(done, sum(counts), "learners")

    most = min(BATCH_BYTES, (asked_bytes() or BATCH_SHARE * BATCH_BYTES) // BATCH_SHARE)
    limit = max(1, most // (8 * n))
    batches: dict[Any, list[list[int]]] = {}
    for i, problem in enumerate(problems):
        alike = batches.setdefault((problem.columns.start, problem.columns.stop, problem.alike), [[]])
        if alike[-1] and sum(counts[j] for j in alike[-1]) + counts[i] > limit:
            alike.append([])
        alike[-1].append(i)
    found: dict[int, LinearSolution] = {}
    for (start, stop, _), alike in batches.items():
        ridges = Ridges(gram, slice(start, stop), penalized)
        for batch in alike:
            chosen = [problems[i] for i in batch]
            given = slice(start, stop), chosen, [counts[i] for i in batch], [ridges.of(problem) for problem in chosen]
            found.update(zip(batch, solve(*given, told), strict=True))
    return [found[i] for i in range(len(problems))]


class Ridges:
    """One preconditioner for all problems whose scalings are alike, as those of folds are."""

    def __init__(self, gram: Gram, columns: slice, penalized: bool) -> None:
        self.gram, self.columns, self.penalized = gram, columns, penalized
        self.made: list[Ridge] = []

    def of(self, problem: Any) -> Ridge:
        d = self.columns.stop - self.columns.start
        factor = np.ones(d) if problem.factor is None else problem.factor
        shift = np.zeros(d) if problem.shift is None else problem.shift
        for ridge in self.made:
            known = ridge.factor
            if np.all((factor <= known * _ALIKE) & (known <= factor * _ALIKE)):
                return ridge
        self.made.append(Ridge(self.gram, self.columns, shift, factor, self.penalized))
        return self.made[-1]


def _binary_batch(
    stacks: list[Stack],
    problems: list[LinearProblem],
    ridges: list[Ridge],
    told: Callable[[int], None],
    **options: Any,
) -> list[LinearSolution]:
    Y, costs = learners_of(problems)
    loss = Binary(options["loss"], Y, costs, options["penalty"])
    outcome = Outcome.start(np.array([cost.sum() for cost in costs]), 1, stacks[0].d)
    return split(problems, _descend(stacks, loss, ridges, outcome, told, options))


def _hinge_batch(
    stacks: list[Stack],
    problems: list[LinearProblem],
    ridges: list[Ridge],
    told: Callable[[int], None],
    **options: Any,
) -> list[LinearSolution]:
    Y, costs = learners_of(problems)
    learners = HingeLearners(Y, costs, stacks[0].d, options["penalty"])
    limits = {"tol": options["tol"], "max_iter": options["max_iter"]}
    if is_tall(learners.counted, stacks[0].d):
        augment(stacks, learners, ridges, told=told, **limits)
    else:
        _alternate(stacks, learners, ridges, told, limits)
    return split(problems, (learners.W, learners.b, learners.value, learners.gap, learners.n_iter))


def _alternate(
    stacks: list[Stack],
    learners: HingeLearners,
    ridges: list[Ridge],
    told: Callable[[int], None],
    limits: dict[str, Any],
) -> None:
    """Alternating directions for all, and Newton's method for those that need more."""
    alpha, rho = alternate(stacks[0], learners, ridges, told=told, **limits)
    if stacks[-1].exact and limits["tol"] < COARSE:
        # What scores in float32 seemed to prove is proven again.
        stacks, every, W = stacks[-1:], np.arange(len(alpha)), learners.W.copy()
        learners.value[:], learners.dual[:] = np.inf, 0.0
        learners.see(stacks[0], every, W, stacks[0].forward(W, stacks[0].owner), alpha)
    for r in np.flatnonzero(learners.gap > limits["tol"]).tolist():
        for stack in stacks:
            if learners.gap[r] > limits["tol"] and learners.n_iter[r] < limits["max_iter"]:
                alpha[r] = finish(stack, learners, r, alpha[r], rho[r], **limits)
        told(1)


def learners_of(problems: list[LinearProblem]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels (R, n), and costs (n,) of each, of the learners of all problems."""
    Y = np.concatenate([problem.Y.T for problem in problems])
    return Y, [problem.cost(k) for problem in problems for k in range(problem.Y.shape[1])]


def split(problems: list[LinearProblem], parts: tuple[np.ndarray, ...]) -> list[LinearSolution]:
    """What was found of the learners of all problems, one entry a learner, as one solution for each problem."""
    ends = np.cumsum([problem.Y.shape[1] for problem in problems])
    return [
        LinearSolution(*(part[end - p.Y.shape[1] : end] for part in parts))
        for end, p in zip(ends, problems, strict=True)
    ]


def _softmax_batch(
    stacks: list[Stack],
    problems: list[SoftmaxProblem],
    ridges: list[Ridge],
    told: Callable[[int], None],
    **options: Any,
) -> list[LinearSolution]:
    K = problems[0].n_classes
    loss = Softmax([p.y_index for p in problems], [p.c for p in problems], K, options["penalty"])
    scale = np.array([p.c.sum() for p in problems])
    outcome = Outcome.start(scale, K, stacks[0].d)
    W, b, *rest = _descend(stacks, loss, ridges, outcome, lambda done: told(K * done), options)
    return [
        LinearSolution(W[i * K : (i + 1) * K], b[i * K : (i + 1) * K], *(part[[i]] for part in rest))
        for i in range(len(problems))
    ]


def _descend(
    stacks: list[Stack],
    loss: Binary | Softmax,
    ridges: list[Ridge],
    outcome: Outcome,
    told: Callable[[int], None],
    options: dict[str, Any],
) -> tuple[np.ndarray, ...]:
    """In the dtype of X, and in float64 for those that its rounding stopped."""
    for stack in stacks:
        if stack.exact and options["tol"] < COARSE:
            outcome.value[:] = np.inf  # whoever seems to be there is judged again
        descend(stack, loss, ridges, outcome, tol=options["tol"], max_iter=options["max_iter"], told=told)
        told = silent
    return outcome.W, outcome.b, outcome.value, outcome.gap, outcome.n_iter
