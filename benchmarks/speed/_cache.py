"""Reading a cache: the whole of it against a copy in memory, scattered rows against h5py's default chunks."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from benchmarks.speed._timing import Figure, Report, alternate, ratio, seconds
from fusionfer.cache import CacheFolder, RowTable, read_feature_file

__all__ = ["run"]

ROWS, DIM = 35_710, 2048  # FER-2013 through ResNet50
BLOCK = 32
SCATTERED = 2048


def run(rounds: int, n: int | None) -> Iterator[Report]:
    """Read the same features from both kinds of file and from memory, all of them in the page cache."""
    n = n or ROWS
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, DIM), dtype=np.float32)
    with tempfile.TemporaryDirectory() as place:
        path = _write_cache(Path(place) / "cache", X)
        plain = Path(place) / "plain.h5"
        _write_plainly(plain, X)
        with h5py.File(plain) as file:
            yield _whole(path, X, rounds)
            yield _scattered(path, file["features"], X, rounds, rng)


def _whole(path: Path, X: np.ndarray, rounds: int) -> Report:
    stored, into = read_feature_file(path), np.zeros_like(X)
    contenders = {
        "memory": lambda: np.copyto(into, X),
        "whole": lambda: stored.copy_into(into),
        "map": lambda: np.copyto(into, stored.X),
        # A new map each time: its pages have to be found one by one, as they are by whoever goes through a map once.
        "new map": lambda: np.copyto(into, stored.layout.map("features")),
        "open": lambda: read_feature_file(path),
    }
    # Many rounds, because each is short. Wall time: the library reads with two threads.
    taken = alternate(contenders, 5 * rounds)
    if not np.array_equal(into, X):
        msg = "The cache gave back other features than were stored."
        raise RuntimeError(msg)
    return Report(
        "cache",
        f"{len(X):,} rows of {DIM} columns ({X.nbytes / 1e6:,.0f} MB) copied into an array, {5 * rounds} rounds",
        (
            ratio("speed against memcpy: all features into an array", taken["memory"], taken["whole"], target=0.9),
            ratio("speed against memcpy: through the map, seen before", taken["memory"], taken["map"], target=0.85),
            ratio("speed against memcpy: through a new map", taken["memory"], taken["new map"]),
            seconds("opening: what the file says of itself and of its rows", taken["open"], unit="ms"),
            seconds("memcpy", taken["memory"], unit="ms"),
        ),
    )


def _scattered(path: Path, chunked: h5py.Dataset, X: np.ndarray, rounds: int, rng: np.random.Generator) -> Report:
    stored = read_feature_file(path)
    # h5py wants them in order; a map does not care.
    rows = np.sort(rng.choice(len(X), min(SCATTERED, len(X)), replace=False))
    shuffled = rng.permutation(rows)
    contenders = {
        "first": lambda: stored.layout.map("features")[shuffled],
        "again": lambda: stored.X[shuffled],
        "chunks": lambda: chunked[rows],
    }
    if not np.array_equal(stored.X[shuffled], X[shuffled]) or not np.array_equal(chunked[rows], X[rows]):
        msg = "The files gave back other features than were stored."
        raise RuntimeError(msg)
    taken = alternate(contenders, rounds, timer=time.thread_time)
    wall = alternate({name: contenders[name] for name in ("first", "again")}, 5 * rounds)
    return Report(
        "cache",
        f"{len(rows):,} scattered rows of {len(X):,}, from open files; h5py's default chunks are {chunked.chunks}, "
        f"{rounds} rounds",
        (
            ratio("speed against h5py's resizable chunks, first reading", taken["chunks"], taken["first"], target=50.0),
            ratio("speed against h5py's resizable chunks, read again", taken["chunks"], taken["again"], target=50.0),
            _rate("rows through a new map", wall["first"], X[rows].nbytes),
            _rate("rows through the map, read again", wall["again"], X[rows].nbytes),
            seconds("scattered rows from a cache, first reading", taken["first"], unit="ms"),
            seconds("scattered rows from h5py's resizable chunks", taken["chunks"], unit="ms"),
        ),
    )


def _rate(what: str, taken: np.ndarray, size: int) -> Figure:
    """Return how many bytes a second came back, in a fresh array, by the clock on the wall."""
    rates = size / taken / 1e9
    return Figure(what, float(np.median(rates)), float(rates.min()), float(rates.max()), "GB/s", target=2.0)


def _write_cache(folder: Path, X: np.ndarray) -> Path:
    n = len(X)
    empty = np.full(n, "")
    digests = np.array([f"{i:064x}" for i in range(1, n + 1)])
    rows = RowTable(np.array([f"train/happy/Training_{i}.png" for i in range(n)]), empty, empty, empty, digests)
    cache = CacheFolder(folder)
    with (
        cache.lock(),
        cache.prepare("made", "up", DIM, key={"source": "benchmark"}, record={}, rows=rows, block_rows=BLOCK) as job,
    ):
        for start in range(0, n, BLOCK):
            block = X[start : start + BLOCK]
            job.commit(start, block, np.ones(len(block), dtype=bool), {})
        job.finish()
    return job.path


def _write_plainly(path: Path, X: np.ndarray) -> None:
    """Append batch by batch, as scripts do that do not know the number of rows before."""
    with h5py.File(path, "w") as file:
        features = file.create_dataset("features", shape=(0, DIM), maxshape=(None, DIM), dtype="f4")
        for start in range(0, len(X), BLOCK):
            block = X[start : start + BLOCK]
            features.resize(start + len(block), axis=0)
            features[start:] = block
    with path.open("r+b") as written:  # or the system writes it to the disk while reading is measured
        os.fsync(written.fileno())
