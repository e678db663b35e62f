"""``fusionfer info``: what a cache, a model, a trained network or an export holds, and whether it is intact."""

from __future__ import annotations

from pathlib import Path

import click

from .options import json_option
from .tables import print_json, print_table


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def info(file: Path, as_json: bool) -> int:
    """Say what a cache or a model holds, and if it is intact.

    FILE is a cache file, a folder of caches, a model, a checkpoint of fusionfer train, or a file of fusionfer export;
    checksums are verified.

    \b
    Examples:
      fusionfer info features_cache/fer2013
      fusionfer info fer2013.fusionfer --json
      fusionfer info trained/fer2013-fer/resnet34-sgdm/resnet34-sgdm.safetensors
    """
    from fusionfer.inspection import inspect

    found = inspect(file)
    if as_json:
        print_json(found.data)
    else:
        for title, header, rows in found.tables:
            print_table(header, rows, title=title)
    return 0 if found.intact else 1
