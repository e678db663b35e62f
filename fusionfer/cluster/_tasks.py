"""Tasks of named workers: sent, waited for, and told apart by whether they finished, failed or were lost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fusionfer.exceptions import ClusterError
from fusionfer.memory import size

if TYPE_CHECKING:
    from fusionfer.cluster._team import Team

__all__ = ["PAUSED", "Outcome", "Task", "ask", "gathered", "run", "submit", "wait_for"]

_LOOK = 1.0  # seconds between two looks whether the workers of a call are still there
#: Seconds after which a worker that Dask has paused, and that does nothing, is an error.
PAUSED = 30.0


@dataclass(frozen=True)
class Task:
    """A function that one worker shall call.

    Attributes
    ----------
    worker : str
        Its address.
    function : callable
        Importable by name there.
    arguments : tuple
    """

    worker: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass
class Outcome:
    """How tasks ended, by their numbers; what is in neither was lost with its worker.

    Attributes
    ----------
    finished : list of int
    raised : dict of int to exception
    """

    finished: list[int] = field(default_factory=list)
    raised: dict[int, BaseException] = field(default_factory=dict)


def submit(team: Team, name: str, tasks: Mapping[int, Task]) -> dict[int, Any]:
    """Send tasks to their workers and to no others; returns Dask's futures. `name` is what the dashboard shows."""
    with _quiet():
        return {
            i: team.client.submit(
                task.function,
                *task.arguments,
                workers=[task.worker],
                allow_other_workers=False,
                key=f"{name}-{uuid.uuid4().hex}",
                pure=False,
                retries=0,
            )
            for i, task in tasks.items()
        }


def wait_for(team: Team, futures: Mapping[int, Any], tasks: Mapping[int, Task], *, together: bool = False) -> Outcome:
    """Wait for tasks.

    Parameters
    ----------
    team : Team
    futures, tasks : dict
        From `submit`, and what was given to it.
    together : bool, default=False
        Whether the tasks wait for each other, so that the first one that fails or is lost is the end of all.

    Raises
    ------
    ClusterError
        If a worker stays paused, or the scheduler does not answer.
    """
    from distributed import wait
    from distributed.scheduler import KilledWorker

    waiting, pauses = dict(futures), _Pauses(team)
    while waiting:
        try:
            with team.client.as_current():
                wait(list(waiting.values()), timeout=_LOOK, return_when="FIRST_COMPLETED")
        except TimeoutError:
            alive = set(team.alive())
            gone = [i for i in waiting if tasks[i].worker not in alive]
            for i in gone:
                waiting.pop(i).cancel()
            if gone and together:
                break
            pauses.look({tasks[i].worker for i in waiting})
            continue
        except Exception as error:
            if not _is_lost(error):
                raise
        waiting = {i: future for i, future in waiting.items() if future.status == "pending"}
        if together and any(future.status not in ("pending", "finished") for future in futures.values()):
            break
    outcome = Outcome()
    for i, future in futures.items():
        if future.status == "finished":
            outcome.finished.append(i)
        elif future.status == "error":
            raised = future.exception()
            if not isinstance(raised, KilledWorker):
                outcome.raised[i] = raised
    return outcome


def run(team: Team, name: str, tasks: Mapping[int, Task]) -> dict[int, Any]:
    """Send tasks and wait for them; the futures of those that finished, whose workers keep the results.

    Raises
    ------
    Exception
        What a task raised.
    """
    futures = submit(team, name, tasks)
    outcome = wait_for(team, futures, tasks)
    for raised in outcome.raised.values():
        raise raised
    return {i: futures[i] for i in outcome.finished}


def ask(team: Team, name: str, tasks: Mapping[int, Task]) -> dict[int, Any]:
    """As `run`, but return the results; those of workers that were lost are missing."""
    return gathered(team, run(team, name, tasks))


def gathered(team: Team, futures: Mapping[int, Any]) -> dict[int, Any]:
    """Fetch the results of finished tasks; those that were lost between their end and our asking are missing."""
    if not futures:
        return {}
    answers = team.client.gather(list(futures.values()), errors="skip")
    if len(answers) == len(futures):
        return dict(zip(futures, answers, strict=True))
    found = {}
    for i, future in futures.items():
        for answer in team.client.gather([future], errors="skip"):
            found[i] = answer
    return found


class _Pauses:
    """Since when workers that are waited for are paused and do nothing: nothing will end that."""

    def __init__(self, team: Team) -> None:
        self.team, self.since = team, dict[str, float]()

    def look(self, workers: set[str]) -> None:
        told = self.team.idle_by_pause()
        now = time.monotonic()
        self.since = {one: self.since.get(one, now) for one in workers if one in told}
        for worker, since in self.since.items():
            if now - since < PAUSED:
                continue
            msg = (
                f"Dask has paused the worker {worker}, which has done nothing for {PAUSED:g} s: it is near its memory "
                f"limit of {size(told[worker])}, and Dask counts the pages of mapped files too. Start workers with "
                "--memory-limit 0, or with a higher limit, and run again."
            )
            raise ClusterError(msg)


def _is_lost(error: BaseException) -> bool:
    return "Cancelled" in type(error).__name__


def _quiet() -> ExitStack:
    """Within this, Dask does not warn of large arguments: rows of labels are sent once, weights must be each time."""
    import dask

    stack = ExitStack()
    stack.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}))
    return stack
