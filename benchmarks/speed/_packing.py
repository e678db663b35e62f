"""Weights laid out once for the processor's kernels, against the same convolutions that do it in every call."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.speed._timing import Figure, Report, alternate, ratio, seconds
from fusionfer.backbones import get_backbone
from fusionfer.networks import LoadedBackbone, load_backbone
from fusionfer.networks._packing import can_pack, unpacked

__all__ = ["compare", "run"]

NAMES = ("resnet34", "resnet50", "densenet121", "mobilenet_v2")
BATCH = 32


def compare(size: int, repeats: int, rounds: int) -> Report:
    """Time forward passes of batches of noise on one thread, as extraction runs them in each of its workers.

    Processor time is counted, so that a shared machine disturbs little.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(BATCH, 3, size, size, generator=generator)
    batch = noise.contiguous(memory_format=torch.channels_last)
    before = torch.get_num_threads()
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_num_threads, before)
        torch.set_num_threads(1)
        networks = {(name, packs): _network(name, size, packs, stack) for name in NAMES for packs in (True, False)}
        contenders: dict[str, Callable[[], object]] = {
            f"{name} {packs}": functools.partial(_forward, one, batch, repeats)
            for (name, packs), one in networks.items()
        }
        taken = alternate(contenders, rounds, timer=time.process_time)

    def figures() -> Iterator[Figure]:
        for name in NAMES:
            packed, plain = taken[f"{name} True"], taken[f"{name} False"]
            yield ratio(f"{name}: speed against plain convolutions", plain, packed)
            yield seconds(f"{name}: processor time, per picture", packed, per=BATCH * repeats, unit="ms")

    setting = f"noise at {size} pixels, batches of {BATCH}, one thread, processor time, {rounds} rounds"
    return Report("packing", setting, tuple(figures()))


def _network(name: str, size: int, packs: bool, stack: contextlib.ExitStack) -> LoadedBackbone:
    loaded = load_backbone(get_backbone(name).sized(size), ["penultimate"], weights="none")
    if not packs:
        stack.enter_context(unpacked([loaded.network.module]))  # type: ignore[attr-defined]
    return loaded


def _forward(loaded: LoadedBackbone, batch: torch.Tensor, repeats: int) -> None:
    for _ in range(repeats):
        loaded.network(batch)


def run(rounds: int) -> Iterator[Report]:
    """Measure at the size of ImageNet and at that of FER-2013."""
    if not can_pack():
        raise SystemExit("packing: this build of torch, or this processor, has no layouts to choose from.")
    yield compare(224, 1, rounds)
    yield compare(48, 8, rounds)
