"""``fusionfer info``: what a cache, a model, a trained network or an export holds, and whether it is intact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from .options import json_option, memory_option, quiet_option
from .planning import planned, size_of, stored_in
from .tables import print_json, print_table


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@memory_option
@json_option
@quiet_option
def info(file: Path, memory: int | None, as_json: bool, quiet: bool) -> int:
    """Say what a cache or a model holds, and if it is intact.

    FILE is a cache file, a folder of caches, a model, a checkpoint of fusionfer train, or a file of fusionfer export;
    checksums are verified.

    \b
    Examples:
      fusionfer info features_cache/fer2013
      fusionfer info fer2013.fusionfer --json
      fusionfer info trained/fer2013-fer/resnet34-sgdm/resnet34-sgdm.safetensors
    """
    from fusionfer.costs import estimate_verifying
    from fusionfer.inspection import inspect

    stored = stored_in([file])
    size = stored.bytes or size_of(file)
    cost = replace(estimate_verifying(size, stored.rows), what="info")
    with planned(cost, memory, quiet or not size):
        found = inspect(file)
    if as_json:
        print_json(found.data)
    else:
        for title, header, rows in found.tables:
            print_table(header, rows, title=title)
    return 0 if found.intact else 1
