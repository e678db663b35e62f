"""From cached features to a selected model: trains A, B and A+B, and keeps the hybrid only if it is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, FusionferError, unknown_name
from fusionfer.features import Features
from fusionfer.fitting._on_cluster import folds_side_by_side
from fusionfer.fitting._rows import known_groups, rows_to_fit
from fusionfer.fusion import fingerprints
from fusionfer.heads import find_head, make_head
from fusionfer.persistence import Model
from fusionfer.selection import HybridSelector, params_text

__all__ = ["SCORINGS", "FitResult", "fit", "head_label"]

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
    held_out : int
        Rows that chose in the place of folds, as weights were trained on the training rows; 0 where there were folds.
    """

    model: Model
    selector: HybridSelector
    n: int
    notes: tuple[str, ...]
    held_out: int = 0


def fit(
    features: Features,
    head: Any = "ecoc",
    *,
    split: str = "train",
    cv: int = 5,
    scale: str | None = "equal",
    scoring: str = "accuracy",
    min_gain: float = 0.0,
    rule: str = "greater",
    alpha: float = 0.05,
    test: str = "auto",
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
        With labels. Rows of other splits than `split` are not looked at, but for those of the validation split where
        weights were trained on `split` (see Notes).
    head : str or scikit-learn classifier
        A name of ``fusionfer.heads.HEADS``, or any classifier.
    split : str
        Rows to train and select on: a split, or several joined by ``+``. With ``test`` among them, a note says what
        that means.
    cv : int
        Folds of the selection, stratified by label; samples of one group stay together.
    scale : {"equal", "standard", None}
        See `fusionfer.fusion.BlockScaler`.
    scoring : str
        One of `SCORINGS`.
    min_gain : float
        The hybrid must beat every single block by more than this.
    rule : {"greater", "significant"}
        Whether the hybrid's mean must be greater only, or significantly so, see `HybridSelector`.
    alpha : float
        Level of the tests.
    test : {"auto", "5x2"}
        "5x2" tests by five times two folds more, see `HybridSelector`.
    random_state : int
        Seed of the folds, and of a head that is given by name, unless `params` hold one.
    params : mapping, optional
        Parameters of a head that is given by name.
    search : None, "default", dict or list of dict
        Parameters to try, see `HybridSelector`. "default" is the listed search of the head, less what `params` set; a
        note says so where nothing is left to search.
    n_jobs : int, optional
        Folds side by side; on a cluster (see `read_on_cluster`) as many as it has room for.
    progress : callable, optional
        Called as ``progress(done, total, what)``.

    Returns
    -------
    FitResult

    Raises
    ------
    DataError
        If no row of the split has a label, only one class is there, a class has fewer samples than folds, the head
        cannot be fitted with a value of `params`, a test is asked for that cannot be made, or weights were trained on
        the split and no unseen row of the validation split is there.
    UnknownNameError
        If the head, one of its parameters, the split, the scoring, the rule or the test does not exist.

    Notes
    -----
    Weights tell faces that they were trained on apart beyond what they can do with new ones, so nothing may be judged
    by these. Where weights (checkpoints of fusionfer's, which say it) were trained on `split`, there are no folds: the
    rows of the validation split that no weights were trained on score the candidates, choose parameters, stop early
    and calibrate, and are never trained on. Without such rows, `fit` refuses.
    """
    if scoring not in SCORINGS:
        raise unknown_name("scoring", scoring, SCORINGS)
    rows, held_out, notes = rows_to_fit(features, split)
    params = dict(params or {})
    estimator = make_head(head, **params)
    if isinstance(head, str) and isinstance(search, str) and search == "default":
        search = {name: values for name, values in find_head(head).search.items() if name not in params} or None
        if search is None:
            notes = (*notes, f"Nothing was searched for {head}: it has no listed search, or all of it was set.")
    if isinstance(head, str) and "random_state" not in params and "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=random_state)
    if hasattr(rows.X, "team") and hasattr(estimator, "n_slices"):
        n_jobs = folds_side_by_side(rows.X.team, len(rows), rows.X.shape[1], len(rows.classes))
    selector = HybridSelector(
        estimator, blocks=rows.blocks, cv=cv, scoring=scoring, scale=scale, min_gain=min_gain,
        rule=rule, alpha=alpha, test=test, search=search, random_state=random_state, n_jobs=n_jobs,
    )  # fmt: skip
    groups = known_groups(rows)
    try:
        selector.fit(rows.X, rows.y, groups=groups, held_out=held_out, progress=progress)
    except (TypeError, ValueError) as error:
        if not params or isinstance(error, FusionferError):
            raise
        # Not every value that a head cannot use is found by the head itself; those errors do not say where to look.
        reason = " ".join(str(error).split()).rstrip(".")
        msg = f"Head {head} cannot be fitted with {params_text(params)}: {type(error).__name__}: {reason}."
        raise DataError(msg) from error
    inside = np.ones(len(rows), dtype=bool) if held_out is None else ~held_out
    # The picture says best which row it was: ids change when files move, and are not unique among data sets.
    names = np.where(rows.digests != "", rows.digests, rows.ids)
    n_held = int(np.sum(~inside))
    model = Model(
        estimator=selector.estimator_,
        blocks={name: _for_model(rows.block_record(name)) for name in _chosen_blocks(selector, rows)},
        classes=tuple(str(label) for label in selector.classes_),
        selection={
            "scoring": scoring,
            "folds": 1 if n_held else cv,
            **({"held_out": n_held} if n_held else {}),
            "grouped": groups is not None,
            "scores": {name: [float(v) for v in values] for name, values in selector.scores_.items()},
            "selected": selector.selected_,
            "reason": selector.reason_,
            "min_gain": min_gain,
            "evidence": selector.evidence_,
            **_searched(selector),
        },
        training={
            "n": int(np.sum(inside)),
            "split": split,
            "head": head_label(head),
            "params": {
                key: repr(value)
                for key, value in sorted(selector.estimator_.named_steps["head"].get_params(deep=False).items())
            },
            "scale": scale,
            "random_state": random_state,
            "counts": {label: int(np.sum(rows.y[inside] == label)) for label in rows.classes},
            # By these `fusionfer.evaluation.evaluate` recognises rows, whatever split they are in by then.
            "row_fingerprints": fingerprints(names[inside].tolist()),
            "group_fingerprints": fingerprints(group for group in rows.groups[inside].tolist() if group),
            **({"held_out_fingerprints": fingerprints(names[~inside].tolist())} if n_held else {}),
        },
    )
    return FitResult(model, selector, int(np.sum(inside)), notes, n_held)


def head_label(head: Any) -> str:
    """What a head is called: by the name in the list, whichever alias was used, or by its class."""
    return find_head(head).name if isinstance(head, str) else type(head).__name__


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


def _chosen_blocks(selector: HybridSelector, rows: Features) -> list[str]:
    """Names of the blocks that the selected candidate uses, in column order."""
    return [selector.selected_] if selector.selected_ in rows.blocks else list(rows.blocks)


def _for_model(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model records of a block: all but the hashes of images that weights have seen.

    They are half a megabyte a block, and whoever evaluates has the cache, which keeps them.
    """

    def lighter(value: Any) -> Any:
        if isinstance(value, list):
            return [lighter(one) for one in value]
        if not isinstance(value, Mapping):
            return value
        return {
            key: one if key == "metadata" else lighter(one)
            for key, one in value.items()
            if not (key in ("trained_on", "selected_on") and isinstance(one, str))
        }

    return {**record, "record": lighter(record["record"])}
