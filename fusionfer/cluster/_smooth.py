"""Smooth losses over a cluster: the quasi-Newton steps are taken here, everything with a row in it on the workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.cluster._blocks import Blocks, Call
from fusionfer.cluster._gram import ReducedHessian
from fusionfer.heads.linear._descent import FLAT, Outcome, Run
from fusionfer.heads.linear._losses import Point, Quadratic, best
from fusionfer.heads.linear._ridge import Hessian, Ridge

__all__ = ["ClusterRun", "Scales"]

_GRAM_BYTES = 1 << 26  # of Hessians that are summed in one call


@dataclass(eq=False)
class Scales:
    """What `Run` asks of a `Stack` but for its rows."""

    n: int
    d: int
    dtype: Any
    shift: np.ndarray
    factor: np.ndarray
    owner: np.ndarray

    @classmethod
    def of(cls, n: int, d: int, problems: list[Any], counts: list[int], exact: bool) -> Scales:
        """Those of some problems over n rows of d columns."""
        shift = np.array([np.zeros(d) if p.shift is None else p.shift for p in problems], dtype=np.float64)
        factor = np.array([np.ones(d) if p.factor is None else p.factor for p in problems], dtype=np.float64)
        dtype = np.float64 if exact else np.float32
        return cls(n, d, dtype, shift, factor, np.repeat(np.arange(len(problems)), counts))


class ClusterRun(Run):
    """As `Run`, where scores, slopes and curvatures of rows lie with the workers and only their sums come here.

    One call serves all learners: line searches go on side by side, each asking for the loss at its own place.

    Parameters
    ----------
    blocks : Blocks
        Of `SmoothBlock`.
    exact : bool
        Whether products run in float64.
    """

    own_rows = ("W", "b", "owner", "rho", "level", "g")

    def __init__(
        self,
        blocks: Blocks,
        exact: bool,
        scales: Scales,
        loss: Any,
        ridges: list[Ridge],
        outcome: Outcome,
        live: np.ndarray,
        tol: float,
    ) -> None:
        self.blocks, self.exact = blocks, exact
        self.toward: np.ndarray | None = None
        blocks.replay = self._replay
        super().__init__(scales, loss, ridges, outcome, live, tol)  # type: ignore[arg-type]

    def _replay(self) -> list[Call]:
        """What brings a block that was lost to where the others are: its scores follow from the weights."""
        calls: list[Call] = [("start", self._state())]
        return [*calls, ("direct", (self.toward,))] if self.toward is not None else calls

    def _state(self) -> tuple[Any, ...]:
        return self.exact, self.live, self.W, self.faint[self.owner]

    def _start(self) -> None:
        self.blocks.call("start", *self._state())
        self._stay()

    def _stay(self) -> None:
        """Look around where all stand: their best intercepts, slopes and curvatures."""
        squares = [(float(ww), 0.0, 0.0) for ww in self._sum(self.W * self.W)]
        self._settle(self._search(squares, np.full(len(self.live), np.inf), None))

    def _gradient(self) -> np.ndarray:
        return self.W - self.slopes

    def drop(self, groups: np.ndarray) -> None:
        super().drop(groups)
        if len(self.live):
            self.blocks.call("keep", self.live)

    def _move(self, P: np.ndarray) -> np.ndarray:
        ww, wp, pp = self._sum(self.W * self.W), self._sum(self.W * P), self._sum(P * P)
        squares = list(zip(ww.tolist(), wp.tolist(), pp.tolist(), strict=True))
        points = self._search(squares, self.outcome.value[self.live], P)
        s = np.array([point.at[0] for point in points])
        self._settle(points)
        return s

    def _search(self, squares: list[Quadratic], before: np.ndarray, P: np.ndarray | None) -> list[Point]:
        """Search of all groups at once, each for the best step along P and intercepts."""
        K, moving = self.loss.size, P is not None
        searches = [
            best(np.concatenate([[float(moving)], self.b[i * K : (i + 1) * K]]), moving, float(before[i]), self.precise)
            for i in range(len(self.live))
        ]
        places = {i: next(search) for i, search in enumerate(searches)}
        found: dict[int, Point] = {}
        while places:
            asked = list(places)
            sums = self.blocks.total("measure", asked, np.stack([places[i] for i in asked]), P)
            self.toward, P = self.toward if P is None else P, None  # sent once
            for i, value, slope, curvature, bent in zip(asked, *sums, strict=True):
                raw = Point(places[i], float(value), slope, curvature, np.empty((K, 0)), bent[:, None])
                try:
                    places[i] = searches[i].send(self.loss.complete(raw, squares[i]))
                except StopIteration as stop:
                    found[i] = self.loss.settle(stop.value)
                    del places[i]
        return [found[i] for i in range(len(self.live))]

    def _settle(self, points: list[Point]) -> None:
        """Take what was found as the place where all groups are; blocks may have more to say of it."""
        K = self.loss.size
        self.slopes, bent, curved, *self.also = self.blocks.total("settle", np.stack([point.at for point in points]))
        if self.toward is not None:
            self.W += self._spread(np.array([point.at[0] for point in points])) * self.toward
            self.toward = None
        self.b = np.concatenate([point.at[1:] for point in points])
        self.rho = bent / self.stack.n
        self.outcome.value[self.live] = [point.value for point in points]
        self.off = np.array([np.abs(point.slope[1:]).sum() for point in points])
        d, itemsize = self.stack.d, np.dtype(self.stack.dtype).itemsize
        for i in range(len(self.live)):
            many = curved[i * K : (i + 1) * K].tolist()
            self.price[i] = sum(Hessian.price(k, d) for k in many) / (self.stack.n * d)
            self.size[i] = sum(Hessian.size(k, d, itemsize) for k in many)

    def _hessians(self, groups: list[int]) -> list[Hessian]:
        K, d = self.loss.size, self.stack.d
        rows = np.array([i * K + k for i in groups for k in range(K)])
        top = np.max(self.blocks.call("top", groups, self.b), axis=0).ravel()
        least = np.minimum(FLAT * top, self.faint[self.owner[rows]])
        at_once = max(1, _GRAM_BYTES // (8 * d * d))
        pieces = [slice(at, at + at_once) for at in range(0, len(rows), at_once)]
        return [hessian for piece in pieces for hessian in self._reduced(rows[piece], least[piece])]

    def _reduced(self, rows: np.ndarray, least: np.ndarray) -> list[Hessian]:
        """Hessians of some learners, of the rows whose losses curve by more than `least`."""
        dtype, penalty = self.stack.dtype, self.loss.penalty
        counts, weights, totals = self.blocks.total("curved", rows, self.b, least)
        heavy = np.maximum(weights, np.finfo(np.float64).tiny)[:, None]
        centres = (totals / heavy).astype(dtype)
        factors, shifts = self.stack.factor[self.owner[rows]], self.stack.shift[self.owner[rows]]
        rests = (centres - shifts) * np.sqrt(penalty * heavy / (penalty + heavy))
        few, many = np.flatnonzero(counts < self.stack.d), np.flatnonzero(counts >= self.stack.d)
        made: dict[int, Hessian] = {}
        if len(few):
            taken = self.blocks.call("take", rows[few], self.b, least[few])
            for j, *parts in zip(few.tolist(), *taken, strict=True):
                X, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
                made[j] = Hessian(X, centres[j], rests[j], factors[j], weight, dtype)
        if len(many):
            grams = self.blocks.total("gram", rows[many], self.b, least[many], centres[many])
            for j, gram in zip(many.tolist(), grams, strict=True):
                made[j] = ReducedHessian(gram, rests[j], factors[j])
        return [made[j] for j in range(len(rows))]
