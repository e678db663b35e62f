"""``fusionfer replay``: published protocols run again, and beside them the honest ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import device_option, json_option, memory_option, name_of, quiet_option, seed_option
from .planning import pixels_of, planned, runs_on_cpu
from .progress import progress_bar
from .tables import print_json, print_report_table

_STEPS = 4  # causes that are switched off beside a protocol, usually
_USUAL_SIDE = 224  # where protocol and recipe leave it to the network
_USUAL_COLUMNS = 2048  # of a level whose length only the network knows


@click.command()
@click.argument("protocol", metavar="NAME|FILE.toml", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="What fusionfer extract takes.")
@click.option("--list", "listed", is_flag=True, help="List the protocols that fusionfer brings.")
@click.option(
    "--beside",
    type=click.Choice(["honest"]),
    help="Run the honest protocol, too: one cause of the figure is switched off after the other.",
)
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="FER+'s fer2013new.csv, for protocols that take labels, or pictures that are no faces, from it; of other "
    "runs on FER-2013 it tells how often annotators agree.",
)
@click.option(
    "--weights",
    multiple=True,
    metavar="[BACKBONE=]WEIGHTS",
    help="Weights in the place of the protocol's: imagenet, none or a file. Repeatable.",
)
@click.option(
    "--known",
    multiple=True,
    metavar="SPLIT",
    help="A split of DATA that the weights were trained on, where they do not say it themselves. Repeatable.",
)
@click.option("--size", type=click.IntRange(1), help="Side of the pictures in pixels, in the place of the protocol's.")
@click.option("--limit", type=click.IntRange(10), metavar="N", help="Take N faces at most, for a reduced run.")
@click.option("--repeats", default=1, show_default=True, type=click.IntRange(1), help="Draws of a random split.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the protocol, as in features.level=multi, or of the recipe of its network, as in epochs=2. "
    "Repeatable.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the features.  [default: features_cache/<name of DATA>-<protocol>, with --limit also -N]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of replay.json and of trained networks.  [default: replays/<name of DATA>-<protocol>]",
)
@device_option
@memory_option
@seed_option
@json_option
@quiet_option
def replay(
    protocol: str | None,
    data: Path | None,
    listed: bool,
    beside: str | None,
    labels: Path | None,
    weights: tuple[str, ...],
    known: tuple[str, ...],
    size: int | None,
    limit: int | None,
    repeats: int,
    changes: tuple[str, ...],
    cache: Path | None,
    out: Path | None,
    device: str,
    memory: int | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run a published protocol again; the honest one beside it.

    A protocol is a short file: data, cleaning, split, augmentation and when, features and head or a network, what
    chooses, what is scored. With --beside honest the same faces and features are used again without augmented copies,
    persons and duplicates on both sides, without choosing by the test, and so on, and the difference is told by cause.

    \b
    Examples:
      fusionfer replay --list
      fusionfer replay singh-mandloi-2025 --data fer2013.zip --beside honest
      fusionfer replay multilevel-xgb --data fer2013.zip --beside honest --size 48 --limit 5000 --repeats 3
      fusionfer replay malik-2025 --data fer2013.zip --labels fer2013new.csv --limit 2000 --set epochs=2 --set size=48
      fusionfer replay mine.toml --data faces/ --weights resnet34=r34.safetensors --known train
    """
    if listed:
        from fusionfer.protocols import claims_table

        print_report_table(claims_table())
        return 0
    if protocol is None or data is None:
        msg = "Name a protocol (fusionfer replay --list) and the faces: fusionfer replay NAME --data DATA."
        raise click.UsageError(msg)
    from fusionfer.protocols import replay as run
    from fusionfer.protocols import replay_table
    from fusionfer.training import as_value

    of_protocol, of_recipe = _sort(changes, as_value)
    if size is not None:
        of_protocol["features.size"] = size
    name = f"{name_of(data)}-{Path(protocol).stem if protocol.endswith('.toml') else protocol.replace('/', '-')}"
    cost = _cost(protocol, data, of_protocol, of_recipe, beside, limit, repeats, device, memory)
    note = "Features and networks that are there already take no time."
    with planned(cost, memory, quiet, note=note, later=True) as announce, progress_bar(quiet) as progress:
        found = run(
            protocol,
            data,
            beside=beside,
            labels=labels,
            weights=list(weights) or None,
            known=known,
            limit=limit,
            repeats=repeats,
            seed=seed,
            cache=cache or Path("features_cache") / (name if limit is None else f"{name}-{limit}"),
            out=out or Path("replays") / name,
            device=device,
            changes=of_protocol,
            training=of_recipe,
            progress=announce(progress),
            say=None if quiet else lambda text: click.echo(f"fusionfer: {text}", err=True),
        )
    if as_json:
        print_json(found.describe())
        return 0
    for note in found.notes:
        click.echo(f"fusionfer: {note}", err=True)
    print_report_table(replay_table(found))
    return 0


def _cost(
    protocol: str, data: Path, of_protocol: dict[str, Any], of_recipe: dict[str, Any], beside: str | None,
    limit: int | None, repeats: int, device: str, memory: int | None,
) -> Any:  # fmt: skip
    """What the replay will take; data that cannot be read are refused by the replay itself."""
    from contextlib import suppress

    from fusionfer.backbones import get_backbone
    from fusionfer.costs import estimate_replay
    from fusionfer.exceptions import FusionferError
    from fusionfer.images import read_faces
    from fusionfer.protocols import change_protocol, read_protocol
    from fusionfer.training import read_recipe

    asked = change_protocol(read_protocol(protocol), of_protocol)
    recipe = read_recipe(asked.network.recipe, **of_recipe) if asked.network.recipe else None
    n, pixels = 0, 0
    with suppress(FusionferError, OSError):
        faces = read_faces(data, on_error="skip")
        n, pixels = len(faces), pixels_of(faces)
    n = n if limit is None else min(n, limit)
    if asked.augmentation.when != "never":
        n *= 1 + asked.augmentation.copies
    runs = repeats * (_STEPS if beside else 1)
    side = asked.features.size or _USUAL_SIDE
    networks = [(name, side) for name in asked.features.backbones]
    if recipe is not None:
        named = asked.network.networks or recipe.networks
        networks = [(name, recipe.crop or recipe.size or _USUAL_SIDE) for name in named]
    level = asked.features.level
    columns = sum(get_backbone(name).level(level).dim or _USUAL_COLUMNS for name in asked.features.backbones)
    return estimate_replay(
        n, networks, runs=runs, recipe=recipe, columns=columns, pixels=pixels, limit=memory,
        on_cpu=runs_on_cpu(device),
    )  # fmt: skip


def _sort(changes: tuple[str, ...], as_value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell keys of the protocol, which begin with one of its sections, from those of its recipe."""
    from dataclasses import fields

    from fusionfer.protocols import Protocol

    sections = {one.name for one in fields(Protocol)}
    of_protocol: dict[str, Any] = {}
    of_recipe: dict[str, Any] = {}
    for text in changes:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            msg = f"{text!r} is no KEY=VALUE, such as features.level=multi or epochs=2"
            raise click.BadParameter(msg, param_hint="--set")
        head, dot, _ = key.strip().partition(".")
        (of_protocol if dot and head in sections else of_recipe)[key.strip()] = as_value(value.strip())
    return of_protocol, of_recipe
