"""From cached features to a selected, saved model: trains A, B and A+B, and keeps the hybrid only if it is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, ModelError, unknown_name
from fusionfer.features import Features
from fusionfer.fusion import fingerprints
from fusionfer.heads import make_head
from fusionfer.persistence import Model
from fusionfer.selection import HybridSelector

__all__ = ["SCORINGS", "FitResult", "find_leaks", "fit", "weight_paths"]

#: Scorers of scikit-learn that rate text labels of any number of classes; others fail in the middle of the folds.
SCORINGS = (
    "accuracy",
    "balanced_accuracy",
    "f1_macro",
    "f1_weighted",
    "jaccard_macro",
    "jaccard_weighted",
    "matthews_corrcoef",
    "neg_log_loss",
    "precision_macro",
    "precision_weighted",
    "recall_macro",
    "recall_weighted",
)


_TEST_ROWS = (
    "The test split is among the rows that were trained and selected on: its figures say nothing about new faces."
)


@dataclass(frozen=True)
class FitResult:
    """A fitted model and how it was chosen.

    Attributes
    ----------
    model : Model
        The winner, refitted on all training rows; it needs the columns of its own blocks only.
    selector : HybridSelector
        With the scores of every candidate in every fold.
    n : int
        Training rows.
    notes : tuple of str
        What was left out or is unusual, one sentence each.
    """

    model: Model
    selector: HybridSelector
    n: int
    notes: tuple[str, ...]


def fit(
    features: Features,
    head: Any = "ecoc",
    *,
    split: str = "train",
    cv: int = 5,
    scale: str | None = "equal",
    scoring: str = "accuracy",
    min_gain: float = 0.0,
    random_state: int = 0,
    params: dict[str, Any] | None = None,
    n_jobs: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> FitResult:
    """Train `head` on every block and on their concatenation, select, and refit the winner.

    Parameters
    ----------
    features : Features
        With labels. Rows of other splits than `split` are never looked at.
    head : str or scikit-learn classifier
        A name of ``fusionfer.heads.HEADS``, or any classifier.
    split : str
        Rows to train and select on: a split, or several joined by ``+``. With ``test`` among them, a note says what
        that means. Backbones that were themselves trained on the
        training faces make those separable beyond what they are: then select on ``validation``.
    cv : int
        Folds of the selection, stratified by label; samples of one group stay together.
    scale : {"equal", "standard", None}
        See `fusionfer.fusion.BlockScaler`.
    scoring : str
        One of `SCORINGS`.
    min_gain : float
        The hybrid must beat every single block by more than this.
    random_state : int
        Seed of the folds, and of a head that is given by name, unless `params` hold one.
    params : dict, optional
        Parameters of a head that is given by name.
    n_jobs : int, optional
        Folds side by side.
    progress : callable, optional
        Called as ``progress(done, total, what)``.

    Returns
    -------
    FitResult

    Raises
    ------
    DataError
        If no row of the split has a label, only one class is there, or a class has fewer samples than folds.
    UnknownNameError
        If the head, the split or the scoring does not exist.
    """
    if scoring not in SCORINGS:
        raise unknown_name("scoring", scoring, SCORINGS)
    rows, notes = training_rows(features, split)
    params = params or {}
    estimator = make_head(head, **params)
    if isinstance(head, str) and "random_state" not in params and "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=random_state)
    selector = HybridSelector(
        estimator, blocks=rows.blocks, cv=cv, scoring=scoring, scale=scale, min_gain=min_gain,
        random_state=random_state, n_jobs=n_jobs,
    )  # fmt: skip
    groups = known_groups(rows)
    selector.fit(rows.X, rows.y, groups=groups, progress=progress)
    blocks = chosen_blocks(selector, rows)
    model = Model(
        estimator=selector.estimator_,
        blocks={name: rows.block_record(name) for name in blocks},
        classes=tuple(str(label) for label in selector.classes_),
        selection={
            "scoring": scoring,
            "folds": cv,
            "grouped": groups is not None,
            "scores": {name: [float(v) for v in values] for name, values in selector.scores_.items()},
            "selected": selector.selected_,
            "reason": selector.reason_,
            "min_gain": min_gain,
        },
        training={
            "n": len(rows),
            "split": split,
            "head": head if isinstance(head, str) else type(head).__name__,
            "params": {key: repr(value) for key, value in sorted(estimator.get_params(deep=False).items())},
            "scale": scale,
            "random_state": random_state,
            "counts": {label: int(np.sum(rows.y == label)) for label in rows.classes},
            # By these `fusionfer.evaluation.evaluate` recognises training rows, whatever split they are in by then. The
            # picture says it best: ids change when files move, and are not unique among data sets.
            "row_fingerprints": fingerprints(np.where(rows.digests != "", rows.digests, rows.ids).tolist()),
            "group_fingerprints": fingerprints(group for group in rows.groups.tolist() if group),
        },
    )
    return FitResult(model, selector, len(rows), notes)


def training_rows(features: Features, split: str) -> tuple[Features, tuple[str, ...]]:
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
    return rows, tuple(notes)


def known_groups(rows: Features) -> np.ndarray | None:
    """Return the groups, a row without one being its own; None if no row has any."""
    if not np.any(rows.groups != ""):
        return None
    return np.where(rows.groups != "", rows.groups, rows.ids)


def chosen_blocks(selector: HybridSelector, rows: Features) -> list[str]:
    """Names of the blocks that the selected candidate uses, in column order."""
    return [selector.selected_] if selector.selected_ in rows.blocks else list(rows.blocks)


def weight_paths(blocks: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Return where the weights of backbones are, for `fusionfer.persistence.save_model` to bring along.

    Parameters
    ----------
    blocks : mapping of str to dict
        ``Model.blocks``, or what `Features.block_record` gives of each block.

    Returns
    -------
    dict of str to str
        Backbone -> file. Backbones whose weights come from a seed have no file and need none.

    Raises
    ------
    ModelError
        If a file is not where it was when the features were extracted, or blocks of one backbone have different
        weights: a model can bring along one file for each backbone.
    """
    paths: dict[str, str] = {}
    first: dict[str, tuple[str, Any]] = {}  # backbone -> its first block, and what tells its weights from others
    for name, block in blocks.items():
        weights = block["record"].get("weights") or {}
        backbone, which = str(block["backbone"]), block["key"].get("weights_sha256") or weights
        other, others_which = first.setdefault(backbone, (name, which))
        if others_which != which:
            msg = (
                f"{other} and {name} are of one backbone, {backbone}, with different weights: a model can bring along "
                "one weight file for each backbone. Fit without --bundle, or to one of the two (--features)."
            )
            raise ModelError(msg)
        if not isinstance(weights, dict) or weights.get("seed") is not None:
            continue
        path = weights.get("path")
        if not path or not Path(path).is_file():
            msg = f"The weights of {name} cannot be bundled: {path or 'their file'} is not there. Fit without --bundle."
            raise ModelError(msg)
        paths[backbone] = path
    return paths


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
