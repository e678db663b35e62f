"""What it takes to run several steps one after the other: a demo, a replayed protocol, a repair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusionfer.costs._files import estimate_verifying
from fusionfer.costs._machine import cores, slowness
from fusionfer.costs._networks import estimate_extraction
from fusionfer.costs._summing import summed
from fusionfer.costs._training import estimate_training
from fusionfer.memory import Estimate

__all__ = ["estimate_demo", "estimate_repair", "estimate_replay"]

_MB = 1 << 20
_EXPRESSIONS, _TAKES = 7, 5  # of each generated person
_DRAWING = 8.0  # ms a generated face; it is drawn twice, for its hash and for the networks
_HEAD = 2.0e-6  # seconds of one core for each row and column: a linear head in five folds, and once more
_HEAD_COPIES = 4.0  # of the features while a head is fitted: parts for the folds, scaled ones
_COLUMNS = 2048  # of a network, where nobody says how many
_REPORTING = 15.0  # seconds
_EACH_RUN = 4.0  # seconds


def estimate_demo(identities: int, size: int) -> Estimate:
    """Estimate what the demo takes with so many generated persons, of so many pixels a side."""
    n = identities * _EXPRESSIONS * _TAKES
    found = estimate_extraction(n, [("resnet34", size), ("resnet50", size)])
    columns = 512 + 2048
    more = [("features and heads", int(_HEAD_COPIES * 4 * n * columns)), ("figures", 80 * _MB)]
    seconds = 2e-3 * n * _DRAWING / cores() + _HEAD * n * columns / cores() + _REPORTING
    return summed("demo", [*found.parts, *more], found.seconds + slowness() * seconds)


def estimate_repair(size: int, rows: int, backbones: Sequence[str] = (), *, pixels: int = 48 * 48) -> Estimate:
    """Estimate what comparing checksums and, where rows are damaged, one network at a time takes.

    Parameters
    ----------
    size, rows : int
        Bytes of the caches, and rows of the longest.
    backbones : sequence of str
        Whose features they are.
    pixels : int
        Of a picture.

    Returns
    -------
    Estimate
        Its time is that of comparing alone: how much is damaged is not known before.
    """
    checking = estimate_verifying(size, rows)
    computed = [estimate_extraction(rows, [(name, 224)], pixels=pixels) for name in backbones]
    parts = max([checking, *computed], key=lambda one: one.bytes).parts
    return summed("cache repair", parts, checking.seconds)


def estimate_replay(
    n: int, networks: Sequence[tuple[str, int]], *, runs: int = 1, recipe: Any = None,
    columns: int | None = None, pixels: int = 48 * 48, limit: int | None = None, on_cpu: bool = True,
) -> Estimate:  # fmt: skip
    """Estimate what a replayed protocol takes.

    Parameters
    ----------
    n : int
        Faces with their changed copies.
    networks : sequence of (str, int)
        Name and side of what is extracted, or trained.
    runs : int
        Heads that are fitted, or times that the networks are trained.
    recipe : Recipe, optional
        Of the networks where these are trained: its epochs, batch_size, optimizers, size and stem.
    columns : int, optional
        Of all features together; by default 2,048 a network.
    pixels : int
        Of a picture.
    limit : int, optional
        Bytes that are asked for; see `most_pictures`.
    on_cpu : bool

    Returns
    -------
    Estimate
    """
    if recipe is not None:
        judged = n // 10
        found = estimate_training(
            n - judged, judged, networks, epochs=recipe.epochs, batch_size=recipe.batch_size,
            size=recipe.size or networks[0][1], optimizers=max(1, len(recipe.optimizers)),
            small_stem=recipe.stem == "small", pixels=pixels, limit=limit, on_cpu=on_cpu,
        )  # fmt: skip
        return summed("replay", found.parts, runs * found.seconds)
    found = estimate_extraction(n, networks, pixels=pixels, on_cpu=on_cpu)
    columns = _COLUMNS * len(networks) if columns is None else columns
    head = int(_HEAD_COPIES * 4 * n * columns)
    seconds = slowness() * runs * (_HEAD * n * columns / cores() + _EACH_RUN)
    # The head comes after the networks, whose activations are free by then.
    held = dict(found.parts)
    parts = [*((name, size) for name, size in held.items() if name != "activations"), ("features and heads", head)]
    if held.get("activations", 0) > head:
        parts = list(found.parts)
    return summed("replay", parts, found.seconds + seconds)
