"""Support vector machines with a Gaussian kernel that is approximated by features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import joblib
import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if

from fusionfer.exceptions import unknown_name
from fusionfer.heads._jobs import FitJob
from fusionfer.heads._svm_kernel import GaussianKernel, fit_kernel
from fusionfer.heads._svm_linear import LinearSVMClassifier
from fusionfer.heads._training import (
    TrainingRows,
    above_zero,
    checked_held_out,
    finite_piece,
    is_calibrated,
    raise_complaints,
    rows_to_predict,
    shared_rows,
    thread_count,
    training_rows,
    whole_number,
    yes_or_no,
)
from fusionfer.heads.linear import LOSSES
from fusionfer.heads.linear._threads import at_most
from fusionfer.matrices import PIECE_BYTES, MappedMatrix, in_pieces, is_mapped, scratch_array

__all__ = ["NystroemSVMClassifier"]

# Parameters of the machines; the others decide on the features.
_OF_THE_MACHINES = ("C", "loss", "tol", "max_iter", "probability", "n_jobs")
_OF_THE_FEATURES = ("classes_", "n_features_in_", "shift_", "factor_", "gamma_", "landmarks_", "map_")

Progress = Callable[[int, int, str], None]


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
    n_jobs : int or None
        Threads of the matrix products of `fit`, as joblib counts them; None for as many as BLAS takes. Results differ
        by rounding, so within `tol`.
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
    feature_names_in_ : ndarray of shape (d,)
        Their names; only where X was a data frame.

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
        n_jobs: int | None = None,
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
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        progress: Progress | None = None,
        held_out: Any = None,
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
        held_out : array-like of bool, shape (n,), optional
            Of a predefined split: not trained on, and C and the calibration are chosen by them alone.
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
        UnknownNameError
            If there is no such loss.
        """
        self._check_parameters()
        rows = training_rows(self, X, y, sample_weight, groups, self.class_weight, held_out=held_out)
        with at_most(self.n_jobs):
            seed = self._fit_features(rows)
            machines = LinearSVMClassifier(**self._machine_params(seed))
            given = self._machine_rows(rows)
            machines.fit(given.pop("X"), given.pop("y"), **given, progress=progress)
        return self._accept(machines)

    def fit_many(
        self,
        X: Any,
        y: Any,
        jobs: Sequence[FitJob],
        sample_weight: Any = None,
        groups: Any = None,
        progress: Progress | None = None,
        held_out: Any = None,
    ) -> list[NystroemSVMClassifier]:
        """Fit one clone a job; those of the same rows, columns and kernel share the features and one joint solution.

        Rows are drawn, and the kernel is scaled, from the rows of a job alone, so that nothing of held-out rows gets
        into a fit: folds have features of their own, values of C have them in common.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows of all jobs.
        y, sample_weight, groups, held_out : array-like of shape (n,)
            As in `fit`.
        jobs : sequence of FitJob
            Rows, columns, scaling and parameters of each fit.
        progress : callable, optional
            ``progress(done, total, what)``, called with the number of jobs done.

        Returns
        -------
        list of NystroemSVMClassifier
            Equal, within `tol`, to plain fits, see `fusionfer.heads.FitJob`.

        Raises
        ------
        DataError, UnknownNameError
            As in `fit`.
        """
        X, y, weight, groups = shared_rows(X, y, sample_weight, groups)
        held = checked_held_out(held_out, len(y))
        heads = [clone(self).set_params(**job.params) for job in jobs]
        alike: dict[str, list[int]] = {}
        for at, (head, job) in enumerate(zip(heads, jobs, strict=True)):
            head._check_parameters()
            given = {name: value for name, value in head.get_params().items() if name not in _OF_THE_MACHINES}
            alike.setdefault(joblib.hash((given, job.rows, job.columns, job.shift, job.factor)), []).append(at)
        done = 0
        with at_most(self.n_jobs):
            for members in alike.values():
                first = jobs[members[0]]
                own, apart = (None if values is None else values[first.rows] for values in (groups, held))
                _fit_alike([heads[at] for at in members], X, y, weight, first, own, apart)
                done += len(members)
                if progress is not None:
                    progress(done, len(jobs), "svm-nystroem: fits")
        return heads

    def _check_parameters(self) -> None:
        raise_complaints(
            self,
            above_zero("C", self.C, also="auto"),
            whole_number("n_components", self.n_components, 1),
            above_zero("gamma", self.gamma, also="scale"),
            yes_or_no("standardize", self.standardize),
            above_zero("tol", self.tol),
            whole_number("max_iter", self.max_iter, 1),
            yes_or_no("probability", self.probability),
            thread_count("n_jobs", self.n_jobs),
        )
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES, plural="losses")

    def _fit_features(self, rows: TrainingRows) -> int:
        """Scale the kernel, draw rows; return the seed for the folds of the machines."""
        self.classes_ = rows.classes
        kernel = fit_kernel(rows.X, rows.weight, self.gamma, self.standardize)
        self.shift_, self.factor_, self.gamma_ = kernel.shift, kernel.factor, kernel.gamma
        rng = check_random_state(0 if self.random_state is None else self.random_state)
        drawn = np.sort(rng.permutation(len(rows.X))[: self.n_components])
        self.landmarks_ = kernel.scaled(rows.X[drawn])
        self.map_ = _whitening(np.concatenate([values for _, values in kernel.between(rows.X[drawn], self.landmarks_)]))
        return int(rng.randint(2**31 - 1))

    def _machine_rows(self, rows: TrainingRows) -> dict[str, Any]:
        """What the machines are fitted to: the features, and those of the rows that are held out."""
        if rows.judging is None:
            features = self._features(rows.X)
            return {"X": features, "y": rows.y, "sample_weight": rows.weight, "groups": rows.groups}
        return {
            "X": self._features(rows.X, rows.judging.X),
            "y": np.concatenate([rows.y, rows.judging.y]),
            "sample_weight": np.concatenate([rows.weight, rows.judging.weight]),
            "held_out": np.arange(len(rows.y) + len(rows.judging.y)) >= len(rows.y),
        }

    def _machine_params(self, seed: int) -> dict[str, Any]:
        """Parameters of the machines; class weights are in the weights of the rows already."""
        return {**{name: getattr(self, name) for name in _OF_THE_MACHINES}, "random_state": seed}

    def _accept(self, machines: LinearSVMClassifier) -> NystroemSVMClassifier:
        self.linear_, self.n_iter_ = machines, machines.n_iter_
        return self

    def features(self, X: Any) -> np.ndarray:
        """Return z(x) of rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows.

        Returns
        -------
        ndarray or MappedMatrix of shape (n, r), in the dtype of X
            Their products approximate the kernel. Those of a MappedMatrix are one too: they are written to a scratch
            file (`fusionfer.matrices.scratch_array`). The predictions below need none.

        Raises
        ------
        StoreFullError
            If the disk has no room for the scratch file.
        """
        return self._features(rows_to_predict(self, X))

    def _features(self, *parts: Any) -> Any:
        """z(x) of the rows of all parts, one after the other; in a scratch file where they come from files."""
        kernel = GaussianKernel(self.shift_, self.factor_, self.gamma_)
        shape, dtype = (sum(map(len, parts)), self.map_.shape[1]), parts[0].dtype
        scratch = is_mapped(parts[0])
        features = scratch_array(shape, dtype, "The features of svm-nystroem") if scratch else np.empty(shape, dtype)
        end = 0
        for X in parts:
            start, end = end, end + len(X)
            for rows, values in kernel.between(X, self.landmarks_):
                features[start:end][rows] = values @ self.map_
        return MappedMatrix([features]) if scratch else features

    def _ask(self, what: str, X: Any) -> np.ndarray:
        """What the machines say of rows; of a matrix that stays in its files piece by piece, with no features kept."""
        X = rows_to_predict(self, X)
        ask = getattr(self.linear_, what)
        if not is_mapped(X):
            return ask(self._features(X))
        # Rows and features of a piece are about as large as a piece of X is elsewhere.
        most = PIECE_BYTES * X.shape[1] // max(X.shape[1], len(self.landmarks_))
        return in_pieces(lambda rows: ask(self._features(finite_piece(self, rows))), X, most)

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
        return self._ask("decision_function", X)

    def predict(self, X: Any) -> np.ndarray:
        """Label of each row (n,): the class with the highest score."""
        best = self._ask("predict", X)
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
        return self._ask("predict_proba", X)


def _fit_alike(
    heads: list[NystroemSVMClassifier],
    X: Any,
    y: np.ndarray,
    weight: np.ndarray,
    job: FitJob,
    groups: Any,
    held_out: np.ndarray | None,
) -> None:
    """Fit heads that have rows, columns and kernel in common: those of `job`, whose rows have these `groups`."""
    if is_mapped(X):
        Z = X.rows(job.rows).columns(job.columns).scaled(job.shift, job.factor)
    else:
        Z = X[job.rows, job.columns]
        Z -= job.shift.astype(Z.dtype)
        Z *= job.factor.astype(Z.dtype)
    first = heads[0]
    rows = training_rows(first, Z, y[job.rows], weight[job.rows], groups, first.class_weight, held_out=held_out)
    seed = first._fit_features(rows)
    given = first._machine_rows(rows)
    n, width = given["X"].shape
    every, unscaled = np.arange(n), (np.zeros(width), np.ones(width))
    shared = [FitJob(every, slice(0, width), *unscaled, head._machine_params(seed)) for head in heads]
    fitted = LinearSVMClassifier().fit_many(jobs=shared, **given)
    for head, machines in zip(heads, fitted, strict=True):
        for name in _OF_THE_FEATURES:
            setattr(head, name, getattr(first, name))
        head._accept(machines)


def _whitening(K: np.ndarray) -> np.ndarray:
    """U S^(-1/2) of a symmetric kernel matrix (m, m), without directions that are zero in float32."""
    values, vectors = linalg.eigh((K + K.T) / 2.0, check_finite=False)
    kept = values > len(K) * float(np.finfo(np.float32).eps) * values[-1]
    return vectors[:, kept] / np.sqrt(values[kept])
