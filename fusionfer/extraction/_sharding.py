"""Shards: consecutive runs of whole batches of one row order, each a complete cache of its own until all are joined."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionfer.cache import (
    SHARD,
    SHARDS,
    CacheFolder,
    RowTable,
    block_name,
    file_name,
    key_differences,
    merge_shards,
    read_feature_file,
    refuse_other_data_set,
)
from fusionfer.exceptions import CacheError, DataError
from fusionfer.images import FaceSet

__all__ = ["SHARDS", "Shard", "Share", "differences", "join_shards", "shard_folders"]

Keys = Mapping[tuple[str, str], dict[str, Any]]
Progress = Callable[[int, int, str], None]

_COLUMNS = ("ids", "labels", "splits", "groups")


@dataclass(frozen=True)
class Shard:
    """One of several processes' parts of a data set: which rows it is follows from the data alone.

    Attributes
    ----------
    index : int
        From 0 to `count` - 1.
    count : int
        At least 2.
    agree : callable, optional
        Called with what this process is about to work on, before anything is computed; it raises where the other
        processes work on something else.
    least : callable, optional
        Called with a batch size; returns the smallest one that any of the processes called it with.

    Raises
    ------
    DataError
        If there is no such shard.

    Examples
    --------
    >>> [Shard(i, 2).slice(100, 32) for i in range(2)]
    [slice(0, 64, None), slice(64, 100, None)]
    """

    index: int
    count: int
    agree: Callable[[dict[str, Any]], None] | None = field(default=None, compare=False, repr=False)
    least: Callable[[int], int] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.count < 2 or not 0 <= self.index < self.count:
            msg = (
                f"Shards are counted from 0: of {self.count} there is no number {self.index}. Allowed are 0/N to "
                "(N-1)/N, with N at least 2."
            )
            raise DataError(msg)

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``I/N``.

        Raises
        ------
        DataError
            If it reads otherwise, or there is no such shard.

        Examples
        --------
        >>> Shard.parse("0/4")
        Shard(index=0, count=4)
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found is None:
            msg = f"A shard is I/N, counted from 0, such as 0/4 or 3/4; got {text!r}."
            raise DataError(msg)
        return cls(int(found[1]), int(found[2]))

    def slice(self, n: int, batch_size: int) -> slice:
        """Return the rows of this shard: whole batches, and in any two shards the same number of them or one less.

        Raises
        ------
        DataError
            If there are fewer batches than shards.
        """
        batches = -(-n // batch_size)
        if batches < self.count:
            msg = (
                f"{n} faces in batches of {batch_size} are too few for {self.count} shards, each of which is whole "
                "batches. Use fewer processes, or smaller batches."
            )
            raise DataError(msg)
        begin, end = (number * batches // self.count for number in (self.index, self.index + 1))
        return slice(begin * batch_size, min(end * batch_size, n))

    def batch_size(
        self, cache: CacheFolder, rows: RowTable, keys: Keys, engine: str, sizes: Iterable[int],
        find: Callable[[], int],
    ) -> int:  # fmt: skip
        """Return the batch size of all processes: that of shards that were begun, else what fits everywhere.

        Parameters
        ----------
        cache, rows, keys, engine
            As in `take`.
        sizes : iterable of int
            By which shards may have been begun.
        find : callable
            Returns the batch size that fits here.

        Raises
        ------
        DataError
            If the processes do not meet.
        """
        if self.least is None:
            msg = (
                "Shards that are computed one by one cannot agree on a batch size: give all of them the same number, "
                "as in --batch-size 64, instead of auto."
            )
            raise DataError(msg)
        plans = {size: {"engine": engine, **_fingerprint(rows, size)} for size in sizes}
        begun = [
            size for size, plan in plans.items()
            if any(folder.is_dir() for folder in shard_folders(cache.path, plan, self.count))
        ]  # fmt: skip
        finished = [cache.path / file_name(*name, key) for name, key in keys.items()]
        if all(path.exists() for path in finished):
            return min(sizes)  # nothing is to be computed
        # All look before any begins, as they meet here.
        return self.least(begun[0] if begun else find())

    def take(
        self,
        cache: CacheFolder,
        faces: FaceSet,
        rows: RowTable,
        keys: Keys,
        *,
        batch_size: int,
        engine: str,
        device: str,
        retry_failed: bool,
    ) -> Share:
        """Decide what is to be computed here, and where it goes.

        Parameters
        ----------
        cache : CacheFolder
            Of the whole data set; only looked at.
        faces, rows
            The whole data set, in the same order.
        keys : mapping of (backbone, level) to dict
            Keys of all blocks that are asked for, with ``dim``.
        batch_size : int
        engine, device : str
            What computes, and on which kind of device.
        retry_failed : bool
            Whether a block with rows that are known to fail counts as unfinished.

        Raises
        ------
        CacheError
            If the cache holds files that a merge would have to replace, or another data set.
        DataError
            If there are fewer batches than shards, or from `agree`.
        """
        part = self.slice(len(rows), batch_size)
        plan = {"engine": engine, **_fingerprint(rows, batch_size)}
        # Now, and not after hours of computing: the merged file would lie beside those of another data set.
        refuse_other_data_set(cache.path, [read_feature_file(path) for path in cache.files()], rows)
        there = _there(cache, keys, rows, retry_failed=retry_failed)
        if self.agree is not None:
            blocks = {block_name(*name): key for name, key in keys.items()}
            there_names = sorted(block_name(*name) for name in there)
            self.agree({**plan, "device": device, "blocks": blocks, "there": there_names})
        folders = shard_folders(cache.path, plan, self.count)
        own = RowTable(*(getattr(rows, name)[part] for name in (*_COLUMNS, "digests")))
        return Share(faces.take(range(len(faces))[part]), own, self.index, folders, there)


@dataclass(frozen=True, eq=False)
class Share:
    """What one process computes.

    Attributes
    ----------
    faces : FaceSet
    rows : RowTable
        Only those of this shard.
    index : int
    folders : tuple of Path
        Of all shards. Their names tell which data they are of, in which order and batches, and by which engine, by a
        hash, so that shards of different data never lie together.
    there : dict of (str, str) to Path
        Blocks that the whole cache has already.
    """

    faces: FaceSet
    rows: RowTable
    index: int
    folders: tuple[Path, ...]
    there: dict[tuple[str, str], Path]

    @property
    def folder(self) -> CacheFolder:
        """Where this shard lies."""
        return CacheFolder(self.folders[self.index])

    @property
    def record(self) -> dict[str, Any]:
        """What its files record besides: which shard they are."""
        return {SHARD: {"index": self.index, "count": len(self.folders)}}


def shard_folders(cache: Path, plan: Mapping[str, Any], count: int) -> tuple[Path, ...]:
    """Return where the shards of a cache lie, by the data that `Shard.agree` gets."""
    told = {name: plan[name] for name in ("rows", "batch_size", "engine", *_COLUMNS, "images")}
    name = hashlib.sha256(repr(told).encode()).hexdigest()[:8]
    return tuple(cache / SHARDS / f"{name}-{i}-of-{count}" for i in range(count))


def _fingerprint(rows: RowTable, batch_size: int) -> dict[str, Any]:
    """Return hashes by which two processes see whether, and about where, their data differ."""

    def digest(values: Iterable[str]) -> str:
        return hashlib.sha256("\0".join(values).encode()).hexdigest()

    starts = range(0, len(rows), batch_size)
    return {
        "rows": len(rows),
        "batch_size": batch_size,
        **{name: digest(getattr(rows, name).tolist()) for name in _COLUMNS},
        "images": "".join(digest(rows.digests[start : start + batch_size].tolist())[:8] for start in starts),
    }


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Say how what `other` works on differs from what `one` does, as `Shard.agree` gets them; empty if it does not."""
    said = [
        f"{other[name]:,} {what} instead of {one[name]:,}"
        for name, what in (("rows", "faces"), ("batch_size", "faces in a batch"))
        if one[name] != other[name]
    ]
    said += [
        f"{name} {other[name]} instead of {one[name]}" for name in ("engine", "device") if one[name] != other[name]
    ]
    if one["rows"] == other["rows"]:
        said += [f"other {name}" for name in _COLUMNS if one[name] != other[name]]
    same_rows = one["rows"] == other["rows"] and one["batch_size"] == other["batch_size"]
    if same_rows and one["images"] != other["images"]:
        pieces = [[plan["images"][i : i + 8] for i in range(0, len(plan["images"]), 8)] for plan in (one, other)]
        wrong = [number for number, (a, b) in enumerate(zip(*pieces, strict=True)) if a != b]
        begin = wrong[0] * one["batch_size"]
        end = min(begin + one["batch_size"], one["rows"])
        where = f"the first: rows {begin} to {end - 1}, counted from 0"
        said.append(f"other images in {len(wrong)} of {len(pieces[0])} batches ({where})")
    for name, (mine, its) in key_differences(one["blocks"], other["blocks"]).items():
        said.append(f"{name} {str(its)[:40]} instead of {str(mine)[:40]}")
    if one["there"] != other["there"]:
        said.append(
            f"a cache that has {', '.join(other['there']) or 'nothing'}, not {', '.join(one['there']) or 'nothing'}"
        )
    return said


def _there(cache: CacheFolder, keys: Keys, rows: RowTable, *, retry_failed: bool) -> dict[tuple[str, str], Path]:
    """Return the blocks that are whole in `cache`; refuse to work on those that are there and are not."""
    found = {}
    for (backbone, level), key in keys.items():
        path = cache.path / file_name(backbone, level, key)
        unfinished = [part for part in cache.parts() if part.stem == path.name]
        why = f"{unfinished[0].name} is unfinished" if unfinished else ""
        if path.exists():
            stored = read_feature_file(path)
            why = stored.rows.difference(rows)
            if stored.verify():
                why = "it is damaged"
            elif retry_failed and stored.reasons:
                why = f"{len(stored.reasons)} rows have no features and are to be tried again"
            if not why:
                found[backbone, level] = path
        if why:
            msg = (
                f"{cache.path} has {block_name(backbone, level)} already, but not for just these images ({why}). "
                "Several processes only make whole files: run the same command in one process, which computes no more "
                "than what is missing, or give another --cache."
            )
            raise CacheError(msg)
    return found


def join_shards(
    cache: CacheFolder,
    folders: Sequence[Path],
    names: Sequence[str],
    joined_before: Sequence[str] = (),
    *,
    wait: float,
    lock: bool,
    stop: threading.Event | None = None,
    progress: Progress | None,
) -> dict[str, Path]:
    """Join finished shards into files of `cache`, then remove them: the cache is left as by a single process.

    Parameters
    ----------
    cache : CacheFolder
    folders : sequence of Path
        Of all shards.
    names : sequence of str
        Names of the files that each of them holds.
    joined_before : sequence of str
        Names of files that `cache` has already, of which a run that was killed may have left shards.
    wait, lock, stop, progress
        As in `extract_to_cache`; `stop` ends waiting.

    Returns
    -------
    dict of str to Path
        Name -> the joined file.

    Raises
    ------
    CacheError
        If a shard is not to be seen from here, damaged or unfinished, or there is no room; all shards are left then.
    """
    hidden = [folder / name for folder in folders for name in names if not (folder / name).exists()]
    if hidden:
        msg = (
            f"{hidden[0]} is finished, but not to be seen from here: the cache must lie on a file system that all "
            "processes share. Copy the shards into one place and join them with `fusionfer cache merge`."
        )
        raise CacheError(msg)
    joined = {}
    with cache.lock(wait, required=lock, stop=stop) if names else contextlib.nullcontext():
        for name in names:
            joined[name], _ = merge_shards(cache, [folder / name for folder in folders], progress=progress)
    for folder in folders:
        for path in (*(folder / name for name in (*names, *joined_before)), *folder.glob(".lock*")):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # whatever else lies there is not ours to remove
            folder.rmdir()
    with contextlib.suppress(OSError):
        (cache.path / SHARDS).rmdir()
    return joined
