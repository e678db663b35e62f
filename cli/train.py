"""``fusionfer train``: networks end to end, by recipes, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import (
    device_option,
    json_option,
    labels_option,
    max_pixels_option,
    memory_option,
    name_of,
    quiet_option,
    seed_option,
    splits_option,
)
from .planning import VIEWS, is_grey, pixels_of, planned, runs_on_cpu
from .progress import progress_bar
from .stopping import stopping
from .tables import print_json, print_report_table

_SPLITS = ("train", "validation", "test")
_USUAL_SIDE = 224  # where the recipe leaves it to the network


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NAME",
    help="resnet34, resnet50, mobilenet_v2, densenet121, vgg16, resnet50v2, densenet121-gru, vgg16-gru, xception-gru, "
    "or timm:<model>. Repeatable.  [default: the recipe's]",
)
@click.option(
    "--optimizer",
    "optimizers",
    multiple=True,
    type=click.Choice(["sgdm", "adam", "rmsprop"]),
    help="Repeatable: each is trained, and all stand in one table.  [default: the recipe's]",
)
@click.option(
    "--recipe",
    default="fer",
    show_default=True,
    metavar="NAME|FILE.toml",
    help="fer, singh-mandloi-2025, malik-2025, praveen-2025, kumar-agarwal-2024, or a file of your own.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the recipe, as in epochs=3, rate=0.05, adam.rate=1e-4 or options.dropout=0.3. Repeatable.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for checkpoints and report.  [default: trained/<names of DATA, --labels and --targets>-<recipe>]",
)
@click.option(
    "--score",
    type=click.Choice(["validation", "test"]),
    default="validation",
    show_default=True,
    help="test: score the test split, too, with and without copies of training pictures. Once, at the very end.",
)
@click.option("--split", help="Draw a split per label where the data bring none: 70/30, 80/20, 70/15/15.")
@splits_option
@labels_option
@click.option(
    "--targets",
    type=click.Choice(["majority", "probabilistic", "multi-target"]),
    default="majority",
    show_default=True,
    help="What is learned of the votes in --labels: the majority, the share of each emotion, or any with 30 % or more.",
)
@click.option("--classes", help="Map or drop labels, as in 'anger=angry,contempt='.")
@click.option("--restart", is_flag=True, help="Begin anew instead of going on with what --out holds.")
@max_pixels_option
@memory_option
@device_option
@click.option(
    "--devices",
    type=int,
    default=1,
    show_default=True,
    help="Share each batch among so many GPUs (or processes on the CPU); the batch stays as large as the recipe says.",
)
@seed_option
@json_option
@quiet_option
def train(
    data: Path,
    networks: tuple[str, ...],
    optimizers: tuple[str, ...],
    recipe: str,
    changes: tuple[str, ...],
    out: Path | None,
    score: str,
    split: str | None,
    split_file: Path | None,
    labels: Path | None,
    targets: str,
    classes: str | None,
    restart: bool,
    max_pixels: int,
    memory: int | None,
    device: str,
    devices: int,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train networks end to end.

    On the split train; the best epoch is chosen on the split validation, or on a tenth of train where there is none.
    DATA is what extract takes. An interrupted run goes on after its last finished epoch, to the same result. Each
    network's checkpoint serves as weights: fusionfer extract --weights resnet34=CHECKPOINT.

    \b
    Examples:
      fusionfer train fer2013.zip
      fusionfer train fer2013.zip --network resnet50 --recipe singh-mandloi-2025 --optimizer sgdm --optimizer adam
      fusionfer train fer2013.zip --recipe praveen-2025 --labels fer2013new.csv
      fusionfer train fer2013.zip --labels fer2013new.csv --targets probabilistic
      fusionfer train fer2013.zip --splits clean.csv --score test
      fusionfer train faces/ --network resnet34 --set epochs=3 --set size=48 --out trained/quick --score test
    """
    from fusionfer.images import parse_classes, read_faces, read_ferplus, read_split_file
    from fusionfer.training import as_value, comparison_tables, read_recipe
    from fusionfer.training import train as train_networks

    if split is not None and split_file is not None:
        msg = "--split draws splits, and --splits takes them from a file: give one of both."
        raise click.UsageError(msg)
    chosen = read_recipe(recipe, **dict(_change(text, as_value) for text in changes))
    mapping = parse_classes(classes) if classes else {}
    faces = read_faces(
        data,
        split=split,
        seed=seed,
        labels=labels,
        targets=targets,
        classes=mapping,
        max_pixels=max_pixels,
    )
    if split_file is not None:
        faces = read_split_file(split_file).apply(faces)
    soft = None
    if labels is not None and targets != "majority":
        soft = read_ferplus(labels).soft_labels(faces, targets).mapped(mapping)
    for note in faces.notes:
        click.echo(f"fusionfer: {note}", err=True)
    name = name_of(data, labels) + ("" if soft is None else f"-{targets}")
    cost = _cost(faces, networks, optimizers, chosen, score, device, memory)
    planning = planned(cost, memory, quiet, note="Finished epochs are not trained again.", later=True)
    with planning as announce, progress_bar(quiet) as progress, stopping() as stop:
        result = train_networks(
            faces,
            networks,
            chosen,
            optimizer=optimizers,
            out=out or Path("trained") / f"{name}-{chosen.name}",
            soft=soft,
            seed=seed,
            score_test=score == "test",
            resume=not restart,
            device=device,
            devices=devices,
            progress=announce(progress),
            say=None if quiet else lambda text: click.echo(f"fusionfer: {text}", err=True),
            stop=stop,
        )
    if as_json:
        print_json(
            {
                "recipe": chosen.describe(),
                "networks": {
                    one.name: {
                        "checkpoint": None if one.checkpoint is None else str(one.checkpoint),
                        "history": list(one.history),
                        "scores": {which: scores.to_dict() for which, scores in one.scores.items()},
                        "soft_scores": {which: scores.to_dict() for which, scores in one.soft_scores.items()},
                    }
                    for one in result.networks
                },
                "notes": list(result.notes),
                "report": str(result.report),
            }
        )
        return 0
    for note in result.notes:
        click.echo(f"fusionfer: {note}", err=True)
    for table in comparison_tables(result.networks):
        print_report_table(table)
    for one in result.networks:
        if one.checkpoint is not None:
            click.echo(f"Checkpoint: {one.checkpoint}")
    click.echo(f"Report:     {result.report}")
    return 0


def _cost(
    faces: Any, networks: tuple[str, ...], optimizers: tuple[str, ...], recipe: Any, score: str, device: str,
    memory: int | None,
) -> Any:  # fmt: skip
    """What the training will take; of stopping early nobody knows before."""
    import numpy as np

    from fusionfer.costs import estimate_training

    labelled = {which: int(np.sum((faces.splits == which) & (faces.labels != ""))) for which in _SPLITS}
    judged = labelled["validation"] or labelled["train"] * recipe.holdout // 100
    side = recipe.size or _USUAL_SIDE
    return estimate_training(
        labelled["train"] - (0 if labelled["validation"] else judged),
        (judged, labelled["test"] if score == "test" else 0),
        [(name, recipe.crop or side) for name in networks or recipe.networks],
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        size=side,
        optimizers=len(optimizers or recipe.optimizers),
        small_stem=recipe.stem == "small",
        views=VIEWS[recipe.tta],
        channels=1 if is_grey(faces) else 3,
        pixels=pixels_of(faces),
        limit=memory,
        on_cpu=runs_on_cpu(device),
    )


def _change(text: str, as_value: Any) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        msg = f"{text!r} is no KEY=VALUE, such as epochs=3"
        raise click.BadParameter(msg, param_hint="--set")
    return key.strip(), as_value(value.strip())
