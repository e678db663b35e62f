"""Shards of a cache that lie where they were computed: found on the workers, and read there as one data set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.cache import SHARD, SHARDS, RowTable, block_name, read_feature_file, refuse_damaged
from fusionfer.cluster._files import FileRows, FileStack
from fusionfer.cluster._matrix import ClusterMatrix
from fusionfer.cluster._tasks import Task, ask
from fusionfer.exceptions import CacheError, ClusterError, IncompleteCacheError, unknown_name

if TYPE_CHECKING:
    from fusionfer.cluster._team import Team

__all__ = ["ShardedFeatures", "find_shards"]

_FOLDER = re.compile(r"([0-9a-f]{8})-(\d+)-of-(\d+)")
_OF_ONE = (SHARD, "history")  # what the record of a joined file does not say either
_TEXTS = ("ids", "labels", "splits", "groups", "digests")


@dataclass(frozen=True, eq=False)
class ShardedFeatures:
    """A data set whose rows lie in shards, one below the other in the order of the whole.

    Attributes
    ----------
    X : ClusterMatrix of shape (n, d)
        Of the rows that all blocks have.
    blocks : dict of str to slice
        Columns of each block.
    rows : RowTable
        Ids, labels, splits, groups and digests of these rows.
    keys, records : dict of str to dict
        What each block was computed by, and what its files record besides.
    count : int
        Number of shards.
    """

    X: ClusterMatrix = field(repr=False)
    blocks: dict[str, slice]
    rows: RowTable = field(repr=False)
    keys: dict[str, dict[str, Any]] = field(repr=False)
    records: dict[str, dict[str, Any]] = field(repr=False)
    count: int


@dataclass(frozen=True, eq=False)
class _Told:
    """What one shard's file says of itself."""

    block: str
    key: dict[str, Any]
    record: dict[str, Any]
    file: FileRows
    texts: dict[str, np.ndarray]
    done: np.ndarray
    complete: bool


def find_shards(cache: str | Path, team: Team, features: Sequence[str] | None = None) -> ShardedFeatures:
    """Find the shards of a cache that were not joined, on this machine and on those of the workers.

    Parameters
    ----------
    cache : str or Path
        Folder of the whole cache: the shards lie in ``shards/`` within it, on each machine those that were computed
        there, or all on a file system that is shared.
    team : Team
    features : sequence of str, optional
        Blocks, as ``backbone:level``, in this order; by default all.

    Returns
    -------
    ShardedFeatures

    Raises
    ------
    CacheError
        If there are none, some are nowhere to be seen, or they are of more than one data set.
    CacheFormatError
        If one is damaged; each is read once by a worker that sees it.
    IncompleteCacheError
        If one is not finished.
    UnknownNameError
        If there is no such block.
    """
    folder = Path(cache).absolute() / SHARDS
    workers = [worker.address for worker in team.refresh()]
    listed = ask(team, "list", {i: Task(worker, _list, (folder,)) for i, worker in enumerate(workers)})
    seen = {"": _list(folder), **{workers[i]: paths for i, paths in listed.items()}}  # "" is this process
    paths = sorted({path for paths in seen.values() for path in paths})
    runs = sorted({_parts(path)[:2] for path in paths})
    if len(runs) != 1:
        what = (
            f"shards of {len(runs)} runs ({', '.join(f'{run} in {count}' for run, count in runs)})" if runs else "none"
        )
        msg = (
            f"Shards of one data set are needed in {folder}, on this machine or on those of the workers; found {what}. "
            "Extract with --shard, or remove the shards that are not meant. Features that are no shards must lie in "
            "the folder of the cache, where this process sees them."
        )
        raise CacheError(msg)
    ((_, count),) = runs
    names = sorted({Path(path).name for path in paths})
    by_place = {(Path(path).name, _parts(path)[2]): path for path in paths}
    missing = [(name, index) for name in names for index in range(count) if (name, index) not in by_place]
    if missing:
        name, index = missing[0]
        msg = (
            f"{name} of shard {index} of {count} is to be seen neither here nor by any of the {len(team.workers)} "
            f"workers in {folder}. Extract it, or start a worker on the machine where it lies."
        )
        raise CacheError(msg)
    told = _describe_all(paths, seen, team)
    blocks = _chosen([[told[by_place[name, index]] for index in range(count)] for name in names], features)
    _verify_all([one.file.path for shards in blocks for one in shards], seen, team)
    return _joined(blocks, team)


def _chosen(blocks: list[list[_Told]], features: Sequence[str] | None) -> list[list[_Told]]:
    """The shards of the blocks that are asked for."""
    named: dict[str, list[_Told]] = {}
    for shards in blocks:
        name = shards[0].block
        if name in named:
            msg = (
                f"{named[name][0].file.path} and {shards[0].file.path} are both of {name}, by other weights or "
                "settings. Remove the shards of one of them."
            )
            raise CacheError(msg)
        named[name] = shards
    for name in features or ():
        if name not in named:
            raise unknown_name("block of shards", name, named)
    return [named[name] for name in (named if features is None else dict.fromkeys(features))]


def _joined(blocks: Sequence[Sequence[_Told]], team: Team) -> ShardedFeatures:
    """Lay the shards of each block below each other, and the blocks side by side."""
    stacks, columns, keys, records, done, start = [], {}, {}, {}, [], 0
    first = blocks[0]
    for shards in blocks:
        one = shards[0]
        for other, same_rows in zip(shards, first, strict=True):
            if other.key != one.key or not np.array_equal(other.texts["ids"], same_rows.texts["ids"]):
                msg = f"{other.file.path} is not of the rows, or not made as the rest, of {same_rows.file.path}."
                raise CacheError(msg)
        stack = FileStack(tuple(shard.file for shard in shards))
        stacks.append(stack)
        columns[one.block], keys[one.block] = slice(start, start + stack.shape[1]), one.key
        records[one.block] = {name: told for name, told in one.record.items() if name not in _OF_ONE}
        start += stack.shape[1]
        done.append(np.concatenate([shard.done for shard in shards]))
    every = np.all(done, axis=0)
    texts = [np.concatenate([shard.texts[name] for shard in first])[every] for name in _TEXTS]
    X = ClusterMatrix.stacked(stacks, team)
    X = X if every.all() else X.rows(every)
    return ShardedFeatures(X, columns, RowTable(*texts), keys, records, len(first))


def _parts(path: str) -> tuple[str, int, int]:
    """Run, number of shards and number of this shard, from where a file lies."""
    run, index, count = _FOLDER.fullmatch(Path(path).parent.name).groups()  # type: ignore[union-attr]
    return run, int(count), int(index)


def _list(folder: Path) -> list[str]:
    """On a worker too: the files of all shards in a folder."""
    found = folder.glob("*/*.h5") if folder.is_dir() else ()
    return sorted(str(path) for path in found if _FOLDER.fullmatch(path.parent.name))


def _describe_all(paths: Sequence[str], seen: dict[str, list[str]], team: Team) -> dict[str, _Told]:
    """Let each file be described by whoever sees it: this process where it can."""
    reader = {path: next(who for who, those in sorted(seen.items()) if path in those) for path in paths}
    told: dict[str, _Told] = {}
    for one in _asked(reader, _describe, "describe", team):
        told.update(one)
    unfinished = [path for path, one in told.items() if not one.complete]
    if unfinished:
        msg = f"{unfinished[0]} is not finished: run the extraction of this shard again, which goes on where it ended."
        raise IncompleteCacheError(msg)
    return told


def _verify_all(paths: Sequence[str], seen: dict[str, list[str]], team: Team) -> None:
    """Let each file be compared with its checksums, by a worker that sees it and has few others to read."""
    load = {who: 0 for who in seen if who}
    reader = {}
    for path in paths:
        able = [who for who in load if path in seen[who]] or [""]
        reader[path] = min(able, key=lambda who: load.get(who, 0))
        if reader[path]:
            load[reader[path]] += 1
    _asked(reader, _verify, "verify", team)


def _asked(reader: dict[str, str], function: Any, what: str, team: Team) -> list[Any]:
    """What a function says of files, each read by the worker that stands there, "" being this process."""
    paths = {who: [path for path, one in reader.items() if one == who] for who in sorted(set(reader.values()))}
    here = [function(paths.pop(""))] if "" in paths else []
    tasks = {i: Task(who, function, (mine,)) for i, (who, mine) in enumerate(paths.items())}
    found = ask(team, what, tasks)
    lost = [task for i, task in tasks.items() if i not in found]
    if lost:
        msg = (
            f"The worker {lost[0].worker} was lost while it read {lost[0].arguments[0][0]}. Start it again on the "
            "machine where that lies, and run again."
        )
        raise ClusterError(msg)
    return [*here, *found.values()]


def _verify(paths: Sequence[str]) -> None:
    """On a worker too: refuse files that are damaged."""
    for path in paths:
        refuse_damaged(read_feature_file(path))


def _describe(paths: Sequence[str]) -> dict[str, _Told]:
    """On a worker too: what these files say of themselves."""
    told = {}
    for path in paths:
        stored = read_feature_file(Path(path))
        shape, row = (len(stored.rows), stored.dim), 4 * stored.dim
        begin = stored.layout.offsets["features"]
        file = FileRows.at(Path(path), begin, begin, shape, row)
        texts = {name: getattr(stored.rows, name) for name in _TEXTS}
        told[path] = _Told(
            block_name(stored.backbone, stored.level),
            stored.key,
            stored.record,
            file,
            texts,
            stored.done,
            stored.complete,
        )
    return told
