"""Comparing: one fit after the other, or all in one call; the scores and the fitted winner are the same."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB

from fusionfer.exceptions import DataError
from fusionfer.heads import HEADS, make_head
from fusionfer.selection import HybridSelector

BLOCKS = {"a": slice(0, 4), "b": slice(4, 10)}


class Alone(ClassifierMixin, BaseEstimator):
    """A naive Bayes classifier that counts its fits; the smoothing makes it depend on the scale."""

    fits: list = []  # noqa: RUF012  (shared by clones on purpose)

    def __init__(self, C=1.0, probability=True, blocks=None):
        self.C = C
        self.probability = probability
        self.blocks = blocks

    def fit(self, X, y, sample_weight=None, groups=None):
        Alone.fits.append((X.shape, self.probability, self.blocks))
        self.inner_ = GaussianNB(var_smoothing=self.C).fit(X, y, sample_weight)
        self.classes_ = self.inner_.classes_
        self.groups_ = groups
        return self

    def predict(self, X):
        return self.inner_.predict(X)

    def predict_proba(self, X):
        return self.inner_.predict_proba(X)


class Together(Alone):
    """The same, with a fit_many that does what its contract says, in the plainest way, and counts its calls."""

    calls: list = []  # noqa: RUF012  (shared by clones on purpose)

    def fit_many(self, X, y, jobs, sample_weight=None, groups=None, progress=None):
        Together.calls.append(len(jobs))
        fitted = []
        for done, job in enumerate(jobs, 1):
            Z = (X[job.rows, job.columns] - job.shift) * job.factor
            weight = None if sample_weight is None else sample_weight[job.rows]
            numbers = None if groups is None else groups[job.rows]
            fitted.append(clone(self).set_params(**job.params).fit(Z, y[job.rows], weight, numbers))
            if progress is not None:
                progress(done, len(jobs), "fits")
        return fitted


@pytest.fixture
def data():
    """Four classes; each block knows half."""
    Alone.fits, Together.calls = [], []
    rng = np.random.default_rng(1)
    y = np.arange(160) % 4
    X = rng.normal(size=(160, 10)) * np.linspace(0.5, 2, 10) + 1
    X[:, 0] += y // 2
    X[:, 4] += 2 * (y % 2)
    return X, np.array(["angry", "happy", "neutral", "sad"])[y]


@pytest.mark.parametrize("scale", ["equal", "standard", None])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("search", [None, {"C": [1e-3, 0.1, 10.0]}])
def test_both_ways_agree(data, scale, weighted, search):
    """All candidates, folds and points in one call give the scores, the choice and the model of single fits."""
    X, y = data
    weight = np.random.default_rng(2).uniform(0.2, 3, len(y)) if weighted else None
    groups = np.arange(len(y)) // 2 % 40
    one, all_ = (
        HybridSelector(head, BLOCKS, cv=3, scale=scale, search=search, scoring="neg_log_loss").fit(X, y, groups, weight)
        for head in (Alone(), Together())
    )
    n_points = len(one.search_points_)
    assert Together.calls == [3 * 3 * n_points]
    assert one.best_params_ == all_.best_params_
    assert one.selected_ == all_.selected_
    for name, scores in one.search_results_.items():
        assert_allclose(all_.search_results_[name], scores, rtol=1e-6)
    assert [type(step).__name__ for step in all_.estimator_] == [
        *(["BlockScaler"] if scale else []),
        "Together",
    ]
    assert all_.estimator_["head"].get_params() == one.estimator_["head"].get_params()
    assert_allclose(all_.predict_proba(X), one.predict_proba(X), atol=1e-12)


def test_the_jobs_are_what_the_contract_says(data):
    """Rows ascend, columns are the candidate's, shift and factor those of the fold's scaler, blocks local."""
    X, y = data
    jobs = []

    class Spy(Together):
        def fit_many(self, X, y, given, **options):
            jobs.extend(given)
            return super().fit_many(X, y, given, **options)

    HybridSelector(Spy(), BLOCKS, cv=3, search={"C": [1.0, 2.0]}).fit(X.astype(np.float32), y)
    assert len(jobs) == 18
    for job in jobs:
        assert np.all(np.diff(job.rows) > 0)
        width = job.columns.stop - job.columns.start
        assert job.shift.shape == job.factor.shape == (width,)
        assert job.shift.dtype == job.factor.dtype == np.float64
        assert_allclose(job.shift, X[job.rows, job.columns].mean(axis=0), rtol=1e-5)
        squares = (((X[job.rows, job.columns] - job.shift) * job.factor) ** 2).sum(axis=1).mean()
        assert_allclose(squares, len(job.params["blocks"]), rtol=1e-5)
        assert max(block.stop for block in job.params["blocks"].values()) == width
    assert {job.params["C"] for job in jobs} == {1.0, 2.0}


def test_calibration_is_off_in_shared_fits_too(data):
    """As in single fits: on at the end only, unless the scorer asks for probabilities."""
    for scoring, first in [("accuracy", False), ("neg_log_loss", True)]:
        Alone.fits = []
        HybridSelector(Together(), BLOCKS, cv=2, scoring=scoring).fit(*data)
        assert [probability for _, probability, _ in Alone.fits] == [first] * 6 + [True]


def test_progress_of_shared_fits(data):
    """What the head reports comes through; then the scores, then the refit."""
    calls = []
    HybridSelector(Together(), BLOCKS, cv=2).fit(*data, progress=lambda *call: calls.append(call))
    assert calls[:6] == [(i, 6, "fits") for i in range(1, 7)]
    assert calls[6:12] == [(i, 6, "held-out scores") for i in range(1, 7)]
    assert calls[12][:2] == (1, 1)
    assert calls[12][2].endswith(", all rows")


def test_rows_that_are_drawn_twice_are_fitted_one_by_one(data):
    """A bootstrap is not "all rows less some", which heads that share work rest on."""
    X, y = data
    rng = np.random.default_rng(0)
    drawn = [(rng.choice(120, 150), np.arange(120, 160)) for _ in range(2)]
    one, all_ = (HybridSelector(head, cv=drawn).fit(X, y) for head in (Alone(), Together()))
    assert Together.calls == []
    assert_array_equal(one.scores_["all"], all_.scores_["all"])
    assert len(Alone.fits[0][0]) == 2
    assert Alone.fits[0][0][0] == 150


def test_a_fit_many_that_is_not_available(data):
    """A head may hide its fit_many (available_if); it is then fitted one by one."""

    class Hidden(Together):
        @property
        def fit_many(self):
            msg = "not with these parameters"
            raise AttributeError(msg)

    X, y = data
    assert_array_equal(
        HybridSelector(Hidden(), BLOCKS, cv=2).fit(X, y).scores_["a"],
        HybridSelector(Alone(), BLOCKS, cv=2).fit(X, y).scores_["a"],
    )
    assert Together.calls == []


def test_weights_that_the_head_cannot_take(data):
    """Refused in the shared way as in the plain one."""

    class Weightless(Together):
        def fit(self, X, y):
            return super().fit(X, y)

    X, y = data
    with pytest.raises(DataError, match="Weightless takes no sample_weight; fit without weights"):
        HybridSelector(Weightless(), cv=2).fit(X, y, sample_weight=np.ones(len(y)))
    assert Together.calls == []


@pytest.mark.parametrize("head", [Alone(), Together()], ids=["alone", "together"])
def test_a_score_that_is_not_defined(data, head):
    """Candidate, point and fold are named."""
    X, y = data
    with pytest.raises(DataError, match=r"^<lambda> of all with C=2\.0 is nan on fold 1; choose a scoring that"):
        HybridSelector(
            head, cv=2, search={"C": [1.0, 2.0]}, scoring=lambda fitted, X, y: np.nan if fitted.C == 2.0 else 0.5
        ).fit(X, y)
    order = np.argsort(y, kind="stable")
    lacking = [(np.arange(len(y)), order[:20])]
    with pytest.raises(DataError, match=r"^neg log loss of all with C=1\.0 cannot be computed on fold 1 of 1: "):
        HybridSelector(head, cv=lacking, search={"C": [1.0]}, scoring="neg_log_loss").fit(X, y)


@pytest.mark.parametrize("name", [name for name in HEADS if hasattr(make_head(name), "fit_many")])
def test_our_heads_agree_with_single_fits(data, name):
    """A head's own fit_many gives the folds' scores of single fits, within the tolerance of its solver."""
    X, y = data
    X = X + np.eye(10)[np.unique(y, return_inverse=True)[1]] + np.roll(np.eye(10), 6, axis=0)[np.arange(len(y)) % 4]
    head = make_head(name, tol=1e-8)
    if "loss" in head.get_params():
        head.set_params(loss="squared_hinge")  # one solution, and no ties of scores; the hinge has neither
    options = {"blocks": BLOCKS, "cv": KFold(3, shuffle=True, random_state=0), "search": {"C": [0.1, 10.0]}}
    shared = HybridSelector(head, **options).fit(X, y)
    single = HybridSelector(_Plain(head), **options).fit(X, y)
    for key, scores in single.search_results_.items():
        assert_array_equal(shared.search_results_[key], scores)


class _Plain(ClassifierMixin, BaseEstimator):
    """A head without its fit_many."""

    def __init__(self, inner=None, C=1.0):
        self.inner = inner
        self.C = C

    def fit(self, X, y, sample_weight=None):
        self.inner_ = clone(self.inner).set_params(C=self.C).fit(X, y, sample_weight)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, X):
        return self.inner_.predict(X)
