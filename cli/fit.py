"""``fusionfer fit``: from a cache to a selected, saved model."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import cache_argument, json_option, memory_option, quiet_option, seed_option, splits_option
from .planning import planned, refuse_tables
from .progress import progress_bar
from .settings import Setting, params_of_heads, set_option
from .tables import print_json, print_report_table

if TYPE_CHECKING:
    from fusionfer.features import Features


@click.command()
@cache_argument
@click.option(
    "--head",
    "heads",
    multiple=True,
    default=("ecoc",),
    show_default=True,
    metavar="NAME",
    help="Classifier head, as fusionfer heads lists them. Repeatable: the best of several is kept.",
)
@set_option
@click.option(
    "--search", is_flag=True, help="Try the head's listed values of its parameters, less those that are --set."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("model.fusionfer"),
    show_default=True,
    help="Where to save the model.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file at --out.")
@click.option(
    "--features",
    "specs",
    metavar="BLOCK[,BLOCK...]",
    help="Blocks that take part, as backbone:level[@weights].  [default: every complete cache of the folder]",
)
@click.option(
    "--split", default="train", show_default=True, help="Rows to train and select on; several as train+validation."
)
@splits_option
@click.option("--folds", default=5, show_default=True, type=click.IntRange(2), help="Folds of the selection.")
@click.option(
    "--scale",
    type=click.Choice(["equal", "standard", "none"]),
    default="equal",
    show_default=True,
    help="equal: standardise, each block with the same weight whatever its width.",
)
@click.option(
    "--scoring",
    default="accuracy",
    show_default=True,
    metavar="NAME",
    help="What the selection compares, such as balanced_accuracy or f1_macro.",
)
@click.option(
    "--min-gain",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0.0),
    help="The hybrid must beat every single block by more than this.",
)
@click.option(
    "--rule",
    type=click.Choice(["greater", "significant"]),
    default="greater",
    show_default=True,
    help="significant: keep the hybrid only if tests say, too, that it beats every single block.",
)
@click.option(
    "--alpha",
    default=0.05,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Level of these tests.",
)
@click.option(
    "--test",
    type=click.Choice(["auto", "5x2"]),
    default="auto",
    show_default=True,
    help="auto: test what was fitted anyhow. 5x2: fit each candidate ten times more, for the combined F test.",
)
@click.option("--bundle", is_flag=True, help="Store the backbones' weights in the model.")
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 4 when images or groups of the training rows are in other splits too, or test rows among them.",
)
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a page there that shows data, features and selection.",
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(0), help="Folds side by side; 0: all cores.")
@memory_option
@click.option(
    "--dask",
    metavar="ADDRESS|local",
    help="Let the workers of a Dask scheduler do the work, such as tcp://scheduler:8786; local starts some here.",
)
@json_option
@seed_option
@quiet_option
def fit(
    cache: Path,
    heads: tuple[str, ...],
    settings: tuple[Setting, ...],
    search: bool,
    out: Path,
    overwrite: bool,
    specs: str | None,
    split: str,
    split_file: Path | None,
    folds: int,
    scale: str,
    scoring: str,
    min_gain: float,
    rule: str,
    alpha: float,
    test: str,
    bundle: bool,
    strict: bool,
    report: Path | None,
    jobs: int,
    memory: int | None,
    dask: str | None,
    as_json: bool,
    seed: int,
    quiet: bool,
) -> int:
    """Train a head on A, B and A+B; keep the best.

    Every block of CACHE is tried alone, and all of them together; the hybrid is kept only if it beats each. With
    --search each is first given its best parameters, by the same folds.

    Works from the cache alone: no image is opened and torch is not loaded. The selection sees the rows of --split only:
    never the test split, unless it is named there.
    Backbones that were trained on the faces of --split cannot be judged by these: rows of the validation split that
    they have not seen choose and calibrate instead, and without such rows fit refuses. Checkpoints of fusionfer train
    say what they have seen; with other weights that were trained on your faces, select with --split validation.

    \b
    Examples:
      fusionfer fit features_cache/fer2013 --head ecoc --out fer2013.fusionfer --report fit/
      fusionfer fit features_cache/fer2013 --features resnet34:penultimate,resnet50:multi --split train+validation
      fusionfer fit features_cache/fer2013 --splits clean.csv
      fusionfer fit features_cache/fer2013 --head xgb-wn --set max_depth=4 --set eta=0.3
      fusionfer fit features_cache/fer2013 --rule significant --test 5x2
      fusionfer fit features_cache/fer2013 --head ecoc --head softmax --search --set ecoc.tol=0.01
      fusionfer fit features_cache/affectnet --head xgb-wn --memory 4G
      fusionfer fit /shared/affectnet --dask tcp://scheduler:8786
    """
    from fusionfer.exceptions import LeakError, ModelError
    from fusionfer.fitting import estimate_fit, find_leaks, fit_heads, weight_paths
    from fusionfer.memory import memory_limit
    from fusionfer.persistence import save_model

    if out.exists() and not overwrite:
        msg = f"{out} exists. Give another --out, or --overwrite to replace it."
        raise ModelError(msg)
    params = params_of_heads(settings, heads)
    refuse_tables("fit", cache, memory)
    click.get_current_context().with_resource(memory_limit(memory))
    features = _read(cache, _block_names(specs), dask)
    if split_file is not None:
        from fusionfer.images import read_split_file  # only then: the room of pictures loads cv2

        features = features.resplit(read_split_file(split_file))
    if bundle:  # a file that is gone should not come out after the work
        weight_paths({name: features.block_record(name) for name in features.blocks})
    leaks = find_leaks(features, split)
    if leaks and strict:
        raise LeakError(" ".join(leaks))
    for note in (*features.notes, *leaks):  # before the work: they may explain why it fails
        click.echo(f"fusionfer: {note}", err=True)
    if test == "5x2" and len(features.blocks) > 1:
        more = 10 * (len(features.blocks) + 1) * len(heads)
        click.echo(f"fusionfer: --test 5x2 costs {more} fits more.", err=True)
    options: dict[str, Any] = {
        "params": params,
        "search": "default" if search else None,
        "split": split,
        "cv": folds,
        "scoring": scoring,
        "test": test,
        "n_jobs": jobs or -1,
    }
    cost = estimate_fit(features, heads, local=dask == "local", **options)
    remedy = "Allow more with --memory, or take fewer blocks (--features), fewer folds, or another head."
    with planned(cost, memory, quiet, remedy=remedy) as announce, progress_bar(quiet) as progress:
        result = fit_heads(
            features,
            heads,
            scale=None if scale == "none" else scale,
            min_gain=min_gain,
            rule=rule,
            alpha=alpha,
            random_state=seed,
            progress=announce(progress),
            **options,
        )
    later = [note for note in result.notes if note not in (*features.notes, *leaks)]
    for note in later:
        click.echo(f"fusionfer: {note}", err=True)
    path = save_model(result.model, out, weights=weight_paths(result.model.blocks) if bundle else None)
    selection, best = result.model.selection, result.results[result.best]
    notes = [*leaks, *features.notes, *later]
    page = None
    if report is not None:
        from fusionfer.reporting import report_fit

        page = report_fit(
            report,
            features,
            replace(result.model, path=path),
            title=f"{path.name}, fitted on {split} of {cache.resolve().name}",
            notes=notes,
            cache=str(cache),
            commands=[shlex.join(["fusionfer", *sys.argv[1:]])],
        )
    if as_json:
        found = {"model": str(path), "n": best.n, "held_out": best.held_out, "head": result.best}
        print_json({**found, "selection": selection, "notes": notes})
        return 0
    judged = f"{best.held_out:,} held-out rows" if best.held_out else f"{folds} folds"
    click.echo(f"{best.n:,} rows of split {split}, {len(result.model.classes)} classes, {judged}")
    _print_selection(selection, result.best)
    click.echo(f"Saved {path} ({path.stat().st_size / 1e6:.1f} MB).")
    if page is not None:
        click.echo(f"Report: {page}")
    if "test" in features.splits:
        same = "" if split_file is None else f" --splits {split_file}"
        click.echo(f"Next: fusionfer evaluate {cache} --model {path} --split test{same}")
    else:
        click.echo(f"Next: fusionfer predict IMAGES --model {path}")
    return 0


def _read(cache: Path, names: list[str] | None, dask: str | None) -> Features:
    """Read the cache, whose rows the workers of a cluster read where one is named; it is left at the command's end."""
    from fusionfer.features import Features

    if dask is None:
        return Features.read(cache, names)
    from fusionfer.cluster import connect
    from fusionfer.fitting import read_on_cluster

    team = click.get_current_context().with_resource(connect(dask))
    click.echo(f"fusionfer: {team.describe()}", err=True)
    return read_on_cluster(cache, team, names)


def _print_selection(selection: dict[str, Any], best: str) -> None:
    """Print the candidates of one head, or several heads in one table, and why which was kept."""
    from fusionfer.report import evidence_table, heads_table, selection_table

    if "heads" in selection:
        table = heads_table(selection["heads"], best)
        print_report_table(table._replace(note=f"{table.note} {selection['reason']}"))
    else:
        print_report_table(selection_table(selection))
    if selection["evidence"]["pairs"] or "heads" in selection:
        print_report_table(evidence_table(selection["evidence"]))


def _block_names(specs: str | None) -> list[str] | None:
    if specs is None:
        return None
    names = [spec.strip() for spec in specs.split(",") if spec.strip()]
    if not names:
        msg = "--features names no block. Leave it out to take every complete cache of the folder."
        raise click.UsageError(msg)
    return names
