"""``fusionfer audit``: what is wrong with a data set, before anyone trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import json_option, labels_option, max_pixels_option, quiet_option
from .progress import progress_bar
from .tables import print_json, print_table

if TYPE_CHECKING:
    from fusionfer.audit import Audit, Copies


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@labels_option
@click.option("--show", default=10, show_default=True, type=click.IntRange(0), help="Groups of copies that are listed.")
@click.option("--strict", is_flag=True, help="Exit with 4 if a picture or a person stands in more than one split.")
@max_pixels_option
@json_option
@quiet_option
def audit(data: Path, labels: Path | None, show: int, strict: bool, max_pixels: int, as_json: bool, quiet: bool) -> int:
    """Find copies, leaks and blank pictures before anyone trains.

    DATA is what fusionfer extract takes. Copies are pictures with equal pixels, whatever their files are called, within
    a split and across splits; those across splits make figures too good.

    \b
    Examples:
      fusionfer audit fer2013.zip
      fusionfer audit faces/ --strict
      fusionfer audit faces/ --json > audit.json
    """
    from fusionfer.audit import audit as find
    from fusionfer.images import read_faces

    faces = read_faces(data, labels=labels, max_pixels=max_pixels, on_error="skip")
    for note in faces.notes:
        click.echo(f"fusionfer: {note}", err=True)
    with progress_bar(quiet) as progress:
        found = find(faces, progress=progress)
    if as_json:
        print_json(found.describe())
    else:
        _print(found, show)
    return 4 if strict and found.leaks else 0


def _print(found: Audit, show: int) -> None:
    labels = sorted({label for row in found.counts.values() for label in row})
    print_table(
        ["split", *[label or "no label" for label in labels], "all", "largest / smallest"],
        [
            [
                split or "none",
                *[f"{row.get(label, 0):,}" for label in labels],
                f"{sum(row.values()):,}",
                f"{found.imbalance[split]:.1f}" if split in found.imbalance else "",
            ]
            for split, row in found.counts.items()
        ],
        title=f"{found.name}: {found.n_samples:,} samples",
    )
    copies = found.copies
    rows = [
        ["groups of copies (equal pixels)", f"{len(copies):,}", f"{sum(len(one.ids) for one in copies):,}"],
        *[
            [f"  {what}", f"{len(some):,}", f"{sum(len(one.ids) for one in some):,}"]
            for what, some in (
                ("in more than one split", [one for one in copies if one.crosses]),
                ("with more than one label", [one for one in copies if one.conflicts]),
            )
        ],
        ["persons in more than one split", f"{len(found.persons):,}", f"{sum(map(_total, found.persons.values())):,}"],
        *[[f"{split} samples that leak", "", f"{len(ids):,}"] for split, ids in found.leaked.items()],
        ["blank pictures", "", f"{len(found.blank):,}"],
        ["unreadable pictures", "", f"{len(found.unreadable):,}"],
    ]
    print_table(["found", "groups", "samples"], rows)
    if copies and show:
        print_table(["copies", "labels", "splits"], [_row(one) for one in copies[:show]])


def _total(counts: dict[str, int]) -> int:
    return sum(counts.values())


def _row(one: Copies) -> list[str]:
    names = ", ".join(one.ids[:3]) + (f" and {len(one.ids) - 3} more" if len(one.ids) > 3 else "")
    return [names, ", ".join(sorted(set(one.labels))), ", ".join(sorted(set(one.splits)))]
