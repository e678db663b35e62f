"""``fusionfer evaluate``: every figure of a model on a split of a cache."""

from __future__ import annotations

from pathlib import Path

import click

from .options import cache_argument, json_option, model_option, trust_option
from .tables import print_json, print_report_table


@click.command()
@cache_argument
@model_option
@click.option("--split", default="test", show_default=True, help="Split to score; several as a+b, or all.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a page with figures there.",
)
@json_option
@trust_option
def evaluate(cache: Path, model: Path, split: str, report: Path | None, as_json: bool, trust: tuple[str, ...]) -> int:
    """Score a model on a split of a cache.

    Everything follows from the confusion matrix: accuracy, precision, recall (= sensitivity), specificity, F1 (= Dice)
    and Jaccard per class, macro and weighted; balanced accuracy, and ROC AUC (one against the rest).

    \b
    Examples:
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer --split validation --report report/
    """
    from fusionfer.evaluation import evaluate, read_for_model, training_history
    from fusionfer.persistence import load_model
    from fusionfer.report import class_table, confusion_table, overall_table, report_scores, undefined_table

    loaded = load_model(model, trust=trust)
    result = evaluate(read_for_model(cache, loaded), loaded, split)
    scores = result.scores
    page = None
    if report is not None:
        page = report_scores(
            report,
            scores,
            title=f"{model.name} on {split} of {cache.name}",
            notes=result.notes,
            selection=loaded.selection,
            history=training_history(loaded),
            data={"split": split, "model": model.name},
        )
    if as_json:
        print_json({"model": str(model), "split": split, **scores.to_dict(), "notes": list(result.notes)})
        return 0
    for note in result.notes:
        click.echo(f"fusionfer: {note}", err=True)
    click.echo(f"{scores.n:,} rows of split {split}; features {', '.join(loaded.blocks)}")
    tables = [class_table(scores), confusion_table(scores), overall_table(scores)]
    if scores.undefined:
        tables.append(undefined_table(scores))
    for table in tables:
        print_report_table(table)
    if page is not None:
        click.echo(f"Report: {page}")
    return 0
