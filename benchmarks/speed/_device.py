"""Extraction on a GPU, against the bare forward pass with images in its memory; and which part of it binds."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.speed._pictures import pictures, unpack
from benchmarks.speed._timing import Report, alternate, once, ratio, seconds
from fusionfer.backbones import get_backbone
from fusionfer.extraction import extract_to_cache, find_device
from fusionfer.extraction._batches import Buffers, slots
from fusionfer.extraction._forward import crew_of, exact_float32, forward
from fusionfer.images import FaceSet, read_faces
from fusionfer.networks import LoadedBackbone, load_backbone

__all__ = ["compare", "run"]

NAMES = ("resnet34", "resnet50")
#: Share of the bare forward pass that extraction should reach with its images in memory.
TARGET = 0.9


class _InMemory:
    """A source of pictures that are decoded already."""

    def __init__(self, faces: FaceSet) -> None:
        self._pixels = [faces.load(i)[0] for i in range(len(faces))]

    def read(self, key: Any) -> np.ndarray:
        return self._pixels[key]


def compare(n: int, size: int, rounds: int, device: torch.device, precision: str) -> Report:
    """Time extraction of `n` faces at `size` pixels beside its parts.

    The batch size is what "auto" finds. Networks are built before; each extraction is of so many faces that it takes a
    few seconds: give --images accordingly.
    """
    chosen, what = pictures(n)
    with tempfile.TemporaryDirectory() as place:
        folder, numbers = Path(place) / "faces", itertools.count()
        unpack(chosen, folder)
        networks = [
            load_backbone(
                get_backbone(name).sized(size), ["penultimate"], weights="none", device=device, precision=precision
            )
            for name in NAMES
        ]
        ready = {one.backbone.name: one for one in networks}
        files = read_faces(folder)
        decoded = FaceSet(ids=files.ids, keys=tuple(range(n)), source=_InMemory(files), name="in memory")
        crew = crew_of(networks, device)

        def extract(faces: FaceSet, batch_size: int | str) -> int:
            with (
                mock.patch("fusionfer.extraction._extract.load_backbone", lambda record, *_, **__: ready[record.name]),
                mock.patch.object(LoadedBackbone, "close"),
            ):
                return extract_to_cache(
                    faces, NAMES, weights="none", size=size, batch_size=batch_size, device=str(device),
                    precision=precision, cache=Path(place) / f"cache{next(numbers)}",
                ).batch_sizes[0]  # fmt: skip

        batch_size = extract(files, "auto")
        distinct, _ = slots([one.backbone.preprocess for one in networks])
        buffers = Buffers(distinct, batch_size, device)
        wanted = np.ones(n, dtype=bool)
        buffers.decode(decoded, None, wanted, 0)
        batches = -(-n // batch_size)

        def bare() -> None:
            (on_device,) = buffers.on_device()
            with exact_float32():
                for _ in range(batches):
                    for one in networks:
                        one.network(on_device)
            _wait(device)

        def copied() -> None:
            for _ in range(batches):
                buffers.on_device()
            _wait(device)

        def in_memory() -> None:
            for _ in forward(decoded, networks, wanted, batch_size=batch_size, device=device, crew=crew):
                pass

        def decode() -> None:
            for start in range(0, n, batch_size):
                buffers.decode(files, None, wanted, start)

        contenders: dict[str, Callable[[], object]] = {
            "bare": bare,
            "in memory": in_memory,
            "whole": lambda: extract(read_faces(folder), batch_size),
            "decode": decode,
            "copied": copied,
        }
        taken = alternate(contenders, rounds)
    return Report(
        "extract",
        f"{n} {what} at {size} pixels on {_name(device)} in {precision}, {' + '.join(NAMES)}, {rounds} rounds",
        (
            once("batch size that auto found", batch_size, ""),
            ratio("images in memory: speed against the bare forward pass", taken["bare"], taken["in memory"],
                  target=TARGET),
            ratio("with reading, decoding, hashing, writing: the same", taken["bare"], taken["whole"]),
            seconds("bare forward pass, per face", taken["bare"], per=n, unit="ms"),
            seconds("extraction, per face", taken["whole"], per=n, unit="ms"),
            seconds("reading and decoding on one thread, per face", taken["decode"], per=n, unit="ms"),
            seconds("copying, enlarging and normalising, per face", taken["copied"], per=n, unit="ms"),
        ),
    )  # fmt: skip


def _wait(device: torch.device) -> None:
    """Wait until all that was begun on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def run(rounds: int, n: int, device: str, precision: str) -> Iterator[Report]:
    """Measure at the size of ImageNet and at that of FER-2013."""
    found = find_device(device)
    yield compare(n, 224, rounds, found, precision)
    yield compare(8 * n, 48, rounds, found, precision)
