"""Clones of scikit-learn classifiers as learners."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from fusionfer.exceptions import DataError
from fusionfer.heads.ecoc._cloned_training import check_learner, fit_clones, log_odds, real_scores
from fusionfer.matrices import MappedMatrix
from fusionfer.memory import memory_limit, planned_bytes


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, size=90)
    code = np.array([[1, 1, 0], [-1, 0, 1], [0, -1, -1]], dtype=np.int8)
    return rng.normal(size=(90, 4)) + 1.5 * np.eye(4)[y], code[y]


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_one_clone_a_column(rows, n_jobs):
    """Each clone equals a fit to the rows that have a side, with their weights; the learner itself is not fitted."""
    X, Y = rows
    weight = np.random.default_rng(1).uniform(0.2, 2, size=90)
    learner = LogisticRegression()
    estimators, held_out = fit_clones(learner, X, Y, weight, None, n_jobs=n_jobs)
    assert held_out is None
    assert not hasattr(learner, "coef_")
    for j, estimator in enumerate(estimators):
        part = Y[:, j] != 0
        assert_allclose(estimator.coef_, LogisticRegression().fit(X[part], Y[part, j], weight[part]).coef_)
    assert_allclose(real_scores(estimators, X)[:, 1], estimators[1].decision_function(X))


def test_held_out_scores(rows):
    """Rows of a fold are scored by a clone that has not seen them, also where they have no side; absent ones are 0."""
    X, Y = rows
    folds = np.arange(90) % 3
    folds[:5] = -1
    Y = np.where((folds < 0)[:, None], np.int8(0), Y)
    _, held_out = fit_clones(GaussianNB(), X, Y, np.ones(90), folds)
    inside = (folds != 1) & (Y[:, 2] != 0)
    proba = GaussianNB().fit(X[inside], Y[inside, 2]).predict_proba(X[folds == 1])
    expected = np.clip(np.log(proba[:, 1] / proba[:, 0]), -15, 15)
    assert_allclose(held_out[folds == 1, 2], expected, rtol=1e-6)
    assert_array_equal(held_out[:5], 0)


def test_log_odds_keep_what_one_minus_p_loses(rows):
    """Probabilities within 1e-16 of 1 still rank, and a tree's 0 and 1 give finite numbers."""
    X, Y = rows
    estimators, _ = fit_clones(LogisticRegression(C=1e6), X * 30, Y, np.ones(90), None)
    assert_allclose(log_odds(estimators, X * 30), real_scores(estimators, X * 30), rtol=1e-9)
    trees, _ = fit_clones(DecisionTreeClassifier(), X, Y, np.ones(90), None)
    assert np.all(np.isfinite(log_odds(trees, X)))
    assert np.abs(real_scores(trees, X)).max() == 15


def test_seeds(rows):
    """A seed makes random learners repeatable and different from each other; one of their own is kept."""
    X, Y = rows
    Y = np.repeat(Y[:, :1], 2, axis=1)

    def seeds(learner, random_state):
        return [one.random_state for one in fit_clones(learner, X, Y, np.ones(90), None, random_state=random_state)[0]]

    drawn = seeds(DecisionTreeClassifier(), 3)
    assert drawn == seeds(DecisionTreeClassifier(), 3)
    assert drawn[0] != drawn[1]
    assert seeds(DecisionTreeClassifier(random_state=8), 3) == [8, 8]
    assert seeds(DecisionTreeClassifier(), None) == [None, None]


def test_weights_that_a_learner_cannot_take(rows):
    """A learner without sample_weight is an error where rows of one learner differ in weight, and only there."""
    X, Y = rows
    with pytest.raises(DataError, match=r"KNeighborsClassifier.fit takes no sample_weight, but .* Leave these out"):
        fit_clones(KNeighborsClassifier(), X, Y, np.linspace(1, 2, 90), None)
    assert len(fit_clones(KNeighborsClassifier(), X, Y, np.full(90, 2.0), None)[0]) == 3


def test_a_side_that_is_missing_inside_a_fold(rows):
    """Where all rows of one side are held out, the learner says the other side."""
    X, Y = rows
    folds = np.where(Y[:, 0] > 0, 0, 1)
    _, held_out = fit_clones(LogisticRegression(), X, Y, np.ones(90), folds)
    assert_array_equal(held_out[folds == 0, 0], -1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_scores_that_are_not_finite(rows):
    """A learner that breaks down (here: naive Bayes on constant columns) is named."""
    _, Y = rows
    with pytest.raises(DataError, match="GaussianNB as a learner gives scores that are not finite"):
        fit_clones(GaussianNB(), np.ones((90, 2)), Y, np.ones(90), np.arange(90) % 2)


def test_progress(rows):
    """Every fit is counted, those of the folds too."""
    X, Y = rows
    seen = []
    fit_clones(GaussianNB(), X, Y, np.ones(90), np.arange(90) % 2, progress=lambda *told: seen.append(told))
    assert seen == [(done, 9, "fitting learners") for done in range(1, 10)]


@pytest.mark.parametrize("learner", [LinearRegression(), LogisticRegression, "svm", 3])
def test_what_is_no_learner(learner):
    """Regressors, classes, names and numbers are refused."""
    with pytest.raises(TypeError, match=r"A learner is None \(the linear one\) or a scikit-learn classifier"):
        check_learner(learner)
    check_learner(SGDClassifier())


class _Counted(MappedMatrix):
    """Says how many rows are read."""

    rows_read = 0

    def read(self, which=slice(None), out=None):
        found = super().read(which, out)
        type(self).rows_read += len(found)
        return found


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_map_is_read_once(rows, n_jobs):
    """All clones, those of the folds too, have one array in common; they are those of the array."""
    X, Y = rows[0].astype(np.float32), rows[1]
    folds = np.arange(90) % 3
    expected, scores = fit_clones(LogisticRegression(), X, Y, np.ones(90), folds)
    _Counted.rows_read = 0
    found, again = fit_clones(LogisticRegression(), _Counted([X]), Y, np.ones(90), folds, n_jobs=n_jobs)
    assert _Counted.rows_read == 90
    assert_array_equal(again, scores)
    for one, other in zip(expected, found, strict=True):
        assert_array_equal(one.coef_, other.coef_)
    X[5, 2] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        fit_clones(LogisticRegression(), MappedMatrix([X]), Y, np.ones(90), None)


class _Planner(GaussianNB):
    """Notes how much memory it may plan with."""

    def fit(self, X, y, sample_weight=None):
        self.planned_ = planned_bytes()
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize(("n_jobs", "share"), [(None, 1), (2, 2), (50, 3)])
def test_clones_that_are_fitted_together_share_the_memory(rows, n_jobs, share):
    """Each of those that run at a time plans with its part."""
    with memory_limit(3 << 30):
        estimators, _ = fit_clones(_Planner(), *rows, np.ones(90), None, n_jobs=n_jobs)
        assert planned_bytes() == 3 << 30
    assert {estimator.planned_ for estimator in estimators} == {(3 << 30) // share}
