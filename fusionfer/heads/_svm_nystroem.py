"""Support vector machines with a Gaussian kernel that is approximated by features."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from fusionfer.heads._svm_kernel import GaussianKernel, fit_kernel
from fusionfer.heads._svm_linear import LinearSVMClassifier
from fusionfer.heads._training import (
    DTYPES,
    above_zero,
    is_calibrated,
    raise_complaints,
    training_rows,
    whole_number,
)

__all__ = ["NystroemSVMClassifier"]


class NystroemSVMClassifier(ClassifierMixin, BaseEstimator):
    """Support vector machines with a Gaussian kernel, approximated by features, one for each class against all others.

    With m training rows l_1 ... l_m, drawn at random, and K_mm = U S U^T the kernel between them, the features of x are

        z(x) = (k(x, l_1), ..., k(x, l_m)) U S^(-1/2),

    whose products are the best approximation of the kernel from these rows [1]_. On them `LinearSVMClassifier` is
    fitted. Time and memory grow with the number of rows, not with its square as for ``svm-rbf``: the features are an
    array of (n, m) in the dtype of X.

    Parameters
    ----------
    C : float or "auto"
        Cost of an error, see `LinearSVMClassifier`.
    n_components : int
        m, the number of rows that are drawn; at most all are.
    gamma : float or "scale"
        Of the kernel exp(-gamma ||x - z||^2). "scale" is 1 / (sum of the variances of the columns), as
        scikit-learn's for centred columns.
    standardize : bool
        Whether every column is brought to variance 1 first; see `RBFSVMClassifier`.
    loss : {"squared_hinge", "hinge", "logistic"}
        Of the margin.
    tol : float
        Relative duality gap at which a machine is done, above 0.
    max_iter : int
        Most steps for each machine, at least 1.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with `sample_weight`.
    probability : bool
        Whether to calibrate for `predict_proba` in `fit`, see `LinearSVMClassifier`.
    random_state : int, RandomState instance or None
        Draws the m rows, and the held-out folds. None draws the same as 0.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels, sorted.
    landmarks_ : ndarray, shape (m, d)
        The rows that were drawn, in the coordinates of the kernel.
    map_ : ndarray of float64, shape (m, r)
        U S^(-1/2), without the directions in which the kernel is zero to float32's precision.
    gamma_ : float
        gamma that was used.
    shift_, factor_ : ndarrays of float64, shape (d,)
        Taken off, and multiplied with, the columns.
    linear_ : LinearSVMClassifier
        Fitted to the features.
    n_iter_ : ndarray of int
        Steps of its machines.
    n_features_in_ : int
        Number of columns.

    References
    ----------
    .. [1] C. Williams, M. Seeger (2001). Using the Nystroem method to speed up kernel machines. Advances in Neural
       Information Processing Systems 13, 682-688.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> head = NystroemSVMClassifier(n_components=20).fit(X, y)
    >>> head.predict(X[[0, 60, 140]]), head.predict_proba(X[:2]).shape
    (array([0, 1, 2]), (2, 3))
    """

    def __init__(
        self,
        C: Any = 1.0,
        *,
        n_components: int = 1000,
        gamma: float | str = "scale",
        standardize: bool = False,
        loss: str = "squared_hinge",
        tol: float = 1e-3,
        max_iter: int = 1000,
        class_weight: Any = None,
        probability: bool = True,
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.n_components = n_components
        self.gamma = gamma
        self.standardize = standardize
        self.loss = loss
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.probability = probability
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, progress: Any = None
    ) -> NystroemSVMClassifier:
        """Draw rows, compute the features and train the machines on them.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training rows.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional
            Weight of each row, at least 0; rows of weight 0 count as absent.
        groups : array-like of shape (n,), optional
            Rows of one group are left out together where rows are left out.
        progress : callable, optional
            ``progress(done, total, what)``.

        Returns
        -------
        NystroemSVMClassifier
            Itself.

        Raises
        ------
        DataError
            If `y` holds one class only, or a parameter is out of its range.
        """
        raise_complaints(
            self,
            above_zero("C", self.C, also="auto"),
            whole_number("n_components", self.n_components, 1),
            above_zero("gamma", self.gamma, also="scale"),
        )
        rows = training_rows(self, X, y, sample_weight, groups, self.class_weight)
        self.classes_ = rows.classes
        kernel = fit_kernel(rows.X, rows.weight, self.gamma, self.standardize)
        self.shift_, self.factor_, self.gamma_ = kernel.shift, kernel.factor, kernel.gamma
        rng = check_random_state(0 if self.random_state is None else self.random_state)
        drawn = np.sort(rng.permutation(len(rows.X))[: self.n_components])
        self.landmarks_ = kernel.scaled(rows.X[drawn])
        self.map_ = _whitening(np.concatenate([values for _, values in kernel.between(rows.X[drawn], self.landmarks_)]))
        self.linear_ = LinearSVMClassifier(
            self.C,
            loss=self.loss,
            tol=self.tol,
            max_iter=self.max_iter,
            probability=self.probability,
            random_state=rng.randint(2**31 - 1),
        )
        self.linear_.fit(self._features(rows.X), rows.y, rows.weight, rows.groups, progress=progress)
        self.n_iter_ = self.linear_.n_iter_
        return self

    def features(self, X: Any) -> np.ndarray:
        """Return z(x) of rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of shape (n, r), in the dtype of X
            Their products approximate the kernel.
        """
        check_is_fitted(self)
        return self._features(validate_data(self, X, dtype=DTYPES, reset=False))

    def _features(self, X: np.ndarray) -> np.ndarray:
        kernel = GaussianKernel(self.shift_, self.factor_, self.gamma_)
        features = np.empty((len(X), self.map_.shape[1]), dtype=X.dtype)
        for rows, values in kernel.between(X, self.landmarks_):
            features[rows] = values @ self.map_
        return features

    def decision_function(self, X: Any) -> np.ndarray:
        """Score of each class.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K), or (n,) for two classes
            The highest wins; with two classes, the score of the second.
        """
        features = self.features(X)
        return self.linear_.decision_function(features)

    def predict(self, X: Any) -> np.ndarray:
        """Label of each row (n,): the class with the highest score."""
        features = self.features(X)
        best = self.linear_.predict(features)
        return self.classes_[best]

    @available_if(is_calibrated)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probability of each class, see `LinearSVMClassifier`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of float64, shape (n, K)
            Rows sum to 1.
        """
        features = self.features(X)
        return self.linear_.predict_proba(features)


def _whitening(K: np.ndarray) -> np.ndarray:
    """U S^(-1/2) of a symmetric kernel matrix (m, m), without directions that are zero in float32."""
    values, vectors = linalg.eigh((K + K.T) / 2.0, check_finite=False)
    kept = values > len(K) * float(np.finfo(np.float32).eps) * values[-1]
    return vectors[:, kept] / np.sqrt(values[kept])
