"""What each choice costs in ``fusionfer live``: a video of one invented person at 640 x 480, read again and again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy._scenes import Scene, people, portrait, write_video
from benchmarks.speed._engines import installed_engines
from benchmarks.speed._timing import Figure, Report, once
from fusionfer.extraction import extract
from fusionfer.faces import FacePreparation
from fusionfer.features import Features
from fusionfer.fitting._fit import _for_model
from fusionfer.heads import make_head
from fusionfer.images import FaceSet
from fusionfer.images._generated import EXPRESSIONS
from fusionfer.live import LiveReport, VideoSource, live, prepare_for
from fusionfer.persistence import Model
from fusionfer.prediction import Classifier

__all__ = ["run"]

TARGET = 25.0  # frames a second
SMALL, LARGE = ("resnet34", "mobilenet_v2"), ("resnet34", "resnet50")


@dataclass(frozen=True)
class Choice:
    """One setting; what is not said is as `fusionfer live` does it."""

    what: str
    backbones: tuple[str, ...] = SMALL
    size: int = 32
    engine: str = "auto"
    threads: int = 1
    side: int = 320
    head: str = "softmax"
    options: dict[str, Any] = field(default_factory=dict)


def choices() -> list[Choice]:
    """Return the default, and for each choice what else there is."""
    found = [Choice("as it comes: resnet34 + mobilenet_v2 at 32")]
    found += [Choice(f"input {size}", size=size) for size in (48, 64, 96)]
    found += [Choice("resnet34 + resnet50 at 32", LARGE), Choice("resnet34 + resnet50 at 48", LARGE, 48)]
    found += [Choice(f"engine {engine}", engine=engine) for engine in installed_engines()]
    found += [Choice("two threads for the networks", threads=2)]
    found += [Choice(f"head {head}", head=head) for head in ("ecoc",)]
    found += [Choice(f"detect every {n}", options={"every": n}) for n in (1, 10)]
    found += [Choice(f"detect at {side}", side=side) for side in (240, 640)]
    found += [Choice(f"classify every {n}", options={"classify_every": n}) for n in (3,)]
    found += [Choice("no video written", options={"output": None})]
    return found


class _Portraits:
    """The source of a few aligned portraits: enough to fit a head that costs what any other costs."""

    def __init__(self) -> None:
        preparation, persons = FacePreparation("align"), people(8, seed=7)
        self.pictures = {}
        for i, person in enumerate(persons[:6]):
            for j, label in enumerate(EXPRESSIONS):
                for _, pixels in preparation(portrait(person, label, 100 * i + j))[:1]:
                    self.pictures[i, label] = pixels

    def read(self, key: Any) -> np.ndarray:
        return self.pictures[key]

    def faces(self) -> FaceSet:
        """Return them as a data set."""
        keys = tuple(self.pictures)
        return FaceSet(
            ids=np.array([f"{i}/{label}" for i, label in keys]), keys=keys, source=self, name="portraits",
            labels=np.array([label for _, label in keys]), groups=np.array([str(i) for i, _ in keys]),
            splits=np.array(["train"] * len(keys)),
        )  # fmt: skip


def _models(folder: Path) -> Callable[[Choice], Model]:
    """Return what gives the model of a choice; each is fitted once."""
    portraits, features, models = _Portraits().faces(), {}, {}

    def model(choice: Choice) -> Model:
        data = choice.backbones, choice.size
        if data not in features:
            cache = folder / f"{'-'.join(choice.backbones)}-{choice.size}"
            features[data]: Features = extract(portraits, list(choice.backbones), weights="none", size=choice.size,
                                               cache=cache)  # fmt: skip
        if (data, choice.head) not in models:
            # The hybrid, whatever it scores: what is asked for is what it costs.
            known = features[data]
            estimator = make_head(choice.head).fit(known.X, known.y)
            blocks = {name: _for_model(known.block_record(name)) for name in known.blocks}
            models[data, choice.head] = Model(estimator, blocks, tuple(map(str, estimator.classes_)))
        return models[data, choice.head]

    return model


def _once(choice: Choice, model: Model, video: Path, folder: Path) -> tuple[LiveReport, float]:
    """Read the video once; return the report, and the processor time per frame in milliseconds."""
    options = {"output": folder / "out.mp4", "csv": folder / "out.csv", "overwrite": True, **choice.options}
    with Classifier(model, engine=choice.engine, device="cpu", batch_size=1, threads=choice.threads) as classifier:
        preparation = prepare_for(model, detection_side=choice.side)
        classifier.predict_proba([np.zeros((96, 96, 3), np.uint8)])
        begin = time.process_time()
        report = live(VideoSource(video), classifier, preparation, **options)
        return report, 1e3 * (time.process_time() - begin) / report.frames


def run(rounds: int, seconds: float = 3.0) -> Iterator[Report]:
    """Measure every choice in every round; figures are medians."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        video = folder / "scene.avi"
        about = Scene(people(8, seed=7)[7:], seconds=seconds, seed=3)
        write_video(video, about)
        model, everything = _models(folder), choices()
        for choice in everything:
            model(choice)
        found: dict[str, list[tuple[LiveReport, float]]] = {choice.what: [] for choice in everything}
        for _ in range(rounds):
            for choice in everything:
                found[choice.what].append(_once(choice, model(choice), video, folder))

    def figures() -> Iterator[Figure]:
        base = np.array([report.rate for report, _ in found[everything[0].what]])
        for number, choice in enumerate(everything):
            rates = np.array([report.rate for report, _ in found[choice.what]])
            processor = float(np.median([cost for _, cost in found[choice.what]]))
            name = f"{choice.what} ({processor:.1f} ms of processor a frame)"
            target = None if number else TARGET
            yield Figure(name, float(np.median(rates)), float(rates.min()), float(rates.max()), "frames/s", target)
            if number:
                times = rates / base
                yield Figure("    against the first", float(np.median(times)), float(times.min()), float(times.max()))
        for step in found[everything[0].what][0][0].steps:
            values = [report.steps[step] for report, _ in found[everything[0].what]]
            yield once(f"{everything[0].what.partition(':')[0]}: {step}", float(np.median(values)), "ms a frame")

    yield Report("live", f"{seconds:g} s of video at 640 x 480 with one face, drawn and written, {rounds} rounds",
                 tuple(figures()))  # fmt: skip
