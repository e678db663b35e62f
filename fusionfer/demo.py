"""The whole main job on generated faces: extract, fit, select, evaluate, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sklearn.pipeline import Pipeline

from fusionfer.backbones import get_backbone
from fusionfer.evaluation import evaluate
from fusionfer.exceptions import WeightsUnavailableError
from fusionfer.extraction import extract_to_cache
from fusionfer.features import Features
from fusionfer.fitting import FitResult, fit
from fusionfer.fusion import BlockScaler
from fusionfer.heads import make_head
from fusionfer.images import FaceSet, generate_faces
from fusionfer.metrics import Scores, score
from fusionfer.networks import fetch
from fusionfer.persistence import load_model, save_model
from fusionfer.reporting import Album, report_evaluation

__all__ = ["DemoResult", "run_demo"]

BACKBONES = ("resnet34", "resnet50")
RANDOM_NOTE = (
    "Both backbones have seeded random weights: the figures show that the pipeline works, not what the method can do."
)
FALLBACK_NOTE = f"No ImageNet weights are at hand, and they could not be downloaded at once. {RANDOM_NOTE}"
IMAGENET_NOTE = "Both backbones have ImageNet weights."


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Attributes
    ----------
    faces : FaceSet
        The generated faces.
    note : str
        Which weights the backbones had.
    result : FitResult
        Selection and model.
    tests : dict of str to Scores
        Candidate -> scores on the test identities; they play no part in the selection.
    cache, model, report : Path
        Where everything is.
    """

    faces: FaceSet
    note: str
    result: FitResult
    tests: dict[str, Scores]
    cache: Path
    model: Path
    report: Path


def run_demo(
    folder: str | Path = "fusionfer_demo",
    *,
    n_identities: int = 42,
    takes: int = 5,
    size: int = 64,
    seed: int = 0,
    weights: str = "auto",
    timeout: float = 5.0,
    deadline: float = 60.0,
    say: Callable[[str], None] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> DemoResult:
    """Run the main job on generated faces and keep everything in `folder`.

    Parameters
    ----------
    folder : str or Path
        Gets ``cache/``, ``model.fusionfer`` and ``report/``.
    n_identities, takes : int
        Persons, and pictures of each expression of each.
    size : int
        Side of the faces and of the networks' input, in pixels.
    seed : int
        Of faces, random weights and folds.
    weights : {"auto", "imagenet", "none"}
        auto: ImageNet weights if they are at hand or can be downloaded at once, else random ones. Nothing else in
        fusionfer falls back by itself.
    timeout : float
        Seconds to wait for the server of the weights.
    deadline : float
        Seconds in which "auto" must have all weights, lest a slow network hold up the demo.
    say : callable, optional
        Called with one sentence when a step begins.
    progress : callable, optional
        Called as ``progress(done, total, what)``.

    Returns
    -------
    DemoResult
    """
    folder, say = Path(folder), say or _silent
    note = RANDOM_NOTE if weights == "none" else IMAGENET_NOTE
    if weights == "auto":
        weights = _available_weights(timeout, deadline, progress)
        note = FALLBACK_NOTE if weights == "none" else IMAGENET_NOTE
    say(note)
    faces = generate_faces(n_identities=n_identities, takes=takes, size=size, seed=seed)
    say(f"{len(faces):,} generated faces: {len(faces.classes)} expressions, {n_identities} persons, each in one split.")
    report = extract_to_cache(
        faces,
        BACKBONES,
        "penultimate",
        cache=folder / "cache",
        weights=weights,
        size=size,
        seed=seed,
        progress=progress,
    )
    features = report.features()
    say("Training a one-vs-all linear ECOC on resnet34, on resnet50 and on both, in the same folds.")
    result = fit(features, "ecoc", random_state=seed, progress=progress)
    model = save_model(result.model, folder / "model.fusionfer")
    tests = _test_scores(features, result)
    # What is reported comes from the file just written, as it would for anyone who loads it.
    loaded = load_model(model)
    evaluation = evaluate(features, loaded)
    scores = evaluation.scores
    tests[result.selector.selected_] = scores
    page = report_evaluation(
        folder / "report",
        evaluation,
        title="fusionfer demo: generated faces",
        lead=f"{result.selector.reason_} {100 * scores.accuracy:.1f} % of {scores.n} new pictures are right.",
        notes=[note],
        model=loaded,
        features=features,
        cache=str(folder / "cache"),
        album=Album.of(faces, features.ids, features.y, features.splits, features.digests),
        tests=tests,
        data={"note": note, "seed": seed, "size": size},
    )
    return DemoResult(faces, note, result, tests, folder / "cache", model, page)


def _available_weights(timeout: float, deadline: float, progress: Callable[[int, int, str], None] | None) -> str:
    end = time.monotonic() + deadline
    try:
        for name in BACKBONES:
            left = max(end - time.monotonic(), 0.0)
            fetch(get_backbone(name).pinned("imagenet"), timeout=timeout, deadline=left, progress=progress)
    except WeightsUnavailableError:
        return "none"
    return "imagenet"


def _test_scores(features: Features, result: FitResult) -> dict[str, Scores]:
    """Score the candidates that were not kept on the test identities, fitted as the winner was."""
    scores = {}
    for name in result.selector.scores_:
        if name != result.selector.selected_:
            blocks = features.only(name) if name in features.blocks else features
            train, test = blocks.split("train"), blocks.split("test")
            other = Pipeline([("scaler", BlockScaler(blocks.blocks, mode="equal")), ("head", make_head("ecoc"))])
            other.fit(train.X, train.y)
            scores[name] = score(test.y, other.predict(test.X), other.predict_proba(test.X), classes=other.classes_)
    return scores


def _silent(text: str) -> None:
    """Say nothing."""
