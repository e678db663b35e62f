"""``fusionfer demo``: the whole main job on generated faces."""

from __future__ import annotations

from pathlib import Path

import click

from .options import memory_option, quiet_option, seed_option
from .planning import planned
from .progress import progress_bar
from .tables import print_report_table


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fusionfer_demo"),
    show_default=True,
    help="Folder for cache, model and report.",
)
@click.option("--identities", default=42, show_default=True, type=click.IntRange(10), help="Generated persons.")
@click.option("--size", default=64, show_default=True, type=click.IntRange(32), help="Side of the faces in pixels.")
@click.option(
    "--weights",
    type=click.Choice(["auto", "imagenet", "none"]),
    default="auto",
    show_default=True,
    help="auto: ImageNet weights if at hand or downloaded within a minute, else seeded random ones.",
)
@memory_option
@seed_option
@quiet_option
def demo(out: Path, identities: int, size: int, weights: str, memory: int | None, seed: int, quiet: bool) -> None:
    """Run the whole main job on generated faces.

    Extract, fit, select, evaluate, report.
    Needs no data and no network. Seven expressions of drawn persons; the persons of the test are not those of the
    training.

    \b
    Example:
      fusionfer demo --out /tmp/demo
    """
    from fusionfer.costs import estimate_demo
    from fusionfer.demo import run_demo
    from fusionfer.report import confusion_table, selection_table

    with planned(estimate_demo(identities, size), memory, quiet), progress_bar(quiet) as progress:
        result = run_demo(
            out,
            n_identities=identities,
            size=size,
            seed=seed,
            weights=weights,
            progress=progress,
            say=lambda text: click.echo(f"fusionfer: {text}", err=True),
        )
    selection = result.result.model.selection
    click.echo(result.note)
    print_report_table(selection_table(selection, result.tests))
    print_report_table(confusion_table(result.tests[selection["selected"]]))
    click.echo(f"Model:  {result.model}")
    click.echo(f"Report: {result.report}  (confusion matrix: {result.report.parent / 'confusion.png'})")
    click.echo(f"Next:   fusionfer evaluate {result.cache} --model {result.model} --split test")
