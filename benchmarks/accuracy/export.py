"""``python -m benchmarks.accuracy.export DATA MODEL...``: what an exported file says, against the model.

DATA is a data set with a test split; the models were fitted by fusionfer on its features. Each is exported to a
temporary folder, and so compared on the test faces: head alone on identical features, whole chain from pictures on, and
for trees the splits at which a moved face's features part. The table of ``docs/export.md`` comes from here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np

from benchmarks.speed._timing import machine
from fusionfer.export import export_onnx
from fusionfer.images import read_faces
from fusionfer.persistence import load_model


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--faces", "n", default=1000, show_default=True, help="So many of the test split, evenly spaced.")
@click.option("--split", default="test", show_default=True)
def main(data: Path, models: tuple[Path, ...], n: int, split: str) -> None:
    """Print one line a model, and the crossings of the faces that moved."""
    everything = read_faces(data)
    rows = np.flatnonzero(everything.splits == split)
    faces = everything.take(rows[np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(int)])
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{len(faces):,} faces of {split}\n")
    print("| model | columns | MB | features | head alone | whole chain | other labels | moved | crossed a threshold |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    crossings = []
    for path in models:
        model = load_model(path)
        with tempfile.TemporaryDirectory() as folder:
            found = export_onnx(model, Path(folder) / "model.onnx", faces=faces)
        one = found.agreement
        head, chain = ("" if value is None else f"{value:.1e}" for value in (one.head, one.chain))  # no probabilities
        crossed = "" if one.crossed is None else str(one.crossed)
        print(
            f"| `{path.stem}` | {model.n_columns} | {found.bytes / 1e6:.1f} | {one.features:.1e} | {head} "
            f"| {chain} | {one.labels} | {one.moved} | {crossed} |",
            flush=True,
        )
        crossings += [(path.stem, crossing) for crossing in one.crossings or ()]
    if crossings:
        print("\n| model | face | tree | node | column | threshold | model's feature | file's feature |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, one in crossings:
        print(
            f"| `{name}` | {one.row} | {one.tree} | {one.node} | {one.column} | {one.threshold:.9g} "
            f"| {one.first:.9g} | {one.second:.9g} |"
        )


if __name__ == "__main__":
    main()
