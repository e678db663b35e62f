"""Keep the hybrid only if it beats the single backbones, judged on the same folds."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from fusionfer.exceptions import DataError
from fusionfer.fusion import BlockScaler, check_blocks
from fusionfer.heads import make_head

__all__ = ["HybridSelector"]

Folds = list[tuple[np.ndarray, np.ndarray]]


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
    random_state : int, RandomState instance or None
        Shuffles the folds; also given to a head that is made here and has such a parameter. An estimator that you
        pass keeps its own. None draws the same folds as 0: a selection can always be repeated.
    n_jobs : int or None
        Threads that fit candidates and folds at once; they share X.

    Attributes
    ----------
    selected_ : str
        Name of the winner: a block, or all names joined by " + ".
    reason_ : str
        Why, in one sentence with figures.
    scores_ : dict of str to ndarray of float64, shape (n_folds,)
        Score of each candidate on each held-out fold.
    mean_scores_ : dict of str to float
        Their means, to twelve decimals.
    estimator_ : Pipeline
        Scaler and head, refitted on all training rows, over the winner's columns only.
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
    A head with a parameter ``probability`` (as `fusionfer.heads.LinearECOCClassifier`) is fitted without it inside the
    folds when the scorer asks for predictions only, since calibration is most of the cost there and changes no
    prediction. The winner is refitted as it was given.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["happy", "sad"], 30)
    >>> X = rng.normal(size=(60, 5))
    >>> X[:, 0] += 4 * (y == "sad")
    >>> selector = HybridSelector(blocks={"a": slice(0, 2), "b": slice(2, 5)}).fit(X, y)
    >>> print(selector.reason_)
    Kept a: mean accuracy 1.000 over 5 folds; a + b (1.000) does not beat it by more than 0, and b reaches 0.517.
    """

    def __init__(
        self,
        head: Any = None,
        blocks: dict[str, slice] | None = None,
        *,
        cv: Any = 5,
        scoring: Any = "accuracy",
        scale: str | None = "equal",
        min_gain: float = 0.0,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.head = head
        self.blocks = blocks
        self.cv = cv
        self.scoring = scoring
        self.scale = scale
        self.min_gain = min_gain
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: Any,
        y: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
        *,
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
            Weights for scaler and head; the scores on held-out rows are not weighted.
        progress : callable, optional
            ``progress(done, total, what)``, called after every fit.

        Returns
        -------
        HybridSelector
            Itself.

        Raises
        ------
        DataError
            If there is one class only, a class has fewer rows or groups than there are folds, a fold divides a group or
            cannot be scored, the blocks do not tile the columns, or Features hold test rows among others.
        UnknownNameError
            If the head or the scaling is not known.
        """
        blocks = self.blocks
        if y is None and _is_features(X):
            features = X
            _check_features(features)
            X, y = features.X, features.y
            groups = features.groups if groups is None else groups
            blocks = features.blocks if blocks is None else blocks
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        if not self.min_gain >= 0:
            msg = f"min_gain must be at least 0, got {self.min_gain!r}."
            raise DataError(msg)
        self.blocks_ = check_blocks(blocks, X.shape[1])
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            only = str(self.classes_[0])
            msg = f"A selection needs at least two classes; all {len(y)} rows are of one class, {only!r}."
            raise DataError(msg)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        folds = self._folds(X, y, groups)
        candidates = _candidates(self.blocks_)
        self.scores_ = self._compare(X, y, sample_weight, folds, candidates, progress)
        # Rounded, so that the same scores in another order are a tie and not a gain of 1e-16.
        self.mean_scores_ = {name: round(float(scores.mean()), 12) for name, scores in self.scores_.items()}
        self._select(candidates, len(folds))
        self.columns_ = candidates[self.selected_]
        self.estimator_ = self._pipeline(self._head(), self.columns_)
        self._fit_pipeline(self.estimator_, X[:, self.columns_], y, sample_weight)
        if progress is not None:
            total = len(candidates) * len(folds) + 1
            progress(total, total, f"{self.selected_}, all rows")
        return self

    def _head(self) -> Any:
        """A new head, not fitted."""
        if self.head is not None and not isinstance(self.head, str):
            return clone(make_head(self.head))
        head = make_head(self.head or "ecoc")
        return head.set_params(random_state=self.random_state) if "random_state" in head.get_params() else head

    def _pipeline(self, head: Any, columns: slice) -> Pipeline:
        """Scaler and head for the blocks that lie in `columns`."""
        if self.scale is None:
            return Pipeline([("head", head)])
        inside = {
            name: slice(block.start - columns.start, block.stop - columns.start)
            for name, block in self.blocks_.items()
            if columns.start <= block.start and block.stop <= columns.stop
        }
        return Pipeline([("scaler", BlockScaler(inside, mode=self.scale)), ("head", head)])

    def _fit_pipeline(self, pipeline: Pipeline, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> None:
        if weight is None:
            pipeline.fit(X, y)
            return
        if not has_fit_parameter(pipeline.named_steps["head"], "sample_weight"):
            msg = f"{type(pipeline.named_steps['head']).__name__} takes no sample_weight; fit without weights."
            raise DataError(msg)
        pipeline.fit(X, y, **{f"{step}__sample_weight": weight for step in pipeline.named_steps})

    def _folds(self, X: np.ndarray, y: np.ndarray, named: Any) -> Folds:
        """The folds that all candidates share; every class is in every training part, and no group on both sides."""
        groups = None if named is None else _own_groups(named, y)
        if isinstance(self.cv, Integral):
            _check_counts(self.cv, y, groups)
            seed = 0 if self.random_state is None else self.random_state
            splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
            folds = list(splitter(self.cv, shuffle=True, random_state=seed).split(y, y, groups))
        else:
            folds = list(check_cv(self.cv).split(X, y, groups))
        for number, (inside, outside) in enumerate(folds, 1):
            lost = np.setdiff1d(self.classes_, y[inside])
            if len(lost) or not len(outside):
                what = f"no row of {', '.join(map(str, lost))} to train on" if len(lost) else "no held-out row"
                msg = f"Fold {number} of {len(folds)} has {what}; use fewer folds, or more groups of each class."
                raise DataError(msg)
            divided = np.flatnonzero(False if groups is None else np.isin(groups[outside], groups[inside]))
            if len(divided):
                row = int(np.arange(len(y))[outside][divided[0]])
                msg = (
                    f"Fold {number} of {len(folds)} divides group {str(np.asarray(named)[row])!r}: row {row} is held "
                    "out while rows of the same group are trained on. Use a splitter that keeps groups together, "
                    "such as StratifiedGroupKFold, or a number of folds."
                )
                raise DataError(msg)
        return folds

    def _compare(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
        folds: Folds,
        candidates: dict[str, slice],
        progress: Callable[[int, int, str], None] | None,
    ) -> dict[str, np.ndarray]:
        """Fit and score every candidate on every fold."""
        scorer = get_scorer(self.scoring)
        head = self._head()
        if getattr(scorer, "_response_method", None) == "predict":
            head = _without_probability(head)

        def run(name: str, number: int) -> float:
            columns, (inside, outside) = candidates[name], folds[number]
            pipeline = self._pipeline(clone(head), columns)
            self._fit_pipeline(pipeline, X[inside, columns], y[inside], None if weight is None else weight[inside])
            try:
                return float(scorer(pipeline, X[outside, columns], y[outside]))
            except ValueError as error:
                reason = " ".join(str(error).split()).rstrip(".")
                msg = (
                    f"{self._measure()} of {name} cannot be computed on fold {number + 1} of {len(folds)}: {reason}. "
                    "Some scorings need every class in every fold: use fewer folds, or another scoring."
                )
                raise DataError(msg) from error

        jobs = [(name, number) for name in candidates for number in range(len(folds))]
        # Threads: X is not copied to other processes, and fits spend their time where the interpreter lock is free.
        results = Parallel(n_jobs=self.n_jobs, prefer="threads", return_as="generator")(
            delayed(run)(name, number) for name, number in jobs
        )
        scores = {name: np.zeros(len(folds)) for name in candidates}
        for done, ((name, number), score) in enumerate(zip(jobs, results, strict=True), 1):
            if not np.isfinite(score):
                msg = f"{self._measure()} of {name} is {score} on fold {number + 1}; choose a scoring that is defined."
                raise DataError(msg)
            scores[name][number] = score
            if progress is not None:
                progress(done, len(jobs) + 1, f"{name}, fold {number + 1} of {len(folds)}")
        return scores

    def _measure(self) -> str:
        """What the scores are called in sentences."""
        name = self.scoring if isinstance(self.scoring, str) else getattr(self.scoring, "__name__", "score")
        return name.replace("_", " ")

    def _select(self, candidates: dict[str, slice], n_folds: int) -> None:
        """Set `selected_` and `reason_` from the mean scores."""
        means = self.mean_scores_
        figure = _figures(means)
        width = {name: columns.stop - columns.start for name, columns in candidates.items()}
        singles = [name for name in candidates if name in self.blocks_]
        single = min(singles, key=lambda name: (-means[name], width[name]))
        rest = [name for name in singles if name != single]
        if not rest:
            self.selected_ = single
            self.reason_ = (
                f"Kept {single}: the only block, mean {self._measure()} {figure[single]} over {n_folds} folds."
            )
            return
        hybrid = next(name for name in candidates if name not in self.blocks_)
        wins = means[hybrid] - means[single] > self.min_gain + 1e-12
        self.selected_ = hybrid if wins else single
        head = f"Kept {self.selected_}: mean {self._measure()} {figure[self.selected_]} over {n_folds} folds"
        if wins:
            beaten = _listed([f"{name} ({figure[name]})" for name in singles])
            self.reason_ = f"{head} beats {beaten} by more than {self.min_gain:g}."
            return
        others = _listed([f"{name} reaches {figure[name]}" for name in rest])
        even = [name for name in rest if means[name] == means[single]]
        tie = f"; of equals the one with fewer columns ({width[single]})" if even else ""
        self.reason_ = (
            f"{head}; {hybrid} ({figure[hybrid]}) does not beat it by more than {self.min_gain:g}, and {others}{tie}."
        )

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


def _check_features(features: Any) -> None:
    """Refuse features from which nobody may select: with test rows among others, or with rows of unknown label."""
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


def _own_groups(groups: Any, y: np.ndarray) -> np.ndarray | None:
    """Groups as numbers, where an unnamed row is a group of its own; None where no row has a name."""
    groups = np.asarray(groups)
    check_consistent_length(groups, y)
    if groups.dtype.kind == "O":  # as pandas gives them
        groups = np.array(["" if _is_missing(group) else str(group) for group in groups.tolist()], dtype=np.str_)
    if groups.dtype.kind in "US":
        unnamed = groups == groups.dtype.type()
    else:
        unnamed = np.isnan(groups) if groups.dtype.kind == "f" else np.zeros(len(groups), dtype=bool)
    if unnamed.all():
        return None
    numbers = np.unique(groups, return_inverse=True)[1].ravel()
    return np.where(unnamed, numbers.max() + 1 + np.arange(len(numbers)), numbers)


def _is_missing(group: Any) -> bool:
    """Whether an object of a column says that there is no name: empty text, None, NaN, or what pandas calls NA."""
    return group is None or type(group).__name__ == "NAType" or group == "" or bool(group != group)


def _check_counts(cv: Any, y: np.ndarray, groups: np.ndarray | None) -> None:
    """Make sure that each class can be spread over `cv` folds."""
    if cv < 2:
        msg = f"cv must be at least 2 folds, or a splitter, got {cv!r}."
        raise DataError(msg)
    unit = "rows" if groups is None else "groups"
    counts = {
        label: int(np.count_nonzero(y == label)) if groups is None else len(np.unique(groups[y == label]))
        for label in np.unique(y).tolist()
    }
    few = [f"{label} ({count})" for label, count in counts.items() if count < cv]
    if few:
        lowest = min(counts.values())
        remedy = f"use cv={lowest}, or add" if lowest >= 2 else "add"
        msg = f"Too few {unit} for {cv} folds of class {', '.join(few)}: {remedy} {unit} of it, or drop it."
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


def _figures(means: dict[str, float]) -> dict[str, str]:
    """Write the means with three decimals, or as many more as it takes to tell different ones apart."""
    for digits in range(3, 10):
        figures = {name: f"{mean:.{digits}f}" for name, mean in means.items()}
        if len(set(figures.values())) == len(set(means.values())):
            break
    return figures


def _listed(parts: list[str]) -> str:
    """Join as in a sentence."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
