"""Rows to tensors: fixed slices of the row order, decoded into buffers that are used again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import torch

from fusionfer.exceptions import ImageError
from fusionfer.images import FaceSet

__all__ = ["Buffers", "Tensoriser"]

Preprocessing = Callable[[np.ndarray], np.ndarray]


class Tensoriser:
    """Turns pictures into the tensors of all backbones, once per distinct preprocessing.

    Parameters
    ----------
    preprocessings : sequence of callable
        One per backbone; equal descriptions share a tensor.
    """

    def __init__(self, preprocessings: Sequence[Preprocessing]) -> None:
        self.slots: list[int] = []
        self.distinct: list[Preprocessing] = []
        seen: dict[str, int] = {}
        for preprocessing in preprocessings:
            name = json.dumps(preprocessing.describe(), sort_keys=True)  # type: ignore[attr-defined]
            if name not in seen:
                seen[name] = len(self.distinct)
                self.distinct.append(preprocessing)
            self.slots.append(seen[name])

    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of one picture's tensor for each distinct preprocessing."""
        return [preprocessing(np.zeros((64, 64), np.uint8)).shape for preprocessing in self.distinct]

    def fill(self, pixels: np.ndarray, tensors: Sequence[np.ndarray], j: int) -> None:
        """Write the tensors of one picture to position `j`."""
        for preprocessing, tensor in zip(self.distinct, tensors, strict=True):
            into = getattr(preprocessing, "into", None)
            if into is not None:
                into(pixels, tensor[j])
            else:
                tensor[j] = preprocessing(pixels)


class Buffers:
    """The memory of one worker: decodes one batch at a time.

    Fresh memory of this size costs more, in page faults, than the copies into it.

    Parameters
    ----------
    tensoriser : Tensoriser
        What to make of the pixels.
    batch_size : int
        Pictures of every batch.
    device : torch.device
        Where the networks are.
    """

    def __init__(self, tensoriser: Tensoriser, batch_size: int, device: torch.device) -> None:
        shapes = [(batch_size, *shape) for shape in tensoriser.shapes()]
        self.tensoriser = tensoriser
        self.batch_size = batch_size
        self.planes = [np.zeros(shape, np.float32) for shape in shapes]
        self.tensors = [torch.empty(shape, device=device).to(memory_format=torch.channels_last) for shape in shapes]

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
                    self.tensoriser.fill(pixels, self.planes, j)
                    done = True
                except ImageError as error:
                    failed[j] = str(error)
            if not done:
                for planes in self.planes:
                    planes[j] = 0.0
        return failed

    def on_device(self) -> list[torch.Tensor]:
        """Return the decoded batch where the networks are, one tensor for each distinct preprocessing."""
        for tensor, planes in zip(self.tensors, self.planes, strict=True):
            tensor.copy_(torch.from_numpy(planes))
        return self.tensors
