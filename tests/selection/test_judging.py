"""What is kept of held-out rows: enough to compute the scores of the folds again, and the head is asked once."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedKFold
from sklearn.naive_bayes import GaussianNB

from fusionfer.selection import HybridSelector
from fusionfer.selection._judging import Judged

BLOCKS = {"a": slice(0, 4), "b": slice(4, 10)}


def judged(selector):
    """Return what a fitted selector keeps, as an object."""
    return Judged(selector.scoring, n_classes=len(selector.classes_), **selector.judged_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("scoring", ["accuracy", "f1_macro", "balanced_accuracy", "neg_log_loss"])
def test_the_scores_of_folds_follow_from_what_is_kept(two_blocks, scoring, jobs):
    """For every candidate, point and fold: the same score from rows alone, as from the scorer."""
    X, y = two_blocks(2, 1)
    search = {"C": [0.01, 1.0]}
    selector = HybridSelector(LogisticRegression(), BLOCKS, cv=3, scoring=scoring, search=search, n_jobs=jobs)
    kept = judged(selector.fit(X, np.array(["d", "a", "c", "b"])[y]))
    scores = kept.scoring(list(kept.said))
    for fold in range(3):
        found = scores((kept.fold == fold)[None, :].astype(float))[0].reshape(3, 2)
        for name, ours in zip(selector.search_results_, found, strict=True):
            assert ours == pytest.approx(selector.search_results_[name][:, fold], rel=1e-5)
    assert sorted(kept.rows.tolist()) == list(range(240))
    assert kept.groups is None


def test_a_head_that_shares_its_fits_is_judged_alike(two_blocks):
    """fit_many gives the predictions of the scores that it gives."""
    X, y = two_blocks(2, 1)
    selector = HybridSelector("ecoc", BLOCKS, cv=3, random_state=0).fit(X, y)
    kept = judged(selector)
    for name, said in kept.said.items():
        right = [(said[0] == kept.y)[kept.fold == fold].mean() for fold in range(3)]
        assert right == pytest.approx(selector.scores_[name])


class Asked(ClassifierMixin, BaseEstimator):
    """Counts how often it is asked for predictions."""

    times = 0

    def fit(self, X, y):
        self.classes_, self.inner_ = np.unique(y), GaussianNB().fit(X, y)
        return self

    def predict(self, X):
        Asked.times += 1
        return self.inner_.predict(X)


def test_the_head_is_asked_once_for_each_fold(two_blocks):
    """Keeping predictions costs no second pass over the rows."""
    Asked.times = 0
    HybridSelector(Asked(), BLOCKS, cv=3).fit(*two_blocks(2, 1))
    assert Asked.times == 9


def test_rows_of_several_folds_are_drawn_together(two_blocks):
    """With repeated folds each row is judged twice: it is one row still, and no pooled test counts it twice."""
    X, y = two_blocks(2, 1)
    selector = HybridSelector(GaussianNB(), BLOCKS, cv=RepeatedKFold(n_splits=2, n_repeats=2, random_state=0)).fit(X, y)
    assert len(selector.judged_["rows"]) == 480
    assert np.array_equal(selector.judged_["groups"], selector.judged_["rows"])
    assert "McNemar" not in selector.evidence_["pairs"][0]["tests"]


def test_groups_are_kept(two_blocks):
    """Persons are drawn as a whole."""
    X, y = two_blocks(2, 1)
    selector = HybridSelector(GaussianNB(), BLOCKS, cv=3).fit(X, y, groups=np.arange(240) // 4)
    assert len(np.unique(selector.judged_["groups"])) == 60
    assert selector.evidence_["grouped"] is True
    alone = HybridSelector(GaussianNB(), BLOCKS, cv=3).fit(X, y, groups=np.arange(240))
    assert alone.evidence_["grouped"] is False
    assert "McNemar" in alone.evidence_["pairs"][0]["tests"]


def test_a_label_that_is_none_of_the_classes_is_wrong(two_blocks):
    """A head may say what it likes; it is then wrong, and nothing breaks."""

    class Odd(Asked):
        def predict(self, X):
            return np.where(self.inner_.predict(X) == "1", "unheard of", self.inner_.predict(X))

    X, y = two_blocks(2, 1)
    selector = HybridSelector(Odd(), BLOCKS, cv=3).fit(X, y.astype(str))
    said = selector.judged_["said"]["a + b"][0]
    assert set(said.tolist()) == {0, 2, 3, 4}
    assert np.mean(said == selector.judged_["y"]) == pytest.approx(selector.mean_scores_["a + b"], abs=1e-3)


def test_other_scorings_keep_nothing(two_blocks):
    """A callable may look at anything; only its scores are known."""
    X, y = two_blocks(2, 1)
    selector = HybridSelector(GaussianNB(), BLOCKS, cv=3, scoring=lambda head, X, y: head.score(X, y)).fit(X, y)
    assert selector.judged_ is None
    assert selector.evidence_["optimism"] is None
    assert selector.evidence_["test"] == "corrected resampled t"
    assert selector.evidence_["pairs"][0]["interval"] is None
