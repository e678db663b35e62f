"""The pictures of a data set as one array of bytes in memory; where they are too many, decoded when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fusionfer.backbones import Preprocess
from fusionfer.images import FaceSet

__all__ = ["MAX_BYTES", "Pictures"]

MAX_BYTES = 4 << 30  # more is decoded again in every epoch
_CHUNK = 512  # pictures between two words of progress

Progress = Callable[[int, int, str], None]


class Pictures:
    """Pictures of one size, uint8 of shape (n, channels, size, size); one channel where all are grey.

    Parameters
    ----------
    faces : FaceSet
    size : int
        Side in pixels; the whole picture is resized, as `fusionfer.backbones.Preprocess` does it.
    max_bytes : int
        What may be kept in memory.
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
        self, faces: FaceSet, size: int, *, max_bytes: int = MAX_BYTES, progress: Progress | None = None
    ) -> None:
        self.faces, self.size = faces, size
        self._resized = Preprocess(size).resized
        self._kept: np.ndarray | None = None
        digests: list[str] = []
        grey: list[np.ndarray] = []
        colour: list[np.ndarray] = []
        kept, fits, what = 0, True, "decode pictures"
        for pixels, digest in self._decoded(range(len(faces))):
            digests.append(digest)
            if fits:
                (grey if len(pixels) == 1 and not colour else colour).append(pixels)
                kept = (len(grey) + len(colour)) * (3 if colour else 1) * size * size
                if kept > max_bytes:
                    grey, colour, fits = [], [], False
                    self.channels = 3
            if progress is not None and (len(digests) % _CHUNK == 0 or len(digests) == len(faces)):
                progress(len(digests), len(faces), what)
        self.digests = tuple(digests)
        if fits:
            self.channels = 3 if colour else 1
            self._kept = np.empty((len(faces), self.channels, size, size), np.uint8)
            for i, pixels in enumerate([*grey, *colour]):
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
