"""The workers of a Dask cluster, found or started, asked whether they can do the work, and given rows."""

from __future__ import annotations

import logging
import socket
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from joblib import cpu_count

import fusionfer
from fusionfer.exceptions import ClusterError, DataError, FusionferWarning
from fusionfer.memory import allowed_bytes, asked_bytes, planned_bytes, size

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Team", "Worker", "connect", "cut"]

_LOCAL = "local"
#: What a client raises that has lost its scheduler; the last two when it has closed itself.
_SILENT = (OSError, TimeoutError, RuntimeError, AttributeError, KeyError)
_MOST_LOCAL = 8  # processes of a local cluster; what cores are left over become their threads


@dataclass(frozen=True)
class Worker:
    """One process that works.

    Attributes
    ----------
    address : str
        By which Dask calls it.
    threads : int
        How many tasks it takes at a time.
    memory : int
        Bytes that Dask lets it have; 0 where Dask does not watch.
    """

    address: str
    threads: int
    memory: int = 0


class Team:
    """The workers of a cluster, in a fixed order; made by `connect`.

    Parameters
    ----------
    client : distributed.Client
        Connected, with at least one worker.
    memory : int, optional
        Bytes that each worker may take for what fusionfer does there; by default what its machine has.

    Attributes
    ----------
    client : distributed.Client
    workers : tuple of Worker
        Those that were there when they were last counted, sorted by address. `alive` says who is there now.
    memory : int or None
    fits : int
        How many fits share the memory of each worker at a time.

    Raises
    ------
    ClusterError
        If a worker has no fusionfer, or another version.
    """

    def __init__(self, client: Client, memory: int | None = None) -> None:
        self.client, self.memory, self.fits = client, memory, 1
        self._address = _address(client)  # a client that has lost its scheduler does not know it any more
        self._known: dict[str, Worker] = {}
        self._refused: set[str] = set()
        self._plans: dict[tuple[str, ...], dict[str, int]] = {}
        self._counting = threading.Lock()
        self._warned = False
        self.workers, refused = self._count()
        if refused:
            raise ClusterError(refused[0])
        # Tasks that wait for each other must all have a thread: as many such groups as every worker has threads.
        self._groups = threading.BoundedSemaphore(self.side_by_side)

    def refresh(self) -> tuple[Worker, ...]:
        """Count the workers again, some may have come, some gone; newcomers of another version are left out.

        Returns
        -------
        tuple of Worker
            Who is there: as `workers`, which another thread may count anew meanwhile.

        Raises
        ------
        ClusterError
            If there are none, or the scheduler does not answer.
        """
        found = self.there()
        if not found:
            msg = f"The scheduler at {self.address} has no workers any more. Start some: `dask worker {self.address}`."
            raise ClusterError(msg)
        return found

    def there(self) -> tuple[Worker, ...]:
        """As `refresh`, but none is no error."""
        with self._counting:
            found, refused = self._count()
            self.workers = found
        for why in refused:
            warnings.warn(f"{why} It is left out until then.", FusionferWarning, stacklevel=2)
        return found

    def _told(self) -> dict[str, Any]:
        """What the scheduler says of each worker; releases of Dask differ in how many it tells of unless asked."""
        try:
            return dict(self.client.scheduler_info(n_workers=-1)["workers"])
        except _SILENT as error:
            raise self._silent(error) from error

    def _silent(self, error: BaseException) -> ClusterError:
        return ClusterError(
            f"The scheduler at {self.address} does not answer any more ({_said(error)}). Start it, and run again."
        )

    def _count(self) -> tuple[tuple[Worker, ...], list[str]]:
        """Who is there and can do the work, and what is wrong with those who are new and cannot."""
        told = self._told()
        new = sorted(told.keys() - self._known.keys() - self._refused)
        objections = _objections(self.client, new) if new else {}
        self._refused |= {address for address, why in objections.items() if why}
        workers = tuple(
            Worker(address, int(one["nthreads"]), int(one["memory_limit"] or 0))
            for address, one in sorted(told.items())
            if address in self._known or objections.get(address) == ""  # who does not answer is not there yet
        )
        self._known.update({worker.address: worker for worker in workers})
        limited = [worker for worker in workers if worker.memory]
        if limited and not self._warned:
            self._warned = True
            msg = (
                f"Dask limits the memory of the worker {limited[0].address} to {size(limited[0].memory)}. It counts "
                "the pages of mapped files, pauses workers near the limit and ends those beyond it, however little "
                "they allocate. Start workers with --memory-limit 0, and say how much they may take with --memory."
            )
            warnings.warn(msg, FusionferWarning, stacklevel=4)
        return workers, [why for why in objections.values() if why]

    def threads(self, worker: str) -> int:
        """Threads of the worker with this address, be it gone by now."""
        return self._known[worker].threads

    def idle_by_pause(self) -> dict[str, int]:
        """Addresses of workers that Dask has paused and that do nothing, with the limits of their memory."""
        return {
            address: int(one["memory_limit"] or 0)
            for address, one in self._told().items()
            if one.get("status") == "paused" and not one.get("metrics", {}).get("task_counts", {}).get("executing")
        }

    def room(self) -> dict[str, int]:
        """Bytes that each worker may take: of what the team may, of Dask's limit, of its machine with all who share it.

        Raises
        ------
        ClusterError
            If no worker answers.
        """
        workers = self.workers
        if self.memory is None:
            plans = self._planned(tuple(worker.address for worker in workers))
        else:
            # Who is asked for an amount has it for itself; a machine is shared.
            plans = dict.fromkeys((worker.address for worker in workers), self.memory)
        least = min(plans.values())
        room = {worker.address: plans.get(worker.address, least) for worker in workers}
        return {worker.address: min(room[worker.address], worker.memory or room[worker.address]) for worker in workers}

    def _planned(self, addresses: tuple[str, ...]) -> dict[str, int]:
        """What the machine of each worker has, shared out among the workers there."""
        if addresses not in self._plans:
            told = self.client.run(_machine, workers=list(addresses), on_error="ignore")
            if not told:
                msg = (
                    f"None of the {len(addresses)} workers at {self.address} says how much memory it has. Start others."
                )
                raise ClusterError(msg)
            here = Counter(host for host, _ in told.values())
            self._plans[addresses] = {one: planned // here[host] for one, (host, planned) in told.items()}
        return self._plans[addresses]

    def share_of_memory(self, worker: str) -> int | None:
        """Bytes that each of the `fits` may plan with on a worker; None: all of its machine."""
        if self.fits == 1:
            return self.memory
        room = self.room()
        return room.get(worker, min(room.values())) // self.fits

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return self._address

    @property
    def dashboard(self) -> str:
        """Where a browser sees what the workers do."""
        return str(self.client.dashboard_link)

    @property
    def side_by_side(self) -> int:
        """How many groups of one task on each worker, which wait for each other, can run at a time."""
        return max(1, min((worker.threads for worker in self.workers), default=1))

    @contextmanager
    def group(self) -> Iterator[None]:
        """Wait until a thread of every worker is free for tasks that wait for each other, and hold them."""
        with self._groups:
            yield

    def describe(self) -> str:
        """One sentence: who works, and where to look on.

        The address is the dashboard's, which Dask serves where bokeh is installed.
        """
        threads = sum(worker.threads for worker in self.workers)
        count = f"{len(self.workers)} worker{'s' if len(self.workers) > 1 else ''}"
        return (
            f"{count} with {threads} thread{'s' if threads > 1 else ''} at {self.address}; dashboard: {self.dashboard}"
        )

    def alive(self) -> tuple[str, ...]:
        """Addresses of the workers that the scheduler has now, sorted.

        Raises
        ------
        ClusterError
            If the scheduler does not answer.
        """
        try:
            return tuple(sorted(self.client.nthreads()))
        except _SILENT as error:
            raise self._silent(error) from error

    def shares(self, n: int) -> list[tuple[Worker, slice]]:
        """Cut n rows into runs, one for each worker and as long as it has threads; nobody gets none.

        Parameters
        ----------
        n : int
            At least 1.

        Returns
        -------
        list of (Worker, slice)
            The runs follow each other. With fewer rows than workers, some workers are left out.
        """
        if n < 1:
            msg = f"At least one row is needed to share out, got {n}."
            raise DataError(msg)
        return cut(self.workers, n)


def cut(workers: Sequence[Worker], n: int) -> list[tuple[Worker, slice]]:
    """Cut n rows into runs that follow each other, as long as the workers have threads; without empty ones."""
    whole = sum(worker.threads for worker in workers)
    ends = [n * sum(worker.threads for worker in workers[: i + 1]) // whole for i in range(len(workers))]
    runs = zip(workers, [0, *ends[:-1]], ends, strict=True)
    return [(worker, slice(start, end)) for worker, start, end in runs if start < end]


@contextmanager
def connect(
    address: str | Client, *, workers: int | None = None, threads: int | None = None, timeout: float = 30.0
) -> Iterator[Team]:
    """Find the workers of a cluster, or start some on this machine; they must have the same fusionfer.

    Parameters
    ----------
    address : str or distributed.Client
        "local" starts worker processes here and ends them afterwards; an address such as "tcp://scheduler:8786" is that
        of a scheduler that runs already, and is left running; a client is used as it is.
    workers : int, optional
        With "local" how many processes, by default one a core and at most 8; else how many workers to wait for, by
        default one.
    threads : int, optional
        Threads of each local worker; by default the cores shared out.
    timeout : float
        Seconds to wait for the scheduler, and again for workers.

    Yields
    ------
    Team

    Raises
    ------
    ClusterError
        If the scheduler does not answer, workers do not come, or a worker cannot use this version of fusionfer.
    ImportError
        If Dask is not installed.

    Notes
    -----
    A script that says "local" must guard its own work by ``if __name__ == "__main__":``, since local workers are
    processes that import it. Dask counts the pages of mapped files as a worker's memory, and ends workers which that
    takes beyond their limit: local workers are started without that limit, and ``dask worker`` should be, by
    ``--memory-limit 0``; what fusionfer allocates there keeps to `fusionfer.memory.memory_limit` of this process.
    """
    _require_dask()
    if workers is not None and workers < 1:
        msg = f"A cluster needs at least one worker, got {workers}."
        raise DataError(msg)
    if not isinstance(address, str):
        yield _team(address, workers or 1, timeout)
        return
    with _client(address, workers, threads, timeout) as client:
        yield _team(client, workers or 1, timeout, local=address == _LOCAL)


def _require_dask() -> None:
    try:
        import distributed  # noqa: F401  (asked only whether it is there)
    except ImportError as error:
        msg = "Work on a cluster needs Dask: pip install 'fusionfer[dask]'"
        raise ImportError(msg) from error


@contextmanager
def _client(address: str, workers: int | None, threads: int | None, timeout: float) -> Iterator[Client]:
    """A client of the scheduler at an address, or of one that is started here."""
    from distributed import Client, LocalCluster
    from distributed.comm import get_address_host_port

    if address != _LOCAL:
        try:
            # A client that finds nobody complains a second time when it is forgotten, so that a socket asks first.
            socket.create_connection(get_address_host_port(address), timeout).close()
            client = Client(address, timeout=timeout, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            msg = (
                f"No Dask scheduler answers at {address} within {timeout:g} s ({_said(error)}). Start one with `dask "
                "scheduler` and give the address that it prints, such as tcp://host:8786, or take local."
            )
            raise ClusterError(msg) from error
        with client:
            yield client
        return
    count = workers or min(cpu_count(), _MOST_LOCAL)
    with (
        LocalCluster(
            n_workers=count,
            threads_per_worker=threads or max(1, cpu_count() // count),
            processes=True,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, timeout=timeout, set_as_default=False) as client,
    ):
        yield client


def _team(client: Client, count: int, timeout: float, local: bool = False) -> Team:
    """The team of a client, once its workers are there and have said that they can do the work."""
    address = _address(client)
    try:
        client.wait_for_workers(count, timeout=timeout)
    except TimeoutError as error:
        there = len(client.nthreads())
        msg = (
            f"The scheduler at {address} has {there or 'no'} worker{'s' if there != 1 else ''}, and {count} "
            f"{'is' if count == 1 else 'are'} needed (waited {timeout:g} s). Start workers with `dask worker {address} "
            "--memory-limit 0`."
        )
        raise ClusterError(msg) from error
    # Workers on this machine share what may be taken here, with this process.
    return Team(client, allowed_bytes() // (len(client.nthreads()) + 1) if local else asked_bytes())


def _address(client: Client) -> str:
    return str(getattr(client.scheduler, "address", "an address that is not known"))


def _machine() -> tuple[str, int]:
    """On a worker: its machine, and how much memory it has."""
    return socket.gethostname(), planned_bytes()


def _objections(client: Client, workers: list[str]) -> dict[str, str]:
    """What is wrong with workers that have no fusionfer, or another one, "" with others; without those who are gone."""

    def version() -> str:
        # Sent as code, since a worker without fusionfer could not find it by name.
        try:
            import fusionfer
        except Exception as error:
            return f"no fusionfer ({error})"
        return f"fusionfer {fusionfer.__version__}"

    mine, found = f"fusionfer {fusionfer.__version__}", {}
    for worker, told in sorted(client.run(version, workers=workers, on_error="return").items()):
        if isinstance(told, OSError):  # of the connection: `version` raises nothing
            continue
        found[worker] = ""
        if told != mine:
            found[worker] = (
                f"The worker {worker} has {told if isinstance(told, str) else _said(told)}, and this process has "
                f"{mine}. Install the same version in the environments of all workers, and start them again."
            )
    return found


def _said(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
