"""Error-correcting output codes over any binary learners, as MATLAB's ``fitcecoc`` builds them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import joblib
import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if

from fusionfer.exceptions import DataError
from fusionfer.heads._calibration import apply_sigmoid, fit_sigmoid
from fusionfer.heads._jobs import FitJob
from fusionfer.heads._spread import C_GRID, row_spread
from fusionfer.heads._training import (
    checked_held_out,
    finite_piece,
    finite_scores,
    given_rows,
    is_calibrated,
    rows_to_predict,
    shared_rows,
)
from fusionfer.heads.ecoc._cloned_training import fit_clones, log_odds, real_scores
from fusionfer.heads.ecoc._coupling import couple
from fusionfer.heads.ecoc._decoding import average_losses
from fusionfer.heads.ecoc._linear_training import LinearTask, LinearTrial
from fusionfer.heads.ecoc._parameters import check_parameters, gives_posteriors, loss_name, needs_calibration
from fusionfer.heads.ecoc._planning import Plan, make_plan, plan_key
from fusionfer.heads.linear import solve_many
from fusionfer.heads.linear._threads import at_most
from fusionfer.matrices import in_pieces, is_mapped

__all__ = ["ECOCClassifier"]

Progress = Callable[[int, int, str], None]


def _has_joint_learner(head: ECOCClassifier) -> bool:
    if head.learner is not None:
        msg = "fit_many needs the default learner."
        raise AttributeError(msg)
    return True


class ECOCClassifier(ClassifierMixin, BaseEstimator):
    """Several classes from binary learners: a coding says which classes each learner parts, decoding who wins.

    The defaults are those of MATLAB's ``fitcecoc(X, Y, 'Learners', 'linear', 'Coding', 'onevsall')`` [1]_: one linear
    support vector machine a class, and loss-weighted decoding. All linear learners, those of the calibration and of
    ``C="auto"`` too, are solved together (`fusionfer.heads.linear`). Formulas and deviations are on the page
    `docs/ecoc.md`.

    Parameters
    ----------
    coding : str or array-like of shape (K, L)
        "onevsall", "onevsone", "ordinal", "binarycomplete", "ternarycomplete", "denserandom", "sparserandom", or a
        matrix of +1, -1 and 0 with a row for each class, in the order of the labels, and a column for each learner.
    decoding : {"lossweighted", "lossbased"}
        Whether the losses of a class are averaged over the learners it takes part in, or over all.
    binary_loss : str or None
        "hamming", "linear", "logistic", "exponential", "binodeviance", "hinge", or "quadratic", which takes posteriors.
        None: "quadratic" where learners give posteriors (``loss="logistic"``, or a `learner` with predict_proba), else
        "hinge".
    learner : estimator or None
        Binary scikit-learn classifier, cloned for each column. None is the linear learner below.
    loss : {"hinge", "squared_hinge", "logistic"}
        Loss of the linear learners.
    C : float or "auto"
        Cost of an error in the linear learners, above 0: they minimise 1/2 ||w||^2 + C sum_i s_i loss_i, with a free
        intercept. "auto" takes, of 11 values from 0.001 to 100 times 1 / (mean squared distance of a row from the mean
        row), the one with the largest weighted accuracy (with `cost`: the least mean cost) of the decoded scores of
        held-out rows; of equals the smallest.
    tol : float
        Relative duality gap at which a linear learner is done, above 0.
    max_iter : int
        Most steps for each linear learner, at least 1.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with `sample_weight`.
    prior : {"empirical", "uniform"}, array-like of shape (K,) or dict
        Class probabilities to which the weights of the rows are scaled; "empirical" leaves them as they are.
    cost : array-like of shape (K, K) or None
        Cost of mistaking a true class (row) for another (column), as weights in training; None: all are 1.
    probability : bool
        Whether to calibrate for `predict_proba` in `fit`, on three folds that are left out. Predictions do not depend
        on it: the quadratic loss over learners without posteriors calibrates them either way.
    max_learners : int
        Most learners a coding may have.
    n_jobs : int or None
        Threads of `fit`, as joblib counts them. Linear learners: of their matrix products, None for as many as BLAS
        takes. Clones of `learner`: that are fitted at a time, None for one.
    random_state : int, RandomState instance or None
        Draws random codings and held-out folds, and seeds clones of `learner`. None draws codings and folds as 0.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels of rows with weight, sorted.
    code_matrix_ : ndarray of int8, shape (K, L)
        Side of each class in each learner. Two classes have one column, in every named coding (-1, +1).
    binary_loss_ : str
        The binary loss that is used.
    prior_ : ndarray of float64, shape (K,)
        Share of each class in the weights.
    learner_weight_ : ndarray of float64, shape (L,)
        Sum of the weights of the rows that a learner sees.
    calibration_ : ndarray of float64, shape (L, 2)
        Slope and offset of each learner's sigmoid; only where scores are calibrated.
    coef_, intercept_ : ndarrays of float64, shapes (L, d) and (L,)
        Linear learners; without `learner`, as are the following.
    C_ : float
        Cost that was used.
    C_scores_ : dict of float to float
        Mean held-out cost of each C; only with ``C="auto"``.
    lambda_ : ndarray of float64, shape (L,)
        Penalty in MATLAB's parametrisation, 1 / (C sum of the learner's weights).
    objective_ : ndarray of float64, shape (L,)
        lambda / 2 ||w||^2 + mean weighted loss that was reached.
    gap_ : ndarray of float64, shape (L,)
        How far `objective_` may lie above the minimum, as a share of itself.
    n_iter_ : ndarray of int, shape (L,)
        Steps.
    estimators_ : list of L estimators
        Clones of `learner`.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (d,)
        Their names; only where X was a data frame.

    References
    ----------
    .. [1] MathWorks, documentation of fitcecoc, https://www.mathworks.com/help/stats/fitcecoc.html, and of predict
       (ClassificationECOC), https://www.mathworks.com/help/stats/classificationecoc.predict.html
    .. [2] T. Dietterich, G. Bakiri (1995). Solving multiclass learning problems via error-correcting output codes.
       Journal of Artificial Intelligence Research 2, 263-286.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> head = ECOCClassifier("onevsone").fit(X, y)
    >>> head.predict(X[[0, 60, 140]]), head.code_matrix_.shape, head.binary_loss_
    (array([0, 1, 2]), (3, 3), 'hinge')
    """

    def __init__(
        self,
        coding: Any = "onevsall",
        *,
        decoding: str = "lossweighted",
        binary_loss: str | None = None,
        learner: Any = None,
        loss: str = "hinge",
        C: Any = 1.0,
        tol: float = 1e-3,
        max_iter: int = 1000,
        class_weight: Any = None,
        prior: Any = "empirical",
        cost: Any = None,
        probability: bool = True,
        max_learners: int = 1000,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.coding = coding
        self.decoding = decoding
        self.binary_loss = binary_loss
        self.learner = learner
        self.loss = loss
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.prior = prior
        self.cost = cost
        self.probability = probability
        self.max_learners = max_learners
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        held_out: Any = None,
        progress: Progress | None = None,
    ) -> ECOCClassifier:
        """Train the learners, and calibrate them if `probability`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training rows; float32 is used as it is.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional
            Weight of each row, at least 0. Rows of weight 0 count as absent.
        groups : array-like of shape (n,), optional
            Rows of one group are left out together where rows are left out.
        held_out : array-like of bool, shape (n,), optional
            Of a predefined split: not trained on, and C and the calibration are chosen by them alone.
        progress : callable, optional
            ``progress(done, total, what)``.

        Returns
        -------
        ECOCClassifier
            Itself.

        Raises
        ------
        DataError
            If fewer than two classes have weight, a parameter is out of its range, or the coding is invalid.
        UnknownNameError
            If a coding, decoding or loss is named that does not exist.

        Warns
        -----
        ConvergenceWarning
            If a linear learner did not reach `tol` in `max_iter`.
        """
        check_parameters(self)
        X, y, weight, groups = given_rows(self, X, y, sample_weight, groups)
        plan = make_plan(self, y, weight, groups, checked_held_out(held_out, len(y)))
        if self.learner is None:
            with at_most(self.n_jobs):
                task = self._task(plan, X, slice(0, X.shape[1]))
                return self._accept(plan, task.read(X, self._solve(X, task.problems(), progress)))
        self.estimators_, held_out = fit_clones(
            self.learner,
            X,
            plan.sides,
            plan.cost,
            plan.folds,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            progress=progress,
        )
        return self._describe(plan, held_out)

    @available_if(_has_joint_learner)
    def fit_many(
        self,
        X: Any,
        y: Any,
        jobs: Sequence[FitJob],
        sample_weight: Any = None,
        groups: Any = None,
        held_out: Any = None,
        progress: Progress | None = None,
    ) -> list[ECOCClassifier]:
        """Fit one clone a job, all of them by the same matrix products; only with the default learner.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows of all jobs.
        y, sample_weight, groups, held_out : array-like of shape (n,)
            As in `fit`.
        jobs : sequence of FitJob
            Rows, columns, scaling and parameters of each fit.
        progress : callable, optional
            ``progress(done, total, what)``.

        Returns
        -------
        list of ECOCClassifier
            Equal, within `tol`, to plain fits of the scaled rows and columns (see FitJob).

        Raises
        ------
        DataError, UnknownNameError
            As in `fit`.
        """
        X, y, weight, groups = shared_rows(X, y, sample_weight, groups)
        held = checked_held_out(held_out, len(y))
        heads = [clone(self).set_params(**job.params) for job in jobs]
        for head in heads:
            check_parameters(head)
            if head.learner is not None:
                msg = "A job of fit_many cannot bring a learner of its own; fit that head by itself."
                raise DataError(msg)
        plans, tasks = [], []
        made: dict[Any, Plan] = {}  # blocks of one fold share it: at a million rows each takes 40 MB
        hashed: dict[int, str] = {}  # jobs of one fold have one array of rows
        with at_most(self.n_jobs):
            for head, job in zip(heads, jobs, strict=True):
                if id(job.rows) not in hashed:
                    hashed[id(job.rows)] = joblib.hash(job.rows)
                alike = (hashed[id(job.rows)], plan_key(head))
                if alike not in made:
                    own, apart = (None if values is None else values[job.rows] for values in (groups, held))
                    plan = make_plan(head, y[job.rows], weight[job.rows], own, apart)
                    made[alike] = plan.placed(job.rows, len(X))
                plans.append(made[alike])
                tasks.append(head._task(plans[-1], X, job.columns, job.shift, job.factor))
                head.n_features_in_ = len(job.shift)
            for members in _alike(heads):
                problems = [tasks[at].problems() for at in members]
                found = iter(heads[members[0]]._solve(X, [one for many in problems for one in many], progress))
                for at, many in zip(members, problems, strict=True):
                    heads[at]._accept(plans[at], tasks[at].read(X, [next(found) for _ in many]))
        return heads

    def _task(
        self,
        plan: Plan,
        X: np.ndarray,
        columns: slice,
        shift: np.ndarray | None = None,
        factor: np.ndarray | None = None,
    ) -> LinearTask:
        grid = (float(self.C),) if self.C != "auto" else C_GRID
        if self.C == "auto":
            spread = row_spread(X, plan.weight, columns, shift, factor)
            grid = tuple(value / spread for value in C_GRID)
        return LinearTask(plan.sides, plan.cost, plan.folds, grid, columns, shift, factor)

    def _solve(self, X: np.ndarray, problems: list[Any], progress: Progress | None) -> list[Any]:
        return solve_many(X, problems, loss=self.loss, tol=self.tol, max_iter=int(self.max_iter), progress=progress)

    def _accept(self, plan: Plan, trials: list[LinearTrial]) -> ECOCClassifier:
        """Take the best trial as the fit."""
        best = trials[0]
        if self.C == "auto":
            risks = [self._risk(plan, trial.held_out) for trial in trials if trial.held_out is not None]
            best = trials[int(np.argmin(risks))]
            self.C_scores_ = {trial.C: risk for trial, risk in zip(trials, risks, strict=True)}
        fit = best.solution
        self.C_ = best.C
        self.coef_, self.intercept_, self.gap_, self.n_iter_ = fit.coef, fit.intercept, fit.gap, fit.n_iter
        self.lambda_ = 1.0 / (best.C * plan.learner_cost)
        self.objective_ = fit.objective * self.lambda_
        if np.any(fit.gap > self.tol):
            worst = int(np.argmax(fit.gap))
            msg = (
                f"Learner {worst} stopped at a duality gap of {fit.gap[worst]:.2g} after {fit.n_iter[worst]} steps, "
                f"tol is {self.tol:g}. Scale the features, or raise max_iter or tol."
            )
            warnings.warn(msg, ConvergenceWarning, stacklevel=3)
        return self._describe(plan, best.held_out)

    def _describe(self, plan: Plan, held_out: np.ndarray | None) -> ECOCClassifier:
        """Keep what every fit has, and calibrate."""
        self.classes_, self.code_matrix_, self.prior_ = plan.classes, plan.code, plan.prior
        self.learner_weight_ = plan.learner_weight
        self.binary_loss_ = loss_name(self)
        if held_out is not None and (self.probability or needs_calibration(self)):
            self.calibration_ = fit_sigmoid(held_out, plan.sides_of(plan.judging.y_index), plan.judging.weight)
        return self

    def _risk(self, plan: Plan, held_out: np.ndarray) -> float:
        """Weighted mean cost of the decisions on held-out rows."""
        scores, (y_index, weight) = held_out, plan.judging
        if needs_calibration(self):
            calibration = fit_sigmoid(held_out, plan.sides_of(y_index), weight)
            scores = held_out * calibration[:, 0] + calibration[:, 1]
        decided = np.argmax(self._decode(scores, plan.code, loss_name(self)), axis=1)
        return float(weight @ plan.penalty[y_index, decided] / weight.sum())

    def _raw_scores(self, X: np.ndarray) -> np.ndarray:
        """Scores of the learners on the real line, before any calibration, (n, L)."""
        if self.learner is not None:
            return self._piecewise(lambda rows: real_scores(self.estimators_, rows), X)
        # The few weights take the dtype of the many rows: the other way round X would be copied.
        return finite_scores(self, X, X @ self.coef_.T.astype(X.dtype) + self.intercept_)

    def _real_scores(self, X: np.ndarray) -> np.ndarray:
        """Scores on the real line that the loss goes by: with the quadratic loss the log-odds of the posteriors."""
        if self.binary_loss_ != "quadratic" or (self.learner is None and self.loss == "logistic"):
            return self._raw_scores(X)
        if gives_posteriors(self):
            return self._piecewise(lambda rows: log_odds(self.estimators_, rows), X)
        return self._raw_scores(X) * self.calibration_[:, 0] + self.calibration_[:, 1]

    def _piecewise(self, work: Callable[[np.ndarray], np.ndarray], X: Any) -> np.ndarray:
        """What foreign learners say of rows; of a matrix that stays in its files piece by piece."""
        return in_pieces(lambda rows: work(finite_piece(self, rows)), X) if is_mapped(X) else work(X)

    def _negated_losses(self, scores: np.ndarray, code: np.ndarray, loss: str) -> np.ndarray:
        return -average_losses(expit(scores) if loss == "quadratic" else scores, code, loss, self.decoding)

    def _decode(self, scores: np.ndarray, code: np.ndarray, loss: str) -> np.ndarray:
        """Numbers of which the largest is the predicted class, (n, K)."""
        if len(code) == 2:
            return scores * code[:, 0]
        one_a_class = np.array_equal(code, 2 * np.eye(len(code)) - 1)
        return scores if one_a_class and loss != "hamming" else self._negated_losses(scores, code, loss)

    def decision_function(self, X: Any) -> np.ndarray:
        """What the classes are compared by.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K), or (n,) for two classes
            The negated average binary losses; the largest wins, of equals the first. With one against all and any loss
            but hamming these rank the classes as the learners' scores do, and the scores are given, since they keep
            differences where losses saturate. With two classes, the score for the second. With the quadratic loss,
            scores are log-odds.
        """
        scores = self._real_scores(rows_to_predict(self, X))
        decided = self._decode(scores, self.code_matrix_, self.binary_loss_)
        return decided[:, 1] if len(self.classes_) == 2 else decided

    def binary_scores(self, X: Any) -> np.ndarray:
        """Scores of the learners for their positive sides, as the binary loss takes them.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, L)
            Posteriors with the quadratic loss, else scores on the real line.
        """
        scores = self._real_scores(rows_to_predict(self, X))
        return expit(scores) if self.binary_loss_ == "quadratic" else scores

    def negated_average_losses(self, X: Any) -> np.ndarray:
        """Negated average binary loss of each class, see `average_losses`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K)
        """
        return self._negated_losses(self._real_scores(rows_to_predict(self, X)), self.code_matrix_, self.binary_loss_)

    def predict(self, X: Any, *, return_all: bool = False) -> Any:
        """Label of each row, and on demand what it follows from.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.
        return_all : bool
            Whether to return the negated losses and the binary scores too.

        Returns
        -------
        labels : ndarray of shape (n,)
        negated_losses : ndarray of float64, shape (n, K)
            As `negated_average_losses`; only with `return_all`.
        scores : ndarray of float64, shape (n, L)
            As `binary_scores`; only with `return_all`.
        """
        real = self._real_scores(rows_to_predict(self, X))
        code, loss = self.code_matrix_, self.binary_loss_
        labels = self.classes_[np.argmax(self._decode(real, code, loss), axis=1)]
        if not return_all:
            return labels
        return labels, self._negated_losses(real, code, loss), expit(real) if loss == "quadratic" else real

    @available_if(is_calibrated)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probability of each class, see `couple`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K)
            Rows sum to 1. The most probable class may differ from the predicted one where two are close.
        """
        posteriors = apply_sigmoid(self._raw_scores(rows_to_predict(self, X)), self.calibration_)
        if len(self.classes_) == 2:
            second = posteriors[:, 0] if self.code_matrix_[1, 0] > 0 else 1.0 - posteriors[:, 0]
            return np.column_stack([1.0 - second, second])
        return couple(posteriors, self.code_matrix_, self.learner_weight_)


def _alike(heads: list[ECOCClassifier]) -> list[list[int]]:
    """Numbers of the heads that one call of the solver can serve."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for at, head in enumerate(heads):
        found.setdefault((head.loss, head.tol, head.max_iter), []).append(at)
    return list(found.values())
