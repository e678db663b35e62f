"""Blocks of rows, each held by one worker between calls; one whose worker is lost is made again elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from fusionfer.cluster._tasks import Task, ask, run
from fusionfer.exceptions import ClusterError
from fusionfer.memory import memory_limit

if TYPE_CHECKING:
    from fusionfer.cluster._team import Team

__all__ = ["Block", "Blocks", "Held", "Rows"]

_LOSSES = 5  # that one block may suffer in one call before its rows are taken to be the cause

#: Rows of a matrix.
Rows = slice | np.ndarray
#: A method of what is held, and what it is called with.
Call = tuple[str, tuple[Any, ...]]


class Held:
    """What a worker keeps of one block between calls. Dask keeps it, as a result, until the client lets go of it."""

    turn = 0

    def __getstate__(self) -> dict[str, Any]:
        return {}  # moved or spilled, it is as good as lost: maps and scores are not to be written anywhere


_held: WeakValueDictionary[str, Held] = WeakValueDictionary()
_LOST = "lost"


def _begin(key: str, turn: int, memory: int | None, make: Callable[..., Held], data: tuple[Any, ...]) -> Held:
    """On a worker: make what is held of a block."""
    with memory_limit(memory):
        held = make(*data)
    held.turn = turn
    _held[key] = held
    return held


def _call(key: str, turn: int, memory: int | None, threads: int, calls: Sequence[Call]) -> Any:
    """On a worker: call methods in turn and return what the last one does; `_LOST` if this is not the next turn.

    A call that Dask makes twice, because it lost sight of the first, would otherwise move a block twice.
    """
    from fusionfer.heads.linear._threads import at_most

    held = _held.get(key)
    if held is None or held.turn != turn - 1:
        return _LOST
    held.turn = turn
    result = None
    with memory_limit(memory), at_most(threads):
        for name, arguments in calls:
            result = getattr(held, name)(*arguments)
    return result


@dataclass(eq=False)
class Block:
    """One block: which rows, who may work on it, who does.

    Attributes
    ----------
    rows : slice or ndarray of int
    eligible : frozenset of str or None
        Addresses of the workers that see its files; None if all do.
    worker : str
    key : str
    """

    rows: Rows
    eligible: frozenset[str] | None
    worker: str
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: Any = None
    losses: int = 0


class Blocks:
    """Objects on workers, one for each block, whose methods are called together.

    Parameters
    ----------
    team : Team
    shares : sequence of (str, slice or ndarray, frozenset of str or None)
        For each block who works on it, its rows, and who else could.
    make : callable
        Importable by name; called on the worker with what `data` returns, makes a `Held`.
    data : callable
        Called here with the rows of a block: the arguments of `make`. They are sent once, and again if it is lost.
    name : str
        By which the dashboard shows the work.
    replay : callable, optional
        Returns the calls that bring a block made anew to where the others are.
    able : callable, optional
        Called with rows and addresses, returns those of them who see the files of these rows: asked when a worker is
        lost, as others may have come. By default all may whom the shares name.
    """

    def __init__(
        self,
        team: Team,
        shares: Sequence[tuple[str, Rows, frozenset[str] | None]],
        make: Callable[..., Held],
        data: Callable[[Rows], tuple[Any, ...]],
        name: str,
        replay: Callable[[], list[Call]] | None = None,
        able: Callable[[Rows, Sequence[str]], Collection[str]] | None = None,
    ) -> None:
        self.team, self.make, self.data, self.name, self.able = team, make, data, name, able
        self.replay = replay or list
        self.blocks = [Block(rows, eligible, worker) for worker, rows, eligible in shares]
        self.turn = 0
        self.recovered = 0
        self._made = False

    def __enter__(self) -> Blocks:
        return self

    def __exit__(self, *exception: object) -> None:
        for block in self.blocks:
            block.state = None  # the last reference: Dask forgets the result, and the worker the object

    def call(self, method: str, *arguments: Any, each: Callable[[Rows], tuple[Any, ...]] | None = None) -> list[Any]:
        """Call a method of all blocks at once.

        Parameters
        ----------
        method : str
        *arguments
            The same for all.
        each : callable, optional
            Called with the rows of a block; returns further arguments for it.

        Returns
        -------
        list
            What each block returned, in the order of the rows.

        Raises
        ------
        ClusterError
            If no worker is left that could take a block, or one block is lost time and again.
        """
        self.turn += 1
        if not self._made:
            self._made = True
            self._make(self.blocks)
        found: dict[int, Any] = {}
        calls = {i: [(method, arguments + (each(block.rows) if each else ()))] for i, block in enumerate(self.blocks)}
        waiting = dict(calls)
        while waiting:
            got = ask(self.team, f"{self.name}-call", {i: self._task(self.blocks[i], waiting[i]) for i in waiting})
            lost = [i for i in waiting if i not in got or isinstance(got[i], str)]
            found.update({i: got[i] for i in waiting if i not in lost})
            if lost:
                self._recover([self.blocks[i] for i in lost])
            waiting = {i: [*self.replay(), *calls[i]] for i in lost}
        for block in self.blocks:
            block.losses = 0
        return [found[i] for i in range(len(self.blocks))]

    def total(self, method: str, *arguments: Any, each: Callable[[Rows], tuple[Any, ...]] | None = None) -> Any:
        """Call a method of all blocks, and add up what they return: arrays, or tuples of arrays, in float64."""
        found = self.call(method, *arguments, each=each)
        if isinstance(found[0], tuple):
            return tuple(sum(parts[1:], start=parts[0]) for parts in zip(*found, strict=True))
        return sum(found[1:], start=found[0])

    def _task(self, block: Block, calls: list[Call]) -> Task:
        threads = self.team.threads(block.worker)
        return Task(block.worker, _call, (block.key, self.turn, self.team.memory, threads, calls))

    def _make(self, blocks: Sequence[Block]) -> None:
        """Let the workers of some blocks make what they hold, until all have; the blocks keep it there."""
        todo = list(blocks)
        while todo:
            tasks = {}
            for i, block in enumerate(todo):
                head = (block.key, self.turn - 1, self.team.memory, self.make)
                tasks[i] = Task(block.worker, _begin, (*head, self.data(block.rows)))
            kept = run(self.team, f"{self.name}-begin", tasks)
            for i, future in kept.items():
                todo[i].state = future
            todo = [block for i, block in enumerate(todo) if i not in kept]
            if todo:
                self._move(todo)

    def _recover(self, blocks: Sequence[Block]) -> None:
        self.recovered += len(blocks)
        self._move(blocks)
        self._make(blocks)

    def _move(self, blocks: Sequence[Block]) -> None:
        """Give blocks whose worker is gone to those that have least to do."""
        alive = [worker.address for worker in self.team.there()]
        load = {address: sum(block.worker == address for block in self.blocks) for address in alive}
        for block in blocks:
            block.state = None
            block.losses += 1
            able = self._able(block, alive)
            if not able or block.losses > _LOSSES:
                rows = block.rows
                size = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
                why = (
                    f"was lost with its worker {block.losses} times in a row; if the workers ran out of memory, start "
                    "more of them, or with more"
                    if able
                    else "has no worker left that sees its files; start workers again, and run again"
                )
                msg = f"A block of {size:,} rows {why}. Scheduler: {self.team.address}."
                raise ClusterError(msg)
            if block.worker not in able:
                block.worker = min(able, key=lambda address: (load[address], address))
                load[block.worker] += 1

    def _able(self, block: Block, alive: Sequence[str]) -> list[str]:
        if self.able is not None:
            seeing = self.able(block.rows, alive)
            return [address for address in alive if address in seeing]
        return [address for address in alive if block.eligible is None or address in block.eligible]
