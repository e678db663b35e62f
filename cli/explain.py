"""``fusionfer explain``: which part of a face carries a probability."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from .options import (
    classes_option,
    device_option,
    engine_option,
    faces_options,
    given,
    json_option,
    max_pixels_option,
    memory_option,
    quiet_option,
    refuse_idle_faces,
    seed_option,
    trust_option,
)
from .planning import networks_of, pixels_of, planned, runs_on_cpu, size_of
from .progress import progress_bar
from .tables import print_json, print_report_table
from .wording import as_options


class _Length(click.ParamType):
    """A whole number of pixels, or a share of the face."""

    name = "PIXELS|SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return int(value)
        except ValueError:
            pass
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of pixels nor a share, such as 8 or 0.15.", param, ctx)


class _Fill(click.ParamType):
    """The name of a fill, or a grey value."""

    name = "FILL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return int(value)
        except ValueError:
            return value


@click.command()
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A model that fusionfer fit saved. Given twice, the models stand side by side, and where they differ.",
)
@click.option(
    "--class",
    "labels",
    multiple=True,
    metavar="CLASS",
    help="Which probability to follow; by default the predicted class, 'all' for every one. Repeatable.",
)
@click.option(
    "--window",
    type=_Length(),
    help="Side of the square, as pixels of the network's input (of the picture, where networks have several), or 0.15 "
    "of it.",
)
@click.option("--stride", type=_Length(), help="How far it moves each time; by default half of its side.")
@click.option(
    "--fill",
    type=_Fill(),
    default="mean",
    show_default=True,
    help="What it shows: zero (black), mean (colour of the picture), blur, noise, or a grey value from 0 to 255.",
)
@click.option(
    "--effort",
    default=1.0,
    show_default=True,
    type=float,
    help="Compute this share of the windows, where it matters most, and interpolate the rest.",
)
@click.option(
    "--out",
    "outs",
    multiple=True,
    metavar="FILE|FOLDER",
    type=click.Path(path_type=Path),
    help="Write the overlay as FILE.png, the arrays as FILE.npz; of several pictures, both into a folder. Repeatable.",
)
@click.option("--curves", is_flag=True, help="Also say how faithful the first class's map is.")
@click.option("--per-class", type=click.Path(path_type=Path), metavar="DATA", help="Average the maps of each class.")
@click.option("--split", default="test", show_default=True, help="--per-class: which pictures of DATA.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1), help="--per-class: pictures of each class."
)
@classes_option
@faces_options
@json_option
@click.option(
    "--weights",
    multiple=True,
    metavar="[BACKBONE=]PATH",
    help="Where weights lie that are no longer where the model saw them. Repeatable.",
)
@max_pixels_option
@memory_option
@trust_option
@device_option
@engine_option
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Pictures that go through a network together; by default what is fast for its input.",
)
@seed_option
@quiet_option
def explain(
    images: tuple[Path, ...],
    models: tuple[Path, ...],
    labels: tuple[str, ...],
    window: Any,
    stride: Any,
    fill: Any,
    effort: float,
    outs: tuple[Path, ...],
    curves: bool,
    per_class: Path | None,
    split: str,
    limit: int,
    classes: str | None,
    mode: str | None,
    photometric: str | None,
    margin: float | None,
    detector: str | None,
    several: str,
    as_json: bool,
    weights: tuple[str, ...],
    max_pixels: int,
    memory: int | None,
    trust: tuple[str, ...],
    device: str,
    engine: str,
    batch_size: int | None,
    seed: int,
    quiet: bool,
) -> int:
    """Show which part of a face carries a probability.

    A square slides over each of IMAGES; where the probability falls, it hid what speaks for the class. The head counts,
    trees too. A hybrid is also shown the square through one network at a time, while the others see the whole face.

    \b
    Examples:
      fusionfer explain face.png --model fer2013.fusionfer
      fusionfer explain face.png --model fer2013.fusionfer --class happy --class sad --out why.png --out why.npz
      fusionfer explain face.png --model ecoc.fusionfer --model trees.fusionfer --out both.png
      fusionfer explain photo.jpg --model fer2013.fusionfer --faces align --out why.png
      fusionfer explain faces/ --model fer2013.fusionfer --out why/ --effort 0.5
      fusionfer explain --per-class fer2013.zip --model fer2013.fusionfer --out classes.png
    """
    if bool(images) == (per_class is not None):
        msg = "Give IMAGES to explain, or --per-class DATA, one of the two."
        raise click.UsageError(msg)
    if per_class is not None and (len(models) > 1 or labels or curves):
        msg = "--per-class takes one --model, and neither --class nor --curves: it follows each picture's own label."
        raise click.UsageError(msg)
    if classes and per_class is None:
        msg = "--classes maps the labels of --per-class DATA; name the class to explain with --class."
        raise click.UsageError(msg)
    if per_class is None and (idle := given("split", "limit")):
        msg = f"{' and '.join(idle)} choose pictures of --per-class DATA; all of IMAGES are explained."
        raise click.UsageError(msg)
    from fusionfer.costs import estimate_explaining
    from fusionfer.explanation import Settings, draw_faces, even_batches, input_sizes
    from fusionfer.faces import find_photographs, prepare_faces
    from fusionfer.images import parse_classes, read_faces, read_pictures
    from fusionfer.occlusion import window_grid, window_sizes
    from fusionfer.persistence import load_model
    from fusionfer.prediction import Classifier, find_preparation

    if per_class is None:
        faces = read_pictures(images, max_pixels=max_pixels)
    else:
        mapped = parse_classes(classes) if classes else None
        faces = read_faces(per_class, classes=mapped, max_pixels=max_pixels, on_error="skip")
        faces = draw_faces(faces, split=split, limit=limit, seed=seed)
    loaded = [load_model(path, trust=trust) for path in models]
    ways = [find_preparation(one, mode, photometric=photometric, detector=detector, margin=margin) for one in loaded]
    if any(way.describe() != ways[0].describe() for way in ways):
        msg = "These models were trained on faces prepared in different ways. Give one --model at a time."
        raise click.UsageError(msg)
    refuse_idle_faces(ways[0].mode)
    if mode is None and per_class is None and ways[0].mode == "none" and not quiet:
        for name in find_photographs(faces)[:1]:
            text = f"In {name} a face fills less than a third of the picture; --faces align cuts faces out."
            click.echo(f"fusionfer: {text}", err=True)
    pixels = pixels_of(faces)  # as they are decoded, before faces are cut out of them
    with progress_bar(quiet) as progress:
        faces = prepare_faces(faces, ways[0], several=several, on_error="skip", progress=progress)
    if per_class is None:
        _check_outs(outs, max(len(faces), 1), ("png", "npz"))
    else:
        _check_outs(outs, 1, ("png",))
    sizes = {size for model in loaded for size in input_sizes(model)}
    side = max(sizes)
    # Inputs of several sizes have the square on the picture as it came, in whose pixels its lengths are then.
    lengths = (window, stride) if len(sizes) == 1 else (None, None)
    windows = len(window_grid((side, side), *window_sizes((side, side), *lengths)))
    together = batch_size or even_batches(1 + windows, side)
    common: dict[str, Any] = {"settings": Settings(window, stride, fill, effort, seed), "batch_size": together}
    cost = estimate_explaining(
        len(faces), 1 + round(effort * windows), [one for model in loaded for one in networks_of(model)],
        batch_size=together, head=sum(map(size_of, models)), pixels=pixels, on_cpu=runs_on_cpu(device),
    )  # fmt: skip
    planning = planned(cost, memory, quiet, later=True)
    with ExitStack() as stack, planning as announce, progress_bar(quiet) as progress:
        classifiers = [
            stack.enter_context(Classifier(model, weights=weights, device=device, engine=engine, batch_size=together))
            for model in loaded
        ]
        common["progress"] = announce(progress)
        if per_class is not None:
            return _per_class(faces, classifiers[0], outs, as_json, split=split, limit=None, seed=seed, **common)
        stems = [path.stem for path in models]
        names = stems if len(set(stems)) == len(stems) else [f"{stem}-{k}" for k, stem in enumerate(stems, 1)]
        named = dict(zip(names, classifiers, strict=True))
        return _pictures(faces, named, list(labels) or "predicted", outs, as_json, curves, **common)


def _pictures(
    faces: Any, classifiers: dict[str, Any], labels: Any, outs: tuple[Path, ...], as_json: bool, curves: bool,
    **common: Any,
) -> int:  # fmt: skip
    from fusionfer.exceptions import ImageError
    from fusionfer.explanation import explain, explanation_tables, faithfulness, faithfulness_table

    skipped, told = list(faces.skipped), []
    for i, sample in enumerate(faces.ids.tolist()):
        try:
            pixels = faces.load(i)[0]
        except ImageError as error:
            skipped.append((sample, str(error)))
            continue
        found: dict[str, Any] = {}
        for name, classifier in classifiers.items():
            chosen = next((list(one.classes) for one in found.values()), labels)
            one = found[name] = explain(pixels, classifier, classes=chosen, name=sample, **common)
            areas = faithfulness(one, classifier, batch_size=common["batch_size"]) if curves else {}
            extra = {which: {"deletion": c.deletion_area, "insertion": c.insertion_area} for which, c in areas.items()}
            told.append(
                {"model": name, **one.to_dict(), **({"curves": {"class": one.classes[0], **extra}} if extra else {})}
            )
            if not as_json:
                click.echo(f"{sample}{f' by {name}' if len(classifiers) > 1 else ''}: {one.predicted}\n")
                for table in (
                    *explanation_tables(one),
                    *([faithfulness_table(areas, one.classes[0])] if areas else []),
                ):
                    print_report_table(table)
        _write(outs, found, i, len(faces))
    if as_json:
        print_json({"explanations": told, "skipped": [{"image": s, "reason": reason} for s, reason in skipped]})
    return _say_skipped(skipped)


def _per_class(faces: Any, classifier: Any, outs: tuple[Path, ...], as_json: bool, **options: Any) -> int:
    from fusionfer.explanation import class_maps_figure, class_maps_table, explain_classes, write_figure

    found = explain_classes(faces, classifier, **options)
    for out in outs:
        write_figure(out, class_maps_figure(found))
    if as_json:
        print_json(found.to_dict())
    else:
        print_report_table(class_maps_table(found))
    return _say_skipped(found.skipped)


def _check_outs(outs: tuple[Path, ...], pictures: int, kinds: tuple[str, ...]) -> None:
    """Refuse before anything is computed what could not be written afterwards."""
    for out in outs:
        kind = out.suffix.lower().removeprefix(".")
        if kind in kinds and pictures == 1:
            continue
        if kind or (pictures == 1 and len(kinds) == 1):
            allowed = " or ".join(f"FILE.{one}" for one in kinds)
            msg = (
                f"--out {out}: there are {pictures} pictures, so give a folder, without an ending."
                if kind in kinds
                else f"--out {out}: give {allowed}{'' if len(kinds) == 1 else ', or a folder'}."
            )
            raise click.UsageError(msg)


def _write(outs: tuple[Path, ...], found: dict[str, Any], i: int, pictures: int) -> None:
    from fusionfer.explanation import explanation_figure, write_array, write_figure

    number = f"{i:0{len(str(pictures - 1))}d}-" if pictures > 1 else ""
    stem = f"{number}{Path(next(iter(found.values())).name).stem}"
    for out in outs:
        folder = not out.suffix
        if folder or out.suffix.lower() == ".png":
            write_figure(out / f"{stem}.png" if folder else out, explanation_figure([*found.values()], [*found]))
        if folder or out.suffix.lower() == ".npz":
            for name, one in found.items():
                path = out / f"{stem}.npz" if folder else out
                write_array(path.with_name(f"{path.stem}-{name}.npz") if len(found) > 1 else path, one)


def _say_skipped(skipped: Any) -> int:
    for sample, reason in skipped:
        click.echo(f"fusionfer: skipped {sample}: {as_options(reason)}", err=True)
    return 3 if skipped else 0
