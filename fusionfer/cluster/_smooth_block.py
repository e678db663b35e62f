"""What a worker does for learners of a smooth loss: scores of its rows, and sums over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fusionfer.cluster._blocks import Held
from fusionfer.cluster._gram import loaded
from fusionfer.heads.linear._augmented import AugmentedHinge
from fusionfer.heads.linear._descent import FLAT
from fusionfer.heads.linear._losses import Binary, Point, Softmax
from fusionfer.heads.linear._ridge import weighted_gram
from fusionfer.heads.linear._solving import learners_of
from fusionfer.heads.linear._stack import Stack
from fusionfer.heads.linear._threads import for_each
from fusionfer.matrices import MappedMatrix, is_mapped, read_rows, take_rows

__all__ = ["SmoothBlock", "make_loss"]


def make_loss(name: str, problems: Sequence[Any], penalty: float, sigma: np.ndarray | None = None) -> Binary | Softmax:
    """The loss of all learners of some problems, over the rows that these hold; the hinge at penalties `sigma`."""
    if name == "softmax":
        y_index, costs = [problem.y_index for problem in problems], [problem.c for problem in problems]
        return Softmax(y_index, costs, problems[0].n_classes, penalty)
    Y, costs = learners_of(list(problems))
    if sigma is not None:
        return AugmentedHinge(Y, costs, penalty, sigma.copy())
    return Binary(name, Y, costs, penalty)


class SmoothBlock(Held):
    """Scores F (learners, rows) of the weights where all stand, and U of the direction in which they look.

    Parameters
    ----------
    matrix : MappedMatrix
        The rows of this block, and the columns of all problems.
    problems : sequence of LinearProblem or SoftmaxProblem
        With the labels and costs of these rows.
    counts : sequence of int
        Learners of each.
    name : {"hinge", "squared_hinge", "logistic", "softmax"}
    penalty : float
    sigma : ndarray of shape (learners,), optional
        Penalties that the hinge begins with.
    """

    def __init__(
        self,
        matrix: MappedMatrix,
        problems: Sequence[Any],
        counts: Sequence[int],
        name: str,
        penalty: float,
        sigma: np.ndarray | None = None,
    ) -> None:
        X = loaded(matrix)
        self.stacks = [Stack(X, problems, counts), Stack(X, problems, counts, exact=True)]
        self.loss = make_loss(name, problems, penalty, sigma)

    def start(self, exact: bool, live: np.ndarray, W: np.ndarray, faint: np.ndarray) -> None:
        """Begin with weights W (learners, d) of the groups `live`, all of which are as yet undecided."""
        self.stack = self.stacks[exact]
        self.live, self.faint, K = np.asarray(live), faint, self.loss.size
        self.owner = self.stack.owner[(self.live[:, None] * K + np.arange(K)).ravel()]
        self.F = np.zeros((len(W), self.stack.n))
        if np.any(W):
            self.F += self.stack.forward(W, self.owner)
        self._look_along(None)

    def keep(self, live: np.ndarray) -> None:
        """Forget all groups but these; a block that was just made again has no others."""
        kept = np.isin(self.live, live)
        rows = np.repeat(kept, self.loss.size)
        self.live, self.owner, self.F, self.faint = self.live[kept], self.owner[rows], self.F[rows], self.faint[rows]
        self._look_along(None)

    def direct(self, P: np.ndarray) -> None:
        """Look along P (learners, d) from now on."""
        self._look_along(self.stack.forward(P, self.owner))

    def _look_along(self, U: np.ndarray | None) -> None:
        self.U = U
        self.lines: dict[int, Callable[[np.ndarray], Point]] = {}

    def _rows(self, i: int) -> slice:
        return slice(i * self.loss.size, (i + 1) * self.loss.size)

    def _measured(self, i: int, at: np.ndarray) -> Point:
        if i not in self.lines:
            rows = self._rows(i)
            self.lines[i] = self.loss.line(int(self.live[i]), self.F[rows], None if self.U is None else self.U[rows])
        return self.lines[i](at)

    def measure(self, groups: Sequence[int], places: np.ndarray, P: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """Losses at a step and intercepts of some groups: values, slopes, curvatures, and those of each score.

        With P (learners, d), along this direction from now on.
        """
        if P is not None:
            self.direct(P)
        K = self.loss.size
        value, slope = np.empty(len(groups)), np.empty((len(groups), K + 1))
        curvature, bent = np.empty((len(groups), K + 1, K + 1)), np.empty((len(groups), K))

        def one(j: int) -> None:
            point = self._measured(groups[j], places[j])
            value[j], slope[j], curvature[j], bent[j] = point.value, point.slope, point.curvature, point.h.sum(axis=1)

        for_each(len(groups), one)
        return value, slope, curvature, bent

    def settle(self, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """Go to these steps and intercepts (groups, K + 1): sums of the rows by their slopes, curvatures, how many."""
        A = np.empty(self.F.shape, dtype=self.stack.dtype)
        bent, curved = np.empty(len(A)), np.empty(len(A), dtype=int)

        def one(i: int) -> None:
            rows = self._rows(i)
            point = self._measured(i, places[i])
            A[rows], bent[rows] = point.A, point.h.sum(axis=1)
            curved[rows] = (point.h > self._threshold(point.h.max(axis=1, initial=0.0), rows)[:, None]).sum(axis=1)
            if self.U is not None:
                self.F[rows] += places[i][0] * self.U[rows]

        for_each(len(self.live), one)
        self._look_along(None)
        return self.stack.backward(A, self.owner), bent, curved

    def _threshold(self, top: np.ndarray, rows: slice) -> np.ndarray:
        return np.minimum(FLAT * top, self.faint[rows])

    def top(self, groups: Sequence[int], b: np.ndarray) -> np.ndarray:
        """Strongest curvature of each learner of some groups, (groups, K), where all stand with intercepts `b`."""
        return np.stack([self._bent(i, b).max(axis=1, initial=0.0) for i in groups])

    def _bent(self, i: int, b: np.ndarray) -> np.ndarray:
        return self._measured(i, np.concatenate([[0.0], b[self._rows(i)]])).h

    def _curved(self, r: int, b: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows whose losses curve by more than `least` for live learner `r`, and by how much."""
        h = self._bent(r // self.loss.size, b)[r % self.loss.size]
        rows = np.flatnonzero(h > least)
        return rows, h[rows].astype(self.stack.dtype)

    def curved(self, learners: np.ndarray, b: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, ...]:
        """How many such rows there are for each of some learners, their weight, and their weighted sum (d,)."""
        count, heavy = np.empty((2, len(learners)))
        total = np.empty((len(learners), self.stack.d))
        for j, (r, low) in enumerate(zip(learners.tolist(), least, strict=True)):
            rows, weight = self._curved(r, b, low)
            X = take_rows(self.stack.X, rows)
            count[j], heavy[j] = len(rows), weight.sum(dtype=np.float64)
            total[j] = X.combine(weight[None])[0] if is_mapped(X) else weight @ X
        return count, heavy, total

    def take(self, learners: np.ndarray, b: np.ndarray, least: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Such rows themselves (k, d), and their weights, for each of some learners."""
        found = []
        for r, low in zip(learners.tolist(), least, strict=True):
            rows, weight = self._curved(r, b, low)
            found.append((np.asarray(read_rows(self.stack.X, rows)), weight))
        return found

    def gram(self, learners: np.ndarray, b: np.ndarray, least: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Lower triangles of their weighted outer products about `centres` (learners, d)."""
        found = []
        for r, low, centre in zip(learners.tolist(), least, centres, strict=True):
            rows, weight = self._curved(r, b, low)
            found.append(weighted_gram(take_rows(self.stack.X, rows), centre, weight, dtype=self.stack.dtype))
        return np.stack(found)
