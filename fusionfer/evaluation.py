"""Score a model on cached features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionfer.cache import CacheFolder, block_name, key8, read_feature_file
from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.fusion import is_among
from fusionfer.metrics import Scores, score
from fusionfer.persistence import Model

__all__ = ["Evaluation", "evaluate", "model_columns", "read_for_model", "training_history"]


@dataclass(frozen=True)
class Evaluation:
    """What a model said of each row, and every figure that follows from it.

    Attributes
    ----------
    ids, y_true, y_pred : ndarray of str, shape (n,)
    proba : ndarray of float, shape (n, n_classes), or None
        Columns in the order of the model's classes; None if the head gives no probabilities.
    scores : Scores
        Of all rows.
    split : str
    notes : tuple of str
        What was left out, and how many of the rows were trained on, one sentence each.
    seen : ndarray of bool, shape (n,)
        Rows that the model was trained on, or the weights that computed its features.
    unseen_scores : Scores or None
        Of the other rows; None if no row was trained on, or all were.
    """

    ids: np.ndarray
    y_true: np.ndarray
    y_pred: np.ndarray
    proba: np.ndarray | None
    scores: Scores
    split: str
    notes: tuple[str, ...]
    seen: np.ndarray
    unseen_scores: Scores | None


def evaluate(features: Features, model: Model, split: str = "test") -> Evaluation:
    """Predict the labelled rows of `split` and score them.

    Parameters
    ----------
    features : Features
        Must hold every block of the model, made with the same weights and preprocessing.
    model : Model
    split : str
        A split, several joined by ``+``, or ``all``.

    Returns
    -------
    Evaluation

    Raises
    ------
    ModelError
        If the features are not those that the model was trained on.
    DataError
        If no row has a label, or a label is none of the model's classes.
    """
    model.require({name: features.block_record(name) for name in features.blocks})
    rows = features if split == "all" else features.split(split)
    notes = list(features.notes)
    labelled = rows.y != ""
    if not labelled.any():
        msg = f"None of the {len(rows)} rows of split {split!r} has a label: nothing to score. Use fusionfer predict."
        raise DataError(msg)
    if not labelled.all():
        notes.append(f"{int(np.sum(~labelled))} rows without a label are left out.")
        rows = rows.take(labelled)
    unseen = sorted(set(rows.classes) - set(model.classes))
    if unseen:
        msg = (
            f"The model knows the classes {', '.join(model.classes)}; these labels of split {split!r} are none of "
            f"them: {', '.join(unseen)}. Map or drop them when extracting (--classes)."
        )
        raise DataError(msg)
    seen, about = _seen_rows(rows, model)
    notes += about
    X = model_columns(rows, model)
    y_pred = np.asarray(model.predict(X)).astype(np.str_)
    proba = model.predict_proba(X) if hasattr(model.estimator, "predict_proba") else None
    scores = score(rows.y, y_pred, proba, classes=model.classes)
    others = None
    if seen.any() and not seen.all():
        new = ~seen
        others = score(rows.y[new], y_pred[new], None if proba is None else proba[new], classes=model.classes)
    return Evaluation(rows.ids, rows.y, y_pred, proba, scores, split, tuple(notes), seen, others)


def _seen_rows(rows: Features, model: Model) -> tuple[np.ndarray, list[str]]:
    """Find the rows that the model or the weights of its blocks were trained on, and say what rows they know how.

    Splits may be drawn anew after a fit, and a network is often trained on other data sets: the picture tells.
    """
    names = np.where(rows.digests != "", rows.digests, rows.ids).tolist()  # as `fusionfer.fitting.fit` names them
    trained = is_among(names, model.training.get("row_fingerprints", ""))
    by_weights = {name: mask for name, mask in rows.seen().items() if name in model.blocks and mask.any()}
    seen = np.logical_or.reduce([trained, *by_weights.values()])
    related = is_among(rows.groups.tolist(), model.training.get("group_fingerprints", "")) & ~trained
    chose = is_among(names, model.training.get("held_out_fingerprints", "")) & ~seen
    stopped = {name: mask for name, mask in rows.seen("selected_on").items() if name in model.blocks and mask.any()}
    notes = []
    if trained.any():
        notes.append(
            f"{np.sum(trained)} of {len(rows)} scored rows were trained on: their figures say nothing about new faces."
        )
    if by_weights:
        notes.append(
            f"{np.sum(np.logical_or.reduce(list(by_weights.values())))} of {len(rows)} scored rows are images that the "
            f"weights of {', '.join(by_weights)} were trained on: their figures say nothing about new faces."
        )
    if related.any():
        groups = len(np.unique(rows.groups[related]))
        notes.append(
            f"{np.sum(related)} of {len(rows)} scored rows were not trained on, but others of their {groups} groups "
            "(persons, sequences) were: their figures say little about new persons."
        )
    for mask, what in [
        (chose, "have chosen the model (blocks, parameters, calibration)"),
        (
            np.logical_or.reduce([np.zeros(len(rows), dtype=bool), *stopped.values()]) & ~seen,
            f"have told when to stop the training of the weights of {', '.join(stopped)}",
        ),
    ]:
        if mask.any():
            notes.append(f"{np.sum(mask)} of {len(rows)} scored rows {what}: their figures are a little too good.")
    return seen, notes


def read_for_model(folder: str | Path, model: Model) -> Features:
    """Read from a folder of caches just the blocks that `model` needs, under the names it knows them by.

    Raises
    ------
    ModelError
        If a block is missing, or is there only with other weights or preprocessing; the fields that differ are named.
    """
    caches = CacheFolder(folder)
    offered = {name: read_feature_file(path) for name, path in (caches.blocks() or caches.default_blocks()).items()}
    there = {key8(stored.key) for stored in offered.values()}
    if any(key8(block["key"]) not in there for block in model.blocks.values()):
        model.require({name: {"key": stored.key, "record": stored.record} for name, stored in offered.items()})
    wanted = {
        name: f"{block_name(block['backbone'], block['level'])}@{key8(block['key'])}"
        for name, block in model.blocks.items()
    }
    return Features.read(folder, wanted)


def model_columns(features: Features, model: Model) -> np.ndarray:
    """Return the model's blocks side by side, float32 of shape (n, n_columns), in the order it was trained with."""
    parts = [features.X[:, features.blocks[name]] for name in model.blocks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def training_history(model: Model) -> dict[str, np.ndarray] | None:
    """Return what the model's head recorded in each round of its training, or None if it did not train in rounds."""
    steps = getattr(model.estimator, "named_steps", {})
    return getattr(steps.get("head", model.estimator), "history_", None)
