"""Linear learners as problems: what is solved, what is held out, and the unit of C."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fusionfer.heads.ecoc._linear_training import LinearTask
from fusionfer.heads.linear import solve_many


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, size=60)
    X = rng.normal(size=(60, 5)) + 2 * np.eye(5)[y]
    return X, (2 * np.eye(3) - 1).astype(np.int8)[y]


def test_problems_are_every_c_with_every_fold(rows):
    """First all rows, then those without each fold, for each C, with C times the weights as costs."""
    _, Y = rows
    folds = np.arange(60) % 3
    problems = LinearTask(Y, np.full(60, 2.0), folds, (0.5, 3.0), slice(0, 5)).problems()
    assert len(problems) == 8
    assert [problem.c[0] for problem in problems] == [1.0] * 4 + [6.0] * 4
    assert_array_equal(problems[4].Y, Y)
    for fold in range(3):
        assert_array_equal(problems[5 + fold].Y, np.where((folds == fold)[:, None], 0, Y))


def test_held_out_scores_come_from_learners_that_have_not_seen_the_row(rows):
    """Scores of a fold are those of a fit to the scaled other rows; absent rows have 0."""
    X, Y = rows
    folds = np.arange(60) % 3
    folds[:6] = -1
    Y = np.where((folds < 0)[:, None], np.int8(0), Y)
    shift, factor = X[:, 1:4].mean(axis=0), 1 / X[:, 1:4].std(axis=0)
    task = LinearTask(Y, np.ones(60), folds, (0.1, 1.0), slice(1, 4), shift, factor)
    settings = {"loss": "squared_hinge", "tol": 1e-6, "max_iter": 1000}
    trials = task.read(X, solve_many(X, task.problems(), **settings))
    assert [trial.C for trial in trials] == [0.1, 1.0]
    assert_array_equal(trials[0].held_out[:6], 0)
    Z = (X[:, 1:4] - shift) * factor
    for fold in range(3):
        inside = (folds >= 0) & (folds != fold)
        plain = LinearTask(Y[inside], np.ones(inside.sum()), None, (1.0,), slice(0, 3))
        fit = plain.read(Z[inside], solve_many(Z[inside], plain.problems(), **settings))[0]
        assert fit.held_out is None
        expected = Z[folds == fold] @ fit.solution.coef.T + fit.solution.intercept
        assert_allclose(trials[1].held_out[folds == fold], expected, atol=5e-3)


def test_a_side_that_is_missing_inside_a_fold(rows):
    """Where all rows of one side are held out, the learner says the other side, and no one-sided problem is posed."""
    X, Y = rows
    folds = np.where(Y[:, 0] > 0, 0, 1 + np.arange(60) % 2)
    task = LinearTask(Y, np.ones(60), folds, (1.0,), slice(0, 5))
    problems = task.problems()
    assert [problem.Y.shape[1] for problem in problems] == [3, 2, 3, 3]
    held_out = task.read(X, solve_many(X, problems, loss="hinge", tol=1e-3, max_iter=1000))[0].held_out
    assert_array_equal(held_out[folds == 0, 0], -1)
    assert np.all(np.ptp(held_out[folds == 0, 1:], axis=0) > 0)


def test_nothing_to_learn_inside_a_fold(rows):
    """Where all rows are in one fold no problem is posed without it, and held-out scores say nothing."""
    X, Y = rows
    task = LinearTask(Y, np.ones(60), np.zeros(60, dtype=int), (1.0, 2.0), slice(0, 5))
    problems = task.problems()
    assert len(problems) == 2
    trials = task.read(X, solve_many(X, problems, loss="squared_hinge", tol=1e-3, max_iter=1000))
    assert [trial.C for trial in trials] == [1.0, 2.0]
    assert_array_equal(trials[0].held_out, 0)
