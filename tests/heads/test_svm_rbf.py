"""svm-rbf: equal to scikit-learn's SVC, and it says its cost before it starts."""

import importlib
import sys
import tracemalloc
import types
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fusionfer.exceptions import DataError, FusionferWarning, UnknownNameError
from fusionfer.heads._svm_rbf import RBFSVMClassifier


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_rbf_is_svc(n_classes, rows):
    """Scores of the pairs, votes and labels are those of SVC, weights included."""
    X, y = rows(n_classes, n=200)
    weight = np.random.default_rng(1).uniform(0.2, 2.0, 200)
    fitted = RBFSVMClassifier(C=2.0, solver="scikit-learn", probability=False).fit(X, y, sample_weight=weight)
    svc = SVC(C=2.0, gamma=fitted.gamma_, break_ties=n_classes > 2, cache_size=500)
    svc.fit(X, y, sample_weight=weight)
    fresh = np.random.default_rng(2).normal(scale=5.0, size=(300, 6))
    assert_allclose(fitted.decision_function(fresh), svc.decision_function(fresh), rtol=1e-9, atol=1e-9)
    assert_array_equal(fitted.predict(fresh), svc.predict(fresh))
    assert_array_equal(fitted.support_, svc.support_)


def test_rbf_in_float32(rows):
    """Trained on float32 rows, the head keeps float32 vectors and predicts from float32 as SVC does from float64."""
    X, y = rows()
    X = X.astype(np.float32)
    fitted = RBFSVMClassifier(solver="scikit-learn", probability=False).fit(X, y)
    svc = SVC(gamma=fitted.gamma_, break_ties=True).fit(X.astype(np.float64), y)
    assert fitted.support_vectors_.dtype == np.float32
    assert_allclose(fitted.decision_function(X), svc.decision_function(X), atol=1e-4)


def test_rbf_prediction_makes_no_copy(monkeypatch, rows):
    """Predicting takes a fraction of the memory of the rows."""
    monkeypatch.setattr("fusionfer.heads._svm_kernel._CHUNK", 1 << 14)
    X, y = rows(n=60)
    fitted = RBFSVMClassifier(probability=False).fit(X.astype(np.float32), y)
    many = np.random.default_rng(0).normal(size=(200_000, 6)).astype(np.float32)
    tracemalloc.start()
    scores = fitted._scores(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scores.nbytes + many.nbytes / 2


def test_rbf_standardize_is_a_scaler_in_front(rows):
    """standardize=True is StandardScaler before the head."""
    X, y = rows()
    X = X * 10.0 ** np.arange(6)
    fitted = RBFSVMClassifier(standardize=True, solver="scikit-learn").fit(X, y)
    scaler = StandardScaler().fit(X)
    plain = RBFSVMClassifier(solver="scikit-learn").fit(scaler.transform(X), y)
    assert_allclose(fitted.predict_proba(X), plain.predict_proba(scaler.transform(X)), rtol=1e-6)
    assert np.mean(fitted.predict(X) == y) > np.mean(RBFSVMClassifier().fit(X, y).predict(X) == y) + 0.05


def test_rbf_in_threads_is_the_same(rows):
    """Fits at a time in threads change nothing, and every fit is reported."""
    X, y = rows()
    done = []
    fitted = RBFSVMClassifier(n_jobs=2).fit(X, y, progress=lambda *step: done.append(step))
    assert_array_equal(fitted.predict_proba(X), RBFSVMClassifier().fit(X, y).predict_proba(X))
    assert done == [(number, 4, "svm-rbf: fits") for number in (1, 2, 3, 4)]


def test_rbf_class_missing_in_a_fold(rows):
    """A class of one row is absent from one fold's machines; its pairs say nothing there, the others do."""
    X, y = rows(3, n=60)
    y[y == "neutral"] = "happy"
    y[0] = "neutral"
    fitted = RBFSVMClassifier().fit(X, y)
    proba = fitted.predict_proba(X)
    assert_allclose(proba.sum(axis=1), 1.0)
    assert_array_equal(fitted.classes_, ["angry", "happy", "neutral"])
    assert 0 < np.mean(proba[:, 2]) < 0.25
    assert np.mean(fitted.classes_[np.argmax(proba, axis=1)] == y) > 0.8


def test_rbf_says_its_cost_before_it_starts(monkeypatch, rows):
    """A fit that takes long or much memory is announced, with the copy, the time and what would be faster."""
    X, y = rows()
    small = RBFSVMClassifier(solver="scikit-learn").estimate(160, 6)
    assert small.seconds < 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RBFSVMClassifier().fit(X, y)
    monkeypatch.setattr("fusionfer.heads._svm_cost._SAY_FROM_SECONDS", small.seconds / 2)
    match = (
        r"svm-rbf on 160 rows of 6 columns will take about 0 s and 0\.5 GiB with the solver of scikit-learn, which "
        r"works on a float64 copy; with scikit-learn-intelex installed about 0 s, and with the head svm-nystroem"
    )
    with pytest.warns(FusionferWarning, match=match):
        RBFSVMClassifier(solver="scikit-learn").fit(X, y)


def test_estimates_grow_as_the_work_does():
    """Time grows with the square of the rows, calibration adds three fits to two thirds, memory holds the copy."""
    head = RBFSVMClassifier(solver="scikit-learn", probability=False, cache_mb=1)
    one, two = head.estimate(1000, 100), head.estimate(2000, 100)
    assert two.seconds == pytest.approx(4 * one.seconds)
    assert one.bytes > 8 * 1000 * 100
    assert RBFSVMClassifier(solver="scikit-learn").estimate(1000, 100).seconds == pytest.approx(one.seconds * 7 / 3)


def test_intelex_is_taken_where_it_is_installed(monkeypatch, rows):
    """ "auto" takes scikit-learn-intelex where it can be imported, which gets rows in their own dtype, and threads."""
    seen = []

    class Recorded(SVC):
        def __init__(self, n_jobs, **params):
            self.n_jobs = n_jobs
            super().__init__(**params)

        def fit(self, X, y, sample_weight=None):
            seen.append((X.dtype, self.n_jobs))
            return super().fit(X.astype(np.float64), y, sample_weight)

    module = types.ModuleType("sklearnex")
    module.__spec__ = importlib.machinery.ModuleSpec("sklearnex", None)
    machines = types.ModuleType("sklearnex.svm")
    machines.SVC = Recorded
    monkeypatch.setitem(sys.modules, "sklearnex", module)
    monkeypatch.setitem(sys.modules, "sklearnex.svm", machines)
    X, y = rows()
    X = X.astype(np.float32)
    fitted = RBFSVMClassifier(n_jobs=2).fit(X, y)
    assert fitted.solver_ == "intelex"
    assert seen == [(np.float32, 2)] * 4
    plain = RBFSVMClassifier(solver="scikit-learn").fit(X, y)
    assert plain.solver_ == "scikit-learn"
    assert len(seen) == 4
    assert_allclose(fitted.predict_proba(X), plain.predict_proba(X), atol=1e-3)


@pytest.mark.skipif(importlib.util.find_spec("sklearnex") is None, reason="scikit-learn-intelex is not installed")
def test_intelex_agrees(rows):
    """The real scikit-learn-intelex gives the same machines, to the solver's tolerance."""
    X, y = rows()
    one = RBFSVMClassifier(solver="intelex", tol=1e-6, probability=False).fit(X, y)
    two = RBFSVMClassifier(solver="scikit-learn", tol=1e-6, probability=False).fit(X, y)
    assert_allclose(one._scores(X), two._scores(X), atol=1e-4)


def test_solvers_that_are_not_there(monkeypatch, rows):
    """A solver that is not installed, or unknown, is a named error."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="solver='intelex' needs scikit-learn-intelex: pip install"):
        RBFSVMClassifier(solver="intelex").fit(*rows())
    with pytest.raises(UnknownNameError, match=r"Unknown solver 'intel'. Known solvers: .* Did you mean 'intelex'\?"):
        RBFSVMClassifier(solver="intel").fit(*rows())
