"""Small pictures to a device as they are, 2 kB instead of 600; enlarged and normalised there, to the CPU's bits.

What OpenCV computes on the CPU when it enlarges linearly is repeated in whole numbers, so that no device rounds
otherwise: weights in 2,048ths; a row's sums are shortened by 4 bits, products with the other axis' weights by 16 each,
and the sum of two by 2, rounded. What is to shrink is resized on the host, as areas weigh pixels in floating point.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from fusionfer.backbones import Preprocess

__all__ = ["Pixels"]

_ONE = 2048  # weights of pixels are whole multiples of 1 / _ONE
_LEVELS = 256


class Pixels:
    """The pixels of one batch, in one piece on the host, which become tensors on the device.

    Parameters
    ----------
    preprocess : Preprocess
        What they are made into; the tensors equal its own.
    batch_size : int
        Pictures of every batch.
    device : torch.device
        Where the networks are.
    """

    def __init__(self, preprocess: Preprocess, batch_size: int, device: torch.device) -> None:
        self._preprocess = preprocess
        self._device = device
        self._pictures: list[np.ndarray | None] = [None] * batch_size
        self._host = torch.empty(0, dtype=torch.uint8)
        # The numbers that the CPU makes of all grey levels, so that there is nothing to compute, and to round, twice.
        every = np.arange(_LEVELS, dtype=np.uint8).reshape(16, 16)
        numbers = dataclasses.replace(preprocess, size=16)(every).reshape(3, _LEVELS)
        self._of_grey = torch.from_numpy(numbers.T.copy()).to(device)
        self._of_channels = torch.from_numpy(numbers.reshape(-1, 1).copy()).to(device)
        self._first_level = torch.arange(0, 3 * _LEVELS, _LEVELS, dtype=torch.int32, device=device)
        self._weights: dict[tuple[int, bool], tuple[torch.Tensor, ...]] = {}

    def put(self, pixels: np.ndarray, j: int) -> None:
        """Take the picture for position `j`; it is made smaller here if it has to be."""
        size = self._preprocess.size
        self._pictures[j] = pixels if max(pixels.shape[:2]) <= size else self._preprocess.resized(pixels)

    def blank(self, j: int) -> None:
        """Leave position `j` without a picture: its tensor is zero."""
        self._pictures[j] = None

    def on_device(self) -> torch.Tensor:
        """Return the tensors on the device, float32 of shape (n, 3, size, size), channels last."""
        places: dict[tuple[int, ...], list[int]] = {}
        for j, picture in enumerate(self._pictures):
            if picture is not None:
                places.setdefault(picture.shape, []).append(j)
        host, end = self._room(sum(math.prod(shape) * len(of_shape) for shape, of_shape in places.items())), 0
        for shape, of_shape in places.items():
            for j in of_shape:
                begin, end = end, end + math.prod(shape)
                host[begin:end] = self._pictures[j].reshape(-1)  # type: ignore[union-attr]
        sent = self._host[:end].to(self._device, non_blocking=True)
        n, side = len(self._pictures), self._preprocess.size
        tensors = torch.zeros((n, side, side, 3), device=self._device)
        end = 0
        for shape, of_shape in places.items():  # usually one: the pictures of a data set are of one size
            begin, end = end, end + math.prod(shape) * len(of_shape)
            pixels = sent[begin:end].view(len(of_shape), *shape, *(() if len(shape) == 3 else (1,)))
            made = self._normalised(self._enlarged(pixels))
            if len(of_shape) == n:
                tensors = made
            else:
                tensors[torch.tensor(of_shape, device=self._device)] = made
        return tensors.permute(0, 3, 1, 2)

    def _room(self, size: int) -> np.ndarray:
        """Return the memory for the pixels of a batch, which grows to the largest one."""
        if size > len(self._host):
            self._host = torch.empty(size, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        return self._host.numpy()

    def _enlarged(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return uint8 pictures (k, h, w, channels) as whole numbers (k, size, size, channels)."""
        height, width = pixels.shape[1:3]
        if height == width == self._preprocess.size:
            return pixels.int()
        low, high, of_low, of_high = self._taps(width, clamps=True)
        wide = pixels[:, :, low].int() * of_low[:, None] + pixels[:, :, high].int() * of_high[:, None]
        wide >>= 4
        low, high, of_low, of_high = self._taps(height, clamps=False)
        above, below = wide[:, low] * of_low[:, None, None], wide[:, high] * of_high[:, None, None]
        return ((above >> 16) + (below >> 16) + 2) >> 2

    def _normalised(self, levels: torch.Tensor) -> torch.Tensor:
        """Return the numbers of all grey levels: float32, (k, size, size, 3)."""
        if levels.shape[-1] == 1:
            return torch.nn.functional.embedding(levels[..., 0], self._of_grey)
        return torch.nn.functional.embedding(levels + self._first_level, self._of_channels)[..., 0]

    def _taps(self, n: int, *, clamps: bool) -> tuple[torch.Tensor, ...]:
        """Return for each of `size` pixels which two of `n` it lies between, and the weights of both; on the device.

        Beyond the outermost pixel, OpenCV gives it all the weight along a row, and both weights along a column.
        """
        if (n, clamps) not in self._weights:
            size = self._preprocess.size
            place = ((np.arange(size) + 0.5) * (n / size) - 0.5).astype(np.float32)
            low = np.floor(place).astype(np.int64)
            part = place - low.astype(np.float32)
            if clamps:
                part[(low < 0) | (low >= n - 1)] = 0.0
            weights = [np.rint(share * np.float32(_ONE)).astype(np.int32) for share in (np.float32(1.0) - part, part)]
            both = [np.clip(low, 0, n - 1), np.clip(low + 1, 0, n - 1)]
            self._weights[n, clamps] = tuple(torch.from_numpy(one).to(self._device) for one in (*both, *weights))
        return self._weights[n, clamps]
