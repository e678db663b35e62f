"""Support vector machines: equal to scikit-learn's where they solve the same, honest about cost, and calibrated."""

import importlib
import sys
import tracemalloc
import types
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics import log_loss
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from fusionfer.exceptions import DataError, FusionferWarning, UnknownNameError
from fusionfer.heads._jobs import FitJob
from fusionfer.heads._spread import C_GRID
from fusionfer.heads._svm_kernel import GaussianKernel, fit_kernel
from fusionfer.heads._svm_linear import LinearSVMClassifier
from fusionfer.heads._svm_nystroem import NystroemSVMClassifier
from fusionfer.heads._svm_rbf import RBFSVMClassifier
from fusionfer.heads.ecoc import ECOCClassifier

HEADS = [LinearSVMClassifier, NystroemSVMClassifier, RBFSVMClassifier]


def rows(n_classes=4, n=160, d=6, seed=0, std=4.0):
    """Overlapping blobs with names for classes."""
    X, y = make_blobs(n, n_features=d, centers=n_classes, cluster_std=std, random_state=seed)
    return X - X.mean(axis=0), np.array(["angry", "happy", "neutral", "sad", "surprise"])[y]


# --- all three


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities(head, n_classes):
    """Probabilities sum to one, are calibrated on rows left out, and leave predictions as they are without them."""
    X, y = rows(n_classes, n=400)
    fitted = head().fit(X[:200], y[:200])
    proba = fitted.predict_proba(X[200:])
    assert proba.shape == (200, n_classes)
    assert_allclose(proba.sum(axis=1), 1.0)
    frequencies = np.array([np.mean(y[:200] == label) for label in fitted.classes_])
    assert log_loss(y[200:], proba) < 0.7 * log_loss(y[200:], np.tile(frequencies, (200, 1)))
    plain = head(probability=False).fit(X[:200], y[:200])
    assert not hasattr(plain, "predict_proba")
    assert_array_equal(plain.predict(X), fitted.predict(X))
    with pytest.raises(AttributeError, match="has no attribute 'predict_proba'"):
        _ = plain.predict_proba


@pytest.mark.parametrize("head", HEADS)
def test_prediction_is_the_highest_score(head):
    """`predict` is the argmax of `decision_function`, or its sign for two classes."""
    for n_classes in (2, 4):
        X, y = rows(n_classes)
        fitted = head(probability=False).fit(X, y)
        scores = fitted.decision_function(X)
        best = (scores > 0).astype(int) if n_classes == 2 else np.argmax(scores, axis=1)
        assert_array_equal(fitted.predict(X), fitted.classes_[best])
        assert fitted.predict(X).dtype == y.dtype


@pytest.mark.parametrize("head", HEADS)
def test_rows_of_weight_zero_are_absent(head):
    """Rows of weight 0 change nothing, not even the classes."""
    X, y = rows()
    weight = np.where(y == "sad", 0.0, np.random.default_rng(0).uniform(0.5, 2.0, len(y)))
    fitted = head(tol=1e-9).fit(X, y, sample_weight=weight)
    left = head(tol=1e-9).fit(X[weight > 0], y[weight > 0], sample_weight=weight[weight > 0])
    assert fitted.classes_.tolist() == ["angry", "happy", "neutral"]
    assert_allclose(fitted.decision_function(X), left.decision_function(X), rtol=1e-3, atol=1e-4)
    assert_allclose(fitted.predict_proba(X), left.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_class_weights_are_sample_weights(head):
    """A class weight is the weight of all its rows."""
    X, y = rows()
    by_class = head(class_weight={"angry": 3.0, "happy": 1.0, "neutral": 1.0, "sad": 1.0}).fit(X, y)
    by_row = head().fit(X, y, sample_weight=np.where(y == "angry", 3.0, 1.0))
    assert_allclose(by_class.predict_proba(X), by_row.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("head", HEADS)
def test_groups_stay_together(head, monkeypatch):
    """Rows of one group reach the folds of the calibration as one group."""
    X, y = rows(n=120)
    groups = np.arange(120) // 3
    seen = []
    for module in ("fusionfer.heads._svm_rbf", "fusionfer.heads.ecoc._planning"):
        namespace = importlib.import_module(module)
        inner = namespace.inner_folds

        def spy(y, n_folds, random_state=None, groups=None, *more, inner=inner):
            folds = inner(y, n_folds, random_state, groups, *more)
            seen.append((folds, np.asarray(groups)))
            return folds

        monkeypatch.setattr(namespace, "inner_folds", spy)
    head().fit(X, y, groups=groups)
    ((folds, given),) = seen
    assert_array_equal(given, groups)
    assert all(len(set(folds[groups == group])) == 1 for group in groups)


@pytest.mark.parametrize("head", HEADS)
def test_the_same_fit_twice(head):
    """Same data, same seed: the same bits; None is a seed too."""
    X, y = rows()
    for seed in (None, 3):
        one, two = (head(random_state=seed).fit(X, y) for _ in range(2))
        assert_array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize("head", HEADS)
def test_very_few_rows(head):
    """Two rows a class, fewer than there are folds, are still a fit with probabilities."""
    X = np.array([[0.0, 0.0], [0.1, 0.2], [5.0, 5.0], [5.1, 5.2], [-5.0, 5.0], [-5.1, 5.2]])
    y = np.array(["a", "a", "b", "b", "c", "c"])
    fitted = head(C=10.0).fit(X, y)
    assert_array_equal(fitted.predict(X), y)
    assert np.all(np.isfinite(fitted.predict_proba(X)))
    assert np.all(np.isfinite(head().fit(X[:3], y[:3]).predict_proba(X)))


@pytest.mark.parametrize("head", HEADS)
def test_one_class_is_an_error(head):
    """One class cannot be learned, and the error names head and class."""
    X, _ = rows()
    with pytest.raises(DataError, match=rf"{head.__name__} needs rows of at least two classes, got 5 .* 'sad'"):
        head().fit(X[:5], ["sad"] * 5)


@pytest.mark.parametrize(
    ("head", "params", "match"),
    [
        (
            RBFSVMClassifier,
            {"C": 0, "gamma": "auto"},
            "C must be a finite number above 0, got 0; gamma must",
        ),
        (
            RBFSVMClassifier,
            {"tol": np.nan, "max_iter": 0, "cache_mb": 0.5},
            "tol must .*; max_iter must .*; cache_mb",
        ),
        (
            NystroemSVMClassifier,
            {"n_components": 0, "gamma": -1.0},
            "n_components must be a whole .*; gamma must",
        ),
        (
            NystroemSVMClassifier,
            {"C": -1, "tol": 0, "max_iter": 1.5, "standardize": "no"},
            "C must .* got -1; standardize must .* got 'no'; tol must .* got 0; max_iter must .* got 1.5",
        ),
        (NystroemSVMClassifier, {"C": "Auto"}, "C must be 'auto' or a finite number above 0, got 'Auto'"),
        (LinearSVMClassifier, {"C": -1, "tol": 0}, "C must be .* got -1; tol must be .* got 0"),
    ],
)
def test_parameters_out_of_range(head, params, match):
    """Wrong parameters are named, all at once, with the head."""
    with pytest.raises(DataError, match=f"{head.__name__}: {match}"):
        head(**params).fit(*rows())


# --- svm-linear


def test_linear_is_linear_svc():
    """On centred data with a penalised intercept out of the way, coefficients are those of LIBLINEAR."""
    X, y = rows(n=300)
    fitted = LinearSVMClassifier(C=0.01, tol=1e-9, probability=False).fit(X, y)
    svc = LinearSVC(C=0.01, intercept_scaling=1e3, tol=1e-8, max_iter=100_000, dual=False).fit(X, y)
    assert_allclose(fitted.coef_, svc.coef_, rtol=2e-3, atol=1e-5)
    assert_allclose(fitted.intercept_, svc.intercept_, rtol=2e-3, atol=1e-4)


def test_hinge_is_svc_with_a_linear_kernel():
    """With hinge loss a machine is the one of SVC, whose intercept is free."""
    X, y = rows(2, n=120)
    fitted = LinearSVMClassifier(C=0.1, loss="hinge", tol=1e-8, probability=False).fit(X, y)
    svc = SVC(kernel="linear", C=0.1, tol=1e-9).fit(X, y)
    assert_allclose(fitted.coef_, svc.coef_, rtol=1e-3, atol=1e-5)
    assert_allclose(fitted.decision_function(X), svc.decision_function(X), rtol=1e-3, atol=1e-3)


def test_linear_is_an_ecoc_with_one_coding():
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


def test_linear_chooses_c():
    """C="auto" takes a value of its grid, on rows of the training data alone, and says how each did."""
    X, y = rows(n=200)
    fitted = LinearSVMClassifier("auto").fit(X, y)
    assert_allclose(list(fitted.C_scores_), np.array(C_GRID) / X.var(axis=0).sum(), rtol=1e-6)
    text = f"of {len(C_GRID)} values from {C_GRID[0]:g} to {C_GRID[-1]:g} times 1 / (mean squared distance"
    assert text in " ".join(LinearSVMClassifier.__doc__.split())
    assert min(fitted.C_scores_, key=lambda C: (fitted.C_scores_[C], C)) == fitted.C_
    assert_allclose(fitted.coef_, LinearSVMClassifier(fitted.C_).fit(X, y).coef_, rtol=0.1, atol=0.02)


def test_linear_fits_many():
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


# --- the kernel


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernel(dtype):
    """The kernel in pieces is scikit-learn's, in float32 too where columns lie far from 0."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(300, 7)) + 100.0).astype(dtype)
    kernel = fit_kernel(X, np.ones(300), 0.1, standardize=False)
    points = kernel.scaled(X[:20])
    assert points.dtype == dtype
    whole = np.concatenate([values for _, values in kernel.between(X, points)])
    expected = rbf_kernel(X.astype(np.float64), X[:20].astype(np.float64), gamma=0.1)
    assert_allclose(whole, expected, rtol=2e-5 if dtype == np.float32 else 1e-10)


def test_kernel_pieces(monkeypatch):
    """Pieces cover all rows once, in order, however small."""
    monkeypatch.setattr("fusionfer.heads._svm_kernel._CHUNK", 16)
    X = np.random.default_rng(0).normal(size=(11, 3))
    kernel = GaussianKernel(np.zeros(3), np.ones(3), 1.0)
    pieces = list(kernel.between(X, X[:4]))
    assert [(piece.start, piece.stop) for piece, _ in pieces] == [(0, 4), (4, 8), (8, 11)]
    assert_allclose(np.concatenate([values for _, values in pieces]), rbf_kernel(X, X[:4], gamma=1.0))


def test_gamma_scale_and_standardize():
    """ "scale" is scikit-learn's for centred columns, weights are repetitions; standardising makes columns alike."""
    X, _ = rows()
    assert_allclose(fit_kernel(X, np.ones(160), "scale", False).gamma, 1.0 / (6 * X.var()))
    weight = np.arange(160.0) % 3
    repeated = np.repeat(X, weight.astype(int), axis=0)
    assert_allclose(
        fit_kernel(X, weight, "scale", False).gamma, fit_kernel(repeated, np.ones(len(repeated)), "scale", False).gamma
    )
    wild = X * 10.0 ** np.arange(6) + 7.0
    wild[:, 2] = 0.1  # rounding must not make a constant column vary
    kernel = fit_kernel(wild, np.ones(160), "scale", True)
    assert_allclose(kernel.gamma, 1.0 / 5)
    expected = StandardScaler().fit_transform(wild)
    assert_allclose(kernel.scaled(wild), expected, atol=1e-9)
    assert fit_kernel(np.ones((5, 2)), np.ones(5), "scale", False).gamma == 1.0


# --- svm-rbf


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_rbf_is_svc(n_classes):
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


def test_rbf_in_float32():
    """Trained on float32 rows, the head keeps float32 vectors and predicts from float32 as SVC does from float64."""
    X, y = rows()
    X = X.astype(np.float32)
    fitted = RBFSVMClassifier(solver="scikit-learn", probability=False).fit(X, y)
    svc = SVC(gamma=fitted.gamma_, break_ties=True).fit(X.astype(np.float64), y)
    assert fitted.support_vectors_.dtype == np.float32
    assert_allclose(fitted.decision_function(X), svc.decision_function(X), atol=1e-4)


def test_rbf_prediction_makes_no_copy(monkeypatch):
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


def test_rbf_standardize_is_a_scaler_in_front():
    """standardize=True is StandardScaler before the head."""
    X, y = rows()
    X = X * 10.0 ** np.arange(6)
    fitted = RBFSVMClassifier(standardize=True, solver="scikit-learn").fit(X, y)
    scaler = StandardScaler().fit(X)
    plain = RBFSVMClassifier(solver="scikit-learn").fit(scaler.transform(X), y)
    assert_allclose(fitted.predict_proba(X), plain.predict_proba(scaler.transform(X)), rtol=1e-6)
    assert np.mean(fitted.predict(X) == y) > np.mean(RBFSVMClassifier().fit(X, y).predict(X) == y) + 0.05


def test_rbf_in_threads_is_the_same():
    """Fits at a time in threads change nothing, and every fit is reported."""
    X, y = rows()
    done = []
    fitted = RBFSVMClassifier(n_jobs=2).fit(X, y, progress=lambda *step: done.append(step))
    assert_array_equal(fitted.predict_proba(X), RBFSVMClassifier().fit(X, y).predict_proba(X))
    assert done == [(number, 4, "svm-rbf: fits") for number in (1, 2, 3, 4)]


def test_rbf_class_missing_in_a_fold():
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


def test_rbf_says_its_cost_before_it_starts(monkeypatch):
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


def test_intelex_is_taken_where_it_is_installed(monkeypatch):
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
def test_intelex_agrees():
    """The real scikit-learn-intelex gives the same machines, to the solver's tolerance."""
    X, y = rows()
    one = RBFSVMClassifier(solver="intelex", tol=1e-6, probability=False).fit(X, y)
    two = RBFSVMClassifier(solver="scikit-learn", tol=1e-6, probability=False).fit(X, y)
    assert_allclose(one._scores(X), two._scores(X), atol=1e-4)


def test_solvers_that_are_not_there(monkeypatch):
    """A solver that is not installed, or unknown, is a named error."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="solver='intelex' needs scikit-learn-intelex: pip install"):
        RBFSVMClassifier(solver="intelex").fit(*rows())
    with pytest.raises(UnknownNameError, match=r"Unknown solver 'intel'. Known solvers: .* Did you mean 'intelex'\?"):
        RBFSVMClassifier(solver="intel").fit(*rows())


# --- svm-nystroem


def test_nystroem_features_are_those_of_scikit_learn():
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


def test_nystroem_with_all_rows_is_the_kernel_machine():
    """With hinge loss and all rows for features, a machine of two classes is that of SVC."""
    X, y = rows(2, n=100)
    fitted = NystroemSVMClassifier(n_components=100, loss="hinge", tol=1e-7, probability=False).fit(X, y)
    svc = SVC(gamma=fitted.gamma_, tol=1e-8).fit(X, y)
    assert_allclose(fitted.decision_function(X), svc.decision_function(X), atol=5e-3)


def test_nystroem_in_float32():
    """Features are float32 where the rows are, and repeated rows, whose kernel is singular, are no trouble."""
    X, y = rows()
    X = np.vstack([X, X]).astype(np.float32)
    fitted = NystroemSVMClassifier(n_components=200, probability=False).fit(X, np.tile(y, 2))
    assert fitted.features(X).dtype == np.float32
    assert fitted.map_.shape[1] < 200
    assert np.all(np.isfinite(fitted.features(X)))


def test_nystroem_passes_on_what_the_machines_take():
    """C="auto" is chosen on the features, and other seeds draw other rows."""
    X, y = rows()
    fitted = NystroemSVMClassifier("auto", n_components=30).fit(X, y)
    assert fitted.linear_.C_ in fitted.linear_.C_scores_
    other = NystroemSVMClassifier(n_components=30, random_state=1, probability=False).fit(X, y)
    assert not np.array_equal(other.landmarks_, fitted.landmarks_)


def test_nystroem_checks_before_it_computes(monkeypatch):
    """Wrong parameters of the machines are refused before a kernel is computed."""
    monkeypatch.setattr("fusionfer.heads._svm_nystroem.fit_kernel", None)
    with pytest.raises(UnknownNameError, match=r"Unknown loss 'hing'\. Known losses: .* Did you mean 'hinge'\?"):
        NystroemSVMClassifier(loss="hing").fit(*rows())
    with pytest.raises(DataError, match="max_iter must be a whole number"):
        NystroemSVMClassifier(max_iter=0).fit(*rows())


def test_nystroem_fits_many(monkeypatch):
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


def test_nystroem_held_out_rows_stay_out():
    """What the rows that a job leaves out hold changes nothing in its fit: no landmarks, scales or gamma."""
    X, y = rows(n=160)
    jobs = [FitJob(np.arange(100), slice(0, 6), np.zeros(6), np.ones(6), {"C": C}) for C in (0.1, 1.0)]
    strange = X.copy()
    strange[100:] = 1e3 * np.random.default_rng(0).normal(size=(60, 6))
    head = NystroemSVMClassifier(n_components=20, standardize=True)
    for one, other in zip(head.fit_many(X, y, jobs), head.fit_many(strange, y, jobs), strict=True):
        assert_array_equal(one.predict_proba(X), other.predict_proba(X))
