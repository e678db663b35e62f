"""Every head on A, B and A+B of cached features: chosen on one split, scored once on another.

    fusionfer extract ../shared/data/fer2013/fer2013.zip --size 48 --cache features_cache/fer2013 \
        --weights resnet34=../shared/data/weights/resnet34-fer2013-48.safetensors \
        --weights resnet50=../shared/data/weights/resnet50-fer2013-48.safetensors
    python -m benchmarks.accuracy.heads features_cache/fer2013

Prints one Markdown table. A, B and A+B are the blocks of the folder in their order, and all of them together. Every
head is taken with its defaults and fitted on the whole of --fit-on, for each candidate; the selection sees the folds of
that split alone. Test figures of candidates that were not kept play no part in anything.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import numpy as np
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import Pipeline

from fusionfer.features import Features
from fusionfer.fusion import BlockScaler
from fusionfer.heads import HEADS, find_head, make_head
from fusionfer.selection import HybridSelector


@click.command()
@click.argument("cache", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--head", "heads", multiple=True, help="Repeatable.  [default: all]")
@click.option("--fit-on", default="validation", show_default=True)
@click.option("--score-on", default="test", show_default=True)
@click.option("--folds", default=5, show_default=True, type=click.IntRange(2))
@click.option("--seed", default=0, show_default=True)
def main(cache: Path, heads: tuple[str, ...], fit_on: str, score_on: str, folds: int, seed: int) -> None:
    """Print the table."""
    features = Features.read(cache)
    inside, outside = features.split(fit_on), features.split(score_on)
    blocks = features.blocks
    candidates = {**blocks, " + ".join(blocks): slice(0, features.X.shape[1])}
    print(f"{len(inside):,} rows of {fit_on}, {len(outside):,} rows of {score_on}")
    letters = _letters(len(blocks))
    print(", ".join(f"{letter} is {name}" for letter, name in zip(letters, candidates, strict=True)))
    print(f"each cell: accuracy in {folds} folds of {fit_on} / accuracy on {score_on}, in percent\n")
    last = letters[-1]
    print(f"| head | {' | '.join(letters)} | kept | log-loss of {last} | s to select | s to fit {last} |")
    print(f"|---|{'---:|' * len(candidates)}---|---:|---:|---:|")
    for name in heads or HEADS:
        head = make_head(find_head(name).name)
        if "random_state" in head.get_params():
            head.set_params(random_state=seed)
        begin = time.perf_counter()
        selector = HybridSelector(head, blocks=blocks, cv=folds, random_state=seed)
        groups = _groups(inside)
        selector.fit(inside.X, inside.y, groups=groups)
        selecting = time.perf_counter() - begin
        cells = []
        for candidate, columns in candidates.items():
            local = {
                block: slice(s.start - columns.start, s.stop - columns.start)
                for block, s in blocks.items()
                if columns.start <= s.start and s.stop <= columns.stop
            }
            one = clone(head)
            if "blocks" in one.get_params():
                one.set_params(blocks=local)
            begin = time.perf_counter()
            model = Pipeline([("scale", BlockScaler(local)), ("head", one)])
            model.fit(inside.X[:, columns], inside.y, head__groups=groups)
            fitting = time.perf_counter() - begin
            X = outside.X[:, columns]
            test = accuracy_score(outside.y, model.predict(X))
            cells.append(f"{100 * np.mean(selector.scores_[candidate]):.1f} / {100 * test:.1f}")
        loss = log_loss(outside.y, model.predict_proba(X), labels=model.classes_)
        kept = letters[list(candidates).index(selector.selected_)]
        print(f"| `{name}` | {' | '.join(cells)} | {kept} | {loss:.3f} | {selecting:.1f} | {fitting:.1f} |", flush=True)
        print(f"{name}: {selector.reason_}", file=sys.stderr, flush=True)


def _groups(features: Features) -> np.ndarray | None:
    known = features.groups != ""
    return np.where(known, features.groups, features.ids) if known.any() else None


def _letters(n: int) -> list[str]:
    """Names of the columns: A, B and A + B."""
    letters = [chr(ord("A") + i) for i in range(n)]
    return [*letters, " + ".join(letters)] if n > 1 else letters


if __name__ == "__main__":
    main()
