"""What files record: of each picture, by which a hit is proven, and of the run that computed them."""

from __future__ import annotations

import contextlib
import importlib.metadata
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from fusionfer.cache import RowTable
from fusionfer.exceptions import ImageError
from fusionfer.extraction._forward import Progress
from fusionfer.extraction._request import weights_record
from fusionfer.extraction._workers import Crew
from fusionfer.images import FaceSet
from fusionfer.networks import LoadedBackbone, engine_versions

__all__ = ["row_table", "run_record", "usable"]

PACKAGES = ("fusionfer", "torch", "torchvision", "timm", "numpy", "h5py", "opencv-python-headless", "opencv-python")


def row_table(faces: FaceSet, progress: Progress) -> RowTable:
    """Hash every picture as it is stored, so that a hit is proven and not assumed."""
    n = len(faces)
    digests = np.full(n, "", dtype="<U64")

    def hash_slice(start: int) -> int:
        for i in range(start, min(start + 512, n)):
            with contextlib.suppress(ImageError):  # reading it again for its pixels will fail too, and is reported
                digests[i] = faces.digest(i)
        return min(start + 512, n)

    with ThreadPoolExecutor(2, thread_name_prefix="hash") as pool:
        for end in pool.map(hash_slice, range(0, n, 512)):
            progress(end, n, "checking images")
    return RowTable(faces.ids, faces.labels, faces.splits, faces.groups, digests)


def usable(faces: FaceSet, row: int) -> bool:
    """Whether a picture that is recorded as failed can be used by now: a larger limit, a file that is back."""
    try:
        faces.load(row)
    except ImageError:
        return False
    return True


def run_record(
    one: LoadedBackbone, faces: FaceSet, batch_size: int, device: torch.device, crew: Crew, engine: str
) -> dict[str, Any]:
    """Return what a file records of a run besides its key."""
    return {
        "weights": weights_record(one.weights),
        "batch_size": batch_size,
        "device": str(device),
        "threads": crew.threads,
        "workers": crew.workers,
        "engine": engine,
        "data": faces.name,
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None}
        | engine_versions(engine),
    }


def _version(name: str) -> str | None:
    """Version of an installed package; nothing is imported."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
