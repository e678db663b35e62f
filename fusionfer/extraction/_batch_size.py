"""How many pictures go through the networks together: a number, or as many as the device has memory for.

The number decides bits, and files are written in blocks of it. So "auto" settles it before anything is committed: by
the files that are there already, else by trying, from `MOST` down, halving it whenever memory does not suffice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from fusionfer.cache import FeatureFile
from fusionfer.exceptions import DataError, DeviceMemoryError
from fusionfer.extraction._batches import Buffers, slots
from fusionfer.extraction._forward import Progress, exact_float32
from fusionfer.extraction._workers import Crew
from fusionfer.networks import LoadedBackbone, memory_of

__all__ = ["AUTO", "BATCH_SIZE", "SIZES", "check_batch_size", "find_batch_size", "too_large"]

AUTO = "auto"
BATCH_SIZE = 32
MOST = 256  # beyond it devices gain little: their kernels are busy
#: What "auto" may find.
SIZES = tuple(MOST >> halved for halved in range(MOST.bit_length()))

FINDING = "finding the batch size"


def check_batch_size(batch_size: int | str) -> None:
    """Refuse what is neither a number of pictures nor "auto".

    Raises
    ------
    DataError
    """
    if batch_size != AUTO and (isinstance(batch_size, (str, bool)) or batch_size < 1):
        msg = f"batch_size must be at least 1, or 'auto', got {batch_size!r}."
        raise DataError(msg)


def find_batch_size(
    networks: Sequence[LoadedBackbone],
    device: torch.device,
    crew: Crew,
    n: int,
    processes: int = 1,
    progress: Progress | None = None,
) -> int:
    """Return how many pictures to take together: as many, up to `MOST`, as the device has memory for.

    No more than `n` pictures in so many processes can fill. On the CPU it is `BATCH_SIZE`, and nothing is tried: larger
    batches are no faster there, and a lack of memory ends the process.

    Raises
    ------
    DeviceMemoryError
        If there is no memory for a single picture.
    """
    tries = _tries(device)
    most = MOST if tries else BATCH_SIZE
    first = next((size for size in SIZES if size <= most and size * processes <= n), 1)
    first = max(first, BATCH_SIZE) if processes == 1 else first
    return _halved_until_it_fits(networks, device, crew, first, progress) if tries else first


def _tries(device: torch.device) -> bool:
    return device.type != "cpu"


def _halved_until_it_fits(
    networks: Sequence[LoadedBackbone], device: torch.device, crew: Crew, first: int, progress: Progress | None = None
) -> int:
    """Return the first of `first`, a half, a quarter of it and so on for which the device has memory."""
    sizes = [first >> halved for halved in range(first.bit_length())]
    for tried, size in enumerate(sizes):
        if progress is not None:
            progress(tried, len(sizes), FINDING)
        if _fits(networks, device, crew, size):
            if progress is not None:
                progress(len(sizes), len(sizes), FINDING)
            return size
    names = ", ".join(one.backbone.name for one in networks)
    msg = (
        f"{device} has no memory for {names} and a single picture. Free memory there, take fewer backbones at a time, "
        "or give --device cpu."
    )
    raise DeviceMemoryError(msg)


def too_large(
    error: DeviceMemoryError,
    jobs: Iterable[FeatureFile],
    networks: Sequence[LoadedBackbone],
    device: torch.device,
    crew: Crew,
) -> DeviceMemoryError:
    """Return the error for batches that were too large after all, with a size that is not.

    Files in which no row stands are removed, so that the next run is free to begin them with another size.
    """
    jobs = list(jobs)
    kept = [job for job in jobs if job.status != "hit" and not job.todo.all()]
    for job in jobs:
        job.close()
        if job.part is not None and job not in kept:
            job.part.unlink(missing_ok=True)
    size = jobs[0].block_rows
    fits = _halved_until_it_fits(networks, device, crew, max(size // 2, 1))
    advice = f"--batch-size {fits} fits."
    if kept:
        advice = (
            f"{kept[0].path.name} was begun with {size} and keeps to it: free memory there and run the same command "
            f"again, or give another --cache and --batch-size {fits}."
        )
    return DeviceMemoryError(f"{error} {advice}")


def _fits(networks: Sequence[LoadedBackbone], device: torch.device, crew: Crew, batch_size: int) -> bool:
    """Whether a full batch goes through all networks while the other workers hold theirs, as it will be."""
    preprocessings, slot_of = slots([one.backbone.preprocess for one in networks])
    picture = np.zeros((32, 32, 3), np.uint8)  # enlarging colours is what takes most
    try:
        with memory_of(device, "There is no room"), exact_float32():
            batches = []
            for _ in range(crew.workers):
                buffers = Buffers(preprocessings, batch_size, device)
                for j in range(batch_size):
                    buffers.put(picture, j)
                batches.append((buffers, buffers.on_device()))
            for one, slot in zip(networks, slot_of, strict=True):
                for vector in one.network(batches[0][1][slot]).values():
                    vector.cpu()
    except DeviceMemoryError:
        return False
    finally:
        batches = []
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return True
