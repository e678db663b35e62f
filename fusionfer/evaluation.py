"""Score a model on cached features: on all rows, without those it knows, and without copies of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.cache import CacheFolder, block_name, key8, read_feature_file
from fusionfer.costs import slowness, summed
from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.fusion import is_among
from fusionfer.images import SplitFile, map_classes
from fusionfer.matrices import is_mapped, is_read_here, read_rows, row_pieces
from fusionfer.memory import Estimate, anonymous_bytes
from fusionfer.metrics import Scores, score
from fusionfer.persistence import Model

__all__ = [
    "Evaluation",
    "assess",
    "copies_of_trained",
    "estimate_evaluation",
    "evaluate",
    "model_columns",
    "read_for_model",
    "training_history",
]

_PIECES = 160 << 20  # bytes of the rows that are worked on, and what BLAS keeps for its threads
_LIBRARIES = 64 << 20  # tables and pages at the end


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
        Rows that the model was trained on, or the weights that computed its features: this row, or a picture that is
        equal to the byte.
    unseen_scores : Scores or None
        Of the other rows; None if no row was trained on, or all were.
    leaked : ndarray of bool, shape (n,)
        Rows that were not trained on, but a copy of them was, as an audit or a split file says. All False without one.
    clean_scores : Scores or None
        Of the rows that are neither `seen` nor `leaked`; None without an audit or split file, or if none is left.
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
    leaked: np.ndarray
    clean_scores: Scores | None


def evaluate(
    features: Features,
    model: Model,
    split: str = "test",
    *,
    splits: SplitFile | None = None,
    copies: Sequence[Sequence[str]] | None = None,
    classes: Mapping[str, str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Predict the labelled rows of `split` and score them.

    Parameters
    ----------
    features : Features
        Must hold every block of the model, made with the same weights and preprocessing.
    model : Model
    split : str
        A split, several joined by ``+``, or ``all``.
    splits : SplitFile, optional
        Takes the place of the splits and groups of the features. What shares a group there counts as copies.
    copies : sequence of sequences of str, optional
        Ids of pictures that are copies of each other, as an audit finds them:
        ``[one.ids for one in (*found.copies, *found.near)]``, or `fusionfer.audit.read_copies`.
    classes : mapping of str to str, optional
        From label of the features to class of the model, to score a model on another data set; an empty class leaves
        the rows of that label out. Labels that are not named keep their name.
    progress : callable, optional
        ``progress(done, total, what)``, called before the first row is scored and after each piece of rows.

    Returns
    -------
    Evaluation

    Raises
    ------
    ModelError
        If the features are not those that the model was trained on.
    DataError
        If no row has a label, a label is none of the model's classes, or `splits` or `copies` are of other data.
    UnknownNameError
        If there is no such split, or `classes` names a label that does not occur.
    """
    model.require({name: features.block_record(name) for name in features.blocks})
    if splits is not None:
        features = features.resplit(splits)
    if classes:
        features = _map_labels(features, classes)
    if split == "all":
        rows = features if splits is None else features.take(features.splits != "")
    else:
        rows = features.split(split)
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
            f"them: {', '.join(unseen)}. Map or drop them (--map '{unseen[0]}=..., ...')."
        )
        raise DataError(msg)
    trained, by_weights = _seen_rows(rows, model)
    seen = np.logical_or.reduce([trained, *by_weights.values()])
    leaked, about = _leaked_rows(features, rows, seen, model, splits, copies)
    notes += [*_said_of_seen(rows, model, trained, by_weights, leaked), *about]
    y_pred, proba = _said_by(model, model_columns(rows, model), progress)
    return assess(rows.ids, rows.y, y_pred, proba, model.classes, split=split, notes=notes, seen=seen, leaked=leaked)


def _said_by(
    model: Model, X: Any, progress: Callable[[int, int, str], None] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Predicted labels (n,) and probabilities (n, K), if there are any; each piece of rows is read once for both."""
    asked = hasattr(model.estimator, "predict_proba")
    told = progress or (lambda done, total, what: None)
    told(0, len(X), "scored rows")
    labels, proba = [], []
    elsewhere = is_mapped(X) and not is_read_here(X)  # on workers, who go through it in pieces of their own
    for rows in [slice(0, len(X))] if elsewhere else row_pieces(X):
        piece = X if elsewhere else read_rows(X, rows)
        labels.append(np.asarray(model.predict(piece)).astype(np.str_))
        if asked:
            proba.append(model.predict_proba(piece))
        told(rows.stop, len(X), "scored rows")
    return np.concatenate(labels), np.concatenate(proba) if asked else None


def estimate_evaluation(features: Features, model: Any, n: int) -> Estimate:
    """Estimate what scoring `n` rows of features with a model will take.

    Parameters
    ----------
    features : Features
        As they were read.
    model : Model
    n : int
        Rows that are scored.

    Returns
    -------
    Estimate
    """
    width = sum(block["dim"] for block in model.blocks.values())
    # Rows of a split are copied, then those with a label, then blocks side by side; scaled they are piece by piece.
    chosen = int(n < len(features)) + int(np.any(features.y == ""))
    joined = width if len(model.blocks) > 1 and list(model.blocks) != list(features.blocks) else 0
    copied = 0 if is_mapped(features.X) else 4 * n * (chosen * features.X.shape[1] + joined)
    parts = {
        "rows and what is loaded": anonymous_bytes() + _LIBRARIES,
        "copies of rows": copied,
        "pieces of rows": _PIECES,
        "tables of rows": n * (600 + 40 * len(model.classes)),
    }
    # Checksums of all rows, and tables of them, take longer than the scores of a split.
    seconds = slowness() * (3.0 + len(features) * (1e-5 + 1.2e-8 * features.X.shape[1]))
    return summed("evaluate", parts.items(), seconds, known=anonymous_bytes())


def assess(
    ids: np.ndarray,
    y_true: np.ndarray,
    y_pred: np.ndarray,
    proba: np.ndarray | None,
    classes: Sequence[str],
    *,
    split: str,
    notes: Sequence[str],
    seen: np.ndarray,
    leaked: np.ndarray | None,
) -> Evaluation:
    """Score what was said of each row: of all, without those that were trained on, and without copies of such.

    Parameters
    ----------
    ids, y_true, y_pred, proba, split, notes, seen
        As `Evaluation` has them.
    classes : sequence of str
        Of the columns of `proba`.
    leaked : ndarray of bool, shape (n,), or None
        None where nothing is known of copies.

    Returns
    -------
    Evaluation
    """

    def without(left_out: np.ndarray) -> Scores | None:
        new = ~left_out
        if not new.any():
            return None
        return score(y_true[new], y_pred[new], None if proba is None else proba[new], classes=classes)

    return Evaluation(
        ids,
        y_true,
        y_pred,
        proba,
        scores=score(y_true, y_pred, proba, classes=classes),
        split=split,
        notes=tuple(notes),
        seen=seen,
        unseen_scores=without(seen) if seen.any() else None,
        leaked=np.zeros(len(ids), dtype=bool) if leaked is None else leaked,
        clean_scores=None if leaked is None else without(seen | leaked),
    )


def _map_labels(features: Features, classes: Mapping[str, str]) -> Features:
    """Rename labels; those whose new name is empty are taken off, so that their rows are not scored."""
    new = map_classes(features.y.tolist(), classes)
    told = [f"{old} to {name}" if name else f"{old} dropped" for old, name in sorted(new.items()) if old != name]
    y = np.array([new.get(label, label) for label in features.y.tolist()], dtype=np.str_)
    return replace(features, y=y, notes=(*features.notes, f"Classes were mapped: {', '.join(told) or 'none'}."))


def _leaked_rows(
    features: Features,
    rows: Features,
    seen: np.ndarray,
    model: Model,
    splits: SplitFile | None,
    copies: Sequence[Sequence[str]] | None,
) -> tuple[np.ndarray | None, list[str]]:
    """Find the rows of which a copy was trained on, by what is known of copies, and say how many there are."""
    if splits is None and copies is None:
        return None, []
    digests = dict(zip(features.ids.tolist(), features.digests.tolist(), strict=True))
    if splits is not None:  # knows those that were never extracted, too
        digests = {**dict(zip(splits.ids.tolist(), splits.sha256.tolist(), strict=True)), **digests}
    images = [features.weights(name).get("trained_on") for name in model.blocks]
    by_weights = [one for one in images if isinstance(one, str)]

    def trained(ids: Sequence[str]) -> np.ndarray:
        known = [digests[one] for one in ids]
        by_model = is_among([sha or one for sha, one in zip(known, ids, strict=True)], _row_fingerprints(model))
        there = np.array([sha != "" for sha in known], dtype=bool)
        return np.logical_or.reduce([by_model, *(is_among(known, one) & there for one in set(by_weights))])

    units = [*(copies or ()), *(splits.shared_groups if splits is not None else ())]
    leaked, notes = copies_of_trained(rows.ids, units, digests, trained, seen, persons=splits is not None)
    silent = [name for name in model.blocks if not isinstance(features.weights(name).get("trained_on"), str)]
    if silent:
        notes.append(f"The weights of {', '.join(silent)} do not say on which pictures they were trained.")
    return leaked, notes


def copies_of_trained(
    ids: np.ndarray,
    units: Sequence[Sequence[str]],
    known: Mapping[str, str],
    trained: Callable[[Sequence[str]], np.ndarray],
    seen: np.ndarray,
    *,
    persons: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """Find the samples that were not trained on themselves, but share a group of copies with one that was.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Of the samples that are scored.
    units : sequence of sequences of str
        Ids of each group of copies; what belongs together through others counts as well.
    known : mapping of str
        Ids of all pictures of which it can be told whether they were trained on.
    trained : callable
        Gives a mask of the ids, all of them in `known`, that were trained on.
    seen : ndarray of bool, shape (n,)
        Samples that were trained on themselves.
    persons : bool
        Whether groups may be persons, too; for the words of the note.

    Returns
    -------
    leaked : ndarray of bool, shape (n,)
    notes : list of str

    Raises
    ------
    DataError
        If most of the copies are not known: nothing could be said of those that are scored.
    """
    members = sorted({one for unit in units for one in unit})
    there = [one for one in members if one in known]
    if len(there) * 2 < len(members):
        strange = next(one for one in members if one not in known)
        msg = (
            f"{len(members) - len(there):,} of {len(members):,} pictures that have copies are not here (first: "
            f"{strange}): the audit is of other data, or the pictures that were trained on are not among these. A "
            "split file knows the hashes of all: `fusionfer audit DATA --clean FILE`, then --splits FILE."
        )
        raise DataError(msg)
    notes = []
    if len(there) < len(members):
        missing = len(members) - len(there)
        notes.append(
            f"{missing:,} of {len(members):,} copies are not here: whether these were trained on is not known."
        )
    touched = {one for one, mark in zip(there, trained(there).tolist(), strict=True) if mark}
    reached = -1
    while reached < len(touched):  # an exact copy of a near copy is one, too
        reached = len(touched)
        for unit in units:
            if not touched.isdisjoint(unit):
                touched.update(unit)
    leaked = np.array([one in touched for one in ids.tolist()], dtype=bool) & ~seen
    if leaked.any():
        kin = " (or pictures of their person)" if persons else ""
        notes.append(
            f"{np.sum(leaked):,} of {len(ids):,} scored rows were not trained on, but copies of them{kin} were: their "
            "figures say little about new faces."
        )
    else:
        notes.append("None of the other scored rows is a known copy of one that was trained on.")
    return leaked, notes


def _seen_rows(rows: Features, model: Model) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Find the rows that the model was trained on, and those that the weights of each of its blocks were.

    Splits may be drawn anew after a fit, and a network is often trained on other data sets: the picture tells.
    """
    trained = is_among(_names(rows), _row_fingerprints(model))
    return trained, {name: mask for name, mask in rows.seen().items() if name in model.blocks and mask.any()}


def _said_of_seen(
    rows: Features, model: Model, trained: np.ndarray, by_weights: Mapping[str, np.ndarray], leaked: np.ndarray | None
) -> list[str]:
    """Say what rows model and weights know how."""
    seen = np.logical_or.reduce([trained, *by_weights.values()])
    related = is_among(rows.groups.tolist(), model.training.get("group_fingerprints", "")) & ~trained
    if leaked is not None:
        related &= ~leaked
    chose = is_among(_names(rows), model.training.get("held_out_fingerprints", "")) & ~seen
    stopped = {name: mask for name, mask in rows.seen("selected_on").items() if name in model.blocks and mask.any()}
    notes = []
    if trained.any():
        notes.append(
            f"{np.sum(trained):,} of {len(rows):,} scored rows were trained on: "
            "their figures say nothing about new faces."
        )
    if by_weights:
        notes.append(
            f"{np.sum(np.logical_or.reduce(list(by_weights.values()))):,} of {len(rows):,} scored rows are images that "
            f"the weights of {', '.join(by_weights)} were trained on: their figures say nothing about new faces."
        )
    if related.any():
        groups = len(np.unique(rows.groups[related]))
        notes.append(
            f"{np.sum(related):,} of {len(rows):,} scored rows were not trained on, but others of their {groups} "
            "groups (persons, sequences) were: their figures say little about new persons."
        )
    for mask, what in [
        (chose, "have chosen the model (blocks, parameters, calibration)"),
        (
            np.logical_or.reduce([np.zeros(len(rows), dtype=bool), *stopped.values()]) & ~seen,
            f"have told when to stop the training of the weights of {', '.join(stopped)}",
        ),
    ]:
        if mask.any():
            notes.append(f"{np.sum(mask):,} of {len(rows):,} scored rows {what}: their figures are a little too good.")
    return notes


def _names(rows: Features) -> list[str]:
    """What rows are recognised by, as `fusionfer.fitting.fit` names them."""
    return np.where(rows.digests != "", rows.digests, rows.ids).tolist()


def _row_fingerprints(model: Model) -> str:
    return str(model.training.get("row_fingerprints", ""))


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


def model_columns(features: Features, model: Model) -> Any:
    """Return the model's blocks side by side, float32 of shape (n, n_columns), in the order it was trained with.

    An array, or a `fusionfer.matrices.MappedMatrix` where the features stay in their files.
    """
    return features.only(*model.blocks).X


def training_history(model: Model) -> dict[str, np.ndarray] | None:
    """Return what the model's head recorded in each round of its training, or None if it did not train in rounds."""
    steps = getattr(model.estimator, "named_steps", {})
    return getattr(steps.get("head", model.estimator), "history_", None)
