"""Boosting on a cluster: every worker grows the same trees from its own rows, and XGBoost adds up their histograms."""

from __future__ import annotations

import socket
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from fusionfer.cluster._boosting_rows import begin, cut_columns, segment
from fusionfer.cluster._tasks import Task, gathered, submit, wait_for
from fusionfer.exceptions import ClusterError, FusionferWarning
from fusionfer.heads.boosting._binning import Bins, find_bins
from fusionfer.heads.boosting._boosters import Recipe, Turns
from fusionfer.heads.boosting._collective import is_broken, meeting, reason
from fusionfer.heads.boosting._rounds import TOLD, Forest

if TYPE_CHECKING:
    from fusionfer.cluster._matrix import ClusterMatrix
    from fusionfer.cluster._team import Team
    from fusionfer.heads.boosting._classifier import Labelled

__all__ = ["EVERY", "SAMPLE_BYTES", "TIMEOUT", "grow_forest"]

#: Rounds between two times that the trees come back: what a lost worker costs at most.
EVERY = 10
#: Seconds that workers wait for each other in one operation, and to find each other, before they give up.
TIMEOUT = 60.0
#: Where no worker sees all rows, columns are cut by so many bytes of them, drawn by seed 0.
SAMPLE_BYTES = 1 << 28
_LATE = 1.0  # seconds that the scheduler may know of a lost worker later than those who talked to it
_TRIES = 3  # failures without a round in between before boosting gives up

Progress = Callable[[int, int, str], None]


class _LostError(Exception):
    """Workers are gone, or could not reach each other."""

    def __init__(self, workers: Sequence[str], why: str = "") -> None:
        super().__init__(why)
        self.workers, self.why = list(workers), why


def grow_forest(
    X: ClusterMatrix,
    train: Labelled,
    validation: Labelled | None,
    columns: Sequence[np.ndarray],
    n_classes: int,
    recipe: Recipe,
    progress: Progress | None = None,
    *,
    every: int | None = None,
    timeout: float | None = None,
) -> tuple[Forest, Bins]:
    """Grow a forest on the workers, as `fusionfer.heads.boosting` grows it on one machine.

    Parameters
    ----------
    X : ClusterMatrix
        Rows to grow on: those of `train`.
    train, validation : Labelled
        Rows with classes and weights; those to stop by may be an array, a MappedMatrix or a ClusterMatrix.
    columns : sequence of ndarray of int
        Columns of each slice.
    n_classes : int
        At least 2.
    recipe : Recipe
    progress : callable, optional
        ``progress(done, total, what)``.
    every : int, optional
        Rounds after which the trees come back; by default 10.
    timeout : float, optional
        Seconds that workers wait for each other; by default 60.

    Returns
    -------
    Forest
    Bins

    Raises
    ------
    ClusterError
        If no worker is left, workers fail three times without a round in between, or their trees differ.

    Notes
    -----
    Where every worker sees all files, each cuts some of the columns by all rows, and the cuts are those of one machine.
    Else they are those of a sample of 256 MB (all rows, where that is as much).

    A collective does not survive a lost worker. Then its rows are shared out to those that are left, which start again
    from the last rounds that came back; a warning says so.
    """
    every, timeout = every or EVERY, timeout or TIMEOUT
    state: dict[str, list[Any]] = {name: [] for name in TOLD}
    turns: list[bytes] = []
    found: list[Bins] = []
    held: _Held | None = None
    start, done, failures = np.empty(0), False, 0
    while not done:
        try:
            if not found:
                found = [_shared_bins(X, recipe.n_bins, train.weight)]
            if held is None:
                held = _Held(X, train, validation, columns, n_classes, recipe, found[0], state, turns)
            first = len(turns)
            told = held.grow(first + every, timeout)
        except _LostError as lost:
            failures += 1
            held = None
            _go_on(X.team, lost, len(turns), failures)
            continue
        failures, start, done = 0, told["start"], told["done"]
        turns += told["turns"]
        for name in TOLD:
            state[name] += told["told"][name]
        if progress is not None:
            progress(len(turns), recipe.n_rounds, "rounds")
    history = {name: np.array(values) for name, values in state.items() if values}
    slices = [Turns(those, turns[number :: len(columns)]) for number, those in enumerate(columns)]
    return Forest(start, slices, history["step"], told["keep"], history), found[0]


def _go_on(team: Team, lost: _LostError, rounds: int, failures: int) -> None:
    """Say what was lost and from where it goes on, or that it cannot."""
    who = f"The worker {', '.join(lost.workers)} was lost" if lost.workers else f"Workers lost each other ({lost.why})"
    if failures >= _TRIES:
        msg = (
            f"{who}, and so it went {failures} times without a round in between; boosting gives up at round {rounds}. "
            "Look at the workers' logs: memory, and whether they reach each other and this process by network."
        )
        raise ClusterError(msg)
    team.refresh()
    n = len(team.workers)
    msg = f"{who}; boosting goes on from round {rounds} with {n} worker{'' if n == 1 else 's'}."
    warnings.warn(msg, FusionferWarning, stacklevel=2)


class _Held:
    """What the workers hold of a fit: rows as codes, and the forest so far."""

    def __init__(
        self,
        X: ClusterMatrix,
        train: Labelled,
        validation: Labelled | None,
        columns: Sequence[np.ndarray],
        n_classes: int,
        recipe: Recipe,
        bins: Bins,
        state: dict[str, list[Any]],
        turns: Sequence[bytes],
    ) -> None:
        self.team, self.key = X.team, uuid.uuid4().hex
        grown = _rows_of(X, None)
        self.workers = list(grown)
        judged = {} if validation is None else _rows_of(_as_cluster(validation.X, X), self.workers)
        tasks: list[Task] = []
        for worker in self.workers:
            sets = [_share(X, train, grown[worker])]
            if validation is not None:
                sets.append(_share(_as_cluster(validation.X, X), validation, judged.get(worker, np.empty(0, np.intp))))
            given = (sets, columns, n_classes, recipe, bins, state, list(turns))
            tasks.append(Task(worker, begin, (*self._head(worker), *given)))
        self.futures = _run(self.team, "begin", tasks)

    def _head(self, worker: str) -> tuple[str, int | None, int]:
        # Workers may be threads of one process: what each of them holds has a name of its own.
        return f"{self.key}-{worker}", self.team.share_of_memory(worker), self.team.threads(worker)

    def grow(self, until: int, timeout: float) -> dict[str, Any]:
        """Let all grow up to a round; return what the first one tells, when all have grown the same."""
        n = len(self.workers)
        with self.team.group(), meeting(_own_address(self.workers[0]), n, timeout) as given:
            tasks = [
                Task(worker, segment, (*self._head(worker), given[i], until, i == 0))
                for i, worker in enumerate(self.workers)
            ]
            found = _results(self.team, _run(self.team, "grow", tasks, growing=True), tasks)
        if any(told is None for told in found):
            raise _LostError([], "a worker was started again")
        first = found[0]
        for worker, told in zip(self.workers, found, strict=True):
            if told["norms"] != first["norms"]:
                msg = (
                    f"The workers {self.workers[0]} and {worker} grew different trees. Do all of them have the same "
                    "versions of XGBoost and NumPy?"
                )
                raise ClusterError(msg)
        return first


def _shared_bins(X: ClusterMatrix, max_bin: int, weight: np.ndarray) -> Bins:
    """Cut the columns once for all."""
    n, d = X.shape
    shares, team = X.shares(), X.team
    if all(eligible is None for _, _, eligible in shares):
        workers = [worker for worker, _, _ in shares][:d]
        ends = [d * i // len(workers) for i in range(len(workers) + 1)]
        tasks = []
        for worker, start, end in zip(workers, ends[:-1], ends[1:], strict=True):
            given = (_plain(X.columns(slice(start, end))), max_bin, weight)
            tasks.append(Task(worker, cut_columns, (*given, team.share_of_memory(worker), team.threads(worker))))
        found = _results(team, _run(team, "cut", tasks), tasks)
        return Bins(tuple(cuts for part in found for cuts in part))
    most = max(1, SAMPLE_BYTES // (4 * d))
    drawn = np.arange(n) if n <= most else np.sort(np.random.RandomState(0).choice(n, most, replace=False))
    sample = np.empty((len(drawn), d), dtype=np.float32)
    among: Any = X.rows(drawn)
    for worker, rows in _rows_of(among, None).items():
        tasks = [Task(worker, _read, (among.part_of(rows),))]
        (sample[rows],) = _results(team, _run(team, "sample", tasks), tasks)
    return find_bins(sample, max_bin, weight[drawn])[0]


def _plain(matrix: Any) -> Any:
    """All rows of a ClusterMatrix as a MappedMatrix that travels."""
    return matrix.part_of(slice(0, len(matrix)))


def _read(matrix: Any) -> np.ndarray:
    """On a worker: read rows."""
    return matrix.read()


def _rows_of(X: ClusterMatrix, among: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Rows of each worker; rows of a worker that is not among some go to one that is, and sees their files."""
    found: dict[str, list[np.ndarray]] = {}
    for worker, rows, eligible in X.shares():
        taker = worker
        if among is not None and worker not in among:
            able = [one for one in among if eligible is None or one in eligible]
            if not able:
                msg = f"Rows to stop by lie where only the worker {worker} sees them, and it has no rows to grow on."
                raise ClusterError(msg)
            taker = able[0]
        found.setdefault(taker, []).append(np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows)
    return {worker: np.sort(np.concatenate(rows)) for worker, rows in found.items()}


def _as_cluster(rows: Any, X: ClusterMatrix) -> Any:
    """Rows to stop by as a matrix that knows its workers; those that are in memory here are given to all alike."""
    return rows if hasattr(rows, "shares") else _Sent(rows, X.team)


class _Sent:
    """Rows that are sent to the workers, since they lie here."""

    def __init__(self, rows: Any, team: Team) -> None:
        self.given, self.team = rows, team

    def shares(self) -> list[tuple[str, slice, None]]:
        return [(worker.address, rows, None) for worker, rows in self.team.shares(len(self.given))]

    def part_of(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.given[rows])


def _share(X: Any, rows: Labelled, which: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
    return X.part_of(which), rows.y[which], rows.weight[which]


def _own_address(worker: str) -> str:
    """The address of this machine on the way to a worker."""
    host = urlsplit(worker).hostname or "127.0.0.1"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((host, 9))  # nothing is sent
        return str(way.getsockname()[0])


def _run(team: Team, what: str, tasks: Sequence[Task], growing: bool = False) -> list[Any]:
    """Run tasks of which each needs all others; return their futures when all have finished.

    Raises
    ------
    _LostError
        If a worker is gone, or, where they grow, XGBoost says that it cannot reach the others.
    """
    numbered = dict(enumerate(tasks))
    futures = submit(team, f"boosting-{what}", numbered)
    try:
        outcome = wait_for(team, futures, numbered, together=True)
        broken = [error for error in outcome.raised.values() if growing and is_broken(error)]
        for error in outcome.raised.values():
            if error not in broken:
                raise error
        if len(outcome.finished) < len(tasks):
            time.sleep(_LATE)
            raise _LostError(_gone(team, tasks), reason(broken[0]) if broken else "a task was lost")
    except BaseException:
        team.client.cancel(list(futures.values()))
        raise
    return list(futures.values())


def _results(team: Team, futures: Sequence[Any], tasks: Sequence[Task]) -> list[Any]:
    """What tasks returned; `_LostError` if a worker was lost meanwhile."""
    found = gathered(team, dict(enumerate(futures)))
    if len(found) < len(futures):
        raise _LostError(_gone(team, tasks), "an answer was lost")
    return list(found.values())


def _gone(team: Team, tasks: Sequence[Task]) -> list[str]:
    return sorted({task.worker for task in tasks} - set(team.alive()))
