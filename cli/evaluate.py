"""``fusionfer evaluate``: every figure of a model, or of trained networks, on a split."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    device_option,
    json_option,
    labels_option,
    memory_option,
    quiet_option,
    splits_option,
    trust_option,
)
from .planning import VIEWS, is_grey, pixels_of, planned, refuse_tables, runs_on_cpu
from .progress import progress_bar
from .tables import print_json, print_report_table

if TYPE_CHECKING:
    from fusionfer.evaluation import Evaluation
    from fusionfer.memory import Estimate

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
@click.option(
    "--map",
    "--classes",
    "classes",
    metavar="OLD=NEW,...",
    help="Another data set: map labels of CACHE or DATA to classes of the model, or drop them, as in "
    "'happiness=happy,contempt='.",
)
@splits_option
@click.option(
    "--audit",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What fusionfer audit DATA --json printed: every figure is given without copies of what was trained on, too.",
)
@click.option(
    "--votes",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="FER+'s fer2013new.csv, for faces of FER-2013: agreement with the annotators, and the ceiling of it.",
)
@memory_option
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
    split_file: Path | None,
    audit: Path | None,
    votes: Path | None,
    memory: int | None,
    device: str,
    as_json: bool,
    trust: tuple[str, ...],
    quiet: bool,
) -> int:
    """Score a model on a cache, or trained networks on DATA.

    Everything follows from the confusion matrix: accuracy, precision, recall (= sensitivity), specificity, F1 (= Dice)
    and Jaccard per class, macro and weighted; balanced accuracy, and ROC AUC (one against the rest).

    Rows that the model, or the weights that computed its features, were trained on are counted (the very picture, equal
    to the byte), and the overall figures are given without them, too. With --audit or --splits all figures are also
    given without other copies of these: pictures with the same pixels, or nearly. The average of several checkpoints
    has weights that are found on the validation split.

    \b
    Examples:
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer --split validation --report report/
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer --audit audit.json
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer --splits clean.csv
      fusionfer evaluate features_cache/fer2013 --model fer2013.fusionfer --votes fer2013new.csv
      fusionfer evaluate features_cache/ckplus --model fer2013.fusionfer --split all --map 'happiness=happy,contempt='
      fusionfer evaluate fer2013.zip --model resnet34.safetensors --model resnet50.safetensors --tta ten-crop
    """
    from fusionfer.audit import read_copies
    from fusionfer.images import parse_classes, read_ferplus, read_split_file
    from fusionfer.reporting import read_audit, report_evaluation

    known = {
        "splits": None if split_file is None else read_split_file(split_file),
        "copies": None if audit is None else read_copies(audit),
    }
    mapping = parse_classes(classes) if classes else None
    ferplus = None if votes is None else read_ferplus(votes)
    networks = [model.suffix == _CHECKPOINT for model in models]
    if all(networks):
        result, of, more = _networks(data, models, split, tta, labels, mapping, known, device, memory, quiet)
    else:
        _refuse_mixtures(data, len(models), networks_only={"--tta": tta, "--labels": labels})
        result, of, more = _model(data, models[0], split, mapping, known, trust, memory, quiet)
    name = " + ".join(model.name for model in models)
    ceiling = None
    if ferplus is not None:
        said = {"predictions": result.y_pred, "labels": result.y_true}
        ceiling = ferplus.ceiling(result.scores.classes, result.ids, **said)
    page = None
    if report is not None:
        page = report_evaluation(
            report,
            result,
            title=f"{name} on {split} of {data.name}",
            audit=None if audit is None else read_audit(audit),
            commands=[shlex.join(["fusionfer", *sys.argv[1:]])],
            notes=[] if ceiling is None else [ceiling.sentence()],
            data={"model": name, **({} if ceiling is None else {"votes": ceiling.describe()})},
            **more,
        )
    if as_json:
        found = {"model": str(models[0]) if len(models) == 1 else [str(model) for model in models], "split": split}
        unseen = result.unseen_scores and result.unseen_scores.to_dict()
        clean = result.clean_scores and result.clean_scores.to_dict()
        rows = {
            "trained_on": int(result.seen.sum()),
            "copies_of_trained_on": None if audit is None and split_file is None else int(result.leaked.sum()),
        }
        found = {**found, **result.scores.to_dict(), "rows": rows, "unseen": unseen, "clean": clean}
        found |= {} if ceiling is None else {"votes": ceiling.describe()}
        print_json({**found, "notes": list(result.notes)})
        return 0
    for note in result.notes:
        click.echo(f"fusionfer: {note}", err=True)
    _print_scores(result, f"{result.scores.n:,} rows of split {split}; {of}")
    if ceiling is not None:
        click.echo(f"{ceiling.sentence()}\n")
    if page is not None:
        click.echo(f"Report: {page}")
    return 0


def _model(
    cache: Path,
    model: Path,
    split: str,
    mapping: dict[str, str] | None,
    known: dict[str, Any],
    trust: tuple[str, ...],
    memory: int | None,
    quiet: bool,
) -> tuple[Evaluation, str, dict[str, Any]]:
    """Score a model on a cache; and what it is a score of, and what a report shows besides."""
    from fusionfer.evaluation import estimate_evaluation, evaluate, read_for_model
    from fusionfer.memory import memory_limit
    from fusionfer.persistence import load_model

    refuse_tables("evaluate", cache, memory)
    loaded = load_model(model, trust=trust)
    with memory_limit(memory):
        features = read_for_model(cache, loaded)
    shown = features if known["splits"] is None else features.resplit(known["splits"])  # what the model is scored on
    cost = estimate_evaluation(features, loaded, shown.count(split))
    with planned(cost, memory, quiet, later=True) as announce, progress_bar(quiet) as progress:
        result = evaluate(features, loaded, split, classes=mapping, progress=announce(progress), **known)
    more = {"model": loaded, "features": shown, "cache": str(cache)}
    return result, f"features {', '.join(loaded.blocks)}", more


def _networks(
    data: Path,
    models: tuple[Path, ...],
    split: str,
    tta: str | None,
    labels: Path | None,
    mapping: dict[str, str] | None,
    known: dict[str, Any],
    device: str,
    memory: int | None,
    quiet: bool,
) -> tuple[Evaluation, str, dict[str, Any]]:
    """Score checkpoints on a data set; likewise."""
    from fusionfer.images import read_faces
    from fusionfer.networks import read_checkpoint
    from fusionfer.reporting import Album
    from fusionfer.training import evaluate_networks

    faces = read_faces(data, labels=labels, classes=mapping)
    about = [read_checkpoint(model)[0] for model in models]
    shown = faces if known["splits"] is None else known["splits"].apply(faces)
    cost = _cost_of_networks(shown, about, split, tta, device, memory)
    with planned(cost, memory, quiet, later=True) as announce, progress_bar(quiet) as progress:
        found = evaluate_networks(faces, models, split, tta=tta, device=device, progress=announce(progress), **known)
    names = ", ".join(model.name for model in models)
    album = Album.of(faces, faces.ids, faces.labels, faces.splits)
    return found.evaluation, f"networks {names}" if len(models) > 1 else f"network {names}", {"album": album}


def _cost_of_networks(
    faces: Any, about: list[Any], split: str, tta: str | None, device: str, memory: int | None
) -> Estimate:
    """What checkpoints will take for the labelled faces of the split, and for those that weights are found on."""
    import numpy as np

    from fusionfer.costs import estimate_scoring

    labelled = faces.labels != ""
    scored = labelled & (np.ones(len(faces), dtype=bool) if split == "all" else np.isin(faces.splits, split.split("+")))
    tuned = labelled & ~scored & (faces.splits == "validation") & (len(about) > 1)
    return estimate_scoring(
        int(scored.sum()),
        int(tuned.sum()),
        [(one.network, int(one.recipe.get("crop") or one.preprocess.size)) for one in about],
        sizes=[one.preprocess.size for one in about],
        views=[VIEWS.get(str(tta or one.recipe.get("tta", "none")), 1) for one in about],
        channels=1 if is_grey(faces) else 3,
        pixels=pixels_of(faces),
        rows=len(faces),
        limit=memory,
        on_cpu=runs_on_cpu(device),
    )


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
    if result.clean_scores is not None and result.leaked.any():
        clean = [table(result.clean_scores) for table in (class_table, confusion_table, overall_table)]
        tables += [one._replace(title=f"{one.title}, without rows trained on and copies of them") for one in clean]
    if scores.undefined:
        tables.append(undefined_table(scores))
    for table in tables:
        print_report_table(table)
