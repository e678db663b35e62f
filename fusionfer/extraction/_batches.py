"""Rows to tensors: fixed slices of the row order, decoded into memory that is used again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from fusionfer.backbones import Preprocess
from fusionfer.exceptions import ImageError
from fusionfer.extraction._enlarging import Pixels
from fusionfer.images import FaceSet

__all__ = ["Buffers", "Planes", "slots"]

Preprocessing = Callable[[np.ndarray], np.ndarray]


class Staging(Protocol):
    """One preprocessing's part of a batch."""

    def put(self, pixels: np.ndarray, j: int) -> None:
        """Take the picture for position `j`."""

    def blank(self, j: int) -> None:
        """Leave position `j` without a picture: its tensor is zero."""

    def on_device(self) -> torch.Tensor:
        """Return the batch where the networks are: float32, (n, 3, height, width)."""


class Planes:
    """Tensors made on the host, by any preprocessing, and copied to the device.

    Fresh memory of this size costs more, in page faults, than the copies into it.

    Parameters
    ----------
    preprocessing : callable
        From pixels to a float32 array of shape (3, height, width).
    batch_size : int
        Pictures of every batch.
    device : torch.device
        Where the networks are.
    """

    def __init__(self, preprocessing: Preprocessing, batch_size: int, device: torch.device) -> None:
        shape = (batch_size, *preprocessing(np.zeros((64, 64), np.uint8)).shape)
        self._preprocessing = preprocessing
        self._into = getattr(preprocessing, "into", None)
        self._host = torch.zeros(shape, pin_memory=device.type == "cuda")
        self._planes = self._host.numpy()
        self._tensor = torch.empty(shape, device=device).to(memory_format=torch.channels_last)

    def put(self, pixels: np.ndarray, j: int) -> None:
        """Preprocess the picture for position `j`."""
        if self._into is not None:
            self._into(pixels, self._planes[j])
        else:
            self._planes[j] = self._preprocessing(pixels)

    def blank(self, j: int) -> None:
        """Leave position `j` without a picture: its tensor is zero."""
        self._planes[j] = 0.0

    def on_device(self) -> torch.Tensor:
        """Return the batch where the networks are, the same memory each time."""
        return self._tensor.copy_(self._host, non_blocking=True)


def slots(preprocessings: Sequence[Preprocessing]) -> tuple[list[Preprocessing], list[int]]:
    """Return the distinct ones of some preprocessings, and for each of them which it is; equal ones share a tensor."""
    distinct: dict[str, Preprocessing] = {}
    names = [json.dumps(one.describe(), sort_keys=True) for one in preprocessings]  # type: ignore[attr-defined]
    for name, preprocessing in zip(names, preprocessings, strict=True):
        distinct.setdefault(name, preprocessing)
    return list(distinct.values()), [list(distinct).index(name) for name in names]


class Buffers:
    """The memory of one worker: decodes one batch at a time.

    Parameters
    ----------
    preprocessings : sequence of callable
        The distinct ones.
    batch_size : int
        Pictures of every batch.
    device : torch.device
        Where the networks are. On other devices than the CPU, fusionfer's own preprocessing enlarges and normalises
        there.
    """

    def __init__(self, preprocessings: Sequence[Preprocessing], batch_size: int, device: torch.device) -> None:
        self.batch_size = batch_size
        self._staged: list[Staging] = [
            Pixels(one, batch_size, device)
            if type(one) is Preprocess and device.type != "cpu"
            else Planes(one, batch_size, device)
            for one in preprocessings
        ]

    def put(self, pixels: np.ndarray, j: int) -> None:
        """Take the picture for position `j`."""
        for staging in self._staged:
            staging.put(pixels, j)

    def blank(self, j: int) -> None:
        """Leave position `j` without a picture: its tensors are zero."""
        for staging in self._staged:
            staging.blank(j)

    def decode(self, faces: FaceSet, digests: np.ndarray | None, wanted: np.ndarray, start: int) -> dict[int, str]:
        """Decode the batch of rows that begins at `start`; the rows that are not wanted, or fail, are zero.

        Parameters
        ----------
        faces : FaceSet
            In row order.
        digests : ndarray of str, shape (n,), or None
            SHA-256 of each stored picture; one that has changed since is a failed picture.
        wanted : ndarray of bool, shape (n,)
            Rows to decode.
        start : int
            First row.

        Returns
        -------
        dict of int to str
            Position in the batch -> why the picture could not be used.
        """
        failed: dict[int, str] = {}
        for j in range(self.batch_size):
            row = start + j
            done = False
            if row < len(faces) and wanted[row]:
                try:
                    pixels, digest = faces.load(row)
                    if digests is not None and digest != digests[row]:
                        msg = "the picture changed while the data set was being read."
                        raise ImageError(msg)
                    self.put(pixels, j)
                    done = True
                except ImageError as error:
                    failed[j] = str(error)
            if not done:
                self.blank(j)
        return failed

    def on_device(self) -> list[torch.Tensor]:
        """Return the decoded batch where the networks are, one tensor for each distinct preprocessing.

        Copies may still be under way when this returns: they are ordered before what is run there later.
        """
        return [staging.on_device() for staging in self._staged]
