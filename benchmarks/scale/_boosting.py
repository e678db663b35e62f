"""What boosting takes of memory, disk and time, in memory and beyond, on maps of generated rows."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.heads.boosting import PlainXGBClassifier, WeightNormalisedXGBClassifier
from fusionfer.heads.boosting._size import plain_size, sliced_size
from fusionfer.matrices import MappedMatrix
from fusionfer.memory import PeakMemory, anonymous_bytes, memory_limit, parse_bytes

__all__ = ["boosting", "generated_map", "main"]

_PIECE = 1 << 14


def generated_map(path: Path, n: int, d: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Write n rows of d columns with some signal to a file, piece by piece; return its map and the classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    centres = np.zeros((n_classes, d), dtype=np.float32)
    centres[:, :: max(1, d // 64)] = rng.normal(scale=0.3, size=centres[:, :: max(1, d // 64)].shape)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    for start in range(0, n, _PIECE):
        rows = slice(start, min(start + _PIECE, n))
        out[rows] = rng.standard_normal((rows.stop - start, d), dtype=np.float32) + centres[y[rows]]
    out.flush()
    return np.load(path, mmap_mode="r"), y


def boosting(
    X: Any, y: np.ndarray, *, head: str = "xgb-wn", rounds: int = 64, limit: int | None = None, threads: int = 2
) -> dict[str, float]:
    """Fit a head once, and return what it took: bytes over those before, seconds in all, and seconds a round."""
    kinds = {"xgb-wn": WeightNormalisedXGBClassifier, "xgb": PlainXGBClassifier}
    marks = [time.perf_counter()]
    model = kinds[head](rounds, early_stopping_rounds=rounds, n_jobs=threads)
    n_classes = len(np.unique(y))
    with memory_limit(limit), PeakMemory() as peak:
        before = anonymous_bytes()
        model.fit(X, y, progress=lambda *_: marks.append(time.perf_counter()))
        size = (
            sliced_size(*X.shape, n_classes, threads=threads)
            if head == "xgb-wn"
            else plain_size(*X.shape, n_classes, mapped=True)
        )
    steps = np.diff(marks[1:]) if len(marks) > 2 else np.zeros(1)
    return {
        "rows": X.shape[0],
        "columns": X.shape[1],
        "peak": peak.bytes - before,
        "expected in memory": size.in_memory,
        "expected in files": size.in_files,
        "disk": size.disk,
        "seconds": time.perf_counter() - marks[0],
        "until the first round": marks[1] - marks[0],
        "a round": float(np.median(steps)),
        "a round, mean": float(np.mean(steps)),
        "loss": float(model.history_["validation_loss"][-1]),
    }


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=64)
    parser.add_argument("--head", default="xgb-wn")
    parser.add_argument("--memory", default=None)
    asked = parser.parse_args()
    limit = None if asked.memory is None else parse_bytes(asked.memory)
    with tempfile.TemporaryDirectory() as folder:
        X, y = generated_map(Path(folder) / "x.npy", asked.rows, asked.columns, 7)
        found = boosting(MappedMatrix([X]), y, head=asked.head, rounds=asked.rounds, limit=limit)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
