"""Options and arguments that several verbs share, each defined once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fusionfer.exceptions import DataError
from fusionfer.memory import parse_bytes

__all__ = [
    "batch_size_option",
    "cache_argument",
    "classes_option",
    "device_option",
    "engine_option",
    "faces_options",
    "given",
    "json_option",
    "labels_option",
    "lock_option",
    "manifest_options",
    "max_pixels_option",
    "memory_option",
    "model_option",
    "name_of",
    "quiet_option",
    "refuse_idle_faces",
    "seed_option",
    "splits_option",
    "trust_option",
    "wait_option",
]


class _Size(click.ParamType):
    """A size of memory, such as 4G, as bytes."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_bytes(value)
        except DataError as error:
            self.fail(str(error), param, ctx)


cache_argument = click.argument("cache", type=click.Path(file_okay=False, path_type=Path))

model_option = click.option(
    "--model", "model", required=True, type=click.Path(path_type=Path), help="A model that fusionfer fit saved."
)

trust_option = click.option(
    "--trust",
    multiple=True,
    metavar="TYPE",
    help="Load this type from the model although fusionfer does not know it to be harmless. Repeatable.",
)

device_option = click.option(
    "--device", default="auto", show_default=True, help="auto (cuda, then mps, then cpu) or a torch device."
)

engine_option = click.option(
    "--engine",
    type=click.Choice(["torch", "openvino", "onnxruntime", "auto"]),
    default="torch",
    show_default=True,
    help="What runs the networks; auto takes the fastest that is installed. A cache goes on with its own.",
)

batch_size_option = click.option(
    "--batch-size",
    default=32,
    show_default=True,
    type=click.IntRange(1),
    help="Pictures that go through a network together.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")

labels_option = click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="FER+'s fer2013new.csv: faces of FER-2013 take the majority's label; those without a majority are left out.",
)

classes_option = click.option("--classes", help="Map or drop labels, as in 'anger=angry,contempt='.")


def faces_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how faces are found in pictures, cut out and normalised."""
    for option in (
        click.option(
            "--several",
            type=click.Choice(["largest", "all"]),
            default="largest",
            show_default=True,
            help="Of a picture with several faces take the largest, or all, as ID#face1, ID#face2, ...",
        ),
        click.option(
            "--detector",
            metavar="haar|yunet=PATH",
            help="What finds faces; PATH is YuNet's ONNX file.  [default: haar, or what a model records]",
        ),
        click.option(
            "--margin",
            type=float,
            metavar="SHARE",
            help="Widen what is cut out on each side, -0.25 to 2 of its side.  [default: 0, or what a model records]",
        ),
        click.option(
            "--photometric",
            type=click.Choice(["none", "histogram", "clahe", "denoise", "standardise"]),
            help="Bring faces to one light.  [default: none, or what a model records]",
        ),
        click.option(
            "--faces",
            "mode",
            type=click.Choice(["none", "detect", "align"]),
            help="Take whole pictures, or cut faces out: upright, or turned and scaled by the eyes. Pictures without a "
            "face are listed, and exit with 3.  [default: none, or what a model records]",
        ),
    ):
        command = option(command)
    return command


def manifest_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a manifest is read."""
    for option in (
        click.option(
            "--allow-outside-root", is_flag=True, help="Follow manifest paths that leave the data's own folder."
        ),
        click.option("--group-column", help="Likewise for the groups (persons, sequences)."),
        click.option("--split-column", help="Likewise for the splits."),
        click.option("--label-column", help="Likewise for the labels."),
        click.option("--path-column", help="Column of a manifest that holds the paths, where its name is unusual."),
    ):
        command = option(command)
    return command


splits_option = click.option(
    "--splits",
    "split_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take splits and groups from this file, as fusionfer audit DATA --clean FILE writes it.",
)

seed_option = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of everything that is drawn."
)

quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")

max_pixels_option = click.option(
    "--max-pixels",
    default=50_000_000,
    show_default=True,
    type=click.IntRange(1),
    help="Refuse larger pictures before they are decoded.",
)

memory_option = click.option(
    "--memory",
    metavar="SIZE",
    type=_Size(),
    help="Stay below this much memory, such as 4G, or refuse with the figure; file maps do not count.",
)

wait_option = click.option(
    "--wait",
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(0),
    help="Wait so long for another process that writes the cache, instead of failing by its name.",
)

lock_option = click.option(
    "--no-lock",
    "lock",
    is_flag=True,
    default=True,
    flag_value=False,
    help="Go on where the file system has no locks; see to it that no other process writes the cache.",
)


def name_of(data: Path, labels: Path | None = None) -> str:
    """Return what folders of results are named after: other labels are other results."""
    name = data.resolve().stem if data.is_file() else data.resolve().name
    return name if labels is None else f"{name}-{labels.stem}"


def given(*names: str) -> list[str]:
    """Return those of these parameters that stand on the command line, as options: what a default says is not asked."""
    context = click.get_current_context()
    said = [name for name in names if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE]
    return ["--" + name.replace("_", "-") for name in said]


def refuse_idle_faces(mode: str) -> None:
    """Refuse options that say how faces are cut out where whole pictures are taken."""
    if mode == "none" and given("detector", "margin", "several"):
        msg = "--detector, --margin and --several say how faces are cut out: give --faces detect or align too."
        raise click.UsageError(msg)
