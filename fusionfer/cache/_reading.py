"""Reading cache files: whole ones as features, any of them to say what they hold."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fusionfer.cache._checks import plain
from fusionfer.cache._format import ABSENT, DONE, FAILED, PART, block_crc, block_name
from fusionfer.cache._layout import Layout, read_layout
from fusionfer.cache._rows import RowTable
from fusionfer.exceptions import CacheError, CacheFormatError, IncompleteCacheError

__all__ = [
    "Damage",
    "FileDescription",
    "StoredFeatures",
    "describe",
    "open_stored",
    "read_feature_file",
    "refuse_damaged",
]

_PIECE_BYTES = 1 << 21  # what is read before it is copied on stays in the processor's cache


class Damage(NamedTuple):
    """One block of rows that cannot be trusted: rows `start` to `stop` (not included), and why."""

    block: int
    start: int
    stop: int
    reason: str


@dataclass(frozen=True, eq=False)
class StoredFeatures:
    """One cache file, opened for reading.

    Attributes
    ----------
    layout : Layout
        What the file says of itself.
    state : ndarray of uint8, shape (n,)
        0 absent, 1 done, 2 failed.
    """

    layout: Layout
    state: np.ndarray

    @property
    def path(self) -> Path:
        """The file."""
        return self.layout.path

    @property
    def rows(self) -> RowTable:
        """Ids, labels, splits, groups and image hashes."""
        return self.layout.rows

    @property
    def backbone(self) -> str:
        """Name of the backbone."""
        return self.layout.backbone

    @property
    def level(self) -> str:
        """Name of the level."""
        return self.layout.level

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.layout.dim

    @property
    def key(self) -> dict[str, Any]:
        """What decides whether the file is a hit."""
        return self.layout.key

    @property
    def record(self) -> dict[str, Any]:
        """What is recorded besides: names, paths, versions."""
        return self.layout.record

    @property
    def complete(self) -> bool:
        """Whether each row is done or known to have failed."""
        return not np.any(self.state == ABSENT)

    @property
    def done(self) -> np.ndarray:
        """Mask of the rows that have features; bool, shape (n,)."""
        return self.state == DONE

    @property
    def X(self) -> np.ndarray:  # noqa: N802  (the field's name)
        """Features as a read-only memory map; float32, shape (n, dim). Rows that failed hold zeros: see `done`.

        Raises
        ------
        IncompleteCacheError
            If a row is absent, since what stands in its place is no feature.
        """
        if not self.complete:
            raise _incomplete(self)
        return self.features_map

    @cached_property
    def features_map(self) -> np.ndarray:
        """The map behind `X`, whatever the states say; for those who look at `state` themselves."""
        return self.layout.map("features")

    def copy_into(self, out: np.ndarray) -> None:
        """Copy all features into an array, at the speed of a copy in memory where the file is in the page cache.

        A new memory map has to find its pages one by one, which takes as long as the copy itself; this does not.

        Parameters
        ----------
        out : ndarray of float32, shape (n, dim)
            May be some columns of a wider array.

        Raises
        ------
        IncompleteCacheError
            If a row is absent.
        CacheFormatError
            If the file has become shorter since it was opened.
        """
        if not self.complete:
            raise _incomplete(self)
        n = len(self.rows)
        rows = max(1, _PIECE_BYTES // (4 * self.dim))
        straight = out.flags.c_contiguous and out.dtype == np.dtype("<f4")

        def copy(start: int) -> None:
            into = out[start : start + rows]
            piece = into if straight else np.empty(into.shape, dtype="<f4")
            self._read_into(piece, start)
            if not straight:
                into[...] = piece

        # Two, since one processor alone cannot fill the path to memory.
        with ThreadPoolExecutor(2, thread_name_prefix="read") as pool:
            list(pool.map(copy, range(0, n, rows)))

    def _read_into(self, piece: np.ndarray, start: int) -> None:
        left = piece.view(np.uint8).reshape(-1).data
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.layout.offsets["features"] + start * self.dim * 4)
                while left and (got := file.readinto(left)):
                    left = left[got:]
        except OSError as error:
            msg = f"Cannot read {self.path}: {error.strerror}."
            raise CacheError(msg) from error
        if left:
            msg = f"{self.path} has become shorter while it was read; extract it again."
            raise CacheFormatError(msg)

    @cached_property
    def reasons(self) -> dict[int, str]:
        """Row -> why it failed, for the rows that did; on one line, without signs that could steer a terminal."""
        stored = self.layout.map("reasons")
        return {int(i): plain(stored[i].decode("utf-8", "replace")) for i in np.flatnonzero(self.state == FAILED)}

    def verify(self) -> list[Damage]:
        """Compare each block with its checksum.

        Returns
        -------
        list of Damage
            Blocks whose bytes are not those that were committed, or cannot have been committed by fusionfer. A block
            that was never committed is none of them.
        """
        crcs, reasons, features = self.layout.map("crc32"), self.layout.map("reasons"), self.features_map
        damages = []
        for block in range(self.layout.blocks):
            start = block * self.layout.block_rows
            stop = min(start + self.layout.block_rows, len(self.rows))
            state = self.state[start:stop]
            if not state.any():
                continue
            if stop > len(features):
                damages.append(Damage(block, start, stop, "the file is cut off"))
            elif block_crc(features[start:stop], state, reasons[start:stop]) != crcs[block]:
                damages.append(Damage(block, start, stop, "its checksum differs"))
            elif state.max() > FAILED:
                damages.append(Damage(block, start, stop, "it has states that do not exist"))
            elif not _finite(features[start:stop]):
                damages.append(Damage(block, start, stop, "it holds NaN or infinity"))
        return damages


def _finite(features: np.ndarray) -> bool:
    """Tell whether all numbers are finite; their sum alone says so nearly always, and needs no memory."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(features.sum()) or np.isfinite(features).all())


def open_stored(path: Path) -> StoredFeatures:
    """Open a cache file, finished or not."""
    layout = read_layout(path)
    return StoredFeatures(layout, np.array(layout.map("state")))


def read_feature_file(path: str | os.PathLike[str]) -> StoredFeatures:
    """Open a complete cache file.

    Checksums are not compared here: `StoredFeatures.verify` does it.

    Parameters
    ----------
    path : str or path-like
        An ``.h5`` file of a cache.

    Returns
    -------
    StoredFeatures
        Its features are a read-only memory map.

    Raises
    ------
    CacheFormatError
        If the file is no cache, is damaged, or has another format version.
    IncompleteCacheError
        If rows are absent, or the file is the ``.part`` of an extraction that has not finished.
    """
    stored = open_stored(Path(path))
    if stored.path.suffix == PART or not stored.complete:
        raise _incomplete(stored)
    return stored


def refuse_damaged(stored: StoredFeatures) -> None:
    """Raise CacheFormatError if a block is not what was committed.

    Raises
    ------
    CacheFormatError
        With the rows in question.
    """
    damages = stored.verify()
    if damages:
        places = ", ".join(f"{damage.start}-{damage.stop - 1}" for damage in damages[:5])
        more = f" and {len(damages) - 5} blocks more" if len(damages) > 5 else ""
        msg = (
            f"{stored.path} is damaged: rows {places}{more} do not have the checksum written with them. "
            "Run the same `fusionfer extract` again: it computes just these anew."
        )
        raise CacheFormatError(msg)


def _incomplete(stored: StoredFeatures) -> IncompleteCacheError:
    absent = int(np.sum(stored.state == ABSENT))
    msg = (
        f"{stored.path} is unfinished: {absent} of {len(stored.rows)} rows are missing. "
        "Run the same `fusionfer extract` again: it goes on where it was."
    )
    return IncompleteCacheError(msg)


@dataclass(frozen=True)
class FileDescription:
    """What `fusionfer info` says of a cache file.

    Attributes
    ----------
    path : str
        The file.
    block : str
        ``backbone:level``.
    rows, done, failed, absent : int
        Counts of rows.
    complete, intact : bool
        Whether no row is absent and the file is no ``.part``; whether no block is damaged.
    dim, block_rows, bytes : int
        Columns, rows per checksum, size of the file.
    damages : tuple of Damage
        Blocks that do not have the checksum written with them.
    failures : dict of str to str
        Id -> why there are no features of it.
    labels, splits : dict of str to int
        How many rows have each; the empty name stands for those without.
    key, record : dict
        Provenance: what decides a hit, and what is recorded besides.
    created, written_by : str
        When and by what the file was made.
    """

    path: str
    block: str
    rows: int
    done: int
    failed: int
    absent: int
    complete: bool
    intact: bool
    dim: int
    block_rows: int
    bytes: int
    damages: tuple[Damage, ...]
    failures: dict[str, str]
    labels: dict[str, int]
    splits: dict[str, int]
    key: dict[str, Any]
    record: dict[str, Any]
    created: str
    written_by: str


def describe(path: str | os.PathLike[str]) -> FileDescription:
    """Say what a cache file holds, finished or not, and compare all its checksums.

    Parameters
    ----------
    path : str or path-like
        An ``.h5`` or ``.part`` file of a cache.

    Returns
    -------
    FileDescription
        All that is to be said of it.

    Raises
    ------
    CacheFormatError
        If the file is no cache, is too damaged to be opened, or has another format version.
    """
    stored = open_stored(Path(path))
    damages = stored.verify()
    counts = np.bincount(stored.state, minlength=3)
    return FileDescription(
        path=str(stored.path),
        block=block_name(stored.backbone, stored.level),
        rows=len(stored.rows),
        done=int(counts[DONE]),
        failed=int(counts[FAILED]),
        absent=int(counts[ABSENT]),
        complete=stored.complete and stored.path.suffix != PART,
        intact=not damages,
        dim=stored.dim,
        block_rows=stored.layout.block_rows,
        bytes=stored.path.stat().st_size,
        damages=tuple(damages),
        failures={str(stored.rows.ids[i]): reason for i, reason in stored.reasons.items()},
        labels=dict(sorted(Counter(stored.rows.labels.tolist()).items())),
        splits=dict(sorted(Counter(stored.rows.splits.tolist()).items())),
        key=stored.key,
        record=stored.record,
        created=stored.layout.created,
        written_by=stored.layout.written_by,
    )
