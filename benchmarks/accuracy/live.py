"""``python -m benchmarks.accuracy.live``: what is read in videos of invented people, against what they show.

A model is trained on portraits of people, cut out and aligned as `live` does it, and then reads videos of other people
who change their expression every two seconds. Each frame is compared with the truth. The figures of ``docs/live.md``
come from here.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.accuracy._scenes import Scene, Shot, people, portrait, write_video
from fusionfer.extraction import extract
from fusionfer.faces import FacePreparation
from fusionfer.fitting import fit
from fusionfer.images import read_faces
from fusionfer.images._generated import EXPRESSIONS, Person
from fusionfer.live import Smoothing, VideoSource, live, prepare_for
from fusionfer.persistence import Model, load_model, save_model
from fusionfer.prediction import Classifier

STAND_INS = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights"
SMOOTH = (0.0, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Outcome:
    """What one setting came to, over all videos.

    `right` is the share of the frames with a person in which a reading at that person's place has the right label,
    `found` the share in which there is a reading at all, `settled` is `right` without the first half second after each
    change, `flicker` the number of label changes per person and minute beyond those that the truth has, `tracks` the
    number of different faces that were counted and `false` the number of readings per minute where nobody is.
    """

    right: float
    found: float
    settled: float
    flicker: float
    tracks: int
    false: float


def compare(rows: Sequence[dict[str, str]], truth: Sequence[Shot], rate: float) -> Outcome:
    """Compare the rows of a CSV of `live` with the truth, for one video."""
    by_frame: dict[int, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        by_frame[int(row["frame"])].append(row)
    n_people = len(truth[0].labels)
    shown: list[list[str]] = [[] for _ in range(n_people)]
    right = found = settled = counted = false = 0
    for number, shot in enumerate(truth):
        free = list(by_frame.get(number, []))
        for k, (expected, box) in enumerate(zip(shot.labels, shot.boxes, strict=True)):
            row = next((row for row in free if _within(row, box)), None)
            past = truth[max(0, number - round(0.5 * rate))].labels[k]
            counted += past == expected
            if row is None:
                continue
            free.remove(row)
            found += 1
            right += row["label"] == expected
            settled += row["label"] == expected and past == expected
            shown[k].append(row["label"])
        false += len(free)
    n, minutes = len(truth) * n_people, len(truth) / rate / 60
    changes = sum(_changes(labels) for labels in shown)
    expected_changes = sum(_changes([shot.labels[k] for shot in truth]) for k in range(n_people))
    return Outcome(
        right / n, found / n, settled / max(1, counted), (changes - expected_changes) / n_people / minutes,
        len({row["face"] for row in rows}), false / minutes,
    )  # fmt: skip


def _changes(labels: Sequence[str]) -> int:
    return sum(a != b for a, b in itertools.pairwise(labels))


def _within(row: dict[str, str], box: tuple[float, float, float, float]) -> bool:
    x, y = float(row["x"]) + float(row["width"]) / 2, float(row["y"]) + float(row["height"]) / 2
    return box[0] < x < box[0] + box[2] and box[1] < y < box[1] + box[3]


def train_model(folder: Path, persons: Sequence[Person], takes: int, size: int, backbones: Sequence[str],
                weights: str | dict[str, str], head: str) -> Model:  # fmt: skip
    """Fit a model on aligned portraits of some people, and save it in `folder`."""
    preparation = FacePreparation("align")
    for i, person in enumerate(persons):
        for j, expression in enumerate(EXPRESSIONS):
            for take in range(takes):
                found = preparation(portrait(person, expression, seed=1000 * i + 10 * j + take))
                if not found:
                    continue
                path = folder / "faces" / "train" / expression / f"person{i:02d}_take{take}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), found[0][1][..., ::-1])
    features = extract(
        read_faces(folder / "faces"), list(backbones), weights=weights, size=size, cache=folder / "cache"
    )
    result = fit(features, head)
    save_model(result.model, folder / "model.fusionfer")
    return load_model(folder / "model.fusionfer")


def read_videos(
    folder: Path, classifier: Classifier, videos: Sequence[tuple[Path, list[Shot]]], rate: float,
    smooth: Sequence[float], **options: object,
) -> dict[float, Outcome]:  # fmt: skip
    """Run `live` once over the videos; return the means over them for each time constant.

    Smoothing comes after everything else, so that one run serves all: it is done here as `live` does it, on the raw
    columns (``tests/live/test_live.py`` shows that the smoothed ones are just that).
    """
    preparation = prepare_for(classifier.model)
    outcomes: dict[float, list[Outcome]] = {seconds: [] for seconds in smooth}
    for path, truth in videos:
        table = folder / "live.csv"
        live(VideoSource(path), classifier, preparation, csv=table, overwrite=True, **options)  # type: ignore[arg-type]
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for seconds, found in outcomes.items():
            found.append(compare(_smoothed(rows, classifier.classes, seconds), truth, rate))
    return {seconds: _mean(found) for seconds, found in outcomes.items()}


def _smoothed(rows: Sequence[dict[str, str]], classes: Sequence[str], seconds: float) -> list[dict[str, str]]:
    faces: dict[str, Smoothing] = defaultdict(lambda: Smoothing(seconds))
    found = []
    for row in rows:
        raw = np.array([float(row[f"{name}_raw"]) for name in classes])
        label = classes[int(faces[row["face"]](raw, float(row["time"])).argmax())]
        found.append({**row, "label": label})
    return found


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    values = np.array([[o.right, o.found, o.settled, o.flicker, o.tracks, o.false] for o in outcomes])
    right, found, settled, flicker, _, false = values.mean(axis=0).tolist()
    return Outcome(right, found, settled, flicker, int(values[:, 4].sum()), false)


def study(folder: Path, options: argparse.Namespace) -> Iterator[tuple[str, Outcome]]:
    """Yield setting and outcome."""
    everybody = people(options.people + options.videos, seed=7)
    strangers = everybody[options.people :]
    scenes = [Scene((one,), options.seconds, seed=100 + i) for i, one in enumerate(strangers)]
    videos = []
    for i, about in enumerate(scenes):
        path = folder / f"video{i}.avi"
        videos.append((path, write_video(path, about)))
    if options.model is None:
        weights: str | dict[str, str] = "none"
        if options.stand_ins:
            weights = {name: str(STAND_INS / f"{name}-fer2013-48.safetensors") for name in options.backbone}
        model = train_model(
            folder, everybody[: options.people], options.takes, options.size, options.backbone, weights, options.head
        )
    else:
        model = load_model(options.model)
    rate = scenes[0].rate
    with Classifier(model, engine="auto", device="cpu", batch_size=1, threads=1) as classifier:
        if options.picture is not None:
            _draw(folder, classifier, people_at_once(everybody[options.people :]), options.picture)
        others: dict[str, dict[str, object]] = {
            "": {}, ", detect every 1": {"every": 1}, ", detect every 25": {"every": 25},
            ", classify every 5": {"classify_every": 5},
        }  # fmt: skip
        for name, choice in others.items():
            constants = (0.0, 0.25) if name else SMOOTH
            for smooth, one in read_videos(folder, classifier, videos, rate, constants, **choice).items():
                yield f"smooth {smooth:g} s{name}", one


def people_at_once(persons: Sequence[Person]) -> Scene:
    """Return a scene of two, for a picture."""
    return Scene(tuple(persons[:2]), seconds=2.0, seed=5)


def _draw(folder: Path, classifier: Classifier, about: Scene, picture: Path) -> None:
    """Save the 40th frame of a scene as `live` draws it."""
    write_video(folder / "scene.avi", about)
    options = {"output": folder / "drawn.avi", "overwrite": True}
    live(VideoSource(folder / "scene.avi"), classifier, prepare_for(classifier.model), **options)  # type: ignore[arg-type]
    capture = cv2.VideoCapture(str(folder / "drawn.avi"))
    for _ in range(40):
        _, pixels = capture.read()
    cv2.imwrite(str(picture), pixels)


def main() -> None:
    """Train, read, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.live", description="live against the truth")
    parser.add_argument("--people", type=int, default=32, help="who is trained on (default: %(default)s)")
    parser.add_argument("--takes", type=int, default=4, help="portraits per person and expression (%(default)s)")
    parser.add_argument("--videos", type=int, default=3, help="videos, each of another person (%(default)s)")
    parser.add_argument("--seconds", type=float, default=28.0, help="length of each (%(default)s)")
    parser.add_argument("--size", type=int, default=48, help="side of the networks' input (%(default)s)")
    parser.add_argument("--backbone", action="append", help="by default resnet34 and resnet50")
    parser.add_argument("--head", default="softmax")
    parser.add_argument("--stand-ins", action="store_true", help="weights of ../shared/data/weights, not random ones")
    parser.add_argument("--model", type=Path, help="a model that is there already")
    parser.add_argument("--folder", type=Path, help="keep videos, portraits and model here")
    parser.add_argument("--picture", type=Path, help="save a drawn frame here")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    options.backbone = options.backbone or ["resnet34", "resnet50"]
    with tempfile.TemporaryDirectory() as place:
        folder = options.folder or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        found = {}
        if not options.json:
            print(f"{'':<34} right  settled   found  flicker/min  faces  false/min")
        for name, one in study(folder, options):
            found[name] = one
            if not options.json:
                print(
                    f"{name:<34} {100 * one.right:4.1f} %  {100 * one.settled:4.1f} %  {100 * one.found:5.1f} %  "
                    f"{one.flicker:11.1f}  {one.tracks:5}  {one.false:9.1f}", flush=True,
                )  # fmt: skip
        if options.json:
            print(json.dumps({name: one.__dict__ for name, one in found.items()}, indent=2))


if __name__ == "__main__":
    main()
