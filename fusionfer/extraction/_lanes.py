"""Copies to and from a device beside the networks that run there, so that neither waits for the other.

On CUDA each worker copies, enlarges and normalises on a stream of its own, while the networks work on the batch of
another worker; they wait for its batch only. Vectors come back into pinned memory; their worker waits for them, and
nobody else. Elsewhere all of it happens in its order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import torch

__all__ = ["Lane"]

Name = TypeVar("Name")


class Lane:
    """One worker's way to the device and back; on CUDA, to be used in the order of its methods.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def copying(self) -> contextlib.AbstractContextManager:
        """Return a context for what prepares a batch: what runs in it is beside the networks."""
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def join(self) -> None:
        """Let the networks wait for what was prepared. Call it where only one worker is at a time."""
        if self._stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def fetch(self, vectors: Mapping[Name, torch.Tensor]) -> Callable[[], dict[Name, np.ndarray]]:
        """Begin to fetch what the networks return; what this returns waits for it, and gives it as arrays."""
        if self._stream is None:
            here = {name: vector.cpu().numpy() for name, vector in vectors.items()}
            return lambda: here
        coming = {name: vector.to("cpu", non_blocking=True) for name, vector in vectors.items()}
        arrived = torch.cuda.Event()
        arrived.record(torch.cuda.current_stream(self._device))

        def wait() -> dict[Name, np.ndarray]:
            arrived.synchronize()
            return {name: vector.numpy() for name, vector in coming.items()}

        return wait
