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
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.fusion import BlockScaler, check_blocks
from fusionfer.heads import FitJob, make_head
from fusionfer.matrices import is_mapped, piecewise, take_rows
from fusionfer.selection._comparing import (
    Comparison,
    Progress,
    fit_arguments,
    head_blocks,
    local_blocks,
    renamed,
    rows_for,
)
from fusionfer.selection._deciding import Significance, decide
from fusionfer.selection._evidence import LEVEL, SAMPLES, Weighing, beats_all
from fusionfer.selection._folds import Folds, as_numbers, held_out_fold, make_folds, renumbered
from fusionfer.selection._given import (
    as_mask,
    check_features,
    check_held_out,
    check_rows,
    check_rows_to_predict,
    is_features,
)
from fusionfer.selection._halves import halves
from fusionfer.selection._judging import Judge, Judged
from fusionfer.selection._optimism import Choice, optimism
from fusionfer.selection._search import search_points
from fusionfer.selection._verdict import conclude
from fusionfer.statistics import Resampled, resample

__all__ = ["RULES", "TESTS", "HybridSelector"]

RULES = ("greater", "significant")
TESTS = ("auto", "5x2")


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
    rule : {"greater", "significant"}
        "greater" keeps the hybrid if its mean is greater by more than `min_gain`; "significant" only if tests say so,
        too: that it beats every single block, each at the level `alpha`.
    alpha : float
        Level of the tests.
    test : {"auto", "5x2"}
        "auto" tests what has been fitted anyhow: by the corrected resampled t test over folds, by McNemar's on one
        held-out split. "5x2" fits every candidate ten times more, for the combined F test over five times two folds.
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
    evidence_ : dict
        Differences of all pairs, their intervals and tests, the verdict in words, and by how much the winner's score is
        too good; as JSON can hold it. :func:`fusionfer.fitting.fit` stores it in the model.
    judged_ : dict or None
        What was said of every held-out row: ``rows`` and ``fold`` (m,), true classes ``y`` (m,) as numbers, ``groups``,
        and ``said``: candidate -> predicted classes as numbers (n_points, m), or for "neg_log_loss" the logarithm of
        the probability of the true label. None where `scoring` does not follow from single rows.
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
    folds chose both. ``evidence_["optimism"]`` says by how much. Rows that took no part (a test split) give the figure
    to report.

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
        rule: str = "greater",
        alpha: float = 0.05,
        test: str = "auto",
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
        self.rule = rule
        self.alpha = alpha
        self.test = test
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
        X : array-like or MappedMatrix, shape (n, d), or Features
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
            fit, Features hold test rows among others or would be judged on rows that their weights were trained on, or
            a test is asked for that cannot be made.
        NonFiniteFeaturesError
            If rows that stay in their files hold NaN or infinity; of an array it is a ValueError.
        UnknownNameError
            If the head, the scaling, the rule, the test, or a parameter of the search is not known.
        """
        blocks = self.blocks
        if y is None and is_features(X):
            features = X
            check_features(features, held_out)
            X, y = features.X, features.y
            groups = features.groups if groups is None else groups
            blocks = features.blocks if blocks is None else blocks
        X, y = check_rows(self, X, y)
        check_classification_targets(y)
        self._check_rule(held_out is not None)
        self.blocks_ = check_blocks(blocks, X.shape[1])
        cv, numbers = self.cv, as_numbers(groups, y)
        held_out = None if held_out is None else as_mask(held_out, len(y))
        if sample_weight is not None:
            like = np.empty((len(y), 1)) if is_mapped(X) else X
            sample_weight = _check_sample_weight(sample_weight, like, dtype=np.float64, ensure_non_negative=True)
            kept = sample_weight > 0
            if not kept.all():
                X, y, sample_weight, cv = take_rows(X, kept), y[kept], sample_weight[kept], renumbered(cv, kept)
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
            called, judged_by = f"mean {self._measure()}", f"over {len(folds)} folds"
        else:
            folds = held_out_fold(held_out, y, numbers, groups)
            called, judged_by = self._measure(), f"on {np.count_nonzero(held_out):,} held-out rows"
        check_held_out(X, folds)
        candidates = _candidates(self.blocks_)
        scorer = get_scorer(self.scoring)
        comparison = Comparison(
            X, y, sample_weight, numbers, folds, self.blocks_, candidates, self.scale, self.search_points_, scorer,
            self._measure(), held_out, Judge(self.scoring, self.classes_) if Judge.knows(self.scoring) else None,
        )  # fmt: skip
        quick = _without_probability(head) if getattr(scorer, "_response_method", None) == "predict" else head
        self.search_results_, judged = comparison.scores(quick, self.n_jobs, progress)
        self.judged_ = None if judged is None else judged.arrays()
        best = self._best_points()
        repeated = None
        if self.test == "5x2" and len(candidates) > 1:
            repeated = halves(comparison, quick, best, groups, self.random_state, self.n_jobs, progress)
        self._choose(candidates, best, folds, judged, repeated, called, judged_by)
        self.estimator_ = self._refit(X, y, sample_weight, numbers, held_out, progress)
        return self

    def _best_points(self) -> dict[str, int]:
        """Set the scores and parameters of the best point of each candidate, and return its number."""
        # Rounded, so that the same scores in another order are a tie and not a gain of 1e-16.
        means = {name: scores.mean(axis=1).round(12) for name, scores in self.search_results_.items()}
        best = {name: int(np.argmax(values)) for name, values in means.items()}
        self.best_params_ = {name: dict(self.search_points_[i]) for name, i in best.items()}
        self.scores_ = {name: self.search_results_[name][i] for name, i in best.items()}
        self.mean_scores_ = {name: float(means[name][i]) for name, i in best.items()}
        return best

    def _choose(
        self,
        candidates: dict[str, slice],
        best: dict[str, int],
        folds: Folds,
        judged: Judged | None,
        repeated: dict[str, np.ndarray] | None,
        called: str,
        judged_by: str,
    ) -> None:
        """Set the winner, why, and the evidence for it."""
        n_points = len(self.search_points_)
        columns = {name: n_points * i + best[name] for i, name in enumerate(candidates)}
        drawn = _drawn(judged)
        ratio = sum(len(out) for _, out in folds) / sum(len(inside) for inside, _ in folds) if len(folds) > 1 else None
        weighing = Weighing.of(self.scores_, ratio, self.min_gain, judged, drawn, columns, repeated)
        pairs, hybrid = weighing.pairs(), weighing.hybrid
        significance = None
        if self.rule == "significant" and hybrid is not None:
            significance = Significance.of(beats_all(pairs, hybrid), weighing.test, self.alpha)
        widths = {name: part.stop - part.start for name, part in candidates.items()}
        self.selected_, self.reason_ = decide(
            self.mean_scores_, widths, self.best_params_,
            min_gain=self.min_gain, measure=called, judged=judged_by, significance=significance,
        )  # fmt: skip
        self.columns_ = candidates[self.selected_]
        by_test = self.rule == "significant" and self.selected_ != hybrid
        choice = Choice(widths, n_points, self.min_gain, columns[self.selected_], by_test)
        score = self.mean_scores_[self.selected_]
        grouped = judged is not None and judged.groups is not None
        said = conclude(
            pairs, hybrid, self.selected_, test=weighing.test, rule=self.rule, alpha=self.alpha, min_gain=self.min_gain
        )
        self.evidence_ = {
            "measure": self._measure(), "judged": judged_by, "grouped": grouped,
            "rule": self.rule, "alpha": self.alpha, "level": LEVEL, "min_gain": self.min_gain, "test": weighing.test,
            "test_over_train": ratio,
            **said, "candidates": weighing.candidates(), "pairs": pairs,
            "fits": 0 if repeated is None else sum(values.size for values in repeated.values()),
            "optimism": None if drawn is None else optimism([drawn], [choice], 0, score),
        }  # fmt: skip

    def _check_rule(self, one_split: bool) -> None:
        """Refuse a rule, a level or a test that there is not."""
        if not self.min_gain >= 0:
            msg = f"min_gain must be at least 0, got {self.min_gain!r}."
            raise DataError(msg)
        if not 0 < self.alpha < 1:
            msg = f"alpha must be a level between 0 and 1, such as 0.05, got {self.alpha!r}."
            raise DataError(msg)
        for kind, given, known in (("rule", self.rule, RULES), ("test", self.test, TESTS)):
            if given not in known:
                raise unknown_name(kind, given, known)
        if one_split and self.test == "5x2":
            msg = "test='5x2' makes folds of its own; with held_out one split judges. Use test='auto'."
            raise DataError(msg)
        if one_split and self.rule == "significant" and not Judge.knows(self.scoring):
            msg = (
                f"rule='significant' cannot test {self._measure()} on one held-out split, as it does not follow from "
                "single rows. Use scoring='accuracy', or rule='greater'."
            )
            raise DataError(msg)

    def _refit(
        self,
        X: Any,
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
        X = X[:, self.columns_]
        if len(given) < len(y):
            X, y = take_rows(X, given), y[given]
            weight, groups = None if weight is None else weight[given], None if groups is None else groups[given]
        arguments = fit_arguments(head, weight, groups, renamed(progress, what), kept)
        steps = {} if self.scale is None else {"scaler": BlockScaler(blocks, mode=self.scale)}
        if kept is not None:  # the scaler learns from the training rows alone
            weight = np.where(kept, 0.0, 1.0 if weight is None else weight)
        if is_mapped(X) and hasattr(head, "fit_many"):
            head = self._fit_unscaled(head, steps.get("scaler"), X, y, weight, arguments)
            pipeline = Pipeline([*steps.items(), ("head", head)])
        else:
            pipeline = Pipeline([*steps.items(), ("head", head)])
            weights = {} if weight is None else {f"{step}__sample_weight": weight for step in steps}
            pipeline.fit(X, y, **weights, **{f"head__{name}": value for name, value in arguments.items()})
        if progress is not None:
            progress(1, 1, what)
        return pipeline

    @staticmethod
    def _fit_unscaled(head: Any, scaler: Any, X: Any, y: np.ndarray, weight: Any, arguments: dict[str, Any]) -> Any:
        """Fit scaler and head to rows that stay in their files, as they lie there: the head scales its weights."""
        shift, factor = np.zeros(X.shape[1]), np.ones(X.shape[1])
        if scaler is not None:
            scaler.fit(X, sample_weight=weight)
            shift, factor = scaler.mean_, scaler.factor_
        job = FitJob(np.arange(len(y)), slice(0, X.shape[1]), shift, factor)
        (fitted,) = head.fit_many(X, y, [job], **arguments)
        return fitted

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

    def _winner(self, X: Any) -> Any:
        check_is_fitted(self)
        return check_rows_to_predict(self, X)[:, self.columns_]

    def predict(self, X: Any) -> np.ndarray:
        """Label of each row, (n,), from all columns X (n, d)."""
        X = self._winner(X)
        return piecewise(self.estimator_, X).predict(X)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, (n, K), from all columns X (n, d)."""
        X = self._winner(X)
        return piecewise(self.estimator_, X).predict_proba(X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Score of each class, (n, K) or (n,) for two, from all columns X (n, d)."""
        X = self._winner(X)
        return piecewise(self.estimator_, X).decision_function(X)

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
        if y is None and is_features(X):
            X, y = X.X, X.y
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(get_scorer(self.scoring)(self, X, y, **weights))


def _drawn(judged: Judged | None) -> Resampled | None:
    """Scores of all candidates at all points on rows drawn again; None where there are no two rows or groups."""
    if judged is None or not judged.can_be_drawn:
        return None
    return resample(judged.scoring(list(judged.said)), len(judged.rows), judged.groups, samples=SAMPLES)


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
