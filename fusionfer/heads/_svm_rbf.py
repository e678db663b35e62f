"""Support vector machines with a Gaussian kernel."""

from __future__ import annotations

import importlib.util
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.heads._calibration import CALIBRATION_FOLDS, apply_sigmoid, fit_sigmoid
from fusionfer.heads._folds import inner_folds
from fusionfer.heads._svm_cost import FitCost, estimate_cost, say_cost
from fusionfer.heads._svm_kernel import GaussianKernel, fit_kernel
from fusionfer.heads._training import (
    JudgingRows,
    above_zero,
    is_calibrated,
    raise_complaints,
    rows_to_predict,
    thread_count,
    training_rows,
    whole_number,
    yes_or_no,
)
from fusionfer.heads.ecoc._coding import coding_matrix
from fusionfer.heads.ecoc._coupling import couple
from fusionfer.matrices import take_rows

__all__ = ["RBFSVMClassifier"]

SOLVERS = ("auto", "scikit-learn", "intelex")


class _Machine(NamedTuple):
    """All pairs, fitted to some rows; shapes as in the attributes of the head."""

    support: np.ndarray
    vectors: np.ndarray
    dual_coef: np.ndarray
    intercept: np.ndarray
    n_iter: np.ndarray

    def scores(self, X: Any, kernel: GaussianKernel) -> np.ndarray:
        """Scores of the pairs, (n, P)."""
        scores = np.empty((len(X), len(self.intercept)))
        for rows, values in kernel.between(X, self.vectors):
            scores[rows] = values @ self.dual_coef + self.intercept
        return scores


class RBFSVMClassifier(ClassifierMixin, BaseEstimator):
    """Support vector machines with a Gaussian kernel, one for each pair of classes; the class with most votes wins.

    scikit-learn's `SVC` (LIBSVM) [1]_, which works on a **float64 copy** of the training rows. Its time grows with the
    square of their number: `estimate` says beforehand what a fit will take, and `fit` warns where that is more than a
    minute or 4 GiB. Where scikit-learn-intelex is installed, its solver is used; it needs a fraction of the time, and
    no float64. Fitted, the head holds plain arrays and predicts by matrix products, in the dtype of the training rows.

    Parameters
    ----------
    C : float
        Cost of a violated margin, above 0.
    gamma : float or "scale"
        Of the kernel exp(-gamma ||x - z||^2). "scale" is 1 / (sum of the variances of the columns), as
        scikit-learn's for centred columns: it follows the overall size of the features.
    standardize : bool
        Whether every column is brought to variance 1 first. Selection and ``fusionfer fit`` scale the features in
        front of every head, so that each block counts the same: leave it off there, it would undo that.
    tol : float
        Tolerance of the solver, above 0.
    max_iter : int
        Most steps of the solver; -1 for no limit.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with `sample_weight`.
    probability : bool
        Whether to calibrate for `predict_proba` in `fit`, which adds three fits to two thirds of the rows. Each pair's
        sigmoid is fitted to scores of rows that were left out, and the pairs are coupled [2]_. Predictions do not
        depend on it. `SVC`'s own ``probability=True``, which scikit-learn gives up, is not used.
    solver : {"auto", "scikit-learn", "intelex"}
        "auto" is intelex where scikit-learn-intelex is installed.
    cache_mb : int
        Memory in which scikit-learn's solver keeps rows of the kernel matrix, in MiB.
    n_jobs : int or None
        With scikit-learn's solver, which knows one thread: fits (the final one and those of the calibration) at a time,
        as joblib counts. Each has a cache, and without `probability` there is one fit only. With intelex: threads of
        its solver, None for all processors.
    random_state : int, RandomState instance or None
        Draws the folds of the calibration. None draws the same folds as 0.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels, sorted.
    pairs_ : ndarray of int8, shape (K, P)
        Side of each class in each pair, 0 where it takes no part; P = K (K - 1) / 2.
    support_ : ndarray of int, shape (m,)
        Which rows of `fit` are support vectors; rows of weight 0 do not count.
    support_vectors_ : ndarray, shape (m, d)
        These rows in the coordinates of the kernel.
    dual_coef_ : ndarray of float64, shape (m, P)
        Their coefficients in each pair.
    intercept_ : ndarray of float64, shape (P,)
    n_iter_ : ndarray of int
        Steps of the solver, for each pair where it counts them so.
    gamma_ : float
        gamma that was used.
    shift_, factor_ : ndarrays of float64, shape (d,)
        Taken off, and multiplied with, the columns.
    solver_ : str
        Solver that was used.
    calibration_ : ndarray of float64, shape (P, 2)
        Slope and offset of each pair's sigmoid; only with `probability`.
    pair_weight_ : ndarray of float64, shape (P,)
        Weight of the rows of each pair, with which the coupling weighs it; only with `probability`.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (d,)
        Their names; only where X was a data frame.

    References
    ----------
    .. [1] C.-C. Chang, C.-J. Lin (2011). LIBSVM: a library for support vector machines. ACM Transactions on
       Intelligent Systems and Technology 2(3), 27.
    .. [2] T. Hastie, R. Tibshirani (1998). Classification by pairwise coupling. Annals of Statistics 26(2), 451-471.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> head = RBFSVMClassifier().fit(X, y)
    >>> head.predict(X[[0, 60, 140]]), head.predict_proba(X[:2]).shape
    (array([0, 1, 2]), (2, 3))
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        gamma: float | str = "scale",
        standardize: bool = False,
        tol: float = 1e-3,
        max_iter: int = -1,
        class_weight: Any = None,
        probability: bool = True,
        solver: str = "auto",
        cache_mb: int = 500,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.gamma = gamma
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.probability = probability
        self.solver = solver
        self.cache_mb = cache_mb
        self.n_jobs = n_jobs
        self.random_state = random_state

    def estimate(self, n: int, d: int) -> FitCost:
        """Say what a fit to n rows of d columns will take, by what fits to FER-2013 features took.

        Parameters
        ----------
        n, d : int
            Rows and columns.

        Returns
        -------
        FitCost
            ``seconds`` on two cores of 2024 (to a factor of two or three: easier data, a small C or other machines make
            a difference), and ``bytes`` besides X.

        Examples
        --------
        >>> cost = RBFSVMClassifier(solver="scikit-learn").estimate(28_709, 2_560)
        >>> cost.seconds > 600, round(cost.bytes / 2**30, 1)
        (True, 1.9)
        """
        folds = CALIBRATION_FOLDS if self.probability else 0
        return estimate_cost(self._chosen_solver(), n, d, folds, self.cache_mb)

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        progress: Any = None,
        held_out: Any = None,
    ) -> RBFSVMClassifier:
        """Train all pairs, and calibrate them if `probability`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training rows.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional
            Weight of each row, at least 0; rows of weight 0 count as absent.
        groups : array-like of shape (n,), optional
            Rows of one group stay together in the folds of the calibration.
        held_out : array-like of bool, shape (n,), optional
            Of a predefined split: not trained on, and the calibration goes by them alone.
        progress : callable, optional
            Called as ``progress(done, total, what)`` after each of the fits.

        Returns
        -------
        RBFSVMClassifier
            Itself.

        Raises
        ------
        DataError
            If `y` holds one class only, or a parameter is out of its range.
        UnknownNameError
            If there is no such solver.

        Warns
        -----
        FusionferWarning
            Before a fit that is expected to take more than a minute or 4 GiB.
        """
        self._check_parameters()
        rows = training_rows(self, X, y, sample_weight, groups, self.class_weight, held_out=held_out)
        self.classes_ = rows.classes
        K = len(self.classes_)
        self.pairs_ = np.array([[-1], [1]], dtype=np.int8) if K == 2 else coding_matrix("onevsone", K)
        self.solver_ = self._chosen_solver()
        n, d = rows.X.shape
        say_cost(self.solver_, n, d, self.estimate(n, d))
        kernel = fit_kernel(rows.X, rows.weight, self.gamma, self.standardize)
        self.shift_, self.factor_, self.gamma_ = kernel.shift, kernel.factor, kernel.gamma
        Z = kernel.scaled(rows.X, rows.X.dtype if self.solver_ == "intelex" else np.float64)
        folds = np.zeros(0, dtype=np.intp)
        parts = [np.arange(len(Z))]
        if self.probability and rows.judging is None:
            folds = inner_folds(rows.y, CALIBRATION_FOLDS, self.random_state, rows.groups)
            parts += [np.flatnonzero(folds != fold) for fold in np.unique(folds)]
        n_fits = 1 if self.solver_ == "intelex" else self.n_jobs  # it has threads of its own
        steps = Parallel(n_jobs=n_fits, prefer="threads", return_as="generator")(
            delayed(self._solve)(Z, rows.y, rows.weight, part, rows.X.dtype) for part in parts
        )
        machines: list[_Machine] = []
        for machine in steps:
            machines.append(machine)
            if progress is not None:
                progress(len(machines), len(parts), "svm-rbf: fits")
        self.support_, self.support_vectors_, self.dual_coef_, self.intercept_, self.n_iter_ = machines[0]
        if self.probability:
            judging = rows.judging or JudgingRows(rows.X, rows.y, rows.weight)
            scores = np.zeros((len(judging.y), self.pairs_.shape[1]))
            for fold, machine in zip(np.unique(folds), machines[1:], strict=True):
                scores[folds == fold] = machine.scores(take_rows(rows.X, folds == fold), kernel)
            if rows.judging is not None:
                scores = machines[0].scores(judging.X, kernel)
            self.calibration_ = fit_sigmoid(scores, self.pairs_[judging.y], judging.weight)
            self.pair_weight_ = rows.weight @ np.abs(self.pairs_[rows.y])
        return self

    def _check_parameters(self) -> None:
        raise_complaints(
            self,
            above_zero("C", self.C),
            above_zero("gamma", self.gamma, also="scale"),
            above_zero("tol", self.tol),
            None if self.max_iter == -1 else whole_number("max_iter", self.max_iter, 1),
            whole_number("cache_mb", self.cache_mb, 1),
            yes_or_no("standardize", self.standardize),
            yes_or_no("probability", self.probability),
            thread_count("n_jobs", self.n_jobs),
        )
        if self.solver not in SOLVERS:
            raise unknown_name("solver", self.solver, SOLVERS)

    def _chosen_solver(self) -> str:
        there = importlib.util.find_spec("sklearnex") is not None
        if self.solver == "intelex" and not there:
            msg = (
                "solver='intelex' needs scikit-learn-intelex: pip install scikit-learn-intelex, or leave solver='auto'."
            )
            raise DataError(msg)
        return ("intelex" if there else "scikit-learn") if self.solver == "auto" else self.solver

    def _solve(self, Z: np.ndarray, y: np.ndarray, weight: np.ndarray, part: np.ndarray, dtype: Any) -> _Machine:
        """Fit all pairs to some rows of Z; the vectors are kept in `dtype`."""
        n_pairs = self.pairs_.shape[1]
        if len(np.unique(y[part])) < 2:  # without a fold, very few rows may be left: nothing learned, scores of 0
            nothing = np.zeros((0, n_pairs))
            return _Machine(part[:0], Z[:0].astype(dtype), nothing, np.zeros(n_pairs), np.zeros(n_pairs, dtype=int))
        options: dict[str, Any] = {"tol": self.tol, "max_iter": self.max_iter, "cache_size": self.cache_mb}
        if self.solver_ == "intelex":
            from sklearnex.svm import SVC

            options["n_jobs"] = self.n_jobs
        else:
            from sklearn.svm import SVC
        own = part if len(part) < len(Z) else slice(None)  # all rows are not copied once more
        machine = SVC(C=self.C, gamma=self.gamma_, **options).fit(Z[own], y[own], sample_weight=weight[own])
        support = part[machine.support_]
        dual_coef, intercept = _dual(machine, y[support], self.pairs_)
        return _Machine(support, Z[support].astype(dtype), dual_coef, intercept, np.atleast_1d(machine.n_iter_))

    def _scores(self, X: Any) -> np.ndarray:
        """Scores of all pairs, (n, P)."""
        X = rows_to_predict(self, X)
        machine = _Machine(self.support_, self.support_vectors_, self.dual_coef_, self.intercept_, self.n_iter_)
        return machine.scores(X, GaussianKernel(self.shift_, self.factor_, self.gamma_))

    def decision_function(self, X: Any) -> np.ndarray:
        """Score of each class.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K), or (n,) for two classes
            Votes of the pairs, plus less than a half by which margins break ties; the highest wins. With two classes,
            the score of the second.
        """
        scores = self._scores(X)
        if len(self.classes_) == 2:
            return scores[:, 0]
        votes = (scores > 0) @ (self.pairs_ > 0).T.astype(float) + (scores <= 0) @ (self.pairs_ < 0).T.astype(float)
        sums = scores @ self.pairs_.T
        return votes + sums / (3.0 * (np.abs(sums) + 1.0))

    def predict(self, X: Any) -> np.ndarray:
        """Label of each row (n,): the class with the highest score."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else np.argmax(scores, axis=1)]

    @available_if(is_calibrated)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, coupled from the calibrated pairs.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K)
            Rows sum to 1. The most probable class may differ from the predicted one where two classes are close.
        """
        posteriors = apply_sigmoid(self._scores(X), self.calibration_)
        if len(self.classes_) == 2:
            return np.hstack([1.0 - posteriors, posteriors])
        return couple(posteriors, self.pairs_, self.pair_weight_)


def _dual(machine: Any, y: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dual coefficients (m, P) and intercepts (P,), zeros for pairs without a class, from those of an SVC.

    An SVC has (k - 1, m) for the k classes that it saw: of a vector of class i, row j - (j > i) is its coefficient
    against class j. With two classes, the positive side is the second; else it is the first of a pair.
    """
    seen = machine.classes_
    compact, intercepts = np.asarray(machine.dual_coef_), np.asarray(machine.intercept_)
    dual, intercept = np.zeros((len(y), pairs.shape[1])), np.zeros(pairs.shape[1])
    number = 0
    for a, first in enumerate(seen):
        for b in range(a + 1, len(seen)):
            second = seen[b]
            (pair,) = np.flatnonzero((pairs[first] != 0) & (pairs[second] != 0))
            sign = float(pairs[first, pair]) * (-1.0 if len(seen) == 2 else 1.0)
            dual[y == first, pair] = sign * compact[b - 1, y == first]
            dual[y == second, pair] = sign * compact[a, y == second]
            intercept[pair] = sign * intercepts[number]
            number += 1
    return dual, intercept
