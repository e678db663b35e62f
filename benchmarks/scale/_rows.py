"""Many generated rows through the whole job, each verb in a process of its own, under a limit of memory.

    python -m benchmarks.scale rows --rows 10000 --rows 100000 --rows 1000000 --memory 4G --folder /tmp/rows

The features are those of nobody: a few directions that tell seven classes apart, many that do not, and a rectifier, 512
+ 2,048 columns as of ResNet34 and ResNet50. They are written through the cache as extraction writes them, commit by
commit. Every verb runs under RLIMIT_DATA, which the kernel enforces for all memory that no file backs; the peak of that
memory is read from smaps_rollup, twice a second, or less often where that takes long. Single passes over the rows, and
the bandwidths of memory and disk that they are compared with, are measured without a limit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.scale._passes import bandwidths, passes
from fusionfer.cache import CacheFolder, RowTable
from fusionfer.memory import parse_bytes

__all__ = ["main", "write_rows"]

WIDTHS = {"resnet34": 512, "resnet50": 2048}
CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
STAGES = ("write", "passes", "ecoc", "xgb-wn", "evaluate")
_FACTORS = 64
_PIECE = 1 << 13


@dataclass(frozen=True)
class Stage:
    """One verb at one number of rows: seconds by clock and processors, peak of anonymous memory, what it said."""

    name: str
    rows: int
    seconds: float
    processor: float
    peak: int
    code: int
    said: str


def main() -> None:
    """Write, fit, evaluate; print a table, or JSON."""
    parser = argparse.ArgumentParser(description="Many rows under a limit of memory.")
    parser.add_argument("--rows", type=int, action="append", help="repeatable (10,000, 100,000, 1,000,000)")
    parser.add_argument("--memory", default="4G", help="--memory of every verb, and its RLIMIT_DATA (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where caches and models go, and stay; by default a temporary one")
    parser.add_argument("--folds", type=int, default=5, help="of the selections (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="of xgb-wn (%(default)s)")
    parser.add_argument("--only", action="append", choices=STAGES, help=f"stages: {', '.join(STAGES)}; repeatable")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="of ecoc, such as tol=0.01")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        bandwidth = bandwidths(folder)
        for n in options.rows or [10_000, 100_000, 1_000_000]:
            for stage in _stages(folder, n, options):
                found.append(stage)
                print(_line(stage), file=sys.stderr, flush=True)
        if options.json:
            print(json.dumps({"gb_s": bandwidth, "stages": [asdict(stage) for stage in found]}, indent=2))
            return
        print(f"\nA copy in memory {bandwidth['memory']:.1f} GB/s, the disk {bandwidth['disk']:.2f} GB/s.\n")
        print("| stage | rows | seconds | rows/s | processors | peak of anonymous memory | |")
        print("|---|---:|---:|---:|---:|---:|---|")
        for stage in found:
            print(_line(stage))


def _stages(folder: Path, n: int, options: argparse.Namespace) -> list[Stage]:
    cache = folder / f"rows-{n}"
    wanted = options.only or STAGES
    fit = ["fit", cache, "--folds", options.folds, "--memory", options.memory, "--overwrite"]
    ecoc = [word for setting in options.settings for word in ("--set", setting)]
    commands = {
        "ecoc": [*fit, "--head", "ecoc", *ecoc, "--out", folder / f"ecoc-{n}.fusionfer"],
        "xgb-wn": [
            *fit, "--head", "xgb-wn", "--set", f"n_rounds={options.rounds}", "--set", "early_stopping_rounds=None",
            "--out", folder / f"xgb-{n}.fusionfer",
        ],
        "evaluate": [
            "evaluate", cache, "--model", folder / f"ecoc-{n}.fusionfer", "--memory", options.memory, "--split", "test",
        ],
    }  # fmt: skip
    stages = []
    if "write" in wanted:
        begin, used = time.monotonic(), time.process_time()
        write_rows(cache, n)
        stages.append(Stage("write", n, time.monotonic() - begin, time.process_time() - used, 0, 0, ""))
    if "passes" in wanted:
        for name, (count, seconds) in passes(cache).items():
            speed = f"{4 * sum(WIDTHS.values()) * count / seconds / 1e9:.2f} GB/s"
            stages.append(Stage(name, count, seconds, 0.0, 0, 0, speed))
    limit = parse_bytes(options.memory)
    return stages + [_run(name, n, commands[name], limit) for name in commands if name in wanted]


def write_rows(folder: Path, n: int, seed: int = 0) -> None:
    """Write two caches of n generated rows: 80 % train, 10 % validation, 10 % test."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(CLASSES), n)
    ids = np.array([f"{i:09d}.png" for i in range(n)])
    digests = np.array([hashlib.sha256(one.encode()).hexdigest() for one in ids.tolist()])
    splits = np.array(["train", "validation", "test"])[np.searchsorted([0.8, 0.9], rng.random(n))]
    rows = RowTable(ids, np.array(CLASSES)[y], splits, np.full(n, ""), digests)
    centres = 0.35 * rng.normal(size=(len(CLASSES), _FACTORS)).astype(np.float32)
    ways = {
        name: rng.normal(size=(_FACTORS, dim)).astype(np.float32) / np.sqrt(_FACTORS) for name, dim in WIDTHS.items()
    }
    caches = CacheFolder(folder)
    with caches.lock():
        jobs = {
            name: caches.prepare(
                name, "penultimate", dim, key={"source": "generated", "seed": seed, "n": n}, record={}, rows=rows
            )
            for name, dim in WIDTHS.items()
        }
        for start in range(0, n, _PIECE):
            stop = min(start + _PIECE, n)
            factors = rng.standard_normal((stop - start, _FACTORS), dtype=np.float32) + centres[y[start:stop]]
            for name, job in jobs.items():
                X = factors @ ways[name]
                X += 0.7 * rng.standard_normal(X.shape, dtype=np.float32)
                np.maximum(X, 0.0, out=X)
                for at in range(start, stop, job.block_rows):
                    block = X[at - start : min(at + job.block_rows, stop) - start]
                    todo = job.todo[at : at + len(block)]
                    if todo.any():
                        job.commit(at, block, todo, {})
        for job in jobs.values():
            job.finish()
            job.close()


def _run(name: str, n: int, arguments: list[object], limit: int) -> Stage:
    """Run a verb under RLIMIT_DATA and watch its memory."""
    command = [sys.executable, "-m", "fusionfer", *map(str, arguments)]
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
        )  # fmt: skip
        peak = 0
        while process.poll() is None:
            looked = time.monotonic()
            peak = max(peak, _anonymous(process.pid))
            # A look goes through all page tables, those of 10 GB of maps too, and holds the process meanwhile.
            time.sleep(max(0.5, 50 * (time.monotonic() - looked)))
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        said.seek(0)
        text = said.read()
    processor = used.ru_utime + used.ru_stime - _run.before  # type: ignore[attr-defined]
    _run.before = used.ru_utime + used.ru_stime  # type: ignore[attr-defined]
    if process.returncode:
        print(text, file=sys.stderr)
    return Stage(name, n, time.monotonic() - begin, processor, peak, process.returncode, text)


_run.before = 0.0  # type: ignore[attr-defined]


def _anonymous(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return 1024 * sum(map(int, re.findall(r"^(?:Anonymous|Swap):\s*(\d+) kB", text, flags=re.MULTILINE)))


def _line(stage: Stage) -> str:
    peak = f"{stage.peak / 2**30:.2f} GB" if stage.peak else ""
    busy = f"{stage.processor / stage.seconds:.1f}" if stage.processor else ""
    failed = f" (exit code {stage.code})" if stage.code else ""
    estimate = re.search(r"about .* of memory and .*", stage.said)
    return (
        f"| {stage.name}{failed} | {stage.rows:,} | {stage.seconds:,.1f} | {stage.rows / stage.seconds:,.0f} | "
        f"{busy} | {peak} | {f'said: {estimate[0]}' if estimate else stage.said.strip() if not stage.peak else ''} |"
    )
