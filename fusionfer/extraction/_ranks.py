"""Ranks: one of several processes that torchrun or SLURM started; what it may use, and how all of them meet."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist

from fusionfer.backbones import Backbone
from fusionfer.cache import CacheFolder
from fusionfer.exceptions import DataError, ExtractionInterrupted, FusionferError, IncompleteCacheError
from fusionfer.extraction._extract import ExtractionReport, extract_to_cache
from fusionfer.extraction._sharding import Shard, differences, join_shards, shard_folders
from fusionfer.images import FaceSet

__all__ = ["Rank", "Team", "find_rank"]

_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_SECONDS_TO_MEET = 600.0
_SECONDS_BETWEEN_LOOKS = 0.05
_FOR_EVER = timedelta(days=365)  # a rank may compute for days; that one has died is seen at once, by its connection


@dataclass(frozen=True)
class Rank:
    """One process of several, as the launcher says in the environment.

    Attributes
    ----------
    index, count : int
        Among all processes.
    local_index, local_count : int
        Among those of this machine.
    meets : bool
        Whether the launcher says where all can meet; if not, each computes its shard and nobody joins them.
    launched : bool
        Whether a launcher started this; False for a shard that was asked for by hand.
    """

    index: int
    count: int
    local_index: int = 0
    local_count: int = 1
    meets: bool = False
    launched: bool = True

    @property
    def shard(self) -> Shard:
        """The part of the data that is this rank's."""
        return Shard(self.index, self.count)

    def device(self, name: str) -> str:
        """Return the rank's own device: ``cuda:<local index>`` where any, or cuda, is asked for and there is one."""
        devices = torch.cuda.device_count()
        return f"cuda:{self.local_index % devices}" if name in {"auto", "cuda"} and devices and self.launched else name

    def threads(self, environ: Mapping[str, str] | None = None) -> int:
        """Return how many threads this rank may use: its part of the cores.

        torchrun sets ``OMP_NUM_THREADS=1`` where nothing is set, so that 1 says nothing; a larger number was meant.
        """
        environ = os.environ if environ is None else environ
        if not self.launched or environ.get("OMP_NUM_THREADS", "1") != "1":
            return torch.get_num_threads()
        mine = environ.get("SLURM_CPUS_PER_TASK", "")
        if mine.isdigit() and "LOCAL_RANK" not in environ:
            return max(1, int(mine))
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, cores // self.local_count)


def find_rank(shard: str | None = None, environ: Mapping[str, str] | None = None) -> Rank | None:
    """Return which of several processes this is; None if it is alone.

    Parameters
    ----------
    shard : str, optional
        ``I/N`` by hand; what launchers say does not count then.
    environ : mapping of str to str, optional
        By default those of this process:
        RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun and others set them; or SLURM_PROCID and
        SLURM_STEP_NUM_TASKS, as srun sets them (SLURM_NTASKS is also there for a batch script's own commands, of
        which there is one).

    Raises
    ------
    DataError
        If any of these is no sensible number.

    Examples
    --------
    >>> find_rank("1/4")
    Rank(index=1, count=4, local_index=0, local_count=1, meets=False, launched=False)
    >>> find_rank(environ={}) is None
    True
    """
    variables: Mapping[str, str] = os.environ if environ is None else environ

    def number(name: str, default: str = "") -> int:
        text = variables.get(name, default)
        if not re.fullmatch(r"[0-9]{1,9}", text):
            msg = f"{name} must be a number where several processes are launched; it is {text!r}."
            raise DataError(msg)
        return int(text)

    if shard is not None:
        if shard == "0/1":  # so that scripts need no special case
            return None
        asked = Shard.parse(shard)
        return Rank(asked.index, asked.count, launched=False)
    if all(variables.get(name) for name in _TORCHRUN):
        index, count = number("RANK"), number("WORLD_SIZE")
        local = number("LOCAL_RANK", "0"), max(1, number("LOCAL_WORLD_SIZE", "1"))
        meets = True
    elif variables.get("SLURM_PROCID") and variables.get("SLURM_STEP_NUM_TASKS"):
        index, count = number("SLURM_PROCID"), number("SLURM_STEP_NUM_TASKS")
        here = re.findall(r"([0-9]+)(?:\(x[0-9]+\))?", variables.get("SLURM_STEP_TASKS_PER_NODE", ""))
        local = number("SLURM_LOCALID", "0"), max([1, *map(int, here)])
        meets = bool(variables.get("MASTER_ADDR") and variables.get("MASTER_PORT"))
    else:
        return None
    if count < 2:
        return None
    rank = Rank(index, count, *local, meets=meets)
    _ = rank.shard  # refuses an index that is not below the count
    return rank


class Team:
    """All ranks of one extraction, as seen from one of them; a context manager around all that may fail.

    They meet twice: before anything is computed, to see that all work on the same thing; and when each has finished or
    failed. Between the two no rank needs another one. A rank that fails waits for the others, since launchers end
    all when one has ended.

    Parameters
    ----------
    rank : Rank

    Attributes
    ----------
    told : bool
        Whether rank 0 raises the same error as this one, and so this one need not be shown.
    open : bool
        Whether the others are still to be met.
    shards : tuple of Path
        Folders of all shards, once it is known what they are.
    """

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        self.told = False
        self.shards: tuple[Path, ...] = ()
        self.open = False
        self._group: Any = None
        self._stack = contextlib.ExitStack()

    @property
    def first(self) -> bool:
        """Whether this is the one that shows progress and results."""
        return self.rank.index == 0 or not self.rank.launched

    def __enter__(self) -> Team:
        with contextlib.ExitStack() as stack:
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(self.rank.threads())
            if self.rank.meets:
                self._group = self._meet(stack)
                self.open = True
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if self.open and isinstance(error, Exception):
                with contextlib.suppress(FusionferError):  # whatever is wrong with the others, this error is told
                    self._exchange(error=str(error) or type(error).__name__)

    def extract(
        self,
        faces: FaceSet,
        backbones: str | Backbone | Sequence[str | Backbone] = ("resnet34", "resnet50"),
        levels: str | Sequence[str] = "penultimate",
        *,
        cache: str | Path,
        device: str = "auto",
        **options: Any,
    ) -> ExtractionReport | None:
        """Compute this rank's shard; on rank 0, when all have theirs, join them.

        Parameters are those of `fusionfer.extraction.extract_to_cache`.

        Returns
        -------
        ExtractionReport or None
            Of the whole, on rank 0; None on others. Of the shard, where ranks do not meet.

        Raises
        ------
        DataError
            If the ranks do not work on the same data, or there are fewer batches than ranks.
        IncompleteCacheError
            If another rank failed or ended; the message says which.
        CacheError, and all that `extract_to_cache` raises
        """
        folder = CacheFolder(cache)

        def agree(mine: dict[str, Any]) -> None:
            self.shards = shard_folders(folder.path, mine, self.rank.count)
            if self.open:
                self._agree(mine)

        report = extract_to_cache(
            faces, backbones, levels, cache=cache, device=self.rank.device(device),
            shard=replace(self.rank.shard, agree=agree, least=self._least if self.open else None), **options,
        )  # fmt: skip
        if not self.open:
            return report
        done = {"computed": report.computed, "seconds": report.seconds, "skipped": report.skipped}
        everyone = self._exchange(done, stop=options.get("stop"))
        self.open = False
        if self.rank.index:
            return None
        return self._joined(folder, report, everyone, len(faces), options)

    def _joined(
        self, folder: CacheFolder, report: ExtractionReport, everyone: list[Any], n: int, options: dict[str, Any]
    ) -> ExtractionReport:
        names = {block: path.name for block, path in report.files.items() if path.parent != folder.path}
        before = [path.name for block, path in report.files.items() if block not in names]
        joined = join_shards(
            folder, self.shards, list(names.values()), before,
            wait=options.get("wait", 0.0), lock=options.get("lock", True), stop=options.get("stop"),
            progress=options.get("progress"),
        )  # fmt: skip
        return replace(
            report,
            cache=folder.path,
            files={block: joined.get(path.name, path) for block, path in report.files.items()},
            explanations={
                **report.explanations,
                **dict.fromkeys(names, f"Made of {self.rank.count} shards, one by each process."),
            },
            n=n,
            computed=sum(one["computed"] for one in everyone),
            skipped=tuple(sorted({sample: why for one in everyone for sample, why in one["skipped"]}.items())),
            seconds=max(one["seconds"] for one in everyone),
        )

    def _agree(self, mine: dict[str, Any]) -> None:
        """Raise the same error on all ranks if one works on something else than rank 0."""
        host = socket.gethostname()
        everyone = self._all_told("plan", {"host": host, "plan": mine})
        first = everyone[0]
        wrong = [
            f"rank {i} (on {one['host']}) has {'; '.join(said)}"
            for i, one in enumerate(everyone)
            if (said := differences(first["plan"], one["plan"]))
        ]
        if wrong:
            self.open, self.told = False, self.rank.index > 0
            msg = (
                f"Not all ranks work on the same thing as rank 0 (on {first['host']}): {', '.join(wrong)}. Nothing was "
                "computed. Give all the same data and options."
            )
            raise DataError(msg)

    def _least(self, size: int) -> int:
        """Return the smallest batch size of all ranks."""
        return min(int(one["size"]) for one in self._all_told("size", {"size": size}))

    def _all_told(self, what: str, mine: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what all ranks tell, or raise the same error on all where some are at another point."""
        everyone = self._exchange(mine)
        if not all(what in one for one in everyone):
            self.open, self.told = False, self.rank.index > 0
            msg = (
                "Some ranks were given --batch-size auto and others a number. Nothing was computed; give all the same."
            )
            raise DataError(msg)
        return everyone

    def _meet(self, stack: contextlib.ExitStack) -> Any:
        """Return a group of all ranks, which may be of a program that uses torch.distributed by itself."""
        try:
            if not dist.is_initialized():
                dist.init_process_group(
                    "gloo", rank=self.rank.index, world_size=self.rank.count,
                    timeout=timedelta(seconds=_SECONDS_TO_MEET),
                )  # fmt: skip
                stack.callback(dist.destroy_process_group)
            return dist.new_group(backend="gloo", timeout=_FOR_EVER)
        except (RuntimeError, ValueError) as error:
            place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            msg = (
                f"Rank {self.rank.index} does not meet the other {self.rank.count - 1} at {place} "
                f"({str(error).splitlines()[0]}). Without them: --shard {self.rank.index}/{self.rank.count}."
            )
            raise DataError(msg) from error

    def _exchange(self, value: Any = None, error: str = "", stop: threading.Event | None = None) -> list[Any]:
        """Return what all ranks give, once all have given it; if any gives an error, all part for good."""
        mine = json.dumps({"value": value, "error": error}).encode()
        try:
            everyone = [json.loads(one) for one in self._gather(mine, stop)]
        except RuntimeError as broken:
            self.open = False
            raise IncompleteCacheError(self._unfinished()) from broken
        failed = {i: str(one["error"]) for i, one in enumerate(everyone) if one["error"]}
        if failed:
            self.open = False
            self.told = self.rank.index > 0 and (not error or failed.get(0) == error)
            said = " ".join(f"Rank {i} of {self.rank.count} failed: {text}" for i, text in failed.items())
            msg = f"{said} What is finished is kept; the same command goes on from there."
            raise IncompleteCacheError(msg)
        return [one["value"] for one in everyone]

    def _unfinished(self) -> str:
        """Say who may have died: the connection does not tell, but the files do."""
        left = [
            str(i) for i, folder in enumerate(self.shards)
            if CacheFolder(folder).parts() or not CacheFolder(folder).files()
        ]  # fmt: skip
        unfinished = f" Unfinished shards: {', '.join(left)} of {self.rank.count}." if left else ""
        return (
            f"Another rank ended without a word; it was killed, or its machine is gone.{unfinished} All batches "
            "that were committed are kept: run the same command again to go on."
        )

    def _gather(self, mine: bytes, stop: threading.Event | None) -> list[bytes]:
        """Return the bytes of all ranks; signals are heard while it waits."""

        def all_of(tensor: torch.Tensor) -> list[torch.Tensor]:
            found = [torch.empty_like(tensor) for _ in range(self.rank.count)]
            work = dist.all_gather(found, tensor, group=self._group, async_op=True)
            while not work.is_completed():
                if stop is not None and stop.is_set():
                    self.open = False
                    # The group's destructor would wait for the others; kept for ever, it ends with the process.
                    ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._group))
                    msg = "Stopped while waiting for the other ranks; this one's shard is finished and kept."
                    raise ExtractionInterrupted(msg)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            work.wait()
            return found

        sizes = [int(size) for size in all_of(torch.tensor([len(mine)]))]
        padded = torch.frombuffer(bytearray(mine.ljust(max(sizes))), dtype=torch.uint8)
        return [one.numpy().tobytes()[:size] for one, size in zip(all_of(padded), sizes, strict=True)]
