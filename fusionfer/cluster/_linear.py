"""Linear problems over a cluster, sorted into those that are solved together, as `fusionfer.heads.linear` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.cluster._blocks import Blocks, Call, Rows
from fusionfer.cluster._gram import ClusterGram
from fusionfer.cluster._hinge import HingeRun
from fusionfer.cluster._hinge_block import HingeBlock
from fusionfer.cluster._smooth import ClusterRun, Scales
from fusionfer.cluster._smooth_block import SmoothBlock, make_loss
from fusionfer.exceptions import unknown_name
from fusionfer.heads.linear import LOSSES, LinearProblem, LinearSolution, SoftmaxProblem
from fusionfer.heads.linear._augmented import stage
from fusionfer.heads.linear._descent import COARSE, Outcome, follow, silent
from fusionfer.heads.linear._hinge import first_penalties, mean_costs
from fusionfer.heads.linear._ridge import Ridge
from fusionfer.heads.linear._solving import in_batches, split

if TYPE_CHECKING:
    from fusionfer.cluster._matrix import ClusterMatrix

__all__ = ["LinearSolver"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class _Options:
    """How problems are solved: see `fusionfer.heads.linear.solve_many`; `penalty` is that of intercepts."""

    loss: str
    tol: float
    max_iter: int
    penalty: float


class LinearSolver:
    """Solves what `solve_many` and `solve_softmax_many` solve, to the same proven gap, with the rows on workers.

    Here are the weights, their gradients and the factored Gram matrix: as much as there are columns. Labels and costs
    travel once for all learners that are solved together; each step sends weights and brings sums. A block of rows
    whose worker is lost is made again on another, from the weights that were reached.

    Parameters
    ----------
    X : ClusterMatrix of shape (n, D)
    """

    def __init__(self, X: ClusterMatrix) -> None:
        self.X = X

    def solve_many(
        self,
        problems: Sequence[LinearProblem],
        *,
        loss: str,
        tol: float = 1e-3,
        max_iter: int = 1000,
        penalize_intercept: bool = False,
        progress: Progress | None = None,
    ) -> list[LinearSolution]:
        """As `fusionfer.heads.linear.solve_many`, whose parameters these are."""
        if loss not in LOSSES:
            raise unknown_name("loss", loss, LOSSES, plural="losses")
        ready = [problem.checked(*self.X.shape) for problem in problems]
        counts = [problem.Y.shape[1] for problem in ready]
        solve = _solve_hinge if loss == "hinge" else _solve_smooth
        options = _Options(loss, tol, max_iter, float(penalize_intercept))
        return self._in_batches(ready, counts, solve, progress, options)

    def solve_softmax_many(
        self,
        problems: Sequence[SoftmaxProblem],
        *,
        tol: float = 1e-3,
        max_iter: int = 1000,
        penalize_intercept: bool = False,
        progress: Progress | None = None,
    ) -> list[LinearSolution]:
        """As `fusionfer.heads.linear.solve_softmax_many`, whose parameters these are."""
        ready = [problem.checked(*self.X.shape) for problem in problems]
        counts = [problem.n_classes for problem in ready]
        options = _Options("softmax", tol, max_iter, float(penalize_intercept))
        return self._in_batches(ready, counts, _solve_smooth, progress, options)

    def _in_batches(
        self,
        problems: list[Any],
        counts: list[int],
        solve: Callable[..., list[LinearSolution]],
        progress: Progress | None,
        options: _Options,
    ) -> list[LinearSolution]:
        """Solve all problems over the rows of the workers."""
        shares = self.X.shares()
        longest = max(rows.stop - rows.start if isinstance(rows, slice) else len(rows) for _, rows, _ in shares)

        def batch(columns: slice, chosen: list[Any], size: list[int], ridges: list[Any], told: Any) -> Any:
            return solve(_Batch(self.X.columns(columns), shares, chosen, size), ridges, told, options)

        return in_batches(ClusterGram(self.X), longest, problems, counts, batch, progress, bool(options.penalty))


class _Batch:
    """Problems that are solved together, over the same columns."""

    def __init__(self, X: Any, shares: Any, problems: list[Any], counts: list[int]) -> None:
        self.X, self.shares, self.problems, self.counts = X, shares, problems, counts

    def scales(self, exact: bool) -> Scales:
        return Scales.of(len(self.X), self.X.shape[1], self.problems, self.counts, exact)

    def blocks(self, make: Callable[..., Any], name: str, *given: Any) -> Blocks:
        """Objects on the workers, made of their rows, these rows' problems, how many learners each has, and `given`."""

        def data(rows: Rows) -> tuple[Any, ...]:
            return self.X.part_of(rows), _cut(self.problems, rows), self.counts, *given

        return Blocks(self.X.team, self.shares, make, data, name, able=self.X.eligible)


def _cut(problems: list[Any], rows: Rows) -> list[Any]:
    """The same problems for some rows; arrays that several share, they still share, and so travel once."""
    taken: dict[int, np.ndarray] = {}

    def take(array: np.ndarray) -> np.ndarray:
        if id(array) not in taken:
            taken[id(array)] = np.ascontiguousarray(array[rows])
        return taken[id(array)]

    return [
        replace(problem, c=take(problem.c), **{name: take(getattr(problem, name)) for name in _labels(problem)})
        for problem in problems
    ]


def _labels(problem: Any) -> tuple[str, ...]:
    return ("Y",) if isinstance(problem, LinearProblem) else ("y_index",)


def _solve_smooth(
    batch: _Batch, ridges: list[Ridge], told: Callable[[int], None], options: _Options
) -> list[LinearSolution]:
    """In float32 as the rows are, and in float64 for those that its rounding stopped."""
    problems, loss, tol, max_iter, penalty = (
        batch.problems,
        options.loss,
        options.tol,
        options.max_iter,
        options.penalty,
    )
    softmax = loss == "softmax"
    losses = make_loss(loss, [_cut([problem], slice(0, 0))[0] for problem in problems], penalty)
    K = losses.size
    if softmax:
        scale = np.array([problem.c.sum() for problem in problems])
    else:
        scale = np.array([problem.cost(k).sum() for problem in problems for k in range(problem.Y.shape[1])])
    outcome = Outcome.start(scale, K, batch.X.shape[1])
    with batch.blocks(SmoothBlock, loss.replace("_", "-"), loss, penalty) as blocks:
        for exact in (False, True):
            if exact and tol < COARSE:
                outcome.value[:] = np.inf  # whoever seems to be there is judged again
            live = np.flatnonzero((outcome.gap > tol) & (outcome.n_iter < max_iter))
            if len(live):
                run = ClusterRun(blocks, exact, batch.scales(exact), losses, ridges, outcome, live, tol)
                follow(run, tol=tol, max_iter=max_iter, told=partial(_tell, silent if exact else told, K))
    parts = (outcome.W, outcome.b, outcome.value, outcome.gap, outcome.n_iter)
    if not softmax:
        return split(problems, parts)
    W, b, *rest = parts
    return [
        LinearSolution(W[i * K : (i + 1) * K], b[i * K : (i + 1) * K], *(part[[i]] for part in rest))
        for i in range(len(problems))
    ]


def _tell(told: Callable[[int], None], size: int, groups: int) -> None:
    told(size * groups)


def _solve_hinge(
    batch: _Batch, ridges: list[Ridge], told: Callable[[int], None], options: _Options
) -> list[LinearSolution]:
    """In float32, and then in float64 for those that its rounding stopped."""
    problems, tol, max_iter, penalty = batch.problems, options.tol, options.max_iter, options.penalty
    each = [(problem, k) for problem in problems for k in range(problem.Y.shape[1])]
    scale = np.array([problem.cost(k).sum() for problem, k in each])
    cost = mean_costs(scale, np.array([np.count_nonzero(problem.cost(k) * problem.Y[:, k]) for problem, k in each]))
    owner = np.repeat(np.arange(len(problems)), batch.counts)
    sigma = first_penalties(cost, [ridges[i] for i in owner], len(batch.X)) / cost
    loss = make_loss("hinge", [_cut([problem], slice(0, 0))[0] for problem in problems], penalty, sigma)
    smooth, proven = (Outcome.start(scale, 1, batch.X.shape[1]) for _ in range(2))
    history: list[Call] = []
    with batch.blocks(HingeBlock, "hinge", "hinge", penalty, sigma) as blocks:
        for exact in (False, True):
            enough = stage(proven, exact, exact, tol)
            live = np.flatnonzero((proven.gap > enough) & (proven.n_iter < max_iter))
            if len(live):
                run = HingeRun(proven, history, blocks, exact, batch.scales(exact), loss, ridges, smooth, live, enough)
                follow(run, tol=enough, max_iter=max_iter, told=silent if exact else told)
    return split(problems, (proven.W, proven.b, proven.value, proven.gap, proven.n_iter))
