"""Multinomial logistic regression: equal to scikit-learn's, its C chosen on held-out rows, many fits as one."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from fusionfer.exceptions import DataError
from fusionfer.heads._folds import inner_folds
from fusionfer.heads._jobs import FitJob
from fusionfer.heads._softmax import SoftmaxClassifier
from fusionfer.heads._softmax_training import make_task
from fusionfer.heads._spread import C_GRID
from fusionfer.heads.linear import solve_softmax_many


def rows(n_classes=4, n=200, d=6, seed=0, std=4.0):
    """Overlapping blobs with names for classes."""
    X, y = make_blobs(n, n_features=d, centers=n_classes, cluster_std=std, random_state=seed)
    return X - X.mean(axis=0), np.array(["angry", "happy", "neutral", "sad", "surprise"])[y]


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("C", [0.003, 1.0])
def test_it_is_logistic_regression(n_classes, C):
    """Probabilities and weights are those of LogisticRegression, with weights of rows and two classes too."""
    X, y = rows(n_classes)
    weight = np.random.default_rng(0).uniform(0.1, 3.0, len(y))
    fitted = SoftmaxClassifier(C, tol=1e-10).fit(X, y, sample_weight=weight)
    theirs = LogisticRegression(C=C, tol=1e-10, max_iter=100_000).fit(X, y, sample_weight=weight)
    assert_allclose(fitted.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    ours = fitted.coef_[1:] - fitted.coef_[:1] if n_classes == 2 else fitted.coef_
    assert_allclose(ours, theirs.coef_, atol=1e-4)
    assert_allclose(fitted.decision_function(X)[:1], theirs.decision_function(X)[:1], atol=1e-3)
    assert_array_equal(fitted.predict(X), theirs.predict(X))


def test_objective_is_the_formula_of_the_docstring():
    """The objective that is reported is the written one at the weights that are reported, and its gap is kept."""
    X, y = rows()
    fitted = SoftmaxClassifier(0.05).fit(X, y)
    own = np.log(fitted.predict_proba(X)[np.arange(200), np.searchsorted(fitted.classes_, y)])
    assert fitted.objective_ == pytest.approx(0.5 * np.sum(fitted.coef_**2) - 0.05 * own.sum(), rel=1e-6)
    best = SoftmaxClassifier(0.05, tol=1e-10).fit(X, y).objective_
    assert best <= fitted.objective_ <= best / (1 - fitted.gap_) * (1 + 1e-12)
    assert fitted.gap_ <= 1e-3
    assert_allclose(fitted.intercept_.sum(), 0.0, atol=1e-9)


def test_class_weights_and_absent_rows():
    """A class weight is the weight of its rows; rows of weight 0, and classes of such rows alone, are absent."""
    X, y = rows()
    by_class = SoftmaxClassifier(class_weight={"angry": 3.0, "happy": 1, "neutral": 1, "sad": 1}).fit(X, y)
    by_row = SoftmaxClassifier().fit(X, y, sample_weight=np.where(y == "angry", 3.0, 1.0))
    assert_allclose(by_class.predict_proba(X), by_row.predict_proba(X))
    weight = (y != "sad") * np.random.default_rng(0).integers(0, 3, 200)
    fitted = SoftmaxClassifier(tol=1e-10).fit(X, y, sample_weight=weight)
    repeated = SoftmaxClassifier(tol=1e-10).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert fitted.classes_.tolist() == ["angry", "happy", "neutral"]
    assert_allclose(fitted.predict_proba(X), repeated.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("grouped", [False, True])
def test_c_is_chosen_by_held_out_log_loss(grouped):
    """C="auto" takes the C whose plain fits to two thirds have the least log-loss on the third left out."""
    X, y = rows(n=150, std=7.0)
    groups = np.arange(150) // 5 if grouped else None
    fitted = SoftmaxClassifier("auto", tol=1e-8, random_state=3).fit(X, y, groups=groups)
    assert_allclose(list(fitted.C_scores_), np.array(C_GRID) / X.var(axis=0).sum(), rtol=1e-6)
    text = f"of {len(C_GRID)} values from {C_GRID[0]:g} to {C_GRID[-1]:g} times 1 / (mean squared distance"
    assert text in " ".join(SoftmaxClassifier.__doc__.split())
    folds = inner_folds(y, 3, 3, groups)
    for C, loss in list(fitted.C_scores_.items())[::3]:
        proba = np.empty((150, 4))
        for fold in range(3):
            out = folds == fold
            proba[out] = LogisticRegression(C=C, tol=1e-8, max_iter=10_000).fit(X[~out], y[~out]).predict_proba(X[out])
        assert loss == pytest.approx(log_loss(y, proba), rel=1e-4)
    assert min(fitted.C_scores_, key=lambda C: (fitted.C_scores_[C], C)) == fitted.C_
    assert len(set(fitted.C_scores_.values())) > 4
    plain = SoftmaxClassifier(fitted.C_, tol=1e-8).fit(X, y)
    assert_allclose(fitted.predict_proba(X), plain.predict_proba(X), atol=1e-4)
    assert not hasattr(plain, "C_scores_")


def test_classes_that_a_fold_has_not_seen():
    """A class of one row cannot be learned where it is left out: the others are, and every loss is finite."""
    X, y = rows(n=60)
    y[y == "sad"] = "happy"
    y[7] = "sad"
    fitted = SoftmaxClassifier("auto").fit(X, y)
    assert np.all(np.isfinite(list(fitted.C_scores_.values())))
    assert fitted.classes_.tolist() == ["angry", "happy", "neutral", "sad"]
    weight = np.ones(60)
    task = make_task(SoftmaxClassifier("auto"), X, y, weight)
    assert sorted(len(fold.seen) for fold in task.folds) == [3, 4, 4]
    assert max(fold.y.max() for fold in task.folds) == 3
    few = SoftmaxClassifier("auto").fit(X[[0, 1, 7]], ["a", "a", "b"])
    assert np.all(np.isfinite(few.predict_proba(X)))


def test_many_fits_are_plain_fits():
    """Jobs over rows, columns, scalings, C and tolerances give what plain fits give."""
    X, y = rows(n=240)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, 240)
    groups = np.arange(240) // 4
    shift, factor = X.mean(axis=0), 1.0 / X.std(axis=0)
    jobs = [
        FitJob(np.arange(0, 240, 2), slice(0, 6), shift, factor, {"C": 0.5}),
        FitJob(np.arange(200), slice(2, 5), shift[2:5], factor[2:5], {"C": "auto"}),
        FitJob(np.flatnonzero(y != "sad"), slice(0, 3), shift[:3], factor[:3], {"C": 2.0, "tol": 1e-9}),
    ]
    head = SoftmaxClassifier(tol=1e-8)
    for job, many in zip(jobs, head.fit_many(X, y, jobs, weight, groups), strict=True):
        Z = (X[job.rows, job.columns] - job.shift) * job.factor
        alone = clone(head).set_params(**job.params)
        alone.fit(Z, y[job.rows], sample_weight=weight[job.rows], groups=groups[job.rows])
        assert many.get_params() == alone.get_params()
        assert_allclose(many.C_, alone.C_, rtol=1e-6)
        assert many.n_features_in_ == alone.n_features_in_
        assert_array_equal(many.classes_, alone.classes_)
        assert_allclose(many.predict_proba(Z), alone.predict_proba(Z), atol=1e-4)
    assert not hasattr(head, "coef_")


def test_float32_is_not_copied(monkeypatch, tmp_path):
    """float32 rows, of a memory map too, reach the solver as they are, and predicting makes no copy."""
    X, y = rows(n=3000, d=100)
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    seen = []

    def spy(X, problems, **options):
        seen.append(X)
        return solve_softmax_many(X, problems, **options)

    monkeypatch.setattr("fusionfer.heads._softmax_training.solve_softmax_many", spy)
    fitted = SoftmaxClassifier(0.01).fit(mapped, y)
    assert np.shares_memory(seen[0], mapped)
    tracemalloc.start()
    proba = fitted.predict_proba(mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * mapped.nbytes
    assert_allclose(proba, SoftmaxClassifier(0.01).fit(X, y).predict_proba(X), atol=1e-3)


def test_stopping_early_is_said():
    """A fit that does not reach its tolerance gives a warning with gap and remedy."""
    X, y = rows()
    with pytest.warns(ConvergenceWarning, match=r"stopped at a duality gap of .* after 1 steps, tol is 1e-12"):
        SoftmaxClassifier(100.0, max_iter=1, tol=1e-12).fit(X, y)


def test_errors_name_what_is_wrong():
    """One class, and parameters out of their range, are named errors."""
    X, y = rows()
    with pytest.raises(DataError, match=r"SoftmaxClassifier needs rows of at least two classes, got 5 .* 'sad'"):
        SoftmaxClassifier().fit(X[:5], ["sad"] * 5)
    match = "C must be 'auto' or a finite number above 0, got True; tol must .* got inf; max_iter must .* got 2.5"
    with pytest.raises(DataError, match=f"SoftmaxClassifier: {match}"):
        SoftmaxClassifier(True, tol=np.inf, max_iter=2.5).fit(X, y)
    job = FitJob(np.arange(10), slice(0, 6), np.zeros(6), np.ones(6), {"C": -1})
    with pytest.raises(DataError, match="got -1"):
        SoftmaxClassifier().fit_many(X, y, [job])
