"""``python -m benchmarks.accuracy.determinism``: by how much features differ where equality is not promised.

The same faces go through the same network in other company: alone, in batches of other sizes, with other neighbours,
on other numbers of threads, with batch normalisation not folded, and on a GPU where there is one. Each is compared with
batches of 32 on one thread. The figures of ``docs/determinism.md`` come from here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed._pictures import pictures
from benchmarks.speed._timing import machine
from fusionfer.backbones import get_backbone
from fusionfer.extraction import compute_features
from fusionfer.images import FaceSet
from fusionfer.networks import LoadedBackbone, build_module, load_backbone, load_into, read_state_dict

STAND_INS = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights"
LEVELS = ("penultimate", "logits")
BATCH = 32


@dataclass(frozen=True)
class Difference:
    """How far the vectors of one way are from those of another.

    `differ` is the share of numbers that are not equal to the bit, `norm` the largest distance of two vectors of one
    face divided by the vector's length, `single` the largest difference of one number divided by the largest number
    of its vector, and `labels` the number of faces whose largest logit moved to another class.
    """

    what: str
    differ: float
    norm: float
    single: float
    labels: int

    def __str__(self) -> str:
        if not self.differ:
            return f"  {self.what:<44} equal to the bit"
        return (
            f"  {self.what:<44} {100 * self.differ:6.2f} %   {self.norm:8.1e}   {self.single:8.1e}   {self.labels:>4}"
        )


def compare(what: str, ours: list[np.ndarray], theirs: list[np.ndarray]) -> Difference:
    """Compare penultimate vectors and logits of two ways."""
    a, b = (X[0].astype(np.float64) for X in (ours, theirs))
    size = np.abs(b).max(axis=1)
    return Difference(
        what,
        float(np.mean(ours[0] != theirs[0])),
        float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max()),
        float((np.abs(a - b).max(axis=1) / size).max()),
        int(np.sum(ours[1].argmax(axis=1) != theirs[1].argmax(axis=1))),
    )


def vectors(faces: FaceSet, network: LoadedBackbone, batch: int = BATCH, *, threads: int = 1) -> list[np.ndarray]:
    """Return penultimate vectors and logits of `faces`, in batches of `batch` on `threads` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        device = next(network.network.module.parameters()).device
        values, failed = compute_features(faces, [network], batch_size=batch, device=device)
    finally:
        torch.set_num_threads(before)
    if failed:
        msg = f"{len(failed)} faces could not be read."
        raise SystemExit(msg)
    return [values[network.backbone.name, level] for level in LEVELS]


def unfolded(name: str, size: int, weights: str) -> LoadedBackbone:
    """Return the backbone as a module of one's own, which is used without folding its batch normalisation."""
    record = get_backbone(name).sized(size)
    module = build_module(name)
    if weights != "none":
        load_into(module, read_state_dict(weights), name=name, last_layer=record.last_layer)
    return load_backbone(replace(record, module=module), LEVELS)


def differences(name: str, faces: FaceSet, size: int, weights: str) -> Iterator[Difference]:
    """Compare every way with batches of 32 on one thread."""
    network = load_backbone(get_backbone(name).sized(size), LEVELS, weights=weights)
    base = vectors(faces, network)
    n = len(faces)
    yield compare("the same again", vectors(faces, network), base)
    yield compare("loaded anew", vectors(faces, load_backbone(network.backbone, LEVELS, weights=weights)), base)
    other = np.random.default_rng(0).permutation(n)
    swapped = np.where(np.arange(n) % 2 == 0, np.arange(n), other)
    values = vectors(_renamed(faces, swapped), network)
    kept = swapped == np.arange(n)
    yield compare("other neighbours, the same place", [X[kept] for X in values], [X[kept] for X in base])
    back = np.roll(np.arange(n), 5)
    values = vectors(faces.take(back), network)
    yield compare("another place in the batch", values, [X[back] for X in base])
    for batch in (1, 8, 64):
        yield compare(f"batches of {batch}", vectors(faces, network, batch), base)
    for threads in (2, 4):
        yield compare(f"{threads} threads", vectors(faces, network, threads=threads), base)
    yield compare("batch normalisation not folded", vectors(faces, unfolded(name, size, weights)), base)
    if torch.cuda.is_available():
        gpu = load_backbone(network.backbone, LEVELS, weights=weights, device="cuda")
        there = vectors(faces, gpu)
        yield compare("cuda", there, base)
        yield compare("cuda, the same again, against cuda", vectors(faces, gpu), there)
        yield compare("cuda, batches of 1, against cuda", vectors(faces, gpu, 1), there)


def _renamed(faces: FaceSet, index: np.ndarray) -> FaceSet:
    """Return the faces at `index`, of which some may come twice, under new ids."""
    return replace(
        faces,
        ids=np.arange(len(index)).astype(np.str_),
        keys=tuple(faces.keys[i] for i in index),
        labels=faces.labels[index],
        splits=faces.splits[index],
        groups=faces.groups[index],
    )


def main() -> None:
    """Print one table a backbone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.determinism", description=__doc__)
    parser.add_argument("--images", type=int, default=512, help="faces (default: %(default)s)")
    parser.add_argument("--size", type=int, default=48, help="input side in pixels (default: %(default)s)")
    parser.add_argument("--backbone", action="append", help="repeatable (default: resnet34 and resnet50)")
    options = parser.parse_args()
    faces, what = pictures(options.images)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"torch {torch.__version__}, {len(faces)} {what}, input side {options.size}, level penultimate")
    print("against batches of 32 on one thread: numbers that differ, largest difference of a vector (relative to its")
    print("length) and of a number (relative to the vector's largest), faces whose largest logit changed class")
    for name in options.backbone or ("resnet34", "resnet50"):
        stand_in = STAND_INS / f"{name}-fer2013-48.safetensors"
        weights = str(stand_in) if stand_in.is_file() else "none"
        print(f"\n{name}, weights {stand_in.name + ' (stand-in)' if weights != 'none' else 'none (seed 0)'}")
        for difference in differences(name, faces, options.size, weights):
            print(difference, flush=True)


if __name__ == "__main__":
    main()
