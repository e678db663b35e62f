"""From cached features to a selected, saved model: trains A, B and A+B, and keeps the hybrid only if it is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, FusionferError, ModelError, unknown_name
from fusionfer.features import Features
from fusionfer.fusion import fingerprints
from fusionfer.heads import find_head, make_head
from fusionfer.persistence import Model
from fusionfer.selection import HybridSelector, params_text

__all__ = ["SCORINGS", "FitResult", "HeadsResult", "find_leaks", "fit", "fit_heads", "weight_paths"]

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
    params: Mapping[str, Any] | None = None,
    search: Any = None,
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
    params : mapping, optional
        Parameters of a head that is given by name.
    search : None, "default", dict or list of dict
        Parameters to try, see `HybridSelector`. "default" is the listed search of the head, less what `params` set; a
        note says so where nothing is left to search.
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
        If no row of the split has a label, only one class is there, a class has fewer samples than folds, or the head
        cannot be fitted with a value of `params`.
    UnknownNameError
        If the head, one of its parameters, the split or the scoring does not exist.
    """
    if scoring not in SCORINGS:
        raise unknown_name("scoring", scoring, SCORINGS)
    rows, notes = training_rows(features, split)
    params = dict(params or {})
    estimator = make_head(head, **params)
    if isinstance(head, str) and isinstance(search, str) and search == "default":
        search = {name: values for name, values in find_head(head).search.items() if name not in params} or None
        if search is None:
            notes = (*notes, f"Nothing was searched for {head}: it has no listed search, or all of it was set.")
    if isinstance(head, str) and "random_state" not in params and "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=random_state)
    selector = HybridSelector(
        estimator, blocks=rows.blocks, cv=cv, scoring=scoring, scale=scale, min_gain=min_gain,
        search=search, random_state=random_state, n_jobs=n_jobs,
    )  # fmt: skip
    groups = known_groups(rows)
    try:
        selector.fit(rows.X, rows.y, groups=groups, progress=progress)
    except (TypeError, ValueError) as error:
        if not params or isinstance(error, FusionferError):
            raise
        # Not every value that a head cannot use is found by the head itself; those errors do not say where to look.
        reason = " ".join(str(error).split()).rstrip(".")
        msg = f"Head {head} cannot be fitted with {params_text(params)}: {type(error).__name__}: {reason}."
        raise DataError(msg) from error
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
            **_searched(selector),
        },
        training={
            "n": len(rows),
            "split": split,
            "head": _label(head),
            "params": {
                key: repr(value)
                for key, value in sorted(selector.estimator_.named_steps["head"].get_params(deep=False).items())
            },
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


@dataclass(frozen=True)
class HeadsResult:
    """Several heads, compared on the same folds.

    Attributes
    ----------
    results : dict of str to FitResult
        Head -> what `fit` gave.
    best : str
        The head whose winner has the highest mean score; of equals the one that was named first.
    model : Model
        That winner. With several heads its ``selection`` holds those of all under ``heads``, and the reason names them.
    notes : tuple of str
        The notes of all heads, each once.
    """

    results: dict[str, FitResult]
    best: str
    model: Model
    notes: tuple[str, ...]


def fit_heads(
    features: Features,
    heads: Sequence[Any],
    *,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    **options: Any,
) -> HeadsResult:
    """Run `fit` for several heads on the same folds, and find the best.

    Parameters
    ----------
    features : Features
        With labels.
    heads : sequence of str or scikit-learn classifiers
        Names of ``fusionfer.heads.HEADS``, or any classifiers; each once. A classifier is called by its class.
    params : mapping of str to mapping, optional
        Name of a head -> its parameters.
    progress : callable, optional
        Called as ``progress(done, total, what)``; with several heads `what` begins with the head.
    **options
        The other parameters of `fit`.

    Returns
    -------
    HeadsResult

    Raises
    ------
    DataError
        If no head is named, one is named twice, or as `fit` raises it.
    UnknownNameError
        As `fit` raises it, before anything is fitted.

    Notes
    -----
    The best of several heads was chosen by the folds, too, so that its mean score is a little too good. Rows that took
    no part give the figure to report.
    """
    given = {_label(head): head for head in heads}
    if len(given) < len(heads) or not given:
        msg = f"Name at least one head, and each once; got {', '.join(map(_label, heads)) or 'none'}."
        raise DataError(msg)
    settings = {_label(name): dict(values) for name, values in (params or {}).items()}
    for name in settings:
        if name not in given:
            raise unknown_name("head to set parameters of:", name, given, plural="heads of this fit")
    for name, head in given.items():  # a wrong name should not come out after the first head's work
        make_head(head, **settings.get(name, {}))
    several = len(given) > 1
    results = {
        name: fit(
            features, head, params=settings.get(name), progress=_prefixed(progress, name) if several else progress,
            **options,
        )
        for name, head in given.items()
    }  # fmt: skip
    means = {name: found.selector.mean_scores_[found.selector.selected_] for name, found in results.items()}
    best = max(means, key=lambda name: means[name])
    model = results[best].model
    if several:
        reason = f"{_head_reason(best, means, results)} {model.selection['reason']}"
        every = {name: found.model.selection for name, found in results.items()}
        model = replace(model, selection={**model.selection, "reason": reason, "heads": every})
    notes = dict.fromkeys(note for found in results.values() for note in found.notes)
    return HeadsResult(results, best, model, tuple(notes))


def _head_reason(best: str, means: Mapping[str, float], results: Mapping[str, FitResult]) -> str:
    """Say in one sentence why this head."""
    rated = {name: f"{means[name]:.4f} on {found.selector.selected_}" for name, found in results.items()}
    others = ", ".join(f"{name} ({text})" for name, text in rated.items() if name != best)
    tie = "; of equals the first" if list(means.values()).count(means[best]) > 1 else ""
    return f"Of {len(means)} heads {best} is best ({rated[best]}), before {others}{tie}."


def _label(head: Any) -> str:
    """What a head is called: by the name in the list, whichever alias was used, or by its class."""
    return find_head(head).name if isinstance(head, str) else type(head).__name__


def _prefixed(progress: Callable[[int, int, str], None] | None, name: str) -> Callable[[int, int, str], None] | None:
    if progress is None:
        return None
    return lambda done, total, what: progress(done, total, f"{name}, {what}")


def _searched(selector: HybridSelector) -> dict[str, Any]:
    """Return what a search tried, and what it chose; nothing without a search."""
    if selector.search_points_ == [{}]:
        return {}
    means = {name: scores.mean(axis=1) for name, scores in selector.search_results_.items()}
    return {
        "best_params": {name: _plain(params) for name, params in selector.best_params_.items()},
        "search": [
            {"params": _plain(params), "means": {name: float(values[i]) for name, values in means.items()}}
            for i, params in enumerate(selector.search_points_)
        ],
    }


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON can hold them."""

    def is_plain(value: Any) -> bool:
        return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and np.isfinite(value))

    return {name: value if is_plain(value) else repr(value) for name, value in params.items()}


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
