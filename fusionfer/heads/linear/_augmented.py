"""Hinge loss of many more rows than columns: an augmented Lagrangian, all learners at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fusionfer.heads.linear._descent import COARSE, Outcome, Run, follow, silent
from fusionfer.heads.linear._hinge import HingeLearners, first_penalties, mean_costs
from fusionfer.heads.linear._losses import Binary, Losses
from fusionfer.heads.linear._ridge import Ridge
from fusionfer.heads.linear._stack import Stack
from fusionfer.heads.linear._threads import for_each

__all__ = ["AugmentedHinge", "AugmentedRun", "augment", "is_tall", "stage"]

_TALL = 5  # rows for each column, from which on this is quicker than alternating directions
_GROWTH = 3.0  # of a penalty, whenever the multipliers move
_STALLED = 4  # steps without progress, after each so many of which the gap is proven all the same
_SHARPEST = 1e4  # penalty, of cost 1, beyond which the rounding of float32 scores is as wide as the corner


def is_tall(counted: np.ndarray, d: int) -> bool:
    """Whether every learner has enough rows, `counted` (R,), for `augment` to be quicker than `alternate`."""
    return bool(np.all(counted >= _TALL * d))


class AugmentedHinge(Binary):
    """The hinge loss as its augmented Lagrangian sees it: e(r) - alpha^2 / (2 sigma), with e and r as in `finish`.

    A smooth function, never above the hinge, and equal to it where alpha is the multiplier of the minimum. Its slope is
    the next multiplier. Multipliers and penalties are in units of each row's cost, so that however unlike these are,
    the corner of the hinge is rounded over margins of one width.

    Parameters
    ----------
    Y, costs, penalty
        As of `Binary`.
    sigma : ndarray of shape (R,)
        Penalties, of cost 1.
    """

    def __init__(self, Y: np.ndarray, costs: list[np.ndarray], penalty: float, sigma: np.ndarray) -> None:
        super().__init__("hinge", Y, costs, penalty)
        self.sigma = sigma
        # In the middle, the function is a hinge whose corner is a parabola.
        self.shares = np.full(Y.shape, 0.5)

    def multipliers(self, r: int, m: np.ndarray) -> np.ndarray:
        """Multipliers (n,) at margins `m` (n,), as shares of the costs: in [0, 1]."""
        return np.clip(self.shares[r] + self.sigma[r] * (1.0 - m), 0.0, 1.0)

    def losses(self, r: int, m: np.ndarray, c: np.ndarray) -> Losses:
        sigma = self.sigma[r]
        wanted = self.shares[r] + sigma * (1.0 - m)
        a = np.clip(wanted, 0.0, 1.0)
        slopes, curvatures = c * a, (sigma * c) * ((wanted > 0.0) & (wanted < 1.0))
        value = np.einsum("i,i->", slopes, wanted - 0.5 * a)
        value -= 0.5 * np.einsum("i,i,i->", c, self.shares[r], self.shares[r])
        return float(value / sigma), slopes, curvatures

    def hinge(self, r: int, m: np.ndarray, c: np.ndarray) -> tuple[float, float]:
        """Sums of c max(0, 1 - m), and of multipliers times 1 - m."""
        short = 1.0 - m
        loss = np.einsum("i,i->", c, np.maximum(short, 0.0))
        return float(loss), float(np.einsum("i,i,i->", c, self.multipliers(r, m), short))

    def recentre(self, r: int, m: np.ndarray) -> None:
        """Let the multipliers of learner `r` be what they are at margins `m` (n,), and hold them more closely."""
        self.shares[r] = self.multipliers(r, m)
        self.sigma[r] = min(_GROWTH * self.sigma[r], max(_SHARPEST, self.sigma[r]))


class AugmentedRun(Run):
    """As `Run`, with a gap that is that of the hinge loss itself, and multipliers that move as it closes.

    Where the rows are is left to `_hinge`, `_prove` and `_recentre`.

    Parameters
    ----------
    proven : Outcome
        Where the learners stand in the hinge loss; what is given to `Run` says where in the smooth function.
    *given
        As for `Run`.
    """

    own_groups = (*Run.own_groups, "excess", "residual", "behind", "reached")

    def __init__(self, proven: Outcome, *given: Any) -> None:
        super().__init__(*given)
        self.proven = proven
        self.precise *= 10.0  # the proof scales multipliers until they sum to 0
        self.excess, self.residual = np.zeros((2, len(self.live)))
        # The gap, and the least there was when multipliers moved.
        self.behind, self.reached = np.full((2, len(self.live)), np.inf)

    def _hinge(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums over rows of c max(0, 1 - m) and of a (1 - m) for the live learners, (live,) each."""
        raise NotImplementedError

    def _prove(self, chosen: np.ndarray, value: np.ndarray) -> None:
        """Bring `proven` up to date for the live learners `chosen`, whose hinge objective is `value`, (live,) each."""
        raise NotImplementedError

    def _recentre(self, moved: np.ndarray) -> None:
        """Move the multipliers of live learners, by their places, to where they stand; bring all else up to date."""
        raise NotImplementedError

    def judge(self, tol: float, max_iter: int) -> np.ndarray:
        """Bring the values of the hinge loss up to date, and prove the gaps of those that seem done.

        With u the rows summed by the multipliers a, and the intercept at its best, the gap between the hinge loss at w
        and the dual value of a is ||w - u||^2 / 2, the residual, and sum_i c_i max(0, 1 - m_i) - a_i (1 - m_i).
        """
        live, proven = self.live, self.proven
        self.outcome.W[live], self.outcome.b[live] = self.W, self.b
        losses, held = self._hinge()
        self.excess, self.residual = losses - held, 0.5 * self._sum(self.g * self.g)
        value = losses + 0.5 * (self._sum(self.W * self.W) + self.loss.penalty * self.b**2)
        behind = (self.excess + self.residual) / np.maximum(value, np.finfo(np.float64).tiny)
        self.behind = np.maximum(behind, 0.1 * tol)  # less is no progress: rounding hides it from the proof
        better = self.behind < 0.8 * self.best
        self.best = np.where(better, self.behind, self.best)
        self.since = np.where(better, 0, self.since + 1)
        proven.n_iter[live] = self.outcome.n_iter[live]
        ended = (proven.n_iter[live] >= max_iter) | self._stuck()
        # Where the estimate stalls, the proof may not: it takes the best bound and objective that were seen.
        seem = (self.behind <= tol) | ended | (self.since % _STALLED == _STALLED - 1)
        if seem.any():
            self._prove(seem, value)
        return (proven.gap[live] <= tol) | ended

    def step(self) -> None:
        """Move the multipliers where the residual has become smaller than what they are off, then step."""
        moved = np.flatnonzero(self.residual <= self.excess)
        if len(moved):
            self._recentre(moved)
            # At first the new multipliers widen the gap; that is progress, if it had closed since they last moved.
            closer = moved[self.behind[moved] <= 0.5 * self.reached[moved]]
            self.best[closer], self.since[closer] = np.inf, 0
            self.reached[moved] = np.minimum(self.reached[moved], self.behind[moved])
        super().step()


class _StackRun(AugmentedRun):
    """Over the rows of a `Stack`."""

    loss: AugmentedHinge
    proven: HingeLearners

    def _margins(self, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Margins and costs (n,) of live learner `j`."""
        y, c = self.loss.sides(int(self.live[j]))
        return y * (self.F[j] + self.b[j]), c

    def _hinge(self) -> tuple[np.ndarray, np.ndarray]:
        sums = np.empty((len(self.live), 2))

        def measure(j: int) -> None:
            sums[j] = self.loss.hinge(int(self.live[j]), *self._margins(j))

        for_each(len(self.live), measure)
        return sums[:, 0], sums[:, 1]

    def _prove(self, chosen: np.ndarray, value: np.ndarray) -> None:
        places = np.flatnonzero(chosen).tolist()
        alpha = np.empty((len(places), self.stack.n))

        def fill(i: int) -> None:
            m, c = self._margins(places[i])
            np.multiply(c, self.loss.multipliers(int(self.live[places[i]]), m), out=alpha[i])

        for_each(len(places), fill)
        self.proven.see(self.stack, self.live[chosen], self.W[chosen], self.F[chosen], alpha)

    def _recentre(self, moved: np.ndarray) -> None:
        places = moved.tolist()

        def move(i: int) -> None:
            j = places[i]
            r, here = int(self.live[j]), slice(j, j + 1)
            self.loss.recentre(r, self._margins(j)[0])
            squares = (float(self.W[j] @ self.W[j]), 0.0, 0.0)
            self._keep(j, self.loss.search(r, self.F[here], None, self.b[here], squares, np.inf, self.precise))

        for_each(len(places), move)
        self.g[moved] = self.W[moved] - self.stack.backward(self.A[moved], self.owner[moved])


def augment(
    stacks: list[Stack],
    learners: HingeLearners,
    ridges: list[Ridge],
    *,
    tol: float,
    max_iter: int,
    told: Callable[[int], None],
) -> None:
    """All learners at once by the method of multipliers [1]_, [2]_ on their hinge losses; results go into `learners`.

    Inside, steps of `Run` minimise 1/2 ||w||^2 and a smooth hinge, whose corner is rounded between multipliers alpha
    and alpha + sigma (1 - m): with many more rows than columns, enough rows lie in the corner for the curvature to be
    that of a sum over a distribution, and the number of steps does not grow with the rows. Outside, alpha moves to
    where the steps have led, and sigma grows: the corner becomes sharper about the right place.

    References
    ----------
    .. [1] R. T. Rockafellar (1976). Augmented Lagrangians and applications of the proximal point algorithm in convex
       programming. Mathematics of Operations Research 1(2), 97-116.
    .. [2] X. Li, D. Sun, K.-C. Toh (2018). A highly efficient semismooth Newton augmented Lagrangian method for solving
       lasso problems. SIAM J. Optimization 28(1), 433-458.
    """
    cost = mean_costs(learners.scale, learners.counted)
    sigma = first_penalties(cost, [ridges[problem] for problem in stacks[0].owner], stacks[0].n) / cost
    loss = AugmentedHinge(learners.Y, learners.costs, learners.penalty, sigma)
    smooth = Outcome.start(learners.scale, 1, stacks[0].d)
    for stack in stacks:
        enough = stage(learners, stack.exact, stack is stacks[-1], tol)
        live = np.flatnonzero((learners.gap > enough) & (learners.n_iter < max_iter))
        if len(live):
            run = _StackRun(learners, stack, loss, ridges, smooth, live, enough)
            follow(run, tol=enough, max_iter=max_iter, told=told)
        told = silent


def stage(proven: Outcome, exact: bool, last: bool, tol: float) -> float:
    """Gap to which a stage of float32 or float64 (`exact`) products should go; what float32 proved may be forgotten."""
    if exact and tol < COARSE:
        # What scores in float32 seemed to prove is proven again.
        proven.value[:], proven.dual[:] = np.inf, 0.0
    return tol if last else max(tol, COARSE)
