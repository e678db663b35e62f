"""``fusionfer report``: one page of a run."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path

import click

from .options import memory_option, quiet_option, splits_option, trust_option
from .planning import planned, stored_in
from .progress import progress_bar

CACHE = "cache"  # in the folder of fusionfer demo: scored where no --cache is named


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Features to score a model on. Without them the page says only how it was made.",
)
@click.option("--data", type=click.Path(path_type=Path), help="The pictures: shows faces of each class, and mistakes.")
@click.option(
    "--audit",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What fusionfer audit --json printed: scores also without copies of what was trained on.",
)
@click.option("--split", default="test", show_default=True, help="Split to score; several as a+b, or all.")
@splits_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder of the page and its figures.",
)
@memory_option
@trust_option
@quiet_option
def report(
    run: Path,
    cache: Path | None,
    data: Path | None,
    audit: Path | None,
    split: str,
    split_file: Path | None,
    out: Path,
    memory: int | None,
    trust: tuple[str, ...],
    quiet: bool,
) -> None:
    """Show what a run found, on one page.

    RUN is a model that fusionfer fit saved, or the folder that fusionfer train, replay or demo filled. The page
    needs no other file and no network; the same facts are in report.md and scores.json beside it, the figures as PNG.

    \b
    Examples:
      fusionfer report fer2013.fusionfer --cache features_cache/fer2013 --data fer2013.zip --audit audit.json
      fusionfer report fer2013.fusionfer --cache features_cache/fer2013 --split validation --out validation/
      fusionfer report trained/fer2013-fer --data fer2013.zip
      fusionfer report replays/fer2013-singh-mandloi-2025
    """
    from fusionfer.costs import estimate_report
    from fusionfer.exceptions import FusionferError
    from fusionfer.images import read_faces, read_split_file
    from fusionfer.memory import planned_bytes
    from fusionfer.reporting import report_run

    scored = cache if cache is not None or not (run / CACHE).is_dir() else run / CACHE
    found = stored_in([] if scored is None else [scored])
    rows = found.rows
    if data is not None and scored is None:
        with suppress(FusionferError, OSError):  # which the report itself will tell
            rows = len(read_faces(data, on_error="skip"))
    cost = estimate_report(rows, found.columns, limit=memory or planned_bytes(), pictures=data is not None)
    with planned(cost, memory, quiet) as announce, progress_bar(quiet) as progress:
        page = report_run(
            run,
            out,
            cache=cache,
            data=data,
            audit=audit,
            split=split,
            splits=None if split_file is None else read_split_file(split_file),
            trust=trust,
            commands=[shlex.join(["fusionfer", *sys.argv[1:]])],
            progress=announce(progress),
        )
    click.echo(f"Report: {page}")
