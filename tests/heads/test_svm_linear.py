"""svm-linear: equal to scikit-learn's machines where they solve the same."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.svm import SVC, LinearSVC

from fusionfer.heads._jobs import FitJob
from fusionfer.heads._spread import C_GRID
from fusionfer.heads._svm_linear import LinearSVMClassifier
from fusionfer.heads.ecoc import ECOCClassifier


def test_linear_is_linear_svc(rows):
    """On centred data with a penalised intercept out of the way, coefficients are those of LIBLINEAR."""
    X, y = rows(n=300)
    fitted = LinearSVMClassifier(C=0.01, tol=1e-9, probability=False).fit(X, y)
    svc = LinearSVC(C=0.01, intercept_scaling=1e3, tol=1e-8, max_iter=100_000, dual=False).fit(X, y)
    assert_allclose(fitted.coef_, svc.coef_, rtol=2e-3, atol=1e-5)
    assert_allclose(fitted.intercept_, svc.intercept_, rtol=2e-3, atol=1e-4)


def test_hinge_is_svc_with_a_linear_kernel(rows):
    """With hinge loss a machine is the one of SVC, whose intercept is free."""
    X, y = rows(2, n=120)
    fitted = LinearSVMClassifier(C=0.1, loss="hinge", tol=1e-8, probability=False).fit(X, y)
    svc = SVC(kernel="linear", C=0.1, tol=1e-9).fit(X, y)
    assert_allclose(fitted.coef_, svc.coef_, rtol=1e-3, atol=1e-5)
    assert_allclose(fitted.decision_function(X), svc.decision_function(X), rtol=1e-3, atol=1e-3)


def test_linear_is_an_ecoc_with_one_coding(rows):
    """The head is the ECOC in its default coding: the same numbers, and only its own parameters."""
    X, y = rows()
    fitted = LinearSVMClassifier(C=0.1).fit(X, y)
    ecoc = ECOCClassifier(C=0.1, loss="squared_hinge", binary_loss="hinge").fit(X, y)
    assert_array_equal(fitted.predict_proba(X), ecoc.predict_proba(X))
    own = {"C", "loss", "tol", "max_iter", "class_weight", "probability", "n_jobs", "random_state"}
    assert set(fitted.get_params()) == own
    assert clone(fitted).get_params() == fitted.get_params()
    assert "coding" not in vars(fitted)
    assert repr(LinearSVMClassifier(C=3)) == "LinearSVMClassifier(C=3)"


def test_linear_chooses_c(rows):
    """C="auto" takes a value of its grid, on rows of the training data alone, and says how each did."""
    X, y = rows(n=200)
    fitted = LinearSVMClassifier("auto").fit(X, y)
    assert_allclose(list(fitted.C_scores_), np.array(C_GRID) / X.var(axis=0).sum(), rtol=1e-6)
    text = f"of {len(C_GRID)} values from {C_GRID[0]:g} to {C_GRID[-1]:g} times 1 / (mean squared distance"
    assert text in " ".join(LinearSVMClassifier.__doc__.split())
    assert min(fitted.C_scores_, key=lambda C: (fitted.C_scores_[C], C)) == fitted.C_
    assert_allclose(fitted.coef_, LinearSVMClassifier(fitted.C_).fit(X, y).coef_, rtol=0.1, atol=0.02)


def test_linear_fits_many(rows):
    """Jobs over folds, columns, scalings and C are what plain fits give."""
    X, y = rows(n=200)
    head = LinearSVMClassifier(tol=1e-8, probability=False)
    shift, factor = X.mean(axis=0), 1.0 / X.std(axis=0)
    jobs = [
        FitJob(np.arange(0, 200, 2), slice(0, 6), shift, factor, {"C": 0.5}),
        FitJob(np.arange(150), slice(1, 4), shift[1:4], factor[1:4], {"loss": "logistic"}),
    ]
    for job, many in zip(jobs, head.fit_many(X, y, jobs), strict=True):
        Z = (X[job.rows, job.columns] - job.shift) * job.factor
        alone = clone(head).set_params(**job.params).fit(Z, y[job.rows])
        assert type(many) is LinearSVMClassifier
        assert_allclose(many.coef_, alone.coef_, rtol=1e-3, atol=1e-5)
        assert_array_equal(many.predict(Z), alone.predict(Z))
