"""Multinomial logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning

from fusionfer.heads._jobs import FitJob
from fusionfer.heads._softmax_training import Choice, SoftmaxTask, make_task, solve_tasks
from fusionfer.heads._training import (
    above_zero,
    checked_held_out,
    finite_scores,
    given_rows,
    raise_complaints,
    rows_to_predict,
    shared_rows,
    thread_count,
    whole_number,
)
from fusionfer.heads.linear._threads import at_most

__all__ = ["SoftmaxClassifier"]


class SoftmaxClassifier(ClassifierMixin, BaseEstimator):
    """Multinomial logistic regression: probabilities that are proportional to the exponentials of linear scores.

    With s the weights of the rows, and intercepts b that are not penalised, it minimises

        1/2 sum_k ||w_k||^2 + C sum_i s_i (log sum_k exp(w_k.x_i + b_k) - (w_{y_i}.x_i + b_{y_i})),

    as scikit-learn's `LogisticRegression` does, by matrix products (`fusionfer.heads.linear`). With two classes C
    counts half, which makes it binomial logistic regression with penalty 1/2 ||w_2 - w_1||^2, again as there.

    Parameters
    ----------
    C : float or "auto"
        Cost of the loss against the penalty, above 0. "auto" takes, of 11 values from 0.001 to 100 times 1 / (mean
        squared distance of a row from the mean row), the one with the least log-loss on held-out rows of the training
        data, in three folds; of equals the smallest.
    tol : float
        Relative duality gap at which the fit is done, above 0.
    max_iter : int
        Most steps, at least 1.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with `sample_weight`.
    n_jobs : int or None
        Threads of the matrix products of `fit`, as joblib counts them; None for as many as BLAS takes. Results differ
        by rounding, so within `tol`.
    random_state : int, RandomState instance or None
        Draws the held-out folds of ``C="auto"``. None draws the same folds as 0.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels of rows with weight, sorted.
    coef_, intercept_ : ndarrays of float64, shapes (K, d) and (K,)
        Weights of the scores, of two classes too; the intercepts sum to 0.
    C_ : float
        C that was used.
    C_scores_ : dict of float to float
        Held-out log-loss of each C; only with ``C="auto"``.
    objective_ : float
        Value of the objective above.
    gap_ : float
        How far `objective_` may lie above the minimum, as a share of itself.
    n_iter_ : int
        Steps.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (d,)
        Their names; only where X was a data frame.

    References
    ----------
    .. [1] D. Boehning (1992). Multinomial logistic regression algorithm. Annals of the Institute of Statistical
       Mathematics 44(1), 197-200.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> head = SoftmaxClassifier().fit(X, y)
    >>> head.predict(X[[0, 60, 140]]), head.predict_proba(X[:1]).round(2)
    (array([0, 1, 2]), array([[0.98, 0.02, 0.  ]]))
    """

    def __init__(
        self,
        C: Any = 1.0,
        *,
        tol: float = 1e-3,
        max_iter: int = 1000,
        class_weight: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        progress: Any = None,
        held_out: Any = None,
    ) -> SoftmaxClassifier:
        """Find weights and intercepts.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training rows; float32 is used as it is.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional
            Weight of each row, at least 0; rows of weight 0 count as absent.
        groups : array-like of shape (n,), optional
            Rows of one group are left out together where rows are left out.
        held_out : array-like of bool, shape (n,), optional
            Of a predefined split: not trained on, and with ``C="auto"`` C is chosen by them alone.
        progress : callable, optional
            ``progress(done, total, what)``.

        Returns
        -------
        SoftmaxClassifier
            Itself.

        Raises
        ------
        DataError
            If fewer than two classes have weight, or a parameter is out of its range.

        Warns
        -----
        ConvergenceWarning
            If `tol` was not reached in `max_iter`.
        """
        self._check_parameters()
        X, y, weight, groups = given_rows(self, X, y, sample_weight, groups)
        with at_most(self.n_jobs):
            task = make_task(self, X, y, weight, groups, held_out=checked_held_out(held_out, len(y)))
            (found,) = solve_tasks(X, [task], tol=self.tol, max_iter=self.max_iter, progress=progress)
        return self._accept(task, found)

    def fit_many(
        self,
        X: Any,
        y: Any,
        jobs: Sequence[FitJob],
        sample_weight: Any = None,
        groups: Any = None,
        progress: Any = None,
        held_out: Any = None,
    ) -> list[SoftmaxClassifier]:
        """Fit one clone a job, all of them by the same matrix products.

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
        list of SoftmaxClassifier
            Equal, within `tol`, to plain fits, see `fusionfer.heads.FitJob`.

        Raises
        ------
        DataError
            As in `fit`.
        """
        X, y, weight, groups = shared_rows(X, y, sample_weight, groups)
        heads = [clone(self).set_params(**job.params) for job in jobs]
        alike: dict[tuple[float, int], list[int]] = {}
        for at, (head, job) in enumerate(zip(heads, jobs, strict=True)):
            head._check_parameters()
            head.n_features_in_ = len(job.shift)
            alike.setdefault((head.tol, head.max_iter), []).append(at)
        with at_most(self.n_jobs):
            held = checked_held_out(held_out, len(y))
            tasks = [make_task(head, X, y, weight, groups, job, held) for head, job in zip(heads, jobs, strict=True)]
            for (tol, max_iter), members in alike.items():
                found = solve_tasks(X, [tasks[at] for at in members], tol=tol, max_iter=max_iter, progress=progress)
                for at, choice in zip(members, found, strict=True):
                    heads[at]._accept(tasks[at], choice)
        return heads

    def _check_parameters(self) -> None:
        raise_complaints(
            self,
            above_zero("C", self.C, also="auto"),
            above_zero("tol", self.tol),
            whole_number("max_iter", self.max_iter, 1),
            thread_count("n_jobs", self.n_jobs),
        )

    def _accept(self, task: SoftmaxTask, found: Choice) -> SoftmaxClassifier:
        fit = found.solution
        self.classes_, self.C_ = task.classes, found.C
        if found.losses:
            self.C_scores_ = dict(zip(task.grid, found.losses, strict=True))
        self.coef_, self.intercept_ = fit.coef, fit.intercept
        self.objective_, self.gap_, self.n_iter_ = float(fit.objective[0]), float(fit.gap[0]), int(fit.n_iter[0])
        if self.gap_ > self.tol:
            msg = (
                f"SoftmaxClassifier stopped at a duality gap of {self.gap_:.2g} after {self.n_iter_} steps, tol is "
                f"{self.tol:g}. Scale the features, or raise max_iter or tol."
            )
            warnings.warn(msg, ConvergenceWarning, stacklevel=3)
        return self

    def _scores(self, X: Any) -> np.ndarray:
        X = rows_to_predict(self, X)
        # The few weights take the dtype of the many rows: the other way round X would be copied.
        return finite_scores(self, X, X @ self.coef_.T.astype(X.dtype) + self.intercept_)

    def decision_function(self, X: Any) -> np.ndarray:
        """Score of each class.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K), or (n,) for two classes
            Logarithms of the probabilities, less one number for each row. With two classes, the log-odds of the second.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Label of each row (n,): the most probable class."""
        best = np.argmax(self._scores(X), axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K)
            Rows sum to 1.
        """
        return softmax(self._scores(X), axis=1)
