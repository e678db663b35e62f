"""``fusionfer eda``: what a data set looks like."""

from __future__ import annotations

from pathlib import Path

import click

from .options import json_option, labels_option, max_pixels_option, memory_option, quiet_option, seed_option
from .planning import pixels_of, planned
from .progress import progress_bar
from .tables import print_json, print_report_table

_LISTED = 10  # pictures that cannot be read


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@labels_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write a page with figures there.")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="Write the figure alone, as PNG.")
@click.option(
    "--samples", default=8, show_default=True, type=click.IntRange(0), help="Pictures of each class that are shown."
)
@max_pixels_option
@memory_option
@seed_option
@json_option
@quiet_option
def eda(
    data: Path,
    labels: Path | None,
    out: Path | None,
    figure: Path | None,
    samples: int,
    max_pixels: int,
    memory: int | None,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> int:
    """Show what a data set looks like.

    DATA is what fusionfer extract takes. Counts of classes and splits, brightness and contrast of each class, sizes and
    formats; with --out or --figure mean faces and samples too. Pictures that cannot be read are counted, the first ten
    named, and exit with 3.

    \b
    Examples:
      fusionfer eda fer2013.zip
      fusionfer eda faces/ --out eda/
      fusionfer eda fer2013.zip --figure fer2013.png --json > fer2013.json
    """
    from fusionfer.costs import estimate_eda
    from fusionfer.eda import eda as look
    from fusionfer.eda import write_eda, write_figure
    from fusionfer.images import read_faces
    from fusionfer.report import eda_tables

    faces = read_faces(data, labels=labels, max_pixels=max_pixels, on_error="skip")
    for note in faces.notes:
        click.echo(f"fusionfer: {note}", err=True)
    shown = samples * len(faces.classes)
    drawn = out is not None or figure is not None
    cost = estimate_eda(len(faces), pixels_of(faces), samples=shown, figures=drawn)
    with planned(cost, memory, quiet) as announce, progress_bar(quiet) as progress:
        found = look(faces, samples=samples, seed=seed, progress=announce(progress))
    for sample, reason in found.unreadable[:_LISTED]:
        click.echo(f"fusionfer: cannot read {sample}: {reason}", err=True)
    if len(found.unreadable) > _LISTED:
        click.echo(f"fusionfer: {len(found.unreadable):,} cannot be read; --json lists all.", err=True)
    if figure is not None:
        write_figure(found, figure)
    page = write_eda(found, out) if out is not None else None
    if as_json:
        print_json(found.describe())
    else:
        for table in eda_tables(found):
            if table.rows:
                print_report_table(table)
        if page is not None:
            click.echo(f"Page: {page}")
    return 3 if found.unreadable else 0
