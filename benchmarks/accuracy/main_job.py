"""The main job on FER-2013: A, B and A+B, selected on one split and scored once on PrivateTest.

    python -m benchmarks.accuracy.main_job ../shared/data/fer2013/fer2013.zip --size 48 \
        --weights resnet34=../shared/data/weights/resnet34-fer2013-48.safetensors \
        --weights resnet50=../shared/data/weights/resnet50-fer2013-48.safetensors

Prints one Markdown table. Every candidate is refitted on the whole of --fit-on and scored on the test split; the
selection never sees that split, and the test figures of the candidates that were not kept play no part in it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import numpy as np

from fusionfer.evaluation import evaluate
from fusionfer.extraction import extract_to_cache
from fusionfer.fitting import fit
from fusionfer.images import read_faces


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--weights", multiple=True, default=("imagenet",))
@click.option("--size", type=int, default=None)
@click.option("--level", "levels", multiple=True, default=("penultimate",))
@click.option("--cache", type=click.Path(path_type=Path), default=Path("features_cache/main_job"), show_default=True)
@click.option("--fit-on", default="validation", show_default=True)
@click.option("--only", default=None, help="One block instead of all.")
@click.option("--head", default="ecoc", show_default=True)
def main(
    data: Path,
    weights: tuple[str, ...],
    size: int | None,
    levels: tuple[str, ...],
    cache: Path,
    fit_on: str,
    only: str | None,
    head: str,
) -> None:
    """Print the table."""
    begin = time.perf_counter()
    report = extract_to_cache(read_faces(data), levels=levels, cache=cache, weights=weights, size=size)
    features = report.features()
    if only:
        features = features.only(only)
    print(f"extract: {time.perf_counter() - begin:.0f} s, {report.computed} faces computed", file=sys.stderr)
    begin = time.perf_counter()
    result = fit(features, head, split=fit_on)
    print(f"fit with selection: {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    rows = {result.selector.selected_: evaluate(features, result.model).scores}
    for name in features.blocks:
        if name not in rows:
            rows[name] = evaluate(features, fit(features.only(name), head, split=fit_on).model).scores
    print(f"| candidate | {fit_on}, 5 folds | PrivateTest | balanced | kept |")
    print("|---|---:|---:|---:|---|")
    for name, folds in result.selector.scores_.items():
        kept = "yes" if name == result.selector.selected_ else ""
        inner = f"{100 * np.mean(folds):.1f} ± {100 * np.std(folds, ddof=1):.1f}"
        tests = (rows[name].accuracy, rows[name].balanced_accuracy) if name in rows else ()
        test = " | ".join(f"{100 * value:.1f}" for value in tests) or "– | –"
        print(f"| {name} | {inner} | {test} | {kept} |")
    print(result.selector.reason_)


if __name__ == "__main__":
    main()
