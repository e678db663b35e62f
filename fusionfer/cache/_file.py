"""FeatureFile: writes one cache file block by block, so that a kill at any moment costs the open block at most."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path

import numpy as np

from fusionfer.cache._disk import disk_errors, sync_folder
from fusionfer.cache._format import ABSENT, DONE, FAILED, REASON_BYTES, block_crc, reason_bytes
from fusionfer.cache._layout import Layout
from fusionfer.exceptions import CacheError, IncompleteCacheError, NonFiniteFeaturesError

__all__ = ["SYNC_SECONDS", "FeatureFile"]

# A killed process loses nothing that was written, synchronised or not; a power failure loses this much work at most
# (the checksums tell which). fsync took 3 ms here, so one for each of 8 commits a second would cost 3 % of the time.
SYNC_SECONDS = 10.0


class FeatureFile:
    """One cache file in the making, as `CacheFolder.prepare` returns it; for a hit there is nothing to make.

    The order of writing: rows and reasons, then states and checksum. All goes to the system at once (no buffer of this
    process), at places that were reserved when the file was made, and HDF5's own structure is never touched.

    Attributes
    ----------
    path : Path
        The finished file; until `finish` the work lies in `part` beside it.
    status : {"hit", "resume", "extend", "new"}
        Whether all is there; goes on in place; starts from rows of an older file; or starts from nothing.
    explanation : str
        One sentence for the user: that it is a hit, or why not.
    block_rows : int
        Rows of one commit; the recorded number where an interrupted run goes on.
    """

    def __init__(self, path: Path, part: Path | None, layout: Layout, state: np.ndarray, status: str, why: str) -> None:
        self.path = path
        self.part = part
        self.status = status
        self.explanation = why
        self.rows = layout.rows
        self.dim = layout.dim
        self.block_rows = layout.block_rows
        self._layout = layout
        self._state = np.array(state)
        with disk_errors(path, "open", "What is committed is intact. Free space and run the same command again."):
            self._stream = part.open("r+b", buffering=0) if part else None
        self._synced = time.monotonic()

    @property
    def todo(self) -> np.ndarray:
        """Mask of the rows that are neither done nor known to fail; bool, shape (n,)."""
        return self._state == ABSENT

    @property
    def failed(self) -> np.ndarray:
        """Mask of the rows that are known to fail; bool, shape (n,)."""
        return self._state == FAILED

    def commit(self, start: int, X: np.ndarray, done: np.ndarray, failed: Mapping[int, str]) -> None:
        """Store one whole block: rows[start : start + block_rows], or what is left of them at the end.

        Parameters
        ----------
        start : int
            First row; a multiple of `block_rows`.
        X : ndarray of float32, shape (k, dim)
            Features; only rows marked in `done` are stored.
        done : ndarray of bool, shape (k,)
            Rows whose features these are. Rows neither done nor failed stay as they were.
        failed : mapping of int to str
            Index in the block -> why there are no features; stored too.

        Raises
        ------
        NonFiniteFeaturesError
            If a row marked done holds NaN or infinity; nothing of the block is stored.
        StoreFullError
            If the disk is full; the blocks committed before are intact.
        CacheError
            If the shapes do not fit, or the file is closed.
        """
        stop = min(start + self.block_rows, len(self.rows))
        done = np.asarray(done)
        self._check(start, stop, X, done, failed)
        state = self._state[start:stop].copy()
        features = np.zeros((stop - start, self.dim), dtype="<f4")
        reasons = np.zeros(stop - start, dtype=f"S{REASON_BYTES}")
        advice = (
            f"{int(np.sum(self._state != ABSENT))} of {len(self.rows)} rows are committed and intact. "
            "Free space and run the same command again: it goes on where it was."
        )
        with disk_errors(self.path, "write", advice):
            if np.any(state != ABSENT):
                kept = state != ABSENT
                features[kept] = self._read("features", start, stop, "<f4").reshape(-1, self.dim)[kept]
                reasons[kept] = self._read("reasons", start, stop, reasons.dtype.str)[kept]
            features[done] = X[done]
            reasons[done] = b""
            state[done] = DONE
            for i, reason in failed.items():
                features[i], reasons[i], state[i] = 0, reason_bytes(reason), FAILED
            self._write("features", start * self.dim * 4, features)
            self._write("reasons", start * REASON_BYTES, reasons)
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self._sync()
            crc = np.array([block_crc(features, state, reasons)], dtype="<u4")
            self._write("crc32", start // self.block_rows * 4, crc)
            self._write("state", start, state)
        self._state[start:stop] = state

    def finish(self) -> None:
        """Give the file its final name, once each row is done or known to fail.

        Raises
        ------
        IncompleteCacheError
            If rows are still to be done.
        StoreFullError
            If the disk is full.
        """
        if self.part is None:
            return
        left = np.flatnonzero(self.todo)
        if len(left):
            msg = f"{self.path} lacks {len(left)} of {len(self.rows)} rows (first: {str(self.rows.ids[left[0]])!r})."
            raise IncompleteCacheError(msg)
        self._open_stream()
        with disk_errors(self.path, "finish", "All rows are committed; free space and run the same command again."):
            self._sync()
            self.close()
            os.replace(self.part, self.path)  # noqa: PTH105  (the one step that makes it a cache deserves its plain name)
            sync_folder(self.path.parent)
        self.part = None

    def close(self) -> None:
        """Let go of the file; what was committed stays for the next run. Always safe, and safe to repeat."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):  # best effort: a failing disk must not hide the error that led here
                os.fsync(stream.fileno())
            with suppress(OSError):
                stream.close()

    def __enter__(self) -> FeatureFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, start: int, stop: int, X: np.ndarray, done: np.ndarray, failed: Mapping[int, str]) -> None:
        self._open_stream()
        if start % self.block_rows or not 0 <= start < len(self.rows):
            msg = f"A block starts at a multiple of {self.block_rows} below {len(self.rows)}, not at {start}."
            raise CacheError(msg)
        k = stop - start
        if X.shape != (k, self.dim) or done.shape != (k,) or done.dtype != bool:
            msg = (
                f"The block at row {start} takes X of shape ({k}, {self.dim}) and done of shape ({k},) and type bool; "
                f"got {X.shape}, {done.shape} and {done.dtype}."
            )
            raise CacheError(msg)
        strange = [i for i in failed if not 0 <= i < k or done[i]]
        if strange:
            msg = f"Row {strange[0]} of the block at row {start} is done and failed at once, or not in the block."
            raise CacheError(msg)
        bad = np.flatnonzero(done)[~np.isfinite(X[done]).all(axis=1)]
        if len(bad):
            name = str(self.rows.ids[start + bad[0]])
            msg = (
                f"The features of {name!r} hold NaN or infinity ({len(bad)} such rows in the "
                f"block at row {start}); none of the block is stored. Look at the weights and the preprocessing."
            )
            raise NonFiniteFeaturesError(msg)

    def _open_stream(self) -> FileIO:
        if self._stream is None:
            msg = f"{self.path} is closed, or was complete already; prepare it again to write."
            raise CacheError(msg)
        return self._stream

    def _read(self, name: str, start: int, stop: int, dtype: str) -> np.ndarray:
        """Read rows of an array back, each of the same size."""
        width = self.dim * 4 if name == "features" else REASON_BYTES
        stream = self._open_stream()
        stream.seek(self._layout.offsets[name] + start * width)
        return np.frombuffer(stream.read((stop - start) * width), dtype=dtype)

    def _write(self, name: str, place: int, values: np.ndarray) -> None:
        """Write all bytes at `place` of an array; the system may take them in pieces."""
        stream = self._open_stream()
        stream.seek(self._layout.offsets[name] + place)
        left = memoryview(values.tobytes())
        while left:
            left = left[stream.write(left) :]

    def _sync(self) -> None:
        os.fsync(self._open_stream().fileno())
        self._synced = time.monotonic()
