"""Pictures that are in memory already, to vectors, again and again: what a camera or a sliding square needs."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch

from fusionfer.exceptions import DataError, DeviceMemoryError, ImageError
from fusionfer.extraction._batches import Buffers, slots
from fusionfer.extraction._forward import exact_float32
from fusionfer.extraction._lanes import Lane
from fusionfer.networks import LoadedBackbone, memory_of

__all__ = ["ArrayForward"]


class ArrayForward:
    """Networks with the memory of one batch, which is made once.

    Parameters
    ----------
    networks : sequence of LoadedBackbone
        Those of equal preprocessing share the tensor.
    batch_size : int
        Pictures of every batch, at least 1; the last batch of a call is filled up, so that no vector depends on how
        many pictures came with it (but for its place in the batch: in the last bits).
    device : torch.device
        Where the networks are.

    Notes
    -----
    One call at a time: a second thread waits.
    """

    def __init__(self, networks: Sequence[LoadedBackbone], *, batch_size: int, device: torch.device) -> None:
        if batch_size < 1:
            msg = f"batch_size must be a whole number from 1, got {batch_size!r}."
            raise DataError(msg)
        self.networks = tuple(networks)
        self.batch_size = batch_size
        preprocessings, self._slot_of = slots([network.backbone.preprocess for network in networks])
        self._device = device
        self._buffers, self._lane = Buffers(preprocessings, batch_size, device), Lane(device)
        self._turn = threading.Lock()

    def __call__(self, pictures: Sequence[np.ndarray]) -> dict[tuple[int, str], np.ndarray]:
        """Return the vectors of pictures.

        Parameters
        ----------
        pictures : sequence of ndarray of uint8, each of shape (height, width) or (height, width, 3)
            Grey, or RGB; they may differ in size.

        Returns
        -------
        dict of (int, str) to ndarray of float32, shape (n, dim)
            (position of the network, level) -> vectors.

        Raises
        ------
        ImageError
            If something is no such array.
        DeviceMemoryError
            If the device has no memory for such batches.
        """
        n = len(pictures)
        values = {
            (number, level): np.empty((n, dim), np.float32)
            for number, network in enumerate(self.networks)
            for level, dim in network.dims.items()
        }
        for i, picture in enumerate(pictures):
            _require_picture(picture, i)
        with self._turn, exact_float32():
            for start in range(0, n, self.batch_size):
                some = pictures[start : start + self.batch_size]
                try:
                    with memory_of(self._device, f"There is no room for batches of {self.batch_size}"):
                        batch = self._run(some)
                except DeviceMemoryError as error:
                    msg = f"{error} Give a smaller batch size, or the device cpu."
                    raise DeviceMemoryError(msg) from error
                for name, X in batch.items():
                    values[name][start : start + len(some)] = X[: len(some)]
        return values

    def _run(self, pictures: Sequence[np.ndarray]) -> dict[tuple[int, str], np.ndarray]:
        for j in range(self.batch_size):
            if j < len(pictures):
                self._buffers.put(pictures[j], j)
            else:
                self._buffers.blank(j)
        with self._lane.copying():
            tensors = self._buffers.on_device()
        self._lane.join()
        vectors = {
            (number, level): vector
            for number, (network, slot) in enumerate(zip(self.networks, self._slot_of, strict=True))
            for level, vector in network.network(tensors[slot]).items()
        }
        return self._lane.fetch(vectors)()


def _require_picture(picture: np.ndarray, i: int) -> None:
    ok = isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.size
    if not ok or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)):
        came = (
            f"{picture.dtype} of shape {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        )
        msg = f"Picture {i} must be a uint8 array of shape (height, width) or (height, width, 3), got {came}."
        raise ImageError(msg)
