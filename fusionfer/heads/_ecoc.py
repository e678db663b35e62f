"""Error-correcting output codes over linear support vector machines, as MATLAB's ``fitcecoc`` builds them."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fusionfer.exceptions import DataError
from fusionfer.heads._hinge import HingeSolution, solve_hinge
from fusionfer.heads._platt import apply_platt, fit_platt, held_out_folds

__all__ = ["LinearECOCClassifier", "one_vs_all"]

_CALIBRATION_FOLDS = 3


def one_vs_all(n_classes: int) -> np.ndarray:
    """Code matrix (K, L) with one learner a class: +1 for the class, -1 for all others.

    Two classes need one learner only: the second would be its mirror image.
    """
    if n_classes == 2:
        return np.array([[-1], [1]], dtype=np.int8)
    return (2 * np.eye(n_classes) - 1).astype(np.int8)


def _has_probability(estimator: LinearECOCClassifier) -> bool:
    if not estimator.probability:
        msg = "predict_proba needs probability=True when the head is fitted."
        raise AttributeError(msg)
    return True


class LinearECOCClassifier(ClassifierMixin, BaseEstimator):
    """One linear support vector machine a class against all others; the highest score wins.

    The defaults are those of MATLAB's ``fitcecoc(X, Y, 'Learners', 'linear', 'Coding', 'onevsall')`` [1]_: each learner
    minimises, with hinge loss, ridge penalty and an intercept that is not penalised [2]_,

        lambda / 2 ||w||^2 + sum_i s_i max(0, 1 - y_i (x_i.w + b)) / sum_i s_i,    lambda = 1 / (C sum_i s_i).

    Times 1 / lambda this is scikit-learn's 1/2 ||w||^2 + sum_i C s_i max(0, ...), so that C = 1 is MATLAB's default
    lambda = 1 / n, and `SVC(kernel="linear", C=C)` is the same learner. Where ``fitclinear`` stops its stochastic
    solver early, this one ends on a proven duality gap. ``fitcecoc`` scales the weights of each class to its prior
    probability; with the default empirical prior this changes nothing.

    Parameters
    ----------
    C : float
        Cost of a violated margin, finite and more than 0; the larger, the weaker the penalty.
    tol : float
        Relative duality gap at which a learner is done, more than 0.
    max_iter : int
        Most sweeps and Newton steps, for each learner; at least 1.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with `sample_weight`.
    probability : bool
        Whether to calibrate for `predict_proba` in `fit`, which then takes about four times as long: the learners are
        fitted again on two thirds of the rows for each of three folds, and a sigmoid is fitted to the scores of the
        rows left out [3]_. Predictions do not depend on it.
    random_state : int, RandomState instance or None
        Draws the folds of the calibration. None draws the same folds as 0, so that a fit can be repeated.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels, sorted.
    code_matrix_ : ndarray of int8, shape (K, L)
        Side of each class in each learner. L is K; with two classes it is 1.
    coef_, intercept_ : ndarrays of float64, shapes (L, d) and (L,)
        Weights of the learners.
    lambda_ : float
        The penalty in MATLAB's parametrisation.
    objective_ : ndarray of float64, shape (L,)
        lambda / 2 ||w||^2 + mean weighted loss that was reached.
    gap_ : ndarray of float64, shape (L,)
        How far `objective_` may lie above the minimum, as a share of itself.
    n_iter_ : ndarray of int, shape (L,)
        Sweeps and Newton steps of each learner.
    calibration_ : ndarray of float64, shape (L, 2)
        Slope and offset of each learner's sigmoid; only with `probability`.
    n_features_in_ : int
        Number of columns.

    Notes
    -----
    Decoding: ``fitcecoc`` predicts the class with the least loss-weighted average of binary losses [4]_,
    sum_j |m_kj| g(m_kj s_j) / sum_j |m_kj|. With one learner a class this is, for class k,
    (g(s_k) - g(-s_k)) / K plus a term that all classes share, and for the hinge, g(s) = max(0, 1 - s) / 2, that
    difference falls strictly as s_k rises. So the least loss is the highest score, and `predict` takes that.

    The probabilities of the classes are those of the learners, divided by their sum. As each learner has its own
    sigmoid, the most probable class may differ from the predicted one where two scores are close.
    The calibration folds do not know groups: rows of one person may stand on both sides.

    References
    ----------
    .. [1] MathWorks, documentation of fitcecoc, https://www.mathworks.com/help/stats/fitcecoc.html
    .. [2] MathWorks, documentation of fitclinear and templateLinear (Learner "svm", Regularization "ridge", Lambda
       "auto" = 1 / n, FitBias true), https://www.mathworks.com/help/stats/templatelinear.html
    .. [3] J. Platt (1999). Probabilistic outputs for support vector machines.
    .. [4] S. Escalera, O. Pujol, P. Radeva (2010). On the decoding process in ternary error-correcting output codes.
       IEEE Transactions on Pattern Analysis and Machine Intelligence 32(1), 120-134.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> head = LinearECOCClassifier().fit(X, y)
    >>> head.predict(X[[0, 60, 140]]), bool(head.gap_.max() <= 1e-3)
    (array([0, 1, 2]), True)
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        tol: float = 1e-3,
        max_iter: int = 1000,
        class_weight: Any = None,
        probability: bool = True,
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.probability = probability
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LinearECOCClassifier:
        """Train the learners, and calibrate them if `probability`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training rows; float32 is used as it is.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional
            Weight of each row, at least 0.

        Returns
        -------
        LinearECOCClassifier
            Itself.

        Raises
        ------
        DataError
            If `y` holds one class only, or a parameter is out of its range.

        Warns
        -----
        ConvergenceWarning
            If a learner did not reach `tol` in `max_iter`.
        """
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if self.class_weight is not None:
            weight = weight * compute_sample_weight(self.class_weight, y)
        self.classes_, y_index = np.unique(y, return_inverse=True)
        counted = np.unique(y_index[weight > 0])
        if len(counted) < 2:
            which = f"of one class only, {str(self.classes_[counted[0]])!r}" if len(counted) else "with weight 0 only"
            msg = f"LinearECOCClassifier needs rows of at least two classes, got {len(y)} rows {which}."
            raise DataError(msg)
        self.code_matrix_ = one_vs_all(len(self.classes_))
        fit = self._solve(X, y_index, weight)
        total = weight.sum()
        self.lambda_ = 1.0 / (self.C * total)
        self.coef_, self.intercept_ = fit.coef, fit.intercept
        self.objective_ = fit.objective * self.lambda_
        self.gap_, self.n_iter_ = fit.gap, fit.n_iter
        if np.any(fit.gap > self.tol):
            worst = int(np.argmax(fit.gap))
            msg = (
                f"Learner {worst} stopped at a duality gap of {fit.gap[worst]:.2g} after {fit.n_iter[worst]} steps, "
                f"tol is {self.tol:g}. Scale the features, or raise max_iter or tol."
            )
            warnings.warn(msg, ConvergenceWarning, stacklevel=2)
        if self.probability:
            self.calibration_ = self._calibrate(X, y_index, weight)
        return self

    def _check_parameters(self) -> None:
        complaints = [
            f"{name} must be a finite number above 0, got {value!r}"
            for name, value in [("C", self.C), ("tol", self.tol)]
            if not (isinstance(value, Real) and 0 < value < np.inf)
        ]
        if not (isinstance(self.max_iter, Integral) and self.max_iter >= 1):
            complaints.append(f"max_iter must be a whole number of at least 1, got {self.max_iter!r}")
        if complaints:
            msg = f"LinearECOCClassifier: {'; '.join(complaints)}."
            raise DataError(msg)

    def _solve(self, X: np.ndarray, y_index: np.ndarray, weight: np.ndarray) -> HingeSolution:
        return solve_hinge(X, self.code_matrix_[y_index], self.C * weight, tol=self.tol, max_iter=int(self.max_iter))

    def _calibrate(self, X: np.ndarray, y_index: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Slope and offset of each learner (L, 2), from scores of rows that were left out of training."""
        rng = check_random_state(0 if self.random_state is None else self.random_state)
        folds = held_out_folds(y_index, _CALIBRATION_FOLDS, rng)
        scores = np.zeros((len(X), self.code_matrix_.shape[1]))
        for fold in np.unique(folds):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            fit = self._solve(X[inside], y_index[inside], weight[inside])
            scores[outside] = X[outside] @ fit.coef.T.astype(X.dtype) + fit.intercept
        sides = self.code_matrix_[y_index] > 0
        return np.array([fit_platt(scores[:, j], sides[:, j], weight) for j in range(scores.shape[1])])

    def _scores(self, X: Any) -> np.ndarray:
        """Scores of all learners, (n, L)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        # The few weights take the dtype of the many rows: the other way round X would be copied.
        return X @ self.coef_.T.astype(X.dtype) + self.intercept_

    def decision_function(self, X: Any) -> np.ndarray:
        """Score of each class.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K), or (n,) for two classes
            Distance from the margin's middle, in units of half the margin; the highest wins. With two classes, the
            score of the second.
        """
        scores = self._scores(X)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Label of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of shape (n,)
        """
        scores = self._scores(X)
        winner = (scores[:, 0] > 0).astype(np.intp) if len(self.classes_) == 2 else scores.argmax(axis=1)
        return self.classes_[winner]

    @available_if(_has_probability)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K)
            Rows sum to 1.
        """
        positive = apply_platt(self._scores(X), self.calibration_)
        if len(self.classes_) == 2:
            return np.column_stack([1.0 - positive, positive])
        positive = np.maximum(positive, np.finfo(np.float64).tiny)
        return positive / positive.sum(axis=1, keepdims=True)
