"""``fusionfer predict``: label and probabilities of pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .options import (
    batch_size_option,
    device_option,
    faces_options,
    json_option,
    max_pixels_option,
    memory_option,
    model_option,
    quiet_option,
    refuse_idle_faces,
    trust_option,
)
from .planning import networks_of, pixels_of, planned, runs_on_cpu, size_of
from .progress import progress_bar
from .tables import print_json, print_table
from .wording import as_options


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_option
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table.")
@click.option(
    "--weights",
    multiple=True,
    metavar="[BACKBONE=]PATH",
    help="Where weights lie that are no longer where the model saw them; another hash is refused. Repeatable.",
)
@click.option(
    "--on-error",
    type=click.Choice(["skip", "fail"]),
    default="skip",
    show_default=True,
    help="One bad image does not stop the rest; skips are listed and exit with 3.",
)
@faces_options
@max_pixels_option
@memory_option
@trust_option
@device_option
@batch_size_option
@quiet_option
def predict(
    images: tuple[Path, ...],
    model: Path,
    as_json: bool,
    as_csv: bool,
    weights: tuple[str, ...],
    on_error: str,
    mode: str | None,
    photometric: str | None,
    margin: float | None,
    detector: str | None,
    several: str,
    max_pixels: int,
    memory: int | None,
    trust: tuple[str, ...],
    device: str,
    batch_size: int,
    quiet: bool,
) -> int:
    """Say what faces express.

    IMAGES are files, folders and zips; every picture below a folder counts, whatever the folders are called. Faces are
    prepared as those that the model was trained on. Where it was trained on faces that had been cut out tightly, cut
    them out of photographs with --faces align.

    \b
    Examples:
      fusionfer predict photo.jpg --model fer2013.fusionfer
      fusionfer predict photos/ more.zip --model fer2013.fusionfer --csv > labels.csv
      fusionfer predict party.jpg --model fer2013.fusionfer --faces align --several all
    """
    if as_json and as_csv:
        msg = "Give --json or --csv, not both."
        raise click.UsageError(msg)
    from fusionfer.costs import estimate_prediction
    from fusionfer.faces import find_photographs
    from fusionfer.images import read_pictures
    from fusionfer.persistence import load_model
    from fusionfer.prediction import find_preparation, predict
    from fusionfer.report import write_csv

    loaded = load_model(model, trust=trust)
    faces = read_pictures(images, on_error=on_error, max_pixels=max_pixels)
    preparation = find_preparation(loaded, mode, photometric=photometric, detector=detector, margin=margin)
    refuse_idle_faces(preparation.mode)
    if preparation.mode == "none":
        photographs = find_photographs(faces) if mode is None and not quiet else ()
        if photographs:
            text = f"In {photographs[0]} a face fills less than a third of the picture; --faces align cuts faces out."
            click.echo(f"fusionfer: {text}", err=True)
    cost = estimate_prediction(
        len(faces), networks_of(loaded), batch_size=batch_size, columns=loaded.n_columns, head=size_of(model),
        pixels=pixels_of(faces), on_cpu=runs_on_cpu(device),
    )  # fmt: skip
    with planned(cost, memory, quiet, later=True) as announce, progress_bar(quiet) as progress:
        result = predict(
            faces, loaded, weights=weights, device=device, batch_size=batch_size, on_error=on_error,
            preparation=preparation, several=several, progress=announce(progress),
        )  # fmt: skip
    header, rows = result.table(digits=6 if as_csv else 3)
    if as_json:
        print_json(result.to_dict())
    elif as_csv:
        write_csv(sys.stdout, header, rows)
    elif rows:
        print_table(header, rows)
    for sample, reason in result.skipped:
        click.echo(f"fusionfer: skipped {sample}: {as_options(reason)}", err=True)
    return 3 if result.skipped else 0
