"""``python -m benchmarks.accuracy.precision DATA --weights ...``: what 16-bit products do to features and to a head.

DATA is a data set with the splits validation and test; the networks should not have seen them. Their features are
extracted in float32 and in another precision, side by side into one folder. Printed are the distances of a picture's
two vectors, divided by the length of that in float32, and the accuracy on test of heads that were fitted on validation,
in float32, in the other precision, and fitted in float32 and asked about the other. The figures of ``docs/engines.md``
come from here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.speed._timing import machine
from fusionfer.extraction import extract
from fusionfer.features import Features
from fusionfer.fusion import BlockScaler
from fusionfer.heads import make_head
from fusionfer.images import read_faces

HEADS = ("ecoc", "softmax")


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--weights", multiple=True, required=True, metavar="BACKBONE=PATH", help="Repeatable.")
@click.option("--size", default=48, show_default=True)
@click.option("--precision", default="bf16", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--faces", type=int, help="So many of them alone, without heads.")
def main(data: Path, weights: tuple[str, ...], size: int, precision: str, device: str, faces: int | None) -> None:
    """Print two tables."""
    paths = dict(one.split("=", 1) for one in weights)
    everything = read_faces(data)
    some = everything.take(np.flatnonzero(np.isin(everything.splits, ["validation", "test"]))[:faces])
    found: dict[str, Features] = {}
    with tempfile.TemporaryDirectory() as folder:
        for one in ("float32", precision):
            options: dict[str, Any] = {"weights": paths, "size": size, "device": device, "precision": one}
            found[one] = extract(some, list(paths), cache=folder, **options)
            found[one] = found[one].take(np.arange(len(found[one])))  # into memory, before the folder is gone
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{len(some):,} faces at {size} pixels, {precision} against float32\n")
    print("| block | largest distance | median |\n|---|---:|---:|")
    (_, exact), (_, other) = found.items()
    for (name, columns), theirs in zip(exact.blocks.items(), other.blocks.values(), strict=True):
        a, b = exact.X[:, columns].astype(np.float64), other.X[:, theirs].astype(np.float64)
        distance = np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)
        print(f"| {name} | {distance.max():.4f} | {np.median(distance):.4f} |")
    if faces is None:
        _heads(exact, other, precision)


def _heads(exact: Features, other: Features, precision: str) -> None:
    inside, outside = exact.splits == "validation", exact.splits == "test"
    y = exact.y
    print(f"\n| head | float32 | {precision} | fitted on float32, asked about {precision} | other labels |")
    print("|---|---:|---:|---:|---:|")
    scalers = [BlockScaler(one.blocks).fit(one.X[inside]) for one in (exact, other)]
    scaled = [scaler.transform(one.X) for scaler, one in zip(scalers, (exact, other), strict=True)]
    crossed = scalers[0].transform(other.X[outside])
    for name in HEADS:
        heads = [make_head(name).fit(X[inside], y[inside]) for X in scaled]
        labels = [head.predict(X[outside]) for head, X in zip(heads, scaled, strict=True)]
        labels.append(heads[0].predict(crossed))
        right = [f"{100 * np.mean(one == y[outside]):.1f} %" for one in labels]
        print(f"| `{name}` | {' | '.join(right)} | {int(np.sum(labels[0] != labels[1]))} |", flush=True)


if __name__ == "__main__":
    main()
