"""Which rows are trained on, which are held out, and what splits share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.features import Features

__all__ = ["RowsToFit", "find_leaks", "known_groups", "rows_to_fit"]

_TEST_ROWS = (
    "The test split is among the rows that were trained and selected on: its figures say nothing about new faces."
)
_VALIDATION = "validation"
_WORDS = 120  # characters shown of what foreign weights say of themselves


class RowsToFit(NamedTuple):
    """Rows to train and to select on.

    Attributes
    ----------
    rows : Features
        All of them.
    held_out : ndarray of bool, shape (n,), or None
        Those by which everything is chosen and which are never trained on; None where folds do that.
    notes : tuple of str
        What was left out or is unusual, one sentence each.
    """

    rows: Features
    held_out: np.ndarray | None
    notes: tuple[str, ...]


def rows_to_fit(features: Features, split: str) -> RowsToFit:
    """Choose the rows, so that nothing is judged by images that the weights of a block were trained on.

    A split that the weights were trained on (most of its images) is trained on as a whole, and judged by the rows of
    the validation split that no weights have seen. Where they know a few images only (copies), these are left out.

    Parameters
    ----------
    features : Features
        With labels.
    split : str
        A split, or several joined by ``+``.

    Returns
    -------
    RowsToFit

    Raises
    ------
    DataError
        If no row of the split has a label, or only one class is there; or if the weights were trained on the split, and
        no row of the validation split is left to judge by.
    UnknownNameError
        If there is no such split.
    """
    rows, notes = _labelled_rows(features, split)
    notes += _hearsay(features)
    seen = rows.seen()
    known = _any(seen.values(), len(rows))
    held_out = None
    if known.any():
        blocks = ", ".join(name for name, mask in seen.items() if mask.any())
        said = f"{np.sum(known)} of {len(rows)} rows of split {split}"
        if any(np.mean(known[rows.splits == one]) > 0.5 for one in np.unique(rows.splits)):
            rows, held_out, how = _judged_by_validation(
                features, rows, f"{said} are images that the weights of {blocks}"
            )
            notes += how
        else:
            rows = rows.take(~known)
            notes.append(
                f"{said} are left out: they are copies of images that the weights of {blocks} were trained on."
            )
    return RowsToFit(rows, held_out, (*notes, *_stopped_by(rows, held_out)))


def _labelled_rows(features: Features, split: str) -> tuple[Features, list[str]]:
    """Return the labelled rows of `split`; data without any split are taken whole, with a note."""
    notes = list(features.notes)
    if not np.any(features.splits != "") and split == "train":
        rows = features
        notes.append("The data bring no split: all rows are used for training, and nothing is held out for a test.")
    else:
        rows = features.split(split)
    where = "rows" if rows is features else f"rows of split {split!r}"
    labelled = rows.y != ""
    if not labelled.any():
        msg = f"None of the {len(rows)} {where} has a label; fit needs labelled faces."
        raise DataError(msg)
    if not labelled.all():
        notes.append(f"{int(np.sum(~labelled))} rows without a label are left out.")
        rows = rows.take(labelled)
    if len(rows.classes) < 2:
        msg = f"fit needs at least two classes; all {len(rows)} {where} are {rows.classes[0]!r}."
        raise DataError(msg)
    if np.any(rows.splits == "test"):
        notes.append(_TEST_ROWS)
    return rows, notes


def _judged_by_validation(features: Features, rows: Features, said: str) -> tuple[Features, np.ndarray, list[str]]:
    """Return `rows` with those of the validation split that no weights have seen, which these are, and notes."""
    known = _any(features.seen().values(), len(features))
    named = np.isin(features.ids, rows.ids)
    offered = (features.splits == _VALIDATION) & (features.y != "")
    # A row without a digest may be any image: it is not known to be unseen.
    held = offered & ~known & (features.digests != "")
    trained = named & ~held
    unseen = int(np.sum(held))
    held &= np.isin(features.y, features.y[trained])
    related = held & (features.groups != "") & np.isin(features.groups, features.groups[trained])
    held &= ~related
    if len(np.unique(features.y[held])) < 2:
        why = "there is no such row with a label"
        if offered.any():
            why = f"of its {np.sum(offered)} labelled rows {unseen} are known to be unseen"
            why += f", {np.sum(related)} of them of persons that are trained on" if related.any() else ""
        msg = (
            f"{said} were trained on. Folds of them would only show what the weights remember, and so would any "
            f"calibration or early stopping by them. All that would go by unseen rows of split {_VALIDATION}, of two "
            f"classes or more, but {why}. Extract such faces into the same cache, or fit to another --split."
        )
        raise DataError(msg)
    notes = [
        f"{said} were trained on: folds of them would only show what the weights remember. Instead, {np.sum(held)} "
        f"rows of split {_VALIDATION} that no weights were trained on choose blocks and parameters, stop and calibrate."
    ]
    for aside, why in [
        (offered & known & ~named, "the weights were trained on these images, too"),
        (related, "others of their groups (persons, sequences) are trained on"),
    ]:
        if aside.any():
            notes.append(f"{np.sum(aside)} rows of split {_VALIDATION} play no part: {why}.")
    chosen = trained | held
    return features.take(chosen), held[chosen], notes


def _stopped_by(rows: Features, held_out: np.ndarray | None) -> list[str]:
    """Say how many of the rows that judge have stopped the training of weights before: that is no refusal."""
    judging = np.ones(len(rows), dtype=bool) if held_out is None else held_out
    seen = {name: mask & judging for name, mask in rows.seen("selected_on").items()}
    stopped = _any(seen.values(), len(rows))
    if not stopped.any():
        return []
    blocks = ", ".join(name for name, mask in seen.items() if mask.any())
    return [
        f"{np.sum(stopped)} of the {np.sum(judging)} rows that choose have chosen before, when to stop the training of "
        f"the weights of {blocks}: their scores are a little too good. Report those of a test split."
    ]


def _hearsay(features: Features) -> list[str]:
    """Say what other programs' weights tell of their training, where it is not known which images that were."""
    told: dict[str, list[str]] = {}
    known = features.seen()
    for name in features.blocks:
        metadata = features.weights(name).get("metadata")
        words = metadata.get("trained_on") if isinstance(metadata, Mapping) else None
        if isinstance(words, str) and words and name not in known:
            told.setdefault(words if len(words) <= _WORDS else words[: _WORDS - 3] + "...", []).append(name)
    return [
        f"The weights of {', '.join(names)} say that they were trained on {words!r}, not on which images: whether rows "
        "that choose are among these cannot be told. If they are, select on another --split."
        for words, names in told.items()
    ]


def _any(masks: Iterable[np.ndarray], n: int) -> np.ndarray:
    """Rows that are in any of the masks, (n,)."""
    return np.logical_or.reduce([np.zeros(n, dtype=bool), *masks])


def known_groups(rows: Features) -> np.ndarray | None:
    """Return the groups, a row without one being its own; None if no row has any."""
    if not np.any(rows.groups != ""):
        return None
    return np.where(rows.groups != "", rows.groups, rows.ids)


def find_leaks(features: Features, split: str) -> tuple[str, ...]:
    """Say in one sentence each how fitting to the rows of `split` spoils the figures of other rows, or of its own.

    Looked for are test rows among them, groups (persons, sequences) on both sides, and images equal to the byte.
    """
    if not np.any(features.splits != ""):
        return ()
    inside = np.isin(features.splits, split.split("+"))
    outside = ~inside & (features.splits != "")
    found = [_TEST_ROWS] if np.any(features.splits[inside] == "test") else []
    for values, what in [(features.groups, "groups"), (features.digests, "images, equal to the byte,")]:
        shared = np.intersect1d(values[inside], values[outside])
        shared = shared[shared != ""]
        if len(shared):
            rows = int(np.sum(outside & np.isin(values, shared)))
            found.append(f"{len(shared)} {what} of split {split} are in other splits too ({rows} rows there).")
    return tuple(found)
