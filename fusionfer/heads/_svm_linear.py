"""Linear support vector machines, one for each class against all others."""

from __future__ import annotations

from typing import Any

from fusionfer.heads.ecoc import ECOCClassifier

__all__ = ["LinearSVMClassifier"]


class LinearSVMClassifier(ECOCClassifier):
    """Linear support vector machines, one for each class against all others; the highest score wins.

    All machines are solved together by matrix products (`fusionfer.heads.linear`); each minimises

        1/2 ||w||^2 + C sum_i s_i loss(y_i (x_i.w + b)),

    with s the weights of the rows and an intercept b that is not penalised. With the defaults that is the objective of
    scikit-learn's `LinearSVC`, but for LIBLINEAR's penalty on the intercept [1]_. This head is the `ECOCClassifier` in
    one coding and with one decoding: those parameters are fixed, all methods are its own.

    Parameters
    ----------
    C : float or "auto"
        Cost of an error, above 0. "auto" takes, of 11 values from 0.001 to 100 times 1 / (mean squared distance of a
        row from the mean row), the one with the largest weighted accuracy on held-out rows of the training data; of
        equals the smallest.
    loss : {"squared_hinge", "hinge", "logistic"}
        max(0, 1 - m)^2, max(0, 1 - m) or log(1 + exp(-m)) of the margin m.
    tol : float
        Relative duality gap at which a machine is done, above 0.
    max_iter : int
        Most steps for each machine, at least 1.
    class_weight : dict, "balanced" or None
        Weight of each class, multiplied with `sample_weight`.
    probability : bool
        Whether to calibrate for `predict_proba` in `fit`: a sigmoid for each machine, fitted to the scores of rows
        that were left out [2]_, on three folds. Predictions do not depend on it.
    n_jobs : int or None
        Threads of the matrix products of `fit`, as joblib counts them; None for as many as BLAS takes. Results differ
        by rounding, so within `tol`.
    random_state : int, RandomState instance or None
        Draws the held-out folds. None draws the same folds as 0.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels of rows with weight, sorted.
    coef_, intercept_ : ndarrays of float64, shapes (K, d) and (K,)
        Weights of the machines; (1, d) and (1,) for two classes.
    C_ : float
        Cost that was used.
    C_scores_ : dict of float to float
        Mean held-out cost of each C; only with ``C="auto"``.
    calibration_ : ndarray of float64, shape (K, 2)
        Slope and offset of each machine's sigmoid; only with `probability`.
    gap_ : ndarray of float64, shape (K,)
        How far the objective may lie above its minimum, as a share of itself.
    n_iter_ : ndarray of int, shape (K,)
        Steps.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (d,)
        Their names; only where X was a data frame.

    See Also
    --------
    ECOCClassifier : Other codings, decodings and learners.

    References
    ----------
    .. [1] R.-E. Fan, K.-W. Chang, C.-J. Hsieh, X.-R. Wang, C.-J. Lin (2008). LIBLINEAR: a library for large linear
       classification. Journal of Machine Learning Research 9, 1871-1874.
    .. [2] J. Platt (1999). Probabilistic outputs for support vector machines.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> head = LinearSVMClassifier().fit(X, y)
    >>> head.predict(X[[0, 60, 140]]), head.coef_.shape, bool(head.gap_.max() <= 1e-3)
    (array([0, 1, 2]), (3, 4), True)
    """

    # What ECOCClassifier takes as parameters.
    coding = "onevsall"
    decoding = "lossweighted"
    binary_loss = "hinge"
    learner = None
    prior = "empirical"
    cost = None
    max_learners = 1000

    def __init__(
        self,
        C: Any = 1.0,
        *,
        loss: str = "squared_hinge",
        tol: float = 1e-3,
        max_iter: int = 1000,
        class_weight: Any = None,
        probability: bool = True,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        # Not super().__init__: it would store the fixed ones as attributes of every instance.
        self.C = C
        self.loss = loss
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.probability = probability
        self.n_jobs = n_jobs
        self.random_state = random_state
