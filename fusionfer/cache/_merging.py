"""Shards of one extraction into the file that one process would have written: rows and marks are copied as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.cache._disk import disk_errors, require_room, reserve, sync_folder
from fusionfer.cache._examining import examine
from fusionfer.cache._format import (
    PART,
    REASON_BYTES,
    block_crc,
    block_name,
    canonical_json,
    file_name,
    key_differences,
)
from fusionfer.cache._layout import create_file, file_size
from fusionfer.cache._planning import NEW, read_made, refuse_other_data_set
from fusionfer.cache._reading import StoredFeatures, open_stored, read_feature_file
from fusionfer.cache._rows import TEXTS, RowTable
from fusionfer.exceptions import CacheError, CacheFormatError

if TYPE_CHECKING:
    from fusionfer.cache._folder import CacheFolder

__all__ = ["SHARD", "merge_shards"]

#: In a shard's record: {"index": i, "count": k}, the i-th of k consecutive runs of whole batches of one row order.
SHARD = "shard"
_BYTES = 1 << 23  # copied at a time

Progress = Callable[[int, int, str], None]


def merge_shards(folder: CacheFolder, paths: Sequence[Path], *, progress: Progress | None = None) -> tuple[Path, bool]:
    """Join complete files of one key into one file of `folder`; call it inside the folder's lock.

    Parameters
    ----------
    folder : CacheFolder
        Where the file shall lie.
    paths : sequence of Path
        One file per shard, in the order of rows; where their records say which shard they are, that counts.
    progress : callable, optional
        Called as ``progress(rows_done, rows_total, "merging")``.

    Returns
    -------
    path : Path
        The file, under the name that its key gives it.
    new : bool
        Whether it was made; False if it was there already and holds just this.

    Raises
    ------
    CacheError
        If the shards do not belong together; both sides are shown. If another file has the name, or the folder holds
        another data set.
    CacheFormatError
        If a shard is damaged, or a file of the folder cannot be read.
    IncompleteCacheError
        If a shard is unfinished.
    StoreFullError
        If there is no room.
    """
    folder.require_lock()
    shards = _in_order([read_feature_file(path) for path in paths])
    _require_fit(shards)
    rows, record = _joined_rows(shards), _joined_record(shards)
    refuse_other_data_set(folder.path, [open_stored(file) for file in [*folder.files(), *folder.parts()]], rows)
    key, block_rows = shards[0].key, shards[0].layout.block_rows
    path = folder.path / file_name(shards[0].backbone, shards[0].level, key)
    if path.exists():
        _require_same(path, rows, shards)
        return path, False
    new = path.with_name(path.name + PART + NEW)
    advice = "The shards are untouched. Free space, or merge into a folder on another disk."
    with disk_errors(path, "make", advice):
        size = file_size(rows, key["dim"], record, block_rows)
        require_room(folder.path, size)
        try:
            create_file(new, key=key, record=record, rows=rows, block_rows=block_rows)
            _copy(shards, new, progress)
            os.replace(new, path)  # noqa: PTH105  (the one step that makes it a cache)
            sync_folder(folder.path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    return path, True


def _in_order(shards: list[StoredFeatures]) -> list[StoredFeatures]:
    """Return the shards by their recorded numbers, or as they came where none is recorded."""
    if not shards:
        msg = "There are no shards to merge."
        raise CacheError(msg)
    told = [shard.record.get(SHARD) for shard in shards]
    if all(one is None for one in told):
        return shards
    numbers = [(one.get("index"), one.get("count")) if isinstance(one, dict) else (None, None) for one in told]
    count = numbers[0][1]
    if sorted(numbers, key=str) != sorted([(i, count) for i in range(len(shards))], key=str) or count != len(shards):
        said = ", ".join(
            f"{shard.path}: {f'number {index} of {of}, counted from 0' if index is not None else 'no number'}"
            for shard, (index, of) in zip(shards, numbers, strict=True)
        )
        msg = f"These are not all shards of one extraction, each once ({said}). Give all of them."
        raise CacheError(msg)
    return sorted(shards, key=lambda shard: int(shard.record[SHARD]["index"]))


def _require_fit(shards: list[StoredFeatures]) -> None:
    """Refuse shards that a single process would not have written as one file, with what differs on both sides."""
    first = shards[0]
    for other in shards[1:]:
        if canonical_json(first.key) != canonical_json(other.key):
            raise _conflict("key", first, other, key_differences(first.key, other.key))
        sizes = first.layout.block_rows, other.layout.block_rows
        if sizes[0] != sizes[1]:
            raise _conflict("batch size", first, other, {"block_rows": sizes})
        engines = first.record.get("engine"), other.record.get("engine")
        if engines[0] != engines[1]:  # they agree closely, but not to the bit; a file has one
            raise _conflict("engine", first, other, {"engine": engines})
    for shard in shards[:-1]:
        left = len(shard.rows) % shard.layout.block_rows
        if left:
            msg = (
                f"{shard.path} has {len(shard.rows)} rows, which is no multiple of its batches of "
                f"{shard.layout.block_rows}: only the last shard may end within a batch. Order or shards are wrong."
            )
            raise CacheError(msg)
    seen: dict[str, Path] = {}
    for shard in shards:
        ids = shard.rows.ids.tolist()
        twice = [row for row in ids if row in seen]
        if twice:
            msg = (
                f"{len(twice)} rows of {shard.path} are in {seen[twice[0]]} too (first: {twice[0]}). "
                "Shards have different rows."
            )
            raise CacheError(msg)
        seen.update(dict.fromkeys(ids, shard.path))


def _conflict(
    what: str, first: StoredFeatures, other: StoredFeatures, differences: dict[str, tuple[Any, Any]]
) -> CacheError:
    """Return the error that shows what differs, and where both come from."""
    sides = [
        f"{shard.path} ({block_name(shard.backbone, shard.level)}, {len(shard.rows)} x {shard.dim} float32, "
        f"{shard.layout.created} by {shard.layout.written_by}) has "
        + ", ".join(f"{field} {values[side]!r}" for field, values in differences.items())
        for side, shard in enumerate((first, other))
    ]
    return CacheError(f"Shards of another {what} cannot be merged: {'; '.join(sides)}.")


def _joined_rows(shards: list[StoredFeatures]) -> RowTable:
    return RowTable(*(np.concatenate([getattr(shard.rows, name) for shard in shards]) for name in (*TEXTS, "digests")))


def _joined_record(shards: list[StoredFeatures]) -> dict[str, Any]:
    """Return the record of a single process; where shards differ, that of the first, and all in its history."""
    distinct: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    for shard in shards:
        record = {name: value for name, value in shard.record.items() if name not in (SHARD, "history")}
        if record not in distinct:
            distinct.append(record)
        history += [old for old in shard.record.get("history", []) if old not in history]
    history += [other for other in distinct[1:] if other not in history]
    return {**distinct[0], "history": history} if history else distinct[0]


def _copy(shards: list[StoredFeatures], new: Path, progress: Progress | None) -> None:
    """Copy features, marks, reasons and checksums of all shards, one behind the other, each block proven."""
    layout = read_made(new)
    block_rows, dim = layout.block_rows, layout.dim
    step = max(1, _BYTES // (4 * dim * block_rows)) * block_rows
    with new.open("r+b", buffering=0) as stream:
        reserve(stream.fileno(), new.stat().st_size)

        def write(name: str, place: int, values: np.ndarray) -> None:
            stream.seek(layout.offsets[name] + place)
            left = memoryview(values.tobytes())
            while left:
                left = left[stream.write(left) :]

        done = 0
        for shard in shards:
            crcs, reasons = shard.layout.map("crc32"), shard.layout.map("reasons")
            for start in range(0, len(shard.rows), step):
                rows = slice(start, min(start + step, len(shard.rows)))
                features = np.array(shard.features_map[rows])  # one read, for the checksum and for the copy
                _require_sound(shard, start, features, reasons, crcs)
                at = done + start
                write("features", at * dim * 4, features)
                write("reasons", at * REASON_BYTES, reasons[rows])
                write("crc32", at // block_rows * 4, crcs[start // block_rows : -(-rows.stop // block_rows)])
                write("state", at, shard.state[rows])
                if progress is not None:
                    progress(done + rows.stop, len(layout.rows), "merging")
            done += len(shard.rows)
        os.fsync(stream.fileno())


def _require_sound(
    shard: StoredFeatures, begin: int, features: np.ndarray, reasons: np.ndarray, crcs: np.ndarray
) -> None:
    """Raise CacheFormatError unless each block of these rows has its checksum."""
    block_rows = shard.layout.block_rows
    for start in range(begin, begin + len(features), block_rows):
        stop = min(start + block_rows, begin + len(features))
        found = block_crc(features[start - begin : stop - begin], shard.state[start:stop], reasons[start:stop])
        if found != crcs[start // block_rows]:
            msg = (
                f"{shard.path} is damaged: rows {start}-{stop - 1} do not have the checksum written with them. "
                "Nothing was merged. `fusionfer cache repair` computes them again."
            )
            raise CacheFormatError(msg)


def _require_same(path: Path, rows: RowTable, shards: list[StoredFeatures]) -> None:
    """Accept a file that was merged before; refuse any other of this name."""
    there = examine(path)
    if there.stored is not None and there.sound and there.stored.rows.same_as(rows):
        bounds = np.cumsum([0, *(len(shard.rows) for shard in shards)])
        crcs = there.stored.layout.map("crc32")
        blocks = [int(bound) // there.stored.layout.block_rows for bound in bounds[:-1]]
        parts = [crcs[a:b] for a, b in pairwise([*blocks, len(crcs)])]
        same_size = there.stored.layout.block_rows == shards[0].layout.block_rows
        if same_size and all(
            np.array_equal(part, shard.layout.map("crc32")) for part, shard in zip(parts, shards, strict=True)
        ):
            return
    msg = f"{path} exists and is not what these shards give. Merge into another folder, or move it away."
    raise CacheError(msg)
