"""``fusionfer live``: expressions from a camera, a video or a folder of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import (
    device_option,
    given,
    json_option,
    max_pixels_option,
    memory_option,
    model_option,
    quiet_option,
    trust_option,
)
from .planning import networks_of, planned, runs_on_cpu, size_of
from .progress import progress_bar
from .stopping import stopping
from .tables import print_json
from .wording import as_options


@click.command()
@model_option
@click.option("--camera", metavar="CAMERA", help="Number of a camera (0 is the first), or the address of a stream.")
@click.option("--video", type=click.Path(dir_okay=False, path_type=Path), help="A video file; every frame is read.")
@click.option(
    "--images", type=click.Path(path_type=Path), help="A folder or a zip of frames, in the order of their names."
)
@click.option("--realtime", is_flag=True, help="Play the video at its own speed: frames that are too late are dropped.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1000, min_open=True),
    help="Frames per second of --images; by default 25.",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the frames with boxes, labels and probabilities (.mp4, .avi or .mkv).",
)
@click.option(
    "--csv",
    "table",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write time, frame, face, box, label and probabilities, smoothed and raw.",
)
@click.option("--overwrite", is_flag=True, help="Replace the files at --output and --csv.")
@click.option(
    "--window/--no-window",
    default=None,
    help="Show the frames; q or Esc ends. By default where neither --output nor --csv is given.",
)
@click.option("--max-seconds", type=click.FloatRange(0, min_open=True), help="Read frames up to this time only.")
@click.option(
    "--faces",
    type=click.Choice(["align", "detect", "none"]),
    default="align",
    show_default=True,
    help="Cut faces out by the eyes, by the upright box, or take each frame as one face.",
)
@click.option(
    "--photometric",
    type=click.Choice(["none", "histogram", "clahe", "denoise", "standardise"]),
    help="Bring faces to one light; by default as the model's features were made.",
)
@click.option(
    "--margin", type=float, metavar="SHARE",
    help="Widen what is cut out on each side, -0.25 to 2 of its side; by default as for the model's features.",
)  # fmt: skip
@click.option(
    "--detector", default="haar", show_default=True, metavar="SPEC", help="haar, or yunet=PATH with the network's file."
)
@click.option(
    "--detection-side",
    default=320,
    show_default=True,
    metavar="PIXELS",
    type=click.IntRange(64),
    help="haar: shrink frames to this longer side; faces below 20 pixels there are not found.",
)
@click.option(
    "--every", default=5, show_default=True, metavar="N", type=click.IntRange(1),
    help="Detect in every n-th frame, and when a face is lost; in between faces are followed.",
)  # fmt: skip
@click.option(
    "--classify-every", default=1, show_default=True, metavar="N", type=click.IntRange(1),
    help="Classify each face in every n-th frame.",
)  # fmt: skip
@click.option(
    "--smooth", default=0.25, show_default=True, metavar="SECONDS", type=click.FloatRange(0),
    help="Time constant over which the probabilities of a face are smoothed; 0 does not.",
)  # fmt: skip
@click.option(
    "--keep", default=1.0, show_default=True, metavar="SECONDS", type=click.FloatRange(0, min_open=True),
    help="How long a face goes on that detections do not confirm.",
)  # fmt: skip
@click.option(
    "--weights",
    multiple=True,
    metavar="[BACKBONE=]PATH",
    help="Where weights lie that are no longer where the model saw them; another hash is refused. Repeatable.",
)
@click.option(
    "--engine",
    type=click.Choice(["torch", "openvino", "onnxruntime", "auto"]),
    default="auto",
    show_default=True,
    help="What runs the networks; auto takes the fastest that is installed.",
)
@device_option
@max_pixels_option
@memory_option
@trust_option
@json_option
@quiet_option
def live(
    model: Path,
    camera: str | None,
    video: Path | None,
    images: Path | None,
    output: Path | None,
    table: Path | None,
    memory: int | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Say what the faces of a camera or a video express.

    Ends with the source, after --max-seconds, with q or Esc in the window, or with Ctrl-C; what was written is whole.

    \b
    Examples:
      fusionfer live --camera 0 --model fer2013.fusionfer
      fusionfer live --video talk.mp4 --model fer2013.fusionfer --output read.mp4 --csv read.csv
      fusionfer live --images frames/ --rate 30 --model fer2013.fusionfer --csv read.csv --smooth 0
    """
    if sum(one is not None for one in (camera, video, images)) != 1:
        msg = "Give one of --camera, --video and --images."
        raise click.UsageError(msg)
    if options["realtime"] and video is None:
        msg = "--realtime plays a --video at its own speed."
        raise click.UsageError(msg)
    if options["rate"] is not None and images is None:
        msg = "--rate is for --images; cameras and videos have their own."
        raise click.UsageError(msg)
    if options["faces"] == "none" and (idle := given("detector", "detection_side", "margin", "every", "keep")):
        which = " and ".join(idle)
        msg = f"{which} say how faces are found and followed: leave them out, or give --faces align or detect."
        raise click.UsageError(msg)
    if str(options["detector"]).startswith("yunet=") and given("detection_side"):
        msg = "--detection-side is for haar: leave it out, as YuNet shrinks frames by a rule of its own."
        raise click.UsageError(msg)
    from fusionfer.exceptions import DataError, ExtractionInterrupted

    for option, path in (("--csv", table), ("--output", output)):
        if path is not None and path.exists() and not options["overwrite"]:
            msg = f"{path} exists. Give another {option}, or --overwrite to replace it."
            raise DataError(msg)
    from fusionfer.costs import estimate_live
    from fusionfer.live import CameraSource, ImagesSource, VideoSource, live, prepare_for
    from fusionfer.persistence import load_model
    from fusionfer.prediction import Classifier

    loaded = load_model(model, trust=options["trust"])
    preparation = prepare_for(
        loaded, options["faces"], photometric=options["photometric"], detector=options["detector"],
        margin=options["margin"], detection_side=options["detection_side"],
    )  # fmt: skip
    source: Any
    if camera is not None:
        source = CameraSource(camera)
    elif video is not None:
        source = VideoSource(video, realtime=options["realtime"])
    else:
        source = ImagesSource(images or "", rate=options["rate"] or 25.0, max_pixels=options["max_pixels"])
    window = options["window"] if options["window"] is not None else output is None and table is None
    cost = estimate_live(networks_of(loaded), head=size_of(model), on_cpu=runs_on_cpu(options["device"]))
    with stopping() as stop:
        with planned(cost, memory, quiet), progress_bar(quiet) as progress:
            # One face a frame, and the other core finds faces: more at once, or more threads, would only wait.
            classifier = Classifier(
                loaded, weights=options["weights"], device=options["device"], engine=options["engine"], batch_size=1,
                threads=1,
            )  # fmt: skip
            with classifier:
                report = live(
                    source, classifier, preparation, every=options["every"], classify_every=options["classify_every"],
                    smooth=options["smooth"], keep=options["keep"], output=output, csv=table,
                    overwrite=options["overwrite"], window=window, max_seconds=options["max_seconds"], stop=stop,
                    progress=progress,
                )  # fmt: skip
        _say(report, quiet)
        if as_json:
            print_json(report.to_dict())
        if report.ended == "stopped":
            msg = "interrupted; what was written is whole."
            raise ExtractionInterrupted(msg)
    return 0 if report.complete else 3


def _say(report: Any, quiet: bool) -> None:
    for note in report.notes:
        click.echo(f"fusionfer: {note}", err=True)
    for sample, reason in report.skipped:
        click.echo(f"fusionfer: skipped {sample}: {as_options(reason)}", err=True)
    for line in () if quiet and report.complete else report.lines():
        click.echo(f"fusionfer: {line}", err=True)
