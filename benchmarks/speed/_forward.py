"""The pure forward pass of each network on every installed engine, in processor time."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.speed._engines import installed_engines
from benchmarks.speed._timing import Figure, Report, alternate, ratio, seconds
from fusionfer.backbones import get_backbone
from fusionfer.networks import LoadedBackbone, load_backbone, run_on

__all__ = ["run"]

NAMES = ("resnet34", "resnet50", "densenet121", "mobilenet_v2")


def run(rounds: int) -> Iterator[Report]:
    """Measure each network by itself, at the size of ImageNet and at that of FER-2013."""
    for name in NAMES:
        yield _compare(name, 224, 16, 1, rounds)
        yield _compare(name, 48, 32, 8, rounds)


def _compare(name: str, size: int, batch_size: int, repeats: int, rounds: int) -> Report:
    """Time batches of noise on one thread, as extraction runs them in each of its workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loaded = load_backbone(get_backbone(name).sized(size), ["penultimate"], weights="none")
        networks = {
            engine: run_on(loaded, engine, batch_size=batch_size, workers=1, threads=1)
            for engine in installed_engines()
        }
        noise = torch.randn(batch_size, 3, size, size, generator=torch.Generator().manual_seed(0))
        batch = noise.contiguous(memory_format=torch.channels_last)
        contenders: dict[str, Callable[[], object]] = {
            engine: functools.partial(_forward, one, batch, repeats) for engine, one in networks.items()
        }
        taken = alternate(contenders, rounds, timer=time.process_time)
    finally:
        torch.set_num_threads(before)

    def figures() -> Iterator[Figure]:
        for engine, one in taken.items():
            yield seconds(f"{engine}: processor time, per picture", one, per=batch_size * repeats, unit="ms")
            if engine != "torch":
                yield ratio(f"{engine}: speed against torch", taken["torch"], one)

    return Report("forward", f"{name}, noise at {size} pixels, batches of {batch_size}, one thread", tuple(figures()))


def _forward(loaded: LoadedBackbone, batch: torch.Tensor, repeats: int) -> None:
    for _ in range(repeats):
        loaded.network(batch)
