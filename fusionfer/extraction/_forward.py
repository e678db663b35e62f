"""Pictures to vectors: batches through every network, whatever is done with the vectors."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fusionfer.exceptions import DataError, DeviceMemoryError, NonFiniteFeaturesError
from fusionfer.extraction._batches import Buffers, slots
from fusionfer.extraction._lanes import Lane
from fusionfer.extraction._workers import Crew, crew_for, in_order, turns
from fusionfer.images import FaceSet
from fusionfer.networks import LoadedBackbone, memory_of

__all__ = ["Vectors", "compute_features", "crew_of", "exact_float32", "find_device", "forward"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Vectors:
    """What one batch of rows gave.

    Attributes
    ----------
    start : int
        First row; the batch is ``rows[start : start + size]``.
    size : int
    values : dict of (int, str) to ndarray of float32, shape (size, dim)
        (position of the network, level) -> vectors; rows that were not wanted or failed hold whatever a black picture
        gives. Names would not do: two networks may be one backbone with two sets of weights.
    failed : dict of int to str
        Position in the batch -> why the picture could not be used.
    """

    start: int
    size: int
    values: dict[tuple[int, str], np.ndarray]
    failed: dict[int, str]


def forward(
    faces: FaceSet,
    networks: Sequence[LoadedBackbone],
    wanted: np.ndarray,
    *,
    batch_size: int,
    device: torch.device,
    crew: Crew,
    digests: np.ndarray | None = None,
) -> Generator[Vectors, None, None]:
    """Yield the vectors of every batch that holds a wanted row.

    Batches are fixed slices of the row order, always `batch_size` long and with every picture in its own place:
    a vector depends in its last bits on the shape of the batch and on the place in it, but not on its neighbours.

    Parameters
    ----------
    faces : FaceSet
    networks : sequence of LoadedBackbone
        Those of equal preprocessing share the tensor.
    wanted : ndarray of bool, shape (n,)
    batch_size : int
    device : torch.device
    crew : Crew
        How many batches are in work at the same time; a few more wait, so that memory does not depend on `n`.
    digests : ndarray of str, shape (n,), optional
        SHA-256 of each stored picture; one that has changed since counts as failed.

    Raises
    ------
    NonFiniteFeaturesError
        If a network returns NaN or infinity for a wanted row.
    DeviceMemoryError
        If the device has no memory for such batches.
    """
    n = len(faces)
    starts = [start for start in range(0, n, batch_size) if wanted[start : start + batch_size].any()]
    preprocessings, slot_of = slots([network.backbone.preprocess for network in networks])
    inside = turns(crew)
    worker = threading.local()

    def work(start: int) -> Vectors:
        if not hasattr(worker, "buffers"):
            worker.buffers, worker.lane = Buffers(preprocessings, batch_size, device), Lane(device)
        size = min(batch_size, n - start)
        failed = worker.buffers.decode(faces, digests, wanted, start)
        with worker.lane.copying():
            tensors = worker.buffers.on_device()
        with inside:
            worker.lane.join()
            vectors = {
                (number, level): vector
                for number, (network, slot) in enumerate(zip(networks, slot_of, strict=True))
                for level, vector in network.network(tensors[slot]).items()
            }
            fetched = worker.lane.fetch(vectors)
        values = {name: X[:size] for name, X in fetched().items()}
        good = wanted[start : start + size].copy()
        good[list(failed)] = False
        for (number, level), X in values.items():
            _check_finite(X, good, faces.ids[start : start + size], networks[number], level)
        return Vectors(start, size, values, failed)

    def within_memory(start: int) -> Vectors:
        with memory_of(device, f"There is no room for batches of {batch_size}"):
            return work(start)

    with exact_float32(), contextlib.closing(in_order(within_memory, starts, crew)) as batches:
        yield from batches


def compute_features(
    faces: FaceSet,
    networks: Sequence[LoadedBackbone],
    *,
    batch_size: int,
    device: torch.device,
    progress: Progress | None = None,
) -> tuple[dict[tuple[int, str], np.ndarray], dict[int, str]]:
    """Compute features into memory, for a few pictures at a time.

    Returns
    -------
    values : dict of (int, str) to ndarray of float32, shape (n, dim)
        (position of the network, level) -> vectors; rows of failed pictures are zero.
    failed : dict of int to str
        Row -> why the picture could not be used.

    Raises
    ------
    DeviceMemoryError
        If the device has no memory for such batches.
    NonFiniteFeaturesError
        If a network returns NaN or infinity.
    """
    n = len(faces)
    values = {
        (number, level): np.zeros((n, dim), np.float32)
        for number, network in enumerate(networks)
        for level, dim in network.dims.items()
    }
    failed: dict[int, str] = {}
    every = np.ones(n, dtype=bool)
    crew = crew_of(networks, device)
    if n <= batch_size:  # a single batch: nobody else needs the threads
        crew = Crew(workers=1, threads=torch.get_num_threads(), alone=crew.alone)
    try:
        for batch in forward(faces, networks, every, batch_size=min(batch_size, n), device=device, crew=crew):
            failed.update({batch.start + j: reason for j, reason in batch.failed.items()})
            for name, X in batch.values.items():
                values[name][batch.start : batch.start + batch.size] = X
            if progress is not None:
                progress(batch.start + batch.size, n, "extracting")
    except DeviceMemoryError as error:
        msg = f"{error} Give a smaller --batch-size, or --device cpu."
        raise DeviceMemoryError(msg) from error
    for X in values.values():
        X[list(failed)] = 0.0
    return values, failed


def crew_of(networks: Sequence[LoadedBackbone], device: torch.device) -> Crew:
    """Return how work is divided for these networks."""
    return crew_for(device, own_modules=any(one.backbone.module is not None for one in networks))


def find_device(name: str = "auto") -> torch.device:
    """Return the device to run on: `name`, or with "auto" cuda, then mps, then cpu.

    Raises
    ------
    DataError
        If there is no such device here.
    """
    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name == "auto":
        return torch.device(next(kind for kind, count in counts.items() if count))
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or (device.index or 0) >= counts.get(device.type, 0):
        there = ", ".join(kind for kind, count in counts.items() if count)
        msg = f"Device {name!r} is not available here. Available: auto, {there}."
        raise DataError(msg)
    return device


def _check_finite(X: np.ndarray, good: np.ndarray, ids: np.ndarray, network: LoadedBackbone, level: str) -> None:
    bad = good & ~np.isfinite(X).all(axis=1)
    if bad.any():
        narrow = "fp16 has no numbers beyond 65,504: give --precision bf16. " if network.precision == "fp16" else ""
        msg = (
            f"{ids[int(np.argmax(bad))]}: {network.backbone.name}:{level} returned NaN or infinity. "
            f"Nothing of its batch is stored. {narrow}Check the weights and the picture."
        )
        raise NonFiniteFeaturesError(msg)


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Keep CUDA from rounding inputs to TF32 and from choosing algorithms by timing."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
