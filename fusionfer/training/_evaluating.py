"""Score trained networks, one or several averaged, as any model is scored; never by pictures they know, unsaid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionfer.ensembles import average, find_weights
from fusionfer.evaluation import Evaluation, assess, copies_of_trained
from fusionfer.exceptions import DataError, unknown_name
from fusionfer.fusion import is_among
from fusionfer.images import FaceSet, SplitFile
from fusionfer.networks import CheckpointInfo, read_checkpoint
from fusionfer.training._predicting import predict_network

__all__ = ["NetworksEvaluation", "evaluate_networks"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class NetworksEvaluation:
    """What trained networks say of each face, and every figure that follows from it.

    Attributes
    ----------
    evaluation : Evaluation
        As `fusionfer.evaluation.evaluate` gives it; ``seen`` are pictures that a member was trained on.
    classes : tuple of str
        Of the columns of ``evaluation.proba``.
    weights : tuple of float
        Share of each network in the average.
    """

    evaluation: Evaluation
    classes: tuple[str, ...]
    weights: tuple[float, ...]


def evaluate_networks(
    faces: FaceSet,
    checkpoints: str | Path | Sequence[str | Path],
    split: str = "test",
    *,
    splits: SplitFile | None = None,
    copies: Sequence[Sequence[str]] | None = None,
    tta: str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    progress: Progress | None = None,
) -> NetworksEvaluation:
    """Predict the labelled faces of `split` with trained networks, and score them.

    Parameters
    ----------
    faces : FaceSet
        With labels.
    checkpoints : path, or sequence of paths
        Files that `train` wrote. Several are averaged; the weights are found on those faces of the validation split
        that no member was trained on, and are equal where there are none, or `split` holds them.
    split : str
        A split, several joined by ``+``, or ``all``.
    splits, copies : optional
        As in `fusionfer.evaluation.evaluate`: other splits, and which pictures are copies of each other.
    tta, batch_size, device, progress
        As in `predict_network`.

    Returns
    -------
    NetworksEvaluation

    Raises
    ------
    DataError
        If no face has a label, a label is none of the classes, the members name different classes, or `splits` or
        `copies` are of other data.
    UnknownNameError
        If there is no such split.
    WeightsError
        If a file is no checkpoint of a trained network.
    """
    paths = [Path(one) for one in ([checkpoints] if isinstance(checkpoints, str | Path) else checkpoints)]
    infos = [read_checkpoint(path)[0] for path in paths]
    if not infos:
        msg = "Name at least one checkpoint to evaluate."
        raise DataError(msg)
    known = faces
    if splits is not None:
        faces = splits.apply(faces)
    wanted = _in_split(faces, split)
    notes = list(faces.notes)
    labelled = wanted & (faces.labels != "")
    if not labelled.any():
        msg = f"None of the {np.sum(wanted)} faces of split {split!r} has a label: nothing to score."
        raise DataError(msg)
    if np.sum(labelled) < np.sum(wanted):
        notes.append(f"{np.sum(wanted) - np.sum(labelled)} faces without a label are left out.")
    classes = infos[0].classes
    foreign = sorted(set(faces.labels[labelled].tolist()) - set(classes))
    if foreign:
        msg = (
            f"{paths[0].name} knows the classes {', '.join(classes)}; these labels of split {split!r} are none of "
            f"them: {', '.join(foreign)}. Map or drop them (--classes)."
        )
        raise DataError(msg)

    def predict(part: FaceSet) -> list[np.ndarray]:
        return [
            predict_network(path, part, tta=tta, batch_size=batch_size, device=device, progress=progress)
            for path in paths
        ]

    names = [info.classes for info in infos]
    average([np.full((1, len(one)), 1.0 / len(one)) for one in names], classes=names)  # an error before any work
    weights = np.ones(1)
    if len(paths) > 1:
        weights, note = _weights(faces, infos, wanted, predict)
        notes.append(note)
    part = faces.take(labelled)
    digests = _digests(part)
    seen = _known(digests, [info.trained_on for info in infos])
    stopped = _known(digests, [info.selected_on for info in infos]) & ~seen
    for mask, what in [
        (seen, "are images that a network was trained on: their figures say nothing about new faces"),
        (stopped, "have told when to stop the training of a network: their figures are a little too good"),
    ]:
        if mask.any():
            notes.append(f"{np.sum(mask)} of {len(part)} scored faces {what}.")
    proba = average(predict(part), weights, classes=names)
    y_pred = np.asarray(classes, dtype=np.str_)[proba.argmax(axis=1)]
    leaked = None
    if splits is not None or copies is not None:
        leaked, about = _leaked(known, part, infos, seen, splits, copies)
        notes += about
    found = assess(part.ids, part.labels, y_pred, proba, classes, split=split, notes=notes, seen=seen, leaked=leaked)
    return NetworksEvaluation(found, classes, tuple(float(weight) for weight in weights))


def _in_split(faces: FaceSet, split: str) -> np.ndarray:
    """Return which faces are in one of the splits, (n,)."""
    if split == "all":
        return np.ones(len(faces), dtype=bool)
    known = sorted({str(one) for one in faces.splits} - {""})
    for one in split.split("+"):
        if one not in known:
            raise unknown_name("split", one, [*known, "all"])
    return np.isin(faces.splits, split.split("+"))


def _weights(
    faces: FaceSet,
    infos: Sequence[CheckpointInfo],
    scored: np.ndarray,
    predict: Callable[[FaceSet], list[np.ndarray]],
) -> tuple[np.ndarray, str]:
    """Find the weights on unseen faces of the validation split that are not scored; and say how."""
    names = [info.classes for info in infos]
    usable = (faces.splits == "validation") & np.isin(faces.labels, names[0]) & ~scored
    part = faces.take(usable)
    unseen = ~_known(_digests(part), [info.trained_on for info in infos])
    if not unseen.any():
        return np.full(len(infos), 1.0 / len(infos)), (
            "The networks have equal weights in the average: there are no faces of split validation to find others on "
            "that no network was trained on, and that are not scored."
        )
    part = part.take(unseen)
    weights = find_weights(predict(part), part.labels, classes=names)
    shares = ", ".join(f"{weight:.3f}" for weight in weights)
    return weights, f"Weights in the average: {shares}, found on {len(part)} faces of split validation."


def _leaked(
    faces: FaceSet,
    part: FaceSet,
    infos: Sequence[CheckpointInfo],
    seen: np.ndarray,
    splits: SplitFile | None,
    copies: Sequence[Sequence[str]] | None,
) -> tuple[np.ndarray, list[str]]:
    """Find the scored faces of which a copy was trained on, and say how many there are."""
    units = [*(copies or ()), *(splits.shared_groups if splits is not None else ())]
    wanted = {one for unit in units for one in unit}
    # A split file has the hashes of those that it leaves out, which need not be readable.
    known = {} if splits is None else dict(zip(splits.ids.tolist(), splits.sha256.tolist(), strict=True))
    known |= {one: faces.digest(i) for i, one in enumerate(faces.ids.tolist()) if one in wanted - known.keys()}
    return copies_of_trained(
        part.ids,
        units,
        known,
        lambda ids: _known([known[one] for one in ids], [info.trained_on for info in infos]),
        seen,
        persons=splits is not None,
    )


def _digests(faces: FaceSet) -> list[str]:
    return [faces.digest(i) for i in range(len(faces))]


def _known(digests: Sequence[str], images: Sequence[str]) -> np.ndarray:
    """Return which pictures any of the fingerprints hold, (n,)."""
    return np.logical_or.reduce([np.zeros(len(digests), dtype=bool), *(is_among(digests, one) for one in images)])
