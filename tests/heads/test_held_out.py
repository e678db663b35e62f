"""Rows of a predefined split: never trained on, and all that heads hold rows out for goes by them alone."""

import inspect

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from fusionfer.exceptions import DataError
from fusionfer.heads import HEADS, FitJob, make_head
from fusionfer.heads._calibration import fit_sigmoid
from fusionfer.heads._spread import C_GRID, row_spread

#: Small and quick settings; without any choice by held-out rows.
PLAIN = {
    "ecoc": {"probability": False, "loss": "squared_hinge", "tol": 1e-10},
    "svm-linear": {"probability": False, "tol": 1e-10},
    "svm-rbf": {"probability": False},
    "svm-nystroem": {"probability": False, "n_components": 20, "tol": 1e-10},
    "softmax": {"tol": 1e-10},
    "xgb": {"n_rounds": 5, "early_stopping_rounds": None},
    "xgb-wn": {"n_rounds": 5, "early_stopping_rounds": None},
}
CALIBRATED = ("ecoc", "svm-linear", "svm-rbf", "svm-nystroem")


@pytest.fixture
def rows():
    """X (120, 4), y of three classes, weights, and a mask that holds 40 rows out."""
    rng = np.random.default_rng(0)
    y = rng.choice(["angry", "happy", "sad"], 120)
    X = rng.normal(size=(120, 4)) + 1.2 * (y[:, None] == np.array(["angry", "happy", "sad", "none"]))
    held = np.zeros(120, dtype=bool)
    held[rng.permutation(120)[:40]] = True
    return X, y, rng.uniform(0.5, 2.0, 120), held


@pytest.mark.parametrize("name", HEADS)
def test_every_head_that_holds_rows_out_can_be_told_which(name):
    """Whoever takes groups takes a predefined split, in fit and in fit_many, and is in the lists of this file."""
    assert name in PLAIN
    head = make_head(name)
    for method in [head.fit, *([head.fit_many] if hasattr(head, "fit_many") else [])]:
        taken = inspect.signature(method).parameters
        assert ("groups" in taken) == ("held_out" in taken)


@pytest.mark.parametrize("name", HEADS)
def test_they_are_not_trained_on(name, rows):
    """The fit is that of the other rows alone, whatever stands in the rows that are held out."""
    X, y, weight, held = rows
    spoiled, wrong = X.copy(), y.copy()
    spoiled[held], wrong[held] = 1e3, "sad"
    alone = make_head(name, **PLAIN[name]).fit(X[~held], y[~held], weight[~held])
    for one, other in [(X, y), (spoiled, wrong)]:
        told = make_head(name, **PLAIN[name]).fit(one, other, weight, held_out=held)
        assert np.allclose(told.decision_function(X), alone.decision_function(X), atol=1e-3)


@pytest.mark.parametrize("name", CALIBRATED)
def test_the_calibration_is_that_of_the_held_out_scores(name, rows):
    """Slope and offset are those of Platt scaling on the scores of the rows that were held out."""
    X, y, weight, held = rows
    head = make_head(name, **{**PLAIN[name], "probability": True}).fit(X, y, weight, held_out=held)
    if name == "svm-rbf":
        found, raw, code = head.calibration_, head._scores(X[held]), head.pairs_
    else:
        machines = getattr(head, "linear_", head)
        Z = head.features(X[held]) if name == "svm-nystroem" else X[held]
        found, raw, code = machines.calibration_, machines._raw_scores(Z), machines.code_matrix_
    sides = code[np.searchsorted(head.classes_, y[held])]
    assert np.allclose(found, fit_sigmoid(np.asarray(raw, dtype=np.float64), sides, weight[held]), rtol=1e-4, atol=1e-5)
    alone = make_head(name, **PLAIN[name]).fit(X[~held], y[~held], weight[~held])
    assert np.array_equal(head.predict(X), alone.predict(X))


def test_c_is_chosen_by_their_log_loss(rows):
    """softmax with C="auto" takes what one fit for each C, scored on the held-out rows, would take."""
    X, y, weight, held = rows
    head = make_head("softmax", C="auto", tol=1e-10).fit(X, y, weight, held_out=held)
    grid = np.array(C_GRID) / row_spread(X[~held], weight[~held], slice(0, 4))
    losses = []
    for C in grid:
        one = make_head("softmax", C=C, tol=1e-10).fit(X[~held], y[~held], weight[~held])
        losses.append(log_loss(y[held], one.predict_proba(X[held]), sample_weight=weight[held], labels=one.classes_))
    assert list(head.C_scores_) == pytest.approx(grid)
    assert list(head.C_scores_.values()) == pytest.approx(losses, rel=1e-4)
    assert grid[np.argmin(losses)] == pytest.approx(head.C_)


@pytest.mark.parametrize("name", ["ecoc", "svm-linear"])
def test_c_is_chosen_by_their_accuracy(name, rows):
    """The heads of linear machines take the C of the largest weighted accuracy on the held-out rows."""
    X, y, weight, held = rows
    head = make_head(name, **{**PLAIN[name], "C": "auto"}).fit(X, y, weight, held_out=held)
    grid = np.array(C_GRID) / row_spread(X[~held], weight[~held], slice(0, 4))
    wrong = []
    for C in grid:
        one = make_head(name, **{**PLAIN[name], "C": C}).fit(X[~held], y[~held], weight[~held])
        wrong.append(np.average(one.predict(X[held]) != y[held], weights=weight[held]))
    assert list(head.C_scores_.values()) == pytest.approx(wrong, abs=0.03)
    assert head.C_scores_[head.C_] == min(head.C_scores_.values())


def test_learners_of_ones_own_are_calibrated_by_them(rows):
    """ecoc over any learner: fitted without the rows, calibrated by its scores of them, with no second fit."""
    X, y, weight, held = rows
    head = make_head("ecoc", learner=LogisticRegression()).fit(X, y, weight, held_out=held)
    assert len(head.estimators_) == 3
    alone = LogisticRegression().fit(X[~held], y[~held] == "angry", weight[~held])
    assert np.allclose(head.estimators_[0].coef_, alone.coef_)
    raw = np.column_stack([one.decision_function(X[held]) for one in head.estimators_])
    sides = head.code_matrix_[np.searchsorted(head.classes_, y[held])]
    assert np.allclose(head.calibration_, fit_sigmoid(raw, sides, weight[held]))


@pytest.mark.parametrize("name", ["xgb", "xgb-wn"])
def test_boosting_stops_by_them(name, rows):
    """held_out and eval_set are the same rows said in two ways; both at once are refused."""
    X, y, weight, held = rows
    head = make_head(name, n_rounds=40, early_stopping_rounds=3, eta=0.5).fit(X, y, weight, held_out=held)
    other = make_head(name, n_rounds=40, early_stopping_rounds=3, eta=0.5)
    other.fit(X[~held], y[~held], weight[~held], eval_set=(X[held], y[held], weight[held]))
    assert head.best_round_ == other.best_round_ < 39
    assert np.array_equal(head.predict_proba(X), other.predict_proba(X))
    with pytest.raises(DataError, match=r"^eval_set and held_out both say by which rows to stop; give one of them\.$"):
        other.fit(X, y, eval_set=(X, y), held_out=held)


@pytest.mark.parametrize("name", ["ecoc", "svm-linear", "svm-nystroem", "softmax"])
def test_many_fits_are_the_single_ones(name, rows):
    """fit_many with held-out rows, on scaled columns, is fit after fit."""
    X, y, weight, held = rows
    params = {**PLAIN[name], **({} if name == "softmax" else {"probability": True}), "C": "auto"}
    shift, factor, part = np.full(3, 0.5), np.full(3, 2.0), np.arange(0, 110)
    jobs = [FitJob(part, slice(0, 3), shift, factor), FitJob(np.arange(120), slice(0, 3), shift, factor, {"C": 0.5})]
    found = make_head(name, **params).fit_many(X, y, jobs, weight, held_out=held)
    for job, one in zip(jobs, found, strict=True):
        Z = (X[job.rows, job.columns] - job.shift) * job.factor
        alone = make_head(name, **{**params, **job.params})
        alone.fit(Z, y[job.rows], weight[job.rows], held_out=held[job.rows])
        assert np.allclose(one.predict_proba(Z), alone.predict_proba(Z), atol=1e-3)


@pytest.mark.parametrize("name", ["ecoc", "softmax", "svm-rbf", "xgb"])
def test_what_cannot_be_a_split(name, rows):
    """Another length, numbers in the place of True and False, and rows whose classes are all unknown."""
    X, y, _, held = rows
    head = make_head(name, **({"C": "auto"} if name == "softmax" else {}))
    with pytest.raises(
        DataError, match=r"^held_out must be 120 times True or False, one for each row; got bool of sha"
    ):
        head.fit(X, y, held_out=held[:-1])
    with pytest.raises(DataError, match=r"got int64 of shape \(120,\)\.$"):
        head.fit(X, y, held_out=held.astype(np.int64))
    with pytest.raises(DataError, match=r"^None of the 40 rows in held_out has weight and a class that is trained on"):
        head.fit(X, np.where(held, "zeal", y), held_out=held)
