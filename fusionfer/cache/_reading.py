"""Reading cache files as features: as a memory map, or copied into an array."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fusionfer.cache._checks import plain
from fusionfer.cache._format import ABSENT, DONE, FAILED, PART, block_crc
from fusionfer.cache._layout import Layout, read_layout
from fusionfer.cache._rows import RowTable
from fusionfer.exceptions import CacheError, CacheFormatError, IncompleteCacheError

__all__ = ["Damage", "StoredFeatures", "open_stored", "read_feature_file", "refuse_damaged"]

_PIECE_BYTES = 1 << 23  # read at a time
_BUFFER_BYTES = 1 << 20  # what is read before it is copied on stays in the processor's cache


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

        A new memory map has to find its pages one by one, which takes half as long as the copy itself; this does not.

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
        straight = out.flags.c_contiguous and out.dtype == np.dtype("<f4")
        rows = max(1, (_PIECE_BYTES if straight else _BUFFER_BYTES) // (4 * self.dim))
        starts = deque(range(0, len(self.rows), rows))
        # Two threads, since one processor alone cannot fill the path to memory. Each takes the next piece when it is
        # ready, as the other processor may be busy; pieces are large, since handing out small ones cost a tenth.
        with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
            other = pool.submit(self._copy_pieces, out, starts, rows, straight)
            self._copy_pieces(out, starts, rows, straight)
            other.result()

    def _copy_pieces(self, out: np.ndarray, starts: deque[int], rows: int, straight: bool) -> None:
        """Copy pieces of so many rows to their places in `out`, as long as there are any in `starts`."""
        buffer = np.empty((0 if straight else rows, self.dim), dtype="<f4")
        begin = self.layout.offsets["features"]
        try:
            with self.path.open("rb", buffering=0) as file:
                for start in _taken(starts):
                    into = out[start : start + rows]
                    piece = into if straight else buffer[: len(into)]
                    file.seek(begin + start * self.dim * 4)
                    left = piece.view(np.uint8).reshape(-1).data
                    while left and (got := file.readinto(left)):
                        left = left[got:]
                    if left:
                        msg = f"{self.path} has become shorter while it was read; extract it again."
                        raise CacheFormatError(msg)
                    if not straight:
                        into[...] = piece
        except CacheError:
            raise
        except OSError as error:
            msg = f"Cannot read {self.path}: {error.strerror}."
            raise CacheError(msg) from error
        finally:
            starts.clear()  # after an error, or Ctrl-C, the other thread need not read the rest of a large file

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


def _taken(starts: deque[int]) -> Iterator[int]:
    """Take what is left, piece by piece, while another thread takes some too."""
    with suppress(IndexError):
        while True:
            yield starts.popleft()


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
