"""svm-nystroem: scikit-learn's features, many fits at once, held-out rows that stay out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.heads._jobs import FitJob
from fusionfer.heads._svm_kernel import fit_kernel
from fusionfer.heads._svm_nystroem import NystroemSVMClassifier
from fusionfer.matrices import MappedMatrix, in_pieces


def test_nystroem_features_are_those_of_scikit_learn(rows):
    """Products of the features are those of scikit-learn's Nystroem with the same rows; with all rows, the kernel."""
    X, y = rows(n=90)
    fitted = NystroemSVMClassifier(n_components=20, gamma=0.05, probability=False).fit(X, y)
    Z = fitted.features(X)
    landmarks = fitted.landmarks_ + fitted.shift_
    theirs = Nystroem(gamma=0.05, n_components=20).fit(landmarks).transform(X)
    assert Z.shape == (90, 20)
    assert_allclose(Z @ Z.T, theirs @ theirs.T, atol=1e-6)
    every = NystroemSVMClassifier(n_components=500, gamma=0.05, probability=False).fit(X, y)
    assert_allclose(every.features(X) @ every.features(X).T, rbf_kernel(X, gamma=0.05), atol=1e-4)


def test_nystroem_with_all_rows_is_the_kernel_machine(rows):
    """With hinge loss and all rows for features, a machine of two classes is that of SVC."""
    X, y = rows(2, n=100)
    fitted = NystroemSVMClassifier(n_components=100, loss="hinge", tol=1e-7, probability=False).fit(X, y)
    svc = SVC(gamma=fitted.gamma_, tol=1e-8).fit(X, y)
    assert_allclose(fitted.decision_function(X), svc.decision_function(X), atol=5e-3)


def test_nystroem_in_float32(rows):
    """Features are float32 where the rows are, and repeated rows, whose kernel is singular, are no trouble."""
    X, y = rows()
    X = np.vstack([X, X]).astype(np.float32)
    fitted = NystroemSVMClassifier(n_components=200, probability=False).fit(X, np.tile(y, 2))
    assert fitted.features(X).dtype == np.float32
    assert fitted.map_.shape[1] < 200
    assert np.all(np.isfinite(fitted.features(X)))


def test_nystroem_passes_on_what_the_machines_take(rows):
    """C="auto" is chosen on the features, and other seeds draw other rows."""
    X, y = rows()
    fitted = NystroemSVMClassifier("auto", n_components=30).fit(X, y)
    assert fitted.linear_.C_ in fitted.linear_.C_scores_
    other = NystroemSVMClassifier(n_components=30, random_state=1, probability=False).fit(X, y)
    assert not np.array_equal(other.landmarks_, fitted.landmarks_)


def test_nystroem_checks_before_it_computes(monkeypatch, rows):
    """Wrong parameters of the machines are refused before a kernel is computed."""
    monkeypatch.setattr("fusionfer.heads._svm_nystroem.fit_kernel", None)
    with pytest.raises(UnknownNameError, match=r"Unknown loss 'hing'\. Known losses: .* Did you mean 'hinge'\?"):
        NystroemSVMClassifier(loss="hing").fit(*rows())
    with pytest.raises(DataError, match="max_iter must be a whole number"):
        NystroemSVMClassifier(max_iter=0).fit(*rows())


def test_nystroem_fits_many(monkeypatch, rows):
    """Jobs over folds, columns, scalings and parameters are plain fits; one kernel serves those that differ by C."""
    X, y = rows(n=240)
    weight, groups = np.random.default_rng(0).integers(0, 3, 240) / 2, np.arange(240) // 4
    shift, factor = X.mean(axis=0), 1.0 / X.std(axis=0)
    jobs = [
        FitJob(inside, columns, shift[columns], factor[columns], params)
        for inside in (np.arange(160), np.arange(80, 240))
        for columns in (slice(0, 6), slice(1, 4))
        for params in ({"C": 0.1}, {"C": "auto"}, {"C": 2.0, "loss": "logistic"}, {"gamma": 0.3}, {"random_state": 7})
    ]
    head = NystroemSVMClassifier(n_components=30, tol=1e-8, class_weight="balanced")
    made, done = [], []
    monkeypatch.setattr(
        "fusionfer.heads._svm_nystroem.fit_kernel", lambda *given: made.append(given) or fit_kernel(*given)
    )
    together = head.fit_many(X, y, jobs, weight, groups, progress=lambda *step: done.append(step))
    assert len(made) == 4 * 3
    assert done[-1] == (20, 20, "svm-nystroem: fits")
    for job, many in zip(jobs, together, strict=True):
        Z = (X[job.rows, job.columns] - job.shift) * job.factor
        alone = clone(head).set_params(**job.params).fit(Z, y[job.rows], weight[job.rows], groups[job.rows])
        assert many.get_params() == alone.get_params()
        assert vars(many).keys() == vars(alone).keys()
        assert_array_equal(many.landmarks_, alone.landmarks_)
        assert_allclose(many.predict_proba(Z), alone.predict_proba(Z), atol=1e-3)


def test_nystroem_held_out_rows_stay_out(rows):
    """What the rows that a job leaves out hold changes nothing in its fit: no landmarks, scales or gamma."""
    X, y = rows(n=160)
    jobs = [FitJob(np.arange(100), slice(0, 6), np.zeros(6), np.ones(6), {"C": C}) for C in (0.1, 1.0)]
    strange = X.copy()
    strange[100:] = 1e3 * np.random.default_rng(0).normal(size=(60, 6))
    head = NystroemSVMClassifier(n_components=20, standardize=True)
    for one, other in zip(head.fit_many(X, y, jobs), head.fit_many(strange, y, jobs), strict=True):
        assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_nystroem_predicts_from_a_map_without_a_scratch_file(monkeypatch, rows):
    """Rows are read, and their features are forgotten, piece by piece; only `features` itself keeps them in a file."""
    X, y = rows(n=120)
    X = X.astype(np.float32)
    fitted = NystroemSVMClassifier(n_components=30).fit(X, y)
    Z = fitted.features(MappedMatrix([X]))
    assert_array_equal(np.asarray(Z), fitted.features(X))
    monkeypatch.setattr("fusionfer.heads._svm_nystroem.scratch_array", None)
    monkeypatch.setattr("fusionfer.heads._svm_nystroem.PIECE_BYTES", 4 * 30 * 7)
    monkeypatch.setattr(
        "fusionfer.heads._svm_nystroem.in_pieces",
        lambda work, X, most: sizes.append(most // (4 * X.shape[1])) or in_pieces(work, X, most),
    )
    sizes = []
    for ask in (fitted.predict_proba, fitted.decision_function):
        assert_allclose(ask(MappedMatrix([X])), ask(X), rtol=1e-5, atol=1e-6)
    assert_array_equal(fitted.predict(MappedMatrix([X])), fitted.predict(X))
    assert sizes == [7, 7, 7]
