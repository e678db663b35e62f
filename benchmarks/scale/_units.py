"""The unit costs that estimates rest on: ``python -m benchmarks.scale units`` prints what `fusionfer.costs` records.

Every figure comes from processes of its own, so that none begins with the memory of another. Processor time counts,
not the clock: what else runs on the machine disturbs it less.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

__all__ = ["run", "units"]

BACKBONES = ("resnet34", "resnet50", "mobilenet_v2", "densenet121", "vgg16")

_PROLOGUE = """
import json, sys, tempfile, time
from pathlib import Path
import numpy as np
from fusionfer.memory import PeakMemory, anonymous_bytes
def say(begin, peak, base):
    print(json.dumps({"seconds": time.process_time() - begin, "peak": peak.bytes, "base": base}))
"""

_EXTRACT = """
from fusionfer.extraction import extract_to_cache
from fusionfer.images import generate_faces
name, side, batch, n = sys.argv[1], *map(int, sys.argv[2:5])
faces = generate_faces(n // 7 + 1, takes=1, size=48).take(range(n))
drawing = time.process_time()
for i in range(n):
    faces.load(i)
drawing = time.process_time() - drawing
base = anonymous_bytes()
with tempfile.TemporaryDirectory() as folder, PeakMemory(0.02) as peak:
    begin = time.process_time() + 2 * drawing  # drawn once for the table of rows, once for the networks
    extract_to_cache(faces, [name], cache=folder, weights="none", size=side, batch_size=batch)
say(begin, peak, base)
"""

_LOOK = """
import cv2
from fusionfer.images import read_faces
what, side, n = sys.argv[1], *map(int, sys.argv[2:4])
folder = tempfile.TemporaryDirectory()
rng = np.random.default_rng(0)
for i in range(n):
    rough = cv2.resize(rng.integers(0, 255, (8, 8), dtype=np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
    path = Path(folder.name) / "train" / "ab"[i % 2] / f"{i:06d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rough)
faces = read_faces(folder.name)
base = anonymous_bytes()
with PeakMemory(0.02) as peak:
    begin = time.process_time()
    if what == "eda":
        from fusionfer.eda import eda
        eda(faces)
    else:
        from fusionfer.audit import audit
        audit(faces, near=what == "near")
say(begin, peak, base)
"""

_CACHE = """
from fusionfer.features import Features
from fusionfer.maintenance import verify
what, n, d = sys.argv[1], *map(int, sys.argv[2:4])
folder = tempfile.TemporaryDirectory()
X = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
made = Features.from_arrays([f"{i:08d}" for i in range(n)], X, ["ab"[i % 2] for i in range(n)], {"x": slice(0, d)})
made.to_hdf5(Path(folder.name) / "c")
del X, made
base = anonymous_bytes()
with PeakMemory(0.02) as peak:
    begin = time.process_time()
    verify([Path(folder.name) / "c"])
say(begin, peak, base)
"""


_DECODE = """
import cv2
from fusionfer.backbones import Preprocess
from fusionfer.images import read_faces
end, channels, side = sys.argv[1], *map(int, sys.argv[2:4])
folder = tempfile.TemporaryDirectory()
for k in range(2):  # one of each class
    path = Path(folder.name) / "train" / "ab"[k] / f"0.{end}"
    path.parent.mkdir(parents=True)
    rough = np.random.default_rng(k).integers(0, 255, (40, 40, channels), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(rough, (side, side), interpolation=cv2.INTER_CUBIC))
faces, resized = read_faces(folder.name), Preprocess(224)
base = anonymous_bytes()
with PeakMemory(0.002) as peak:
    begin = time.process_time()
    for k in range(2):
        resized(faces.load(k)[0])
say(begin, peak, base)
"""


def _measured(code: str, *arguments: object) -> dict[str, float]:
    """Run code in a process of its own; what it says."""
    command = [sys.executable, "-c", _PROLOGUE + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run() -> None:
    """Measure all of it, which takes a quarter of an hour, and print a line for each."""
    for line in units():
        print(line, flush=True)


def units(backbones: tuple[str, ...] = BACKBONES) -> Iterator[str]:
    """Measure each, and yield what came out."""
    from fusionfer.costs import gflops

    cores = len(os.sched_getaffinity(0))
    yield f"{gflops(0.5):.0f} GFLOPS of float32 products on each of {cores} cores"
    for name in backbones:
        few, many = _measured(_EXTRACT, name, 224, 8, 32), _measured(_EXTRACT, name, 224, 32, 96)
        small, more = _measured(_EXTRACT, name, 48, 32, 128), _measured(_EXTRACT, name, 48, 32, 512)
        each = (many["peak"] - few["peak"]) / (24 * cores)
        fixed = few["peak"] - few["base"] - 8 * cores * each
        yield (
            f"{name}: {1e3 * (many['seconds'] - few['seconds']) / 64 / cores:.1f} ms a picture of 224 pixels, "
            f"{1e3 * (more['seconds'] - small['seconds']) / 384 / cores:.2f} of 48, on {cores} cores; "
            f"{fixed / 2**20:.0f} MB and {each / 2**20:.1f} MB a picture of 224; peak at 48, 32 a batch: "
            f"{(more['peak'] - more['base']) / 2**20:.0f} MB"
        )
    for end, channels in (("png", 1), ("png", 3), ("jpg", 3)):
        found = _measured(_DECODE, end, channels, 4000)
        yield (
            f"decoding {end} of {channels} channels: {(found['peak'] - found['base']) / 4000**2:.1f} bytes a pixel, "
            f"{1e9 * found['seconds'] / 2 / 4000**2:.0f} ns"
        )
    for what, sizes in (("exact", (2000, 8000)), ("near", (2000, 8000)), ("eda", (2000, 8000))):
        for side in (48, 224) if what != "near" else (48,):
            for n in sizes if side == 48 else (1000,):
                found = _measured(_LOOK, what, side, n)
                yield (
                    f"{what}, {n} pictures of {side} pixels: {found['seconds']:.2f} s of processor, "
                    f"{found['base'] / 2**20:.0f} MB at the start and {found['peak'] / 2**20:.0f} MB at most"
                )
    for n, d in ((1000, 1024), (50_000, 1024)):
        found = _measured(_CACHE, "verify", n, d)
        yield (
            f"verify, {n} rows of {d} columns: {found['seconds']:.2f} s of processor, "
            f"{found['base'] / 2**20:.0f} MB at the start and {found['peak'] / 2**20:.0f} MB at most"
        )
