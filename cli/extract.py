"""``fusionfer extract``: faces through the backbones, once, into a cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    classes_option,
    device_option,
    engine_option,
    faces_options,
    labels_option,
    lock_option,
    manifest_options,
    max_pixels_option,
    memory_option,
    name_of,
    quiet_option,
    refuse_idle_faces,
    seed_option,
    splits_option,
    wait_option,
)
from .planning import pixels_of, planned, runs_on_cpu
from .progress import progress_bar
from .sharding import one_of_several, print_next_step
from .stopping import stopping
from .tables import print_table
from .wording import as_options

if TYPE_CHECKING:
    from fusionfer.extraction import Team
    from fusionfer.memory import Estimate

SKIPS_SHOWN = 1000
FACE_SIZE = 224  # of the faces that are cut out, where --size says nothing


class _BatchSize(click.ParamType):
    """A number of pictures, or "auto"."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "auto":
            return value
        if not str(value).isdecimal() or not int(value):
            self.fail(f"{value!r} is neither a number of pictures, at least 1, nor auto.", param, ctx)
        return int(value)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--backbone",
    "backbones",
    multiple=True,
    default=("resnet34", "resnet50"),
    show_default=True,
    metavar="NAME",
    help="Repeatable. resnet34, resnet50, mobilenet_v2, densenet121, vgg16 or timm:<model>.",
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    default=("penultimate",),
    show_default=True,
    metavar="[BACKBONE=]LEVEL",
    help="penultimate, multi, logits or the name of a node; for all backbones or for one. Repeatable.",
)
@click.option(
    "--weights",
    multiple=True,
    default=("imagenet",),
    show_default=True,
    metavar="[BACKBONE=]imagenet|none|PATH",
    help="Published weights, random ones (from --seed), or a .pth or .safetensors state dict. Repeatable.",
)
@click.option("--size", type=click.IntRange(32), default=None, help="Input side in pixels.  [default: 224]")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to keep features in.  [default: features_cache/<names of DATA and --labels>]",
)
@faces_options
@click.option("--split", help="Draw a split per label where the data bring none: 70/30, 80/20, 70/15/15.")
@splits_option
@labels_option
@classes_option
@manifest_options
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What to do with an image that cannot be used; skips are listed, and exit with 3.",
)
@max_pixels_option
@memory_option
@device_option
@engine_option
@click.option(
    "--precision",
    type=click.Choice(["float32", "bf16", "fp16"]),
    default="float32",
    show_default=True,
    help="What the networks compute in; 16 bits are faster on a GPU, and make files of their own.",
)
@click.option(
    "--batch-size",
    type=_BatchSize(),
    metavar="N|auto",
    default=32,
    show_default=True,
    help="Pictures that go through a network together; auto takes as many as the GPU has memory for. A cache goes on "
    "with its own.",
)
@seed_option
@click.option(
    "--split-seed",
    type=click.IntRange(0),
    help="Draw --split from this seed, and only weights from --seed.  [default: --seed]",
)
@wait_option
@lock_option
@quiet_option
@one_of_several
def extract(
    data: Path,
    backbones: tuple[str, ...],
    levels: tuple[str, ...],
    weights: tuple[str, ...],
    size: int | None,
    cache: Path | None,
    mode: str | None,
    photometric: str | None,
    margin: float | None,
    detector: str | None,
    several: str,
    split: str | None,
    split_file: Path | None,
    labels: Path | None,
    classes: str | None,
    path_column: str | None,
    label_column: str | None,
    split_column: str | None,
    group_column: str | None,
    allow_outside_root: bool,
    on_error: str,
    max_pixels: int,
    memory: int | None,
    device: str,
    engine: str,
    precision: str,
    batch_size: int | str,
    seed: int,
    split_seed: int | None,
    wait: float,
    lock: bool,
    quiet: bool,
    team: Team | None,
) -> int:
    """Run faces through backbones once; keep the activations.

    DATA is a class-per-folder tree (with or without train/validation/test above it), the same inside a .zip, the
    official fer2013.csv, or a manifest CSV with path and label columns. A second run computes only what is new or has
    changed; an interrupted run goes on where it was.

    \b
    Examples:
      fusionfer extract fer2013.zip
      fusionfer extract faces/ --split 70/30 --backbone resnet50 --level multi --level penultimate
      fusionfer extract fer2013.zip --size 48 --weights resnet34=r34.safetensors --weights resnet50=r50.pth
      fusionfer extract fer2013.zip --labels fer2013new.csv --classes contempt=
      fusionfer extract fer2013.zip --splits clean.csv
      fusionfer extract photos/ --faces align --photometric clahe
      fusionfer extract fer2013.zip --device cuda --precision bf16 --batch-size auto
    """
    from fusionfer.extraction import extract_to_cache
    from fusionfer.faces import FacePreparation, prepare_faces
    from fusionfer.images import parse_classes, read_faces, read_split_file

    if split is not None and split_file is not None:
        msg = "--split draws splits, and --splits takes them from a file: give one of both."
        raise click.UsageError(msg)
    refuse_idle_faces(mode or "none")
    preparation = FacePreparation(
        mode or "none", photometric or "none", detector or "haar", margin or 0.0,
        FACE_SIZE if size is None or mode in (None, "none") else size,
    )  # fmt: skip
    wanted = None if split_file is None else read_split_file(split_file)
    faces = read_faces(
        data,
        split=split,
        seed=seed if split_seed is None else split_seed,
        labels=labels,
        classes=parse_classes(classes) if classes else None,
        path_column=path_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        allow_outside_root=allow_outside_root,
        on_error=on_error,
        max_pixels=max_pixels,
    )
    if wanted is not None:
        faces = wanted.apply(faces)
    pixels = pixels_of(faces)  # as they are decoded, before faces are cut out of them
    if preparation.changes:
        with progress_bar(quiet) as progress:
            faces = prepare_faces(faces, preparation, several=several, on_error=on_error, progress=progress)
        if not len(faces):
            for sample, reason in faces.skipped[:SKIPS_SHOWN]:
                click.echo(f"fusionfer: skipped {sample}: {as_options(reason)}", err=True)
            click.echo(
                f"fusionfer: no face was found in {len(faces.skipped)} pictures, so nothing is extracted.", err=True
            )
            return 3
    for note in faces.notes if team is None or team.first else ():
        click.echo(f"fusionfer: {note}", err=True)
    folder = cache or Path("features_cache") / name_of(data, labels)
    cost, said = _plan(faces, backbones, size, batch_size, device, memory, folder, pixels=pixels, team=team)
    silent = quiet or (team is not None and not team.first)
    with planned(cost, memory, silent, **said) as announce, progress_bar(quiet) as progress, stopping() as stop:
        report = (extract_to_cache if team is None else team.extract)(
            faces,
            backbones,
            levels,
            cache=folder,
            weights=weights,
            size=size,
            batch_size=batch_size,
            device=device,
            engine=engine,
            precision=precision,
            on_error=on_error,
            seed=seed,
            wait=wait,
            lock=lock,
            progress=announce(progress),
            stop=stop,
        )
    if report is None:  # rank 0 tells of all
        return 0
    skipped = [*faces.skipped, *report.skipped]
    shard = "" if report.n == len(faces) else f"{report.n:,} of "
    first = team is None or team.first
    if first:
        print_table(
            ["block", "file", "what happened"],
            [[block, report.files[block].name, report.explanations[block]] for block in report.files],
            title=f"{shard}{_contents(faces)}, in {report.cache}",
        )
    if first and report.computed:
        rate = report.computed / max(report.seconds, 1e-9)
        batches = " and ".join(map(str, report.batch_sizes))
        found = f", in batches of {batches}" if batch_size == "auto" else ""
        click.echo(f"Computed {report.computed:,} faces in {report.seconds:,.1f} s ({rate:,.1f} faces/s{found}).")
    for sample, reason in skipped[:SKIPS_SHOWN]:
        click.echo(f"fusionfer: skipped {sample}: {as_options(reason)}", err=True)
    if skipped:
        more = f" (the first {SKIPS_SHOWN:,} are listed)" if len(skipped) > SKIPS_SHOWN else ""
        click.echo(f"fusionfer: skipped {len(skipped)} of {len(faces) + len(faces.skipped)} samples{more}.", err=True)
    failed = {sample for sample, _ in report.skipped}
    usable = faces.take([i for i, sample in enumerate(faces.ids.tolist()) if sample not in failed])
    if team is not None and report.cache != folder:
        print_next_step(team)
    elif first and len(usable.classes) > 1:
        click.echo(f"Next: fusionfer fit {folder} --head ecoc --out {folder.name}.fusionfer")
    return 3 if skipped else 0


def _plan(
    faces: Any, backbones: tuple[str, ...], size: int | None, batch_size: int | str, device: str, memory: int | None,
    folder: Path, *, pixels: int, team: Team | None,
) -> tuple[Estimate, dict[str, Any]]:  # fmt: skip
    """What extraction will take, and what is to be said with it."""
    from fusionfer.backbones import get_backbone
    from fusionfer.costs import estimate_extraction, fitting_batch
    from fusionfer.extraction import BATCH_SIZE

    networks = [(name, size or get_backbone(name).preprocess.size) for name in backbones]
    together = BATCH_SIZE if batch_size == "auto" else int(batch_size)
    n = len(faces)
    options: dict[str, Any] = {"pixels": pixels, "rows": len(faces), "on_cpu": runs_on_cpu(device)}
    if team is not None:  # its own part, with its part of the cores
        mine = team.rank.shard.slice(n, together)
        n, options["threads"] = mine.stop - mine.start, team.rank.threads()
    cost = estimate_extraction(n, networks, batch_size=together, **options)
    remedy = ""
    if memory is not None and cost.bytes > memory:
        # Never smaller batches unasked: they decide bits, and a cache goes on with its own.
        fits = fitting_batch(n, networks, memory, batch_size=together, **options)
        remedy = f"--batch-size {fits} would fit." if fits else "Take one backbone at a time, or allow more."
    there = "What is there already takes no time." if folder.is_dir() and any(folder.glob("*.h5*")) else ""
    return cost, {"remedy": remedy, "note": there, "later": True}


def _contents(faces: Any) -> str:
    """Say how many faces there are, of which classes, in which splits."""
    from fusionfer.images import SPLITS

    labels = f"{len(faces.classes)} classes" if len(faces.classes) > 1 else "".join(faces.classes)
    sizes = [f"{split} {int((faces.splits == split).sum()):,}" for split in SPLITS if split in faces.splits]
    return f"{len(faces):,} faces, {labels or 'without labels'}, {', '.join(sizes) or 'without splits'}"
