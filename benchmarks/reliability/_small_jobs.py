"""Every way in which the cache writes, on ten rows: small enough to let each single call of it fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.reliability._judging import Reference, contents
from fusionfer.cache import CacheFolder, RowTable, examine, merge_shards, start_mending

__all__ = ["JOBS", "SmallJob"]

DIM, BLOCK = 5, 4
IDS = tuple(f"{i}.png" for i in range(10))
FAILS = "5.png"


@dataclass(frozen=True)
class SmallJob:
    """One way of writing.

    Attributes
    ----------
    name : str
    prepare : callable
        Makes what is there before, in the folder it is given, which does not exist.
    run : callable
        Does the job in that folder; again after an error, with the same result.
    """

    name: str
    prepare: Callable[[Path], object]
    run: Callable[[Path], object]

    def reference(self, folder: Path) -> Reference:
        """Return what is there before, and after a run that nothing disturbs."""
        self.prepare(folder)
        older = {path.name: contents(path) for path in CacheFolder(folder).files()}
        self.run(folder)
        return Reference({path.name: contents(path) for path in CacheFolder(folder).files()}, older, 0.0, {})


def row_table(ids: Sequence[str], changed: Sequence[str] = ()) -> RowTable:
    """Rows whose digest is that of their id, and another one for the ids in `changed`."""
    digests = [hashlib.sha256(f"{row}{'!' * (row in changed)}".encode()).hexdigest() for row in ids]
    columns = [np.array([value] * len(ids)) for value in ("happy", "train", "")]
    return RowTable(np.array(ids), *columns, np.array(digests))


def features_of(rows: RowTable) -> np.ndarray:
    """What a network would give; it depends on a row's digest only."""
    seeds = [int(digest[:8], 16) for digest in rows.digests.tolist()]
    return np.array([np.random.default_rng(seed).normal(size=DIM) for seed in seeds], dtype=np.float32)


def extract(folder: Path, rows: RowTable, blocks: int | None = None) -> None:
    """Do what extraction does, for the first `blocks` blocks or to the end."""
    cache = CacheFolder(folder)
    with (
        cache.lock(),
        cache.prepare(
            "resnet34", "logits", DIM, key={"size": 48}, record={"by": "test"}, rows=rows, block_rows=BLOCK
        ) as job,
    ):
        _fill(job, rows, blocks)
        if blocks is None:
            job.finish()


def _fill(job, rows: RowTable, blocks: int | None = None) -> None:
    X = features_of(rows)
    for start in range(0, len(rows), BLOCK)[:blocks]:
        block = slice(start, start + BLOCK)
        todo = job.todo[block]
        if todo.any():
            fails = {i: "no image" for i in np.flatnonzero(todo) if rows.ids[start + i] == FAILS}
            done = todo.copy()
            done[list(fails)] = False
            job.commit(start, X[block], done, fails)


def _damaged(folder: Path) -> None:
    extract(folder, row_table(IDS))
    (path,) = CacheFolder(folder).files()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _mend(folder: Path) -> None:
    cache = CacheFolder(folder)
    with cache.lock():
        found = examine(cache.files()[0])
        if not found.sound:
            assert found.stored is not None
            with start_mending(cache, found, found.stored.record) as job:
                _fill(job, found.stored.rows)
                job.finish()


def _shards(folder: Path) -> None:
    for number, ids in enumerate((IDS[:8], IDS[8:])):
        extract(folder.with_name(f"{folder.name}.shard{number}"), row_table(ids))


def _merge(folder: Path) -> None:
    cache = CacheFolder(folder)
    shards = [CacheFolder(folder.with_name(f"{folder.name}.shard{number}")) for number in (0, 1)]
    with cache.lock():
        merge_shards(cache, [path for shard in shards for path in shard.files()])


#: All of them are run by the tests, with each call failing in each way.
JOBS = (
    SmallJob("new", lambda folder: None, lambda folder: extract(folder, row_table(IDS))),
    SmallJob(
        "resumed", lambda folder: extract(folder, row_table(IDS), 1), lambda folder: extract(folder, row_table(IDS))
    ),
    SmallJob(
        "grown",
        lambda folder: extract(folder, row_table(IDS[1:7])),
        lambda folder: extract(folder, row_table(IDS, changed=("3.png",))),
    ),
    SmallJob("mended", _damaged, _mend),
    SmallJob("merged", _shards, _merge),
)
