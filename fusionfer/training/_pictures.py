"""The pictures of a data set as one array of bytes in memory; where they are too many, decoded when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fusionfer.backbones import Preprocess
from fusionfer.costs import most_pictures
from fusionfer.images import FaceSet
from fusionfer.memory import asked_bytes

__all__ = ["Pictures"]

_CHUNK = 512  # pictures between two words of progress

Progress = Callable[[int, int, str], None]


class Pictures:
    """Pictures of one size, uint8 of shape (n, channels, size, size); one channel where all are grey.

    Parameters
    ----------
    faces : FaceSet
    size : int
        Side in pixels; the whole picture is resized, as `fusionfer.backbones.Preprocess` does it.
    max_bytes : int, optional
        What may be kept in memory; more is decoded again whenever it is asked for. By default as
        `fusionfer.costs.most_pictures` says.
    progress : callable, optional

    Attributes
    ----------
    digests : tuple of str
        SHA-256 of each picture as it is stored.
    channels : int
        1 where all are grey, else 3.

    Raises
    ------
    ImageError
        If a picture cannot be decoded.
    """

    def __init__(
        self, faces: FaceSet, size: int, *, max_bytes: int | None = None, progress: Progress | None = None
    ) -> None:
        self.faces, self.size = faces, size
        self._resized = Preprocess(size).resized
        self._kept: np.ndarray | None = None
        self.channels = 1
        most = most_pictures(asked_bytes()) if max_bytes is None else max_bytes
        digests: list[str] = []
        if progress is not None:
            progress(0, len(faces), "decode pictures")
        for i, (pixels, digest) in enumerate(self._decoded(range(len(faces)))):
            digests.append(digest)
            self._keep(i, pixels, most)
            if progress is not None and (len(digests) % _CHUNK == 0 or len(digests) == len(faces)):
                progress(len(digests), len(faces), "decode pictures")
        self.digests = tuple(digests)
        if self._kept is None:
            self.channels = 3

    def _keep(self, i: int, pixels: np.ndarray, most: int) -> None:
        """Put a picture into its place in the array of all, where that may be made."""
        n, size = len(self.faces), self.size
        if i == 0 and n * len(pixels) * size * size <= most:
            self.channels = len(pixels)
            self._kept = np.empty((n, self.channels, size, size), np.uint8)  # pages that nobody wrote take nothing
        if self._kept is None:
            return
        if len(pixels) > self.channels:  # the first that is not grey
            grey, self._kept, self.channels = self._kept, None, len(pixels)
            if n * self.channels * size * size > most:
                return
            self._kept = np.empty((n, self.channels, size, size), np.uint8)
            self._kept[:i] = grey[:i]
        self._kept[i] = pixels

    def __len__(self) -> int:
        return len(self.digests)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the faces behind where their pixels are kept: a process that trains on them needs no more."""
        return self.__dict__ if self._kept is None else {**self.__dict__, "faces": None}

    def take(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return pictures, uint8 of shape (len(rows), channels, size, size)."""
        if self._kept is not None:
            return self._kept[rows]
        out = np.empty((len(rows), self.channels, self.size, self.size), np.uint8)
        for i, (pixels, _) in enumerate(self._decoded(rows)):
            out[i] = pixels
        return out

    def _decoded(self, rows: Sequence[int] | np.ndarray) -> Iterator[tuple[np.ndarray, str]]:
        # A pool for each call: one that is kept does not survive a fork.
        with ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1))) as pool:
            for start in range(0, len(rows), _CHUNK):
                yield from pool.map(self._one, rows[start : start + _CHUNK])

    def _one(self, i: int) -> tuple[np.ndarray, str]:
        pixels, digest = self.faces.load(int(i))
        resized = self._resized(pixels)
        return resized[None] if resized.ndim == 2 else resized.transpose(2, 0, 1), digest
