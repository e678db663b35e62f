"""``fusionfer export``: a model as one ONNX file, for programs that have no fusionfer."""

from __future__ import annotations

from pathlib import Path

import click

from .options import json_option, max_pixels_option, memory_option, model_option, quiet_option, trust_option
from .planning import networks_of, planned, size_of
from .progress import progress_bar
from .tables import print_json, print_table


@click.command()
@model_option
@click.option("--onnx", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the file at --onnx.")
@click.option(
    "--check-on",
    metavar="DATA",
    type=click.Path(path_type=Path),
    help="Pictures (a file, a folder or a zip) on which file and model are compared; else generated faces.",
)
@click.option(
    "--checks",
    type=click.IntRange(1),
    help="Compare on so many of the pictures of --check-on, evenly spaced.  [default: 200]",
)
@click.option(
    "--weights",
    multiple=True,
    metavar="[BACKBONE=]PATH",
    help="Where weights lie that are no longer where the model saw them; another hash is refused. Repeatable.",
)
@max_pixels_option
@memory_option
@trust_option
@json_option
@quiet_option
def export(
    model: Path,
    onnx: Path,
    overwrite: bool,
    check_on: Path | None,
    checks: int | None,
    weights: tuple[str, ...],
    max_pixels: int,
    memory: int | None,
    trust: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Write a model into one ONNX file.

    ONNX Runtime runs it without fusionfer, torch or scikit-learn. Before the file takes its place, faces go through it
    and through the model, and one that says something else is refused.

    \b
    Examples:
      fusionfer export --model fer2013.fusionfer --onnx fer2013.onnx
      fusionfer export --model fer2013.fusionfer --onnx fer2013.onnx --check-on photos/ --overwrite
    """
    from fusionfer.exceptions import DataError

    if onnx.exists() and not overwrite:
        msg = f"{onnx} exists. Give another --onnx, or --overwrite to replace it."
        raise DataError(msg)
    if checks is not None and check_on is None:
        msg = "--checks counts the pictures of --check-on; give that too, or leave --checks out."
        raise DataError(msg)
    from fusionfer.costs import estimate_exporting
    from fusionfer.export import export_onnx
    from fusionfer.images import read_pictures
    from fusionfer.persistence import load_model

    loaded = load_model(model, trust=trust)
    faces = None
    if check_on is not None:
        found = read_pictures((check_on,), max_pixels=max_pixels)
        n = min(len(found), checks or 200)
        faces = found.take([i * len(found) // n for i in range(n)])
    compared = 28 if faces is None else len(faces)
    cost = estimate_exporting(networks_of(loaded), checks=compared, head=size_of(model))
    with planned(cost, memory, quiet) as announce, progress_bar(quiet) as progress:
        result = export_onnx(loaded, onnx, weights=weights, faces=faces, progress=announce(progress))
    if as_json:
        print_json(result.to_dict())
    else:
        print_table(*result.table())
    return 0
