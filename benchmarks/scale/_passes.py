"""One pass over the rows in files, as linear heads make hundreds: how near it comes to the disk and to the memory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from fusionfer.features import Features
from fusionfer.heads.linear._backends import make_products
from fusionfer.matrices import MappedMatrix

__all__ = ["bandwidths", "passes"]

_LEARNERS = 21  # seven classes, three folds


def passes(folder: Path) -> dict[str, tuple[int, float]]:
    """Seconds of passes over all rows of a cache folder that `write_rows` made.

    Returns
    -------
    dict
        Name of the pass -> number of rows, and seconds. `read, from disk` adds up the values of files that are not in
        the page cache, `read, from memory` does so again; `scores` and `gradients` are the two products of a sweep,
        of 21 learners at once in float32, with the files in the page cache.
    """
    X = Features.read(folder, mapped=True, verify=False).X  # which looks at no row yet: pages in use would stay
    if not isinstance(X, MappedMatrix):
        msg = "The features were read as an array: there is nothing to measure."
        raise TypeError(msg)
    rng = np.random.default_rng(0)
    W = rng.standard_normal((_LEARNERS, X.shape[1]), dtype=np.float32)
    B = rng.standard_normal((_LEARNERS, len(X)), dtype=np.float32)
    products = make_products("numpy", X)
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    found = {}
    for name, work in {
        "read, from disk": X.check_finite,
        "read, from memory": X.check_finite,
        "scores": lambda: products.forward(W),
        "gradients": lambda: products.backward(B),
    }.items():
        begin = time.monotonic()
        work()
        found[name] = len(X), time.monotonic() - begin
    return found


def bandwidths(folder: Path) -> dict[str, float]:
    """GB a second of a copy in memory, read and written, and of the disk that `folder` lies on."""
    return {"memory": _memory_rate(), "disk": _disk_rate(folder)}


def _memory_rate() -> float:
    source = np.ones(1 << 27, dtype=np.float32)
    target = np.empty_like(source)
    np.copyto(target, source)
    begin = time.monotonic()
    for _ in range(3):
        np.copyto(target, source)
    return 3 * 2 * source.nbytes / (time.monotonic() - begin) / 1e9


def _disk_rate(folder: Path, size: int = 1 << 30) -> float:
    """Read a file that is not in the page cache from its beginning to its end, in pieces of 16 MB."""
    path = folder / "disk-rate"
    piece = os.urandom(1 << 24)
    try:
        with path.open("wb") as file:
            for _ in range(size >> 24):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begin = time.monotonic()
        with path.open("rb", buffering=0) as reader:
            while reader.read(1 << 24):
                pass
        return size / (time.monotonic() - begin) / 1e9
    finally:
        path.unlink(missing_ok=True)
