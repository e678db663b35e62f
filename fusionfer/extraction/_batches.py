"""Decode ahead of the network: fixed slices of the row order, on threads, into a few buffers that are used again."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from fusionfer.exceptions import ImageError
from fusionfer.images import FaceSet

__all__ = ["Batch", "Tensoriser", "decoded_batches"]

Preprocessing = Callable[[np.ndarray], np.ndarray]


@dataclass
class Batch:
    """One slice of rows; rows that are not wanted, or failed, keep their place as zeros.

    Attributes
    ----------
    start : int
        First row.
    tensors : list of ndarray of float32, shape (batch_size, 3, height, width)
        One per distinct preprocessing; the last batch is padded to the full size.
    failed : dict of int to str
        Position in the batch -> why the picture could not be used.
    """

    start: int
    tensors: list[np.ndarray]
    failed: dict[int, str] = field(default_factory=dict)


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


def decoded_batches(
    faces: FaceSet,
    digests: np.ndarray | None,
    starts: Sequence[int],
    wanted: np.ndarray,
    batch_size: int,
    tensoriser: Tensoriser,
    *,
    workers: int = 2,
    ahead: int = 3,
) -> Generator[Batch, None, None]:
    """Yield the batches that begin at `starts`, in order, decoding `ahead` of the caller.

    A batch's buffers are used again once the next one is asked for: the caller copies what it keeps.

    Parameters
    ----------
    faces : FaceSet
        In row order.
    digests : ndarray of str, shape (n,), or None
        SHA-256 of each stored picture; one that has changed since is a failed picture.
    starts : sequence of int
        First row of each batch.
    wanted : ndarray of bool, shape (n,)
        Rows to decode; the others stay zero.
    batch_size : int
        Rows of every batch.
    tensoriser : Tensoriser
        What to make of the pixels.
    workers, ahead : int
        Threads that decode, and batches in flight; memory does not depend on the number of images.
    """
    shapes = tensoriser.shapes()
    free: queue.SimpleQueue[list[np.ndarray]] = queue.SimpleQueue()
    for _ in range(ahead + 1):
        free.put([np.zeros((batch_size, *shape), np.float32) for shape in shapes])

    def fill(start: int, tensors: list[np.ndarray]) -> Batch:
        batch = Batch(start, tensors)
        for j in range(batch_size):
            row = start + j
            done = False
            if row < len(faces) and wanted[row]:
                try:
                    pixels, digest = faces.load(row)
                    if digests is not None and digest != digests[row]:
                        msg = "the picture changed while the data set was being read."
                        raise ImageError(msg)
                    tensoriser.fill(pixels, tensors, j)
                    done = True
                except ImageError as error:
                    batch.failed[j] = str(error)
            if not done:
                for tensor in tensors:
                    tensor[j] = 0.0
        return batch

    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        waiting: queue.SimpleQueue[Future[Batch]] = queue.SimpleQueue()
        remaining = iter(starts)
        in_flight = 0

        def submit() -> int:
            start = next(remaining, None)
            if start is None:
                return 0
            waiting.put(pool.submit(fill, start, free.get()))
            return 1

        try:
            for _ in range(ahead):
                in_flight += submit()
            while in_flight:
                batch = waiting.get().result()
                in_flight -= 1
                in_flight += submit()
                yield batch
                free.put(batch.tensors)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
