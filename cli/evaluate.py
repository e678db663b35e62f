"""``fusionfer evaluate``: every figure of a model, or of trained networks, on a split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import device_option, json_option, labels_option, quiet_option, trust_option
from .progress import progress_bar
from .tables import print_json, print_report_table

if TYPE_CHECKING:
    from fusionfer.evaluation import Evaluation

_CHECKPOINT = ".safetensors"


@click.command()
@click.argument("data", metavar="CACHE|DATA", type=click.Path(path_type=Path))
@click.option(
    "--model",
    "models",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="A model that fusionfer fit saved, or a checkpoint of fusionfer train; several checkpoints are averaged.",
)
@click.option("--split", default="test", show_default=True, help="Split to score; several as a+b, or all.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a page with figures there.",
)
@click.option(
    "--tta",
    type=click.Choice(["none", "flip", "ten-crop"]),
    help="Checkpoints only: views of each picture to average.  [default: as it was trained]",
)
@labels_option
@click.option("--classes", help="Checkpoints only: map or drop labels of DATA, as in 'anger=angry,contempt='.")
@device_option
@json_option
@trust_option
@quiet_option
def evaluate(
    data: Path,
    models: tuple[Path, ...],
    split: str,
    report: Path | None,
    tta: str | None,
    labels: Path | None,
    classes: str | None,
    device: str,
    as_json: bool,
    trust: tuple[str, ...],
    quiet: bool,
) -> int:
    """Score a model on a cache, or trained networks on DATA.

    Everything follows from the confusion matrix: accuracy, precision, recall (= sensitivity), specificity, F1 (= Dice)
    and Jaccard per class, macro and weighted; balanced accuracy, and ROC AUC (one against the rest).

    Rows that the model, or the weights that computed its features, were trained on are counted, and the overall figures
    are given without them, too. The average of several checkpoints has weights that are found on the validation split.

    \b
    Examples:
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer --split validation --report report/
      fusionfer evaluate fer2013.zip --model resnet34.safetensors --model resnet50.safetensors --tta ten-crop
    """
    from fusionfer.report import report_scores

    networks = [model.suffix == _CHECKPOINT for model in models]
    if all(networks):
        result, of, more = _networks(data, models, split, tta, labels, classes, device, quiet)
    else:
        _refuse_mixtures(data, len(models), networks_only={"--tta": tta, "--labels": labels, "--classes": classes})
        result, of, more = _model(data, models[0], split, trust)
    name = " + ".join(model.name for model in models)
    page = None
    if report is not None:
        page = report_scores(
            report,
            result.scores,
            title=f"{name} on {split} of {data.name}",
            notes=result.notes,
            data={"split": split, "model": name},
            unseen=result.unseen_scores,
            **more,
        )
    if as_json:
        found = {"model": str(models[0]) if len(models) == 1 else [str(model) for model in models], "split": split}
        unseen = result.unseen_scores and result.unseen_scores.to_dict()
        print_json({**found, **result.scores.to_dict(), "unseen": unseen, "notes": list(result.notes)})
        return 0
    for note in result.notes:
        click.echo(f"fusionfer: {note}", err=True)
    _print_scores(result, f"{result.scores.n:,} rows of split {split}; {of}")
    if page is not None:
        click.echo(f"Report: {page}")
    return 0


def _model(cache: Path, model: Path, split: str, trust: tuple[str, ...]) -> tuple[Evaluation, str, dict[str, Any]]:
    """Score a model on a cache; and what it is a score of, and what a report shows besides."""
    from fusionfer.evaluation import evaluate, read_for_model, training_history
    from fusionfer.persistence import load_model

    loaded = load_model(model, trust=trust)
    result = evaluate(read_for_model(cache, loaded), loaded, split)
    more = {"selection": loaded.selection, "history": training_history(loaded)}
    return result, f"features {', '.join(loaded.blocks)}", more


def _networks(
    data: Path,
    models: tuple[Path, ...],
    split: str,
    tta: str | None,
    labels: Path | None,
    classes: str | None,
    device: str,
    quiet: bool,
) -> tuple[Evaluation, str, dict[str, Any]]:
    """Score checkpoints on a data set; likewise."""
    from fusionfer.images import parse_classes, read_faces
    from fusionfer.training import evaluate_networks

    faces = read_faces(data, labels=labels, classes=parse_classes(classes) if classes else None)
    with progress_bar(quiet) as progress:
        found = evaluate_networks(faces, models, split, tta=tta, device=device, progress=progress)
    names = ", ".join(model.name for model in models)
    return found.evaluation, f"networks {names}" if len(models) > 1 else f"network {names}", {}


def _refuse_mixtures(data: Path, n: int, networks_only: dict[str, object]) -> None:
    """Refuse what only checkpoints can do, where a model of features is given."""
    given = [name for name, value in networks_only.items() if value is not None]
    if n > 1:
        msg = f"Several --model are averaged, which needs checkpoints of fusionfer train (*{_CHECKPOINT}) alone."
        raise click.UsageError(msg)
    if given:
        msg = f"{', '.join(given)} needs a checkpoint of fusionfer train (*{_CHECKPOINT}) as --model."
        raise click.UsageError(msg)
    if data.is_file():
        msg = f"{data} is a file: a model of features is scored on the CACHE folder that fusionfer extract filled."
        raise click.UsageError(msg)


def _print_scores(result: Evaluation, first: str) -> None:
    """Print all tables."""
    from fusionfer.report import class_table, confusion_table, overall_table, undefined_table

    scores = result.scores
    click.echo(first)
    tables = [class_table(scores), confusion_table(scores), overall_table(scores)]
    if result.unseen_scores is not None:
        tables.append(overall_table(result.unseen_scores)._replace(title="Overall, without rows that were trained on"))
    if scores.undefined:
        tables.append(undefined_table(scores))
    for table in tables:
        print_report_table(table)
