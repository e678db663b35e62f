"""``fusionfer audit``: what is wrong with a data set, before anyone trains on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusionfer.memory import memory_limit, planned_bytes

from .label_noise import judge_labels, noise_options, print_labels, read_questions, write_sheet
from .options import (
    classes_option,
    json_option,
    labels_option,
    manifest_options,
    max_pixels_option,
    memory_option,
    quiet_option,
    seed_option,
)
from .planning import pixels_of, planned
from .progress import progress_bar
from .tables import print_json, print_table

if TYPE_CHECKING:
    from fusionfer.audit import Audit, Copies


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@labels_option
@classes_option
@manifest_options
@click.option(
    "--near/--no-near",
    default=True,
    show_default=True,
    help="Look for pictures that were shifted, scaled, mirrored, brightened or stored again; minutes for 36,000.",
)
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PNG",
    help="Draw the worst groups of copies: across splits, with several labels, the largest.",
)
@click.option(
    "--detector",
    metavar="haar|yunet=PATH",
    help="List pictures in which no face is found. Detectors miss faces too: see them as questions.",
)
@click.option("--show", default=10, show_default=True, type=click.IntRange(0), help="Groups of copies that are listed.")
@click.option("--strict", is_flag=True, help="Exit with 4 if a picture or a person stands in more than one split.")
@click.option(
    "--clean",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write splits that share no picture and no person, for extract, fit and evaluate --splits FILE.",
)
@click.option(
    "--keep",
    type=click.Choice(["test", "train"]),
    help="--clean: of copies in several splits, keep those in the latest (test stays whole) or in the earliest.  "
    "[default: test]",
)
@click.option("--split", help="--clean: draw splits that divide no copies, where the data bring none: 70/30, 70/15/15.")
@noise_options
@max_pixels_option
@memory_option
@seed_option
@json_option
@quiet_option
def audit(
    data: Path,
    labels: Path | None,
    classes: str | None,
    path_column: str | None,
    label_column: str | None,
    split_column: str | None,
    group_column: str | None,
    allow_outside_root: bool,
    near: bool,
    detector: str | None,
    sheet: Path | None,
    show: int,
    strict: bool,
    clean: Path | None,
    keep: str | None,
    split: str | None,
    max_pixels: int,
    memory: int | None,
    seed: int,
    as_json: bool,
    quiet: bool,
    **asked: Any,
) -> int:
    """Find copies, leaks and blank pictures before anyone trains.

    DATA is what fusionfer extract takes. Exact copies are pictures with equal pixels, whatever their files are called;
    near copies show one photograph, shifted, scaled, mirrored, brightened or stored again. Those across splits make
    figures too good.

    \b
    Examples:
      fusionfer audit fer2013.zip
      fusionfer audit fer2013.zip --sheet copies.png
      fusionfer audit faces/ --strict --no-near
      fusionfer audit faces/ --json > audit.json
      fusionfer audit faces/ --detector haar
      fusionfer audit fer2013.zip --clean clean.csv
      fusionfer audit faces/ --clean clean.csv --split 70/30
      fusionfer audit fer2013.zip --votes fer2013new.csv --features features_cache/fer2013
    """
    from fusionfer.audit import audit as find
    from fusionfer.audit import clean_splits, write_copies_sheet
    from fusionfer.costs import estimate_audit
    from fusionfer.images import parse_classes, read_faces, write_split_file

    if clean is None and (split is not None or keep is not None):
        msg = "--split and --keep are about the file at --clean; name that, too."
        raise click.UsageError(msg)
    faces = read_faces(
        data,
        labels=labels,
        classes=parse_classes(classes) if classes else None,
        path_column=path_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        allow_outside_root=allow_outside_root,
        max_pixels=max_pixels,
        on_error="skip",
    )
    for note in faces.notes:
        click.echo(f"fusionfer: {note}", err=True)
    with memory_limit(memory):
        questions = read_questions(faces, **asked)
        cost = estimate_audit(
            len(faces), pixels_of(faces), near=near, faces=detector is not None, noise=questions.estimate(),
            limit=planned_bytes(),
        )  # fmt: skip
    with planned(cost, memory, quiet) as announce, progress_bar(quiet) as progress:
        progress = announce(progress)
        found = find(faces, progress=progress, near=near, detector=detector)
        labelled = judge_labels(faces, found, questions, seed=seed, progress=progress)
    # Printed before anything is written: what fails then loses nothing of minutes.
    if as_json:
        print_json({**found.describe(), **labelled.describe()})
    else:
        _print(found, show, near)
        print_labels(labelled, show)
    write_sheet(questions, faces, labelled)
    if sheet and (found.copies or found.near):
        write_copies_sheet(sheet, faces, found)
        click.echo(f"fusionfer: Wrote {sheet}.", err=True)
    elif sheet:
        click.echo(f"fusionfer: {sheet} was not written: there are no copies to draw.", err=True)
    if clean:
        with progress_bar(quiet) as progress:
            cleaned = clean_splits(faces, found, keep or "test", split=split, seed=seed, progress=progress)
        write_split_file(cleaned, clean)
        click.echo(f"fusionfer: Wrote {clean}. {cleaned.describe()}", err=True)
    return 4 if strict and found.leaks else 0


def _print(found: Audit, show: int, near: bool) -> None:
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
    rows = [
        *_counted("groups of copies (equal pixels)", found.copies),
        *(_counted("groups of near copies", found.near) if near else []),
        ["persons in more than one split", f"{len(found.persons):,}", f"{sum(map(_total, found.persons.values())):,}"],
    ]
    for split, ids in found.leaked.items():
        rows.append([f"{split} samples that leak", "", f"{len(ids):,}"])
        if near:
            rows.append(["  by equal pixels", "", f"{len(found.leaked_exact.get(split, ())):,}"])
    rows.append(["blank pictures", "", f"{len(found.blank):,}"])
    rows.append(["unreadable pictures", "", f"{len(found.unreadable):,}"])
    if found.faceless is not None:
        rows.append(["pictures without a face", "", f"{len(found.faceless):,}"])
    print_table(["found", "groups", "samples"], rows)
    if found.faceless and show:
        print_table(["no face found in"], [[name] for name in found.faceless[:show]])
    for name, groups in (("copies", found.copies), ("near copies", found.near)):
        if groups and show:
            changes = ["changes"] if name != "copies" else []
            print_table([name, "labels", "splits", *changes], [_row(one, bool(changes)) for one in groups[:show]])


def _counted(name: str, groups: Sequence[Copies]) -> list[list[str]]:
    parts = (
        (name, groups),
        ("  in more than one split", [one for one in groups if one.crosses]),
        ("  with more than one label", [one for one in groups if one.conflicts]),
    )
    return [[what, f"{len(some):,}", f"{sum(len(one.ids) for one in some):,}"] for what, some in parts]


def _total(counts: dict[str, int]) -> int:
    return sum(counts.values())


def _row(one: Copies, changes: bool) -> list[str]:
    names = ", ".join(one.ids[:3]) + (f" and {len(one.ids) - 3} more" if len(one.ids) > 3 else "")
    splits = [split for split in ("train", "validation", "test") if split in one.splits]
    row = [names, ", ".join(sorted(set(one.labels) - {""})), ", ".join(splits)]
    return [*row, ", ".join(one.changes)] if changes else row
