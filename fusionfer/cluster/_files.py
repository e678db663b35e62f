"""Matrices in files, known by path and place: what travels to a worker instead of the numbers."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.exceptions import ClusterError, DataError

__all__ = ["FileRows", "FileStack"]

_FLOAT = np.dtype("<f4")


@dataclass(frozen=True)
class FileRows:
    """A float32 matrix within one file.

    Attributes
    ----------
    path : str
        Absolute, as the process sees it that made this.
    size : int
        Bytes of the file, by which another file of that name is told.
    head : int
        Bytes before the matrix of the whole file: in a cache its key, the texts of its rows, and the checksums of all
        blocks.
    digest : str
        SHA-256 of these, by which an older or newer copy of the same size is told.
    offset : int
        First byte of the first row.
    shape : tuple of int
        (n, d).
    stride : int
        Bytes from one row to the next.
    """

    path: str
    size: int
    head: int
    digest: str
    offset: int
    shape: tuple[int, int]
    stride: int

    @classmethod
    def of(cls, array: np.ndarray) -> FileRows:
        """Find out which part of which file an array is a map of.

        Raises
        ------
        DataError
            If it is no view of a memory map of a file with a name, or its rows do not lie as those of files do.
        """
        root: Any = array
        while isinstance(root, np.ndarray) and isinstance(root.base, np.ndarray):
            root = root.base
        name = getattr(root, "filename", None) if isinstance(root, np.memmap) else None
        if name is None or not Path(name).exists():
            msg = (
                f"Workers read features from files, and an array of shape {array.shape} is not the map of one. Write "
                "the features to a cache, and read that."
            )
            raise DataError(msg)
        if array.dtype != _FLOAT or array.ndim != 2 or (array.shape[1] > 1 and array.strides[1] != _FLOAT.itemsize):
            msg = f"Workers read rows of float32, got {array.dtype} of shape {array.shape}, strides {array.strides}."
            raise DataError(msg)
        # What is cut out of a map remembers the offset of the whole; the difference of addresses is what was cut off.
        offset = root.offset + array.ctypes.data - root.ctypes.data
        return cls.at(Path(name).absolute(), int(root.offset), int(offset), array.shape, array.strides[0])

    @classmethod
    def at(cls, path: Path, head: int, offset: int, shape: tuple[int, int], stride: int) -> FileRows:
        """Rows at a place in a file whose matrices begin after so many bytes."""
        digest = _digest(str(path), head, *_state(path))
        return cls(str(path), path.stat().st_size, head, digest, offset, shape, stride)

    def problem(self) -> str:
        """Say why this process cannot read it; empty if it can."""
        try:
            size, *state = _state(Path(self.path))
            if size != self.size:
                return f"{self.path} is another file there, of {size:,} bytes instead of {self.size:,}"
            digest = _digest(self.path, self.head, size, *state)
        except OSError as error:
            return f"{self.path} is not to be seen ({error.strerror})"
        if digest != self.digest:
            return f"{self.path} is another file there, of the same size, but with other rows or checksums"
        return ""

    def columns(self, start: int, stop: int) -> FileRows:
        """Some of its columns."""
        shape = (self.shape[0], stop - start)
        return replace(self, offset=self.offset + start * _FLOAT.itemsize, shape=shape)

    def open(self) -> np.ndarray:
        """Map it.

        Raises
        ------
        ClusterError
            If this process cannot: with the file and the machine.
        """
        problem = self.problem()
        if problem:
            msg = (
                f"{socket.gethostname()} (process {os.getpid()}): {problem}. Workers need the cache at the same path "
                "as the process that fits: put it on a file system that all share, or copy it to each machine."
            )
            raise ClusterError(msg)
        n, d = self.shape
        if n == 0:
            return np.empty((0, d), dtype=_FLOAT)
        length = (n - 1) * self.stride + d * _FLOAT.itemsize
        raw = np.memmap(self.path, dtype=np.uint8, mode="r", offset=self.offset, shape=(length,))
        return np.ndarray((n, d), dtype=_FLOAT, buffer=raw, strides=(self.stride, _FLOAT.itemsize))


def _state(path: Path) -> tuple[int, int, int]:
    """Size, time of the last change and number: when none has changed, neither has the file."""
    told = path.stat()
    return told.st_size, told.st_mtime_ns, told.st_ino


@lru_cache(maxsize=4096)
def _digest(path: str, head: int, *state: int) -> str:
    """SHA-256 of the first bytes of a file that is in this state; read once, as each block of rows asks for it."""
    digest, left = hashlib.sha256(), head
    with Path(path).open("rb") as file:
        while left and (piece := file.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class FileStack:
    """Matrices in files, one below the other, indexed as an array is; each file is mapped when it is first read.

    Attributes
    ----------
    files : tuple of FileRows
        All with the same columns.

    Raises
    ------
    DataError
        If there is none, or they differ in their columns.
    """

    files: tuple[FileRows, ...]
    _maps: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    dtype = _FLOAT
    ndim = 2

    def __post_init__(self) -> None:
        widths = {file.shape[1] for file in self.files}
        if len(widths) != 1:
            msg = f"Files below each other must have the same columns, got {sorted(widths) or 'no file'}."
            raise DataError(msg)

    @classmethod
    def of(cls, part: Any) -> FileStack:
        """The stack of one map, or a stack as it is."""
        return part if isinstance(part, cls) else cls((FileRows.of(part),))

    def __reduce__(self) -> tuple[Any, ...]:
        return FileStack, (self.files,)  # maps stay where they are

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d) of the whole."""
        return sum(file.shape[0] for file in self.files), self.files[0].shape[1]

    @property
    def starts(self) -> np.ndarray:
        """First row of each file, and the number of all rows."""
        return np.cumsum([0, *(file.shape[0] for file in self.files)])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Rows as an array, of one file without a copy if they are a slice; columns of all rows as a stack."""
        if isinstance(key, tuple):
            rows, columns = key
            if rows != slice(None):
                return self[rows][:, columns]
            start, stop, _ = columns.indices(self.shape[1])
            return FileStack(tuple(file.columns(start, stop) for file in self.files))
        starts = self.starts
        if isinstance(key, slice):
            start, stop, _ = key.indices(len(self))
            pieces = [
                self._map(i)[max(start - first, 0) : stop - first]
                for i, (first, end) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
                if start < end and first < stop
            ]
            if len(pieces) == 1:
                return pieces[0]
            return np.concatenate(pieces) if pieces else np.empty((0, self.shape[1]), dtype=_FLOAT)
        rows = np.asarray(key)
        if len(self.files) == 1:
            return self._map(0)[rows]
        out = np.empty((len(rows), self.shape[1]), dtype=_FLOAT)
        where = np.searchsorted(starts, rows, side="right") - 1
        for i in np.unique(where).tolist():
            mine = where == i
            out[mine] = self._map(i)[rows[mine] - starts[i]]
        return out

    def _map(self, i: int) -> np.ndarray:
        if i not in self._maps:
            self._maps[i] = self.files[i].open()
        return self._maps[i]
