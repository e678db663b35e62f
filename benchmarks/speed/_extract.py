"""Extraction end to end, against the bare forward pass and against the script a user would write; and its memory."""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import torch

from benchmarks.speed._pictures import pictures, unpack
from benchmarks.speed._plain_script import extract_plainly
from benchmarks.speed._timing import Report, alternate, once, ratio, seconds
from fusionfer.backbones import get_backbone
from fusionfer.extraction import extract_to_cache
from fusionfer.features import Features
from fusionfer.images import FaceSet, read_faces
from fusionfer.networks import LoadedBackbone, build_module, load_backbone

__all__ = ["compare", "memory"]

NAMES = ("resnet34", "resnet50")
BATCH = 32


def compare(n: int, size: int, rounds: int) -> Report:
    """Time extraction of `n` faces at `size` pixels beside its two contenders.

    All three use the same files, batch size and random weights. The networks are built before, once for all: that takes
    as long as it takes whatever the number of faces. All else counts: finding the files, hashing, decoding, writing.
    """
    chosen, what = pictures(n)
    with tempfile.TemporaryDirectory() as place:
        folder, numbers = Path(place) / "faces", itertools.count()
        unpack(chosen, folder)
        networks = _networks(size)
        batches = _ready(read_faces(folder), networks[0])
        models = {name: build_module(name).eval() for name in NAMES}

        def forward() -> None:
            for batch in batches:
                for one in networks:
                    one.network(batch)

        def whole() -> Path:
            cache = Path(place) / f"cache{next(numbers)}"
            # The networks that stand ready, instead of building the same ones again; they keep their taps afterwards.
            ready = {one.backbone.name: one for one in networks}
            with (
                mock.patch("fusionfer.extraction._extract.load_backbone", lambda record, *_, **__: ready[record.name]),
                mock.patch.object(LoadedBackbone, "close"),
            ):
                extract_to_cache(read_faces(folder), NAMES, weights="none", size=size, batch_size=BATCH, cache=cache)
            return cache

        def script() -> Path:
            out = Path(place) / f"plain{next(numbers)}.h5"
            extract_plainly(folder, out, models, size=size, batch_size=BATCH)
            return out

        _same_features(whole(), script())
        taken = alternate({"forward": forward, "whole": whole, "script": script}, rounds, warm_up=False)
    each = seconds("extraction, per face", taken["whole"], per=n, unit="ms")
    return Report(
        "extract",
        f"{n} {what} at {size} pixels, {' + '.join(NAMES)}, batches of {BATCH}, {torch.get_num_threads()} threads, "
        f"{rounds} rounds",
        (
            ratio("speed against the bare forward pass", taken["forward"], taken["whole"], target=0.95),
            ratio("speed against the plain script", taken["script"], taken["whole"], target=1.4),
            each,
        ),
    )


def _networks(size: int) -> list[LoadedBackbone]:
    return [load_backbone(get_backbone(name).sized(size), ["penultimate"], weights="none") for name in NAMES]


def _ready(faces: FaceSet, network: LoadedBackbone) -> list[torch.Tensor]:
    """Return the tensors of all batches as the networks take them; the last is padded, as extraction does it."""
    preprocess = network.backbone.preprocess
    tensors = [torch.from_numpy(preprocess(faces.load(i)[0])) for i in range(len(faces))]
    tensors += [torch.zeros_like(tensors[0])] * (-len(tensors) % BATCH)
    return [
        torch.stack(tensors[start : start + BATCH]).contiguous(memory_format=torch.channels_last)
        for start in range(0, len(tensors), BATCH)
    ]


def _same_features(cache: Path, plain: Path) -> None:
    """Make sure that both sides did the same work: a benchmark of different results is none."""
    ours = Features.read(cache)
    order = np.argsort(ours.ids)  # ImageFolder takes classes, and files in them, in the order of their names
    with h5py.File(plain) as file:
        for name in NAMES:
            a, b = ours.block(f"{name}:penultimate")[order], file[name][...]
            off = float(np.linalg.norm(a - b) / np.linalg.norm(b))
            if off > 0.01:  # the two decoders and resizers round differently
                msg = f"{name}: the plain script's features differ by {off:.1%}."
                raise RuntimeError(msg)


def memory(few: int, many: int, size: int) -> Report:
    """Extract two very different numbers of faces, each in a process of its own, and compare their peak memory."""
    _, what = pictures(many)
    measured = [_in_new_process(_peak, n, size) for n in (few, many)]
    (low, _), (high, took) = measured
    growth = (high - low) / (many - few)
    return Report(
        "extract",
        f"peak memory with {what} at {size} pixels, each number in a process of its own",
        (
            once(f"peak memory, {few:,} faces", low / 2**20, "MiB"),
            once(f"peak memory, {many:,} faces", high / 2**20, "MiB"),
            once("growth per further face (its id, label and hash stay in memory)", growth / 2**10, "KiB"),
            once(f"whole call, {many:,} faces", took, "s"),
        ),
    )


def _in_new_process(function: Callable[[int, int], tuple[int, float]], *args: int) -> tuple[int, float]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def _peak(n: int, size: int) -> tuple[int, float]:
    """Return the bytes that this process had in memory at most, and the seconds of the extraction."""
    faces, _ = pictures(n)
    with tempfile.TemporaryDirectory() as cache:
        begin = time.perf_counter()
        extract_to_cache(faces, NAMES, weights="none", size=size, batch_size=BATCH, cache=cache)
        took = time.perf_counter() - begin
    return _high_water(), took


def _high_water() -> int:
    # Linux hands ru_maxrss of the parent down to a new process, so that of the address space itself is asked first.
    status = Path("/proc/self/status")
    if status.is_file():
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(lines[0].split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run(rounds: int, n: int, counts: tuple[int, int]) -> Iterator[Report]:
    """Measure at the size of ImageNet and at that of FER-2013, and the memory."""
    yield compare(n, 224, rounds)
    yield compare(8 * n, 48, rounds)
    yield memory(*counts, 48)
