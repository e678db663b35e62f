"""One run of a protocol: a head on cached features, or networks end to end, and the scores of what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.evaluation import evaluate
from fusionfer.exceptions import DataError
from fusionfer.extraction import extract
from fusionfer.features import Features
from fusionfer.fitting import fit
from fusionfer.fusion import BlockScaler
from fusionfer.heads import make_head
from fusionfer.images import FaceSet, split_faces
from fusionfer.metrics import Scores, score
from fusionfer.protocols._protocol import Protocol

__all__ = ["Outcome", "check_network", "run_head", "run_network", "run_trained_features"]

Progress = Callable[[int, int, str], None]

_FOLDS = 5


@dataclass(frozen=True)
class Outcome:
    """What one run gave.

    Attributes
    ----------
    scores : Scores
        Of all scored faces; those of several folds together.
    n_train : int
        Faces that were trained on, stored copies among them; of several folds the mean.
    chosen : str
        The blocks, or the network, that were chosen (in most folds).
    """

    scores: Scores
    n_train: int
    chosen: str


def run_head(
    protocol: Protocol, features: Features, arranged: Sequence[FaceSet], seed: int, progress: Progress | None = None
) -> Outcome:
    """Fit the protocol's head to features of the arranged faces, and score it.

    Raises
    ------
    DataError
        As `fusionfer.fitting.fit` does, for instance where a class has fewer training faces than there are folds.
    """
    place = {name: i for i, name in enumerate(features.ids.tolist())}
    told: list[tuple[np.ndarray, np.ndarray, str]] = []
    for faces in arranged:
        rows = features.take([place[name] for name in faces.ids.tolist()])
        # The arrangement has settled what the weights may know; fit would refuse what a protocol says to keep.
        rows = replace(rows, y=faces.labels, splits=faces.splits, groups=faces.groups, provenance={}, notes=())
        told.append(_fitted(protocol, rows, seed, progress))
    classes = sorted({str(label) for faces in arranged for label in faces.classes})
    y_true, y_pred = (np.concatenate([one[i] for one in told]) for i in (0, 1))
    names = [one[2] for one in told]
    n_train = round(float(np.mean([np.sum(faces.splits == "train") for faces in arranged])))
    return Outcome(score(y_true, y_pred, classes=classes), n_train, max(sorted(set(names)), key=names.count))


def _fitted(
    protocol: Protocol, rows: Features, seed: int, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return labels and predictions of the scored rows, and the blocks that were chosen."""
    if protocol.choice.by == "test":
        return _chosen_by_test(protocol, rows, seed)
    found = fit(rows, protocol.head.name, cv=_folds(rows), random_state=seed, progress=progress)
    judged = evaluate(rows, found.model, protocol.score.on)
    return judged.y_true, judged.y_pred, found.selector.selected_


def _folds(rows: Features) -> int:
    """Folds of the selection: five, or as many as the smallest class has groups to train on, where that is fewer."""
    train = rows.split("train")
    names = np.where(train.groups != "", train.groups, train.ids)
    return max(2, min(_FOLDS, *(len(np.unique(names[train.y == label])) for label in train.classes)))


def _chosen_by_test(protocol: Protocol, rows: Features, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Fit A, B and A+B, and keep what is best on the test faces: what `fusionfer.selection` is there to prevent."""
    from sklearn.pipeline import make_pipeline

    train, test, scored = rows.split("train"), rows.split("test"), rows.split(protocol.score.on)
    candidates = [[name] for name in rows.blocks] + ([list(rows.blocks)] if len(rows.blocks) > 1 else [])
    best: tuple[np.ndarray, str] | None = None
    highest = -1.0
    for names in candidates:
        head = make_head(protocol.head.name)
        parameters = head.get_params(deep=False)
        blocks = train.only(*names).blocks
        settings = {"random_state": seed, "blocks": blocks, "probability": False}  # calibration changes no label
        head.set_params(**{key: value for key, value in settings.items() if key in parameters})
        model = make_pipeline(BlockScaler(blocks), head).fit(train.only(*names).X, train.y)
        accuracy = float(np.mean(model.predict(test.only(*names).X) == test.y))
        if accuracy > highest:
            highest, best = accuracy, (model.predict(scored.only(*names).X), " + ".join(names))
    assert best is not None
    return scored.y, np.asarray(best[0]).astype(np.str_), best[1]


def check_network(protocol: Protocol, overrides: Mapping[str, Any]) -> None:
    """Refuse, before anything is trained, a protocol of networks without one figure.

    Raises
    ------
    DataError
        If several networks or optimizers are trained and not averaged.
    UnknownNameError, ModelError
        If the recipe does not take `overrides`.
    """
    from fusionfer.training import read_recipe

    recipe = read_recipe(protocol.network.recipe, **overrides)
    networks = protocol.network.networks or recipe.networks
    optimizers = protocol.network.optimizers or recipe.optimizers
    if protocol.ends_in_head:
        make_head(protocol.head.name)
        if len(optimizers) > 1:
            msg = (
                f"The protocol {protocol.name} takes features from networks that are trained with "
                f"{' and '.join(optimizers)}: name one by network.optimizers."
            )
            raise DataError(msg)
    elif len(networks) * len(optimizers) > 1 and not recipe.average:
        msg = (
            f"The protocol {protocol.name} trains {' and '.join(networks)} with {' and '.join(optimizers)}, and its "
            "recipe does not average: which figure is the protocol's? Name one by network.networks and "
            "network.optimizers."
        )
        raise DataError(msg)


def run_network(
    protocol: Protocol,
    arranged: Sequence[FaceSet],
    seed: int,
    *,
    out: Path,
    overrides: Mapping[str, Any],
    device: str = "auto",
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Train the protocol's networks on the arranged faces, and score the last one (the average, where there is one).

    With ``choice.by = "test"`` the test faces stand in the place of the validation split, which decides which epoch is
    best and how an average is weighed; else a tenth of the training faces does.
    """
    from fusionfer.training import evaluate_networks, train

    (faces,) = arranged
    by_test = protocol.choice.by == "test"
    shown = replace(faces, splits=np.where(faces.splits == "test", "validation", "train")) if by_test else faces
    result = train(
        shown, protocol.network.networks or None, protocol.network.recipe,
        optimizer=protocol.network.optimizers or None, out=out, seed=seed, score_test=not by_test, device=device,
        progress=progress, say=say, **overrides,
    )  # fmt: skip
    last = result.networks[-1]
    scores = last.scores["validation" if by_test else "test"]
    if protocol.score.on == "train":
        files = [one.checkpoint for one in result.networks if one.checkpoint is not None]
        scores = evaluate_networks(shown, files, "train", device=device, progress=progress).evaluation.scores
    return Outcome(scores, int(np.sum(faces.splits == "train")), last.name)


def run_trained_features(
    protocol: Protocol,
    arranged: Sequence[FaceSet],
    seed: int,
    *,
    out: Path,
    overrides: Mapping[str, Any],
    device: str = "auto",
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Train the backbones on the arranged faces, take their features, fit the head and score it.

    With ``choice.by = "test"`` the test faces decide which epoch is best and which blocks are kept. Else a tenth of the
    training faces, persons undivided, does both: folds of faces that the networks have learned would show nothing.
    """
    from fusionfer.training import train

    (faces,) = arranged
    by_test = protocol.choice.by == "test"
    if by_test:
        shown = replace(faces, splits=np.where(faces.splits == "test", "validation", "train"))
    else:
        faces = shown = _held_out(faces, seed)
    overrides = {**overrides, "average": False}
    result = train(
        shown, protocol.features.backbones, protocol.network.recipe, optimizer=protocol.network.optimizers or None,
        out=out, seed=seed, device=device, progress=progress, say=say, **overrides,
    )  # fmt: skip
    pairs = zip(protocol.features.backbones, result.networks, strict=True)
    features = extract(
        faces, protocol.features.backbones, protocol.features.level, cache=out / "cache",
        weights={name: str(one.checkpoint) for name, one in pairs}, device=device, progress=progress,
    )  # fmt: skip
    if by_test:  # what the weights know is what the protocol says to keep
        features = replace(features, provenance={}, notes=())
    y_true, y_pred, chosen = _fitted(protocol, features, seed, progress)
    classes = list(features.classes)
    return Outcome(score(y_true, y_pred, classes=classes), int(np.sum(faces.splits == "train")), chosen)


def _held_out(faces: FaceSet, seed: int) -> FaceSet:
    """Return the faces with a tenth of the training faces, per label and persons undivided, as "validation"."""
    trains = np.flatnonzero(faces.splits == "train")
    drawn = split_faces(faces.take(trains), "90/10", seed, override=True)
    splits = faces.splits.astype("<U10")
    splits[trains[np.isin(faces.ids[trains], drawn.ids[drawn.splits == "test"])]] = "validation"
    return replace(faces, splits=splits)
