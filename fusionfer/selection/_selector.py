"""HybridSelector: the estimator that compares, decides and refits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fusionfer.exceptions import DataError
from fusionfer.fusion import BlockScaler, check_blocks
from fusionfer.heads import make_head
from fusionfer.selection._comparing import (
    Comparison,
    Progress,
    fit_arguments,
    head_blocks,
    local_blocks,
    renamed,
    rows_for,
)
from fusionfer.selection._deciding import decide
from fusionfer.selection._folds import as_numbers, held_out_fold, make_folds, renumbered
from fusionfer.selection._search import search_points

__all__ = ["HybridSelector"]


def _estimator_has(name: str) -> Callable[[HybridSelector], bool]:
    """Whether the refitted winner, or before `fit` the head, has a method."""

    def check(selector: HybridSelector) -> bool:
        getattr(selector.estimator_ if hasattr(selector, "estimator_") else selector._head(), name)
        return True

    return check


class HybridSelector(ClassifierMixin, BaseEstimator):
    """Compare each block of columns, and all of them together, on the same folds; refit the winner.

    The hybrid of all blocks is kept only if its mean score beats that of **every** single block by more than
    `min_gain`; else the best single block is kept, of equally good ones that with fewer columns. The folds are
    stratified, never divide a group, and are the same for every candidate. All that learns, the scaling too, is
    fitted inside the fold.

    With `search`, each candidate is first given the parameters that score best on the same folds; of equally good
    ones those that are listed first. All candidates choose from the same list.

    Parameters
    ----------
    head : str, estimator or None
        Name of a head or any scikit-learn classifier, which is cloned; None is "ecoc".
    blocks : dict of str to slice, optional
        Columns of each block; they must tile the columns. By default all columns are one block.
    cv : int, splitter or iterable
        Number of folds; or an object whose ``split(X, y, groups)`` yields the indices of training and held-out rows;
        or these pairs themselves.
    scoring : str or callable
        A scorer of scikit-learn, by name or as ``scorer(estimator, X, y)``; higher is better.
    scale : {"equal", "standard"} or None
        How columns are scaled, see `fusionfer.fusion.BlockScaler`.
    min_gain : float
        What the hybrid must gain over the best single block, in units of `scoring`; at least 0.
    search : None, "default", dict or list of dict
        Parameters of the head to try: name -> list of values, all with all; several dicts are several such grids.
        "default" is what `fusionfer.heads.HEADS` lists for the head. None tries nothing.
    random_state : int, RandomState instance or None
        Shuffles the folds; also given to a head that is made here and has such a parameter. An estimator that you
        pass keeps its own. None draws the same folds as 0: a selection can always be repeated.
    n_jobs : int or None
        Threads that fit candidates and folds at once; they share X. Without effect on heads with `fit_many`.

    Attributes
    ----------
    selected_ : str
        Name of the winner: a block, or all names joined by " + ".
    reason_ : str
        Why, in one sentence with figures.
    scores_ : dict of str to ndarray of float64, shape (n_folds,)
        Score of each candidate on each held-out fold, with its best parameters.
    mean_scores_ : dict of str to float
        Their means, to twelve decimals.
    best_params_ : dict of str to dict
        The parameters that the search chose for each candidate; empty dicts without a search.
    search_points_ : list of dict
        What was tried, in order; one empty dict without a search.
    search_results_ : dict of str to ndarray of float64, shape (n_points, n_folds)
        Score of each candidate at each point on each held-out fold.
    estimator_ : Pipeline
        Scaler and head, refitted on all training rows with the winner's parameters, over its columns only.
    columns_ : slice
        The winner's columns.
    blocks_ : dict of str to slice
        The blocks that were compared.
    classes_ : ndarray of shape (K,)
        Labels, sorted.
    n_features_in_ : int
        Number of columns, of all blocks.

    Notes
    -----
    A head with a parameter ``probability`` (as `fusionfer.heads.ECOCClassifier`) is fitted without it inside the
    folds when the scorer asks for predictions only, since calibration is most of the cost there and changes no
    prediction. The winner is refitted as it was given.

    A head with a method ``fit_many`` gets the fits of all candidates, folds and points in one call, and may share work
    among them; the scores are those of one fit after the other, within the tolerance of its solver. A head is given
    what its `fit` has parameters for: ``groups``, so that its own folds divide none, and ``progress``. A head with a
    parameter ``blocks`` that is None gets the blocks of the candidate. A custom scorer is called with the head alone,
    and with rows that are scaled already.

    Rows of weight 0 are left out of everything.

    The score of the best of many points is a little too good, and so is that of the winner among candidates: the
    folds chose both. Rows that took no part (a test split) give the figure to report.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["happy", "sad"], 30)
    >>> X = rng.normal(size=(60, 5))
    >>> X[:, 0] += 4 * (y == "sad")
    >>> selector = HybridSelector(blocks={"a": slice(0, 2), "b": slice(2, 5)}).fit(X, y)
    >>> print(selector.reason_)  # doctest: +ELLIPSIS
    Kept a: mean accuracy 1.000 over 5 folds; a + b (1.000) does not beat it by more than 0, and b reaches 0....
    """

    __module__ = "fusionfer.selection"  # the name by which stored models know it, wherever this file lies

    def __init__(
        self,
        head: Any = None,
        blocks: dict[str, slice] | None = None,
        *,
        cv: Any = 5,
        scoring: Any = "accuracy",
        scale: str | None = "equal",
        min_gain: float = 0.0,
        search: Any = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.head = head
        self.blocks = blocks
        self.cv = cv
        self.scoring = scoring
        self.scale = scale
        self.min_gain = min_gain
        self.search = search
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: Any,
        y: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
        *,
        held_out: Any = None,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> HybridSelector:
        """Compare, select, and refit the winner.

        Parameters
        ----------
        X : array-like of shape (n, d), or Features
            Training rows; or an object with attributes X, y, blocks and groups, whose blocks are used unless the
            selector has its own.
        y : array-like of shape (n,)
            Labels; only with an array.
        groups : array-like of shape (n,), optional
            Rows of one group (a person, a sequence) are never divided. Empty strings, None and NaN mean a group of
            one's own.
        sample_weight : array-like of shape (n,), optional
            Weights for scaler and head; the scores on held-out rows are not weighted. Rows of weight 0 are left out.
        held_out : array-like of bool, shape (n,), optional
            A predefined split in the place of `cv`: these rows are scored and never trained on, also in the refit, and
            heads that hold rows out (for C, calibration, early stopping) go by these alone. For training rows by which
            nothing can be judged, as the backbones have seen them.
        progress : callable, optional
            ``progress(done, total, what)``, called after every fit with the name of the candidate, and by heads that
            report their rounds with ``candidate: rounds``.

        Returns
        -------
        HybridSelector
            Itself.

        Raises
        ------
        DataError
            If there is one class only, a class has fewer rows or groups than there are folds, a fold divides a group or
            cannot be scored, the blocks do not tile the columns, the search holds nothing to try, `held_out` does not
            fit, or Features hold test rows among others or would be judged on rows that their weights were trained on.
        UnknownNameError
            If the head, the scaling, or a parameter of the search is not known.
        """
        blocks = self.blocks
        if y is None and _is_features(X):
            features = X
            _check_features(features, held_out)
            X, y = features.X, features.y
            groups = features.groups if groups is None else groups
            blocks = features.blocks if blocks is None else blocks
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        if not self.min_gain >= 0:
            msg = f"min_gain must be at least 0, got {self.min_gain!r}."
            raise DataError(msg)
        self.blocks_ = check_blocks(blocks, X.shape[1])
        cv, numbers = self.cv, as_numbers(groups, y)
        held_out = None if held_out is None else _mask(held_out, len(y))
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            kept = sample_weight > 0
            if not kept.all():
                X, y, sample_weight, cv = X[kept], y[kept], sample_weight[kept], renumbered(cv, kept)
                groups = None if groups is None else np.asarray(groups)[kept]
                numbers = None if numbers is None else numbers[kept]
                held_out = None if held_out is None else held_out[kept]
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            only = "".join(map(str, self.classes_))
            msg = f"A selection needs at least two classes; all {len(y)} rows are of one class, {only!r}."
            raise DataError(msg)
        head = self._head()
        self.search_points_ = search_points(self.search, head)
        if held_out is None:
            folds = make_folds(cv, X, y, numbers, groups, self.random_state)
            called, judged = f"mean {self._measure()}", f"over {len(folds)} folds"
        else:
            folds = held_out_fold(held_out, y, numbers, groups)
            called, judged = self._measure(), f"on {np.count_nonzero(held_out):,} held-out rows"
        candidates = _candidates(self.blocks_)
        scorer = get_scorer(self.scoring)
        comparison = Comparison(
            X, y, sample_weight, numbers, folds, self.blocks_, candidates, self.scale, self.search_points_, scorer,
            self._measure(), held_out,
        )  # fmt: skip
        quick = _without_probability(head) if getattr(scorer, "_response_method", None) == "predict" else head
        self.search_results_ = comparison.scores(quick, self.n_jobs, progress)
        self._choose(candidates, called, judged)
        self.estimator_ = self._refit(X[:, self.columns_], y, sample_weight, numbers, held_out, progress)
        return self

    def _choose(self, candidates: dict[str, slice], called: str, judged: str) -> None:
        """Set the best point of each candidate, and the best candidate, from `search_results_`."""
        # Rounded, so that the same scores in another order are a tie and not a gain of 1e-16.
        means = {name: scores.mean(axis=1).round(12) for name, scores in self.search_results_.items()}
        best = {name: int(np.argmax(values)) for name, values in means.items()}
        self.best_params_ = {name: dict(self.search_points_[i]) for name, i in best.items()}
        self.scores_ = {name: self.search_results_[name][i] for name, i in best.items()}
        self.mean_scores_ = {name: float(means[name][i]) for name, i in best.items()}
        self.selected_, self.reason_ = decide(
            self.mean_scores_,
            {name: columns.stop - columns.start for name, columns in candidates.items()},
            self.best_params_,
            min_gain=self.min_gain,
            measure=called,
            judged=judged,
        )
        self.columns_ = candidates[self.selected_]

    def _refit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
        groups: np.ndarray | None,
        held_out: np.ndarray | None,
        progress: Progress | None,
    ) -> Pipeline:
        """Scaler and head of the winner, fitted to all rows that are not held out."""
        blocks = local_blocks(self.blocks_, self.columns_)
        head = self._head()
        head.set_params(**head_blocks(head, blocks), **self.best_params_[self.selected_])
        what = f"{self.selected_}, all rows"
        inside = np.arange(len(y)) if held_out is None else np.flatnonzero(~held_out)
        given, kept = rows_for(head, inside, held_out)
        if len(given) < len(y):
            X, y = X[given], y[given]
            weight, groups = None if weight is None else weight[given], None if groups is None else groups[given]
        arguments = fit_arguments(head, weight, groups, renamed(progress, what), kept)
        steps = {} if self.scale is None else {"scaler": BlockScaler(blocks, mode=self.scale)}
        pipeline = Pipeline([*steps.items(), ("head", head)])
        if kept is not None:  # the scaler learns from the training rows alone
            weight = np.where(kept, 0.0, 1.0 if weight is None else weight)
        weights = {} if weight is None else {f"{step}__sample_weight": weight for step in steps}
        pipeline.fit(X, y, **weights, **{f"head__{name}": value for name, value in arguments.items()})
        if progress is not None:
            progress(1, 1, what)
        return pipeline

    def _head(self) -> Any:
        """A new head, not fitted."""
        if self.head is not None and not isinstance(self.head, str):
            return clone(make_head(self.head))
        head = make_head(self.head or "ecoc")
        return head.set_params(random_state=self.random_state) if "random_state" in head.get_params() else head

    def _measure(self) -> str:
        """What the scores are called in sentences."""
        name = self.scoring if isinstance(self.scoring, str) else getattr(self.scoring, "__name__", "score")
        return name.replace("_", " ")

    def _winner(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=(np.float64, np.float32), reset=False)[:, self.columns_]

    def predict(self, X: Any) -> np.ndarray:
        """Label of each row, (n,), from all columns X (n, d)."""
        X = self._winner(X)
        return self.estimator_.predict(X)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, (n, K), from all columns X (n, d)."""
        X = self._winner(X)
        return self.estimator_.predict_proba(X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Score of each class, (n, K) or (n,) for two, from all columns X (n, d)."""
        X = self._winner(X)
        return self.estimator_.decision_function(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Score of the winner on other rows, by `scoring`.

        Parameters
        ----------
        X : array-like of shape (n, d), or Features
            Rows with all columns; or an object with attributes X and y.
        y : array-like of shape (n,)
            Labels; only with an array.
        sample_weight : array-like of shape (n,), optional
            Weight of each row.

        Returns
        -------
        float
        """
        if y is None and _is_features(X):
            X, y = X.X, X.y
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(get_scorer(self.scoring)(self, X, y, **weights))


def _is_features(X: Any) -> bool:
    """Whether `X` is no array but carries one, with labels, blocks and groups."""
    return not hasattr(X, "shape") and all(hasattr(X, name) for name in ("X", "y", "blocks", "groups"))


def _mask(held_out: Any, n: int) -> np.ndarray:
    """Which rows are held out, (n,)."""
    mask = np.asarray(held_out)
    if mask.shape != (n,) or mask.dtype != np.bool_:
        msg = f"held_out must be {n} times True or False, one for each row; got {mask.dtype} of shape {mask.shape}."
        raise DataError(msg)
    return mask


def _check_features(features: Any, held_out: Any) -> None:
    """Refuse features from which nobody may select.

    These are such with test rows among others, with rows of unknown label, and with rows that the weights were trained
    on where these would be held out: what the weights remember cannot be judged.
    """
    splits = set(np.asarray(getattr(features, "splits", [])).tolist())
    if "test" in splits and len(splits) > 1:  # test rows alone were asked for by name
        others = "+".join(sorted(splits - {"test", ""}))
        remedy = f'features.split("{others}")' if others else 'features.take(features.splits != "test")'
        msg = f"These features hold test rows among others; select without them: fit({remedy})."
        raise DataError(msg)
    unlabelled = int(np.count_nonzero(np.asarray(features.y) == ""))
    if unlabelled:
        msg = f"{unlabelled} of {len(features.y)} rows have no label; take the labelled ones only."
        raise DataError(msg)
    seen = features.seen() if hasattr(features, "seen") else {}
    judged = np.ones(len(features.y), dtype=bool) if held_out is None else _mask(held_out, len(features.y))
    blocks = [name for name, rows in seen.items() if np.any(rows & judged)]
    if blocks:
        rows = np.any([seen[name] for name in blocks], axis=0) & judged
        msg = (
            f"The weights of {', '.join(blocks)} were trained on {np.count_nonzero(rows)} of the {np.sum(judged)} rows "
            "that would be held out: scores on them say what the weights remember. Use fusionfer.fitting.fit, which "
            "judges by other rows, or give held_out, rows of another split."
        )
        raise DataError(msg)


def _candidates(blocks: dict[str, slice]) -> dict[str, slice]:
    """Columns of each single block and, with more than one, of all together."""
    if len(blocks) == 1:
        return dict(blocks)
    return {**blocks, " + ".join(blocks): slice(0, max(block.stop for block in blocks.values()))}


def _without_probability(head: Any) -> Any:
    """The head with its calibration, or that of a step in it, switched off."""
    params = head.get_params()
    return head.set_params(
        **{name: False for name, value in params.items() if name.split("__")[-1] == "probability" and value is True}
    )
