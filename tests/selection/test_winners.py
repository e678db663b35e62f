"""Winners of several heads on the same folds: pairs, Holm, and the optimism of the whole choice."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from fusionfer.selection import HybridSelector, compare_winners
from fusionfer.statistics import corrected_resampled_t, holm

BLOCKS = {"a": slice(0, 4), "b": slice(4, 10)}


@pytest.fixture
def selectors(two_blocks):
    """Three heads, fitted to the same folds."""
    X, y = two_blocks(2, 1)
    search = {"knn": {"n_neighbors": [1, 15]}}
    heads = {"bayes": GaussianNB(), "logistic": LogisticRegression(), "knn": KNeighborsClassifier()}
    return {name: HybridSelector(head, BLOCKS, cv=4, search=search.get(name)).fit(X, y) for name, head in heads.items()}


def test_the_best_is_compared_with_each_other(selectors):
    """Differences and tests are those of the folds; Holm is over these pairs alone."""
    found = compare_winners(selectors, "logistic")
    assert [(pair["first"], pair["second"]) for pair in found["heads"]] == [
        (f"logistic on {selectors['logistic'].selected_}", f"{name} on {selectors[name].selected_}")
        for name in ("bayes", "knn")
    ]
    for pair, name in zip(found["heads"], ("bayes", "knn"), strict=True):
        one, two = (selectors[head].scores_[selectors[head].selected_] for head in ("logistic", name))
        assert pair["two_sided"] == corrected_resampled_t(one - two, 1 / 3).two_sided
        low, high = pair["interval"]
        assert low <= pair["difference"] <= high
    p_values = [pair["two_sided"] for pair in found["heads"]]
    assert [pair["holm"] for pair in found["heads"]] == holm(p_values).tolist()


def test_the_share_that_is_held_out_is_that_of_the_folds(two_blocks):
    """Repeated folds hold out a quarter as often as one likes: the test goes by rows, not by the number of folds."""
    X, y = two_blocks(2, 1)
    cv = RepeatedStratifiedKFold(n_splits=4, n_repeats=3, random_state=0)
    heads = {"bayes": GaussianNB(), "knn": KNeighborsClassifier()}
    selectors = {name: HybridSelector(head, BLOCKS, cv=cv).fit(X, y) for name, head in heads.items()}
    (pair,) = compare_winners(selectors, "bayes")["heads"]
    one, two = (found.scores_[found.selected_] for found in selectors.values())
    assert pair["two_sided"] == pytest.approx(corrected_resampled_t(one - two, 1 / 3).two_sided)


def test_the_optimism_is_that_of_all_that_was_tried(selectors):
    """Three candidates of two heads, and of the third at two points; more than that of the winner alone."""
    found = compare_winners(selectors, "logistic")
    assert found["optimism"]["configurations"] == 12
    alone = compare_winners({"logistic": selectors["logistic"]}, "logistic")
    assert alone["heads"] == []
    assert alone["optimism"] == selectors["logistic"].evidence_["optimism"]


def test_heads_of_which_only_scores_are_known(two_blocks):
    """A callable scoring: the t test over folds, no interval, no optimism."""
    X, y = two_blocks(2, 1)

    def scoring(head, X, y):
        return head.score(X, y)

    selectors = {
        name: HybridSelector(head, BLOCKS, cv=3, scoring=scoring).fit(X, y)
        for name, head in [("bayes", GaussianNB()), ("logistic", LogisticRegression())]
    }
    found = compare_winners(selectors, "bayes")
    assert found["optimism"] is None
    assert found["heads"][0]["interval"] is None
    assert 0 < found["heads"][0]["two_sided"] <= 1


def test_on_one_split(two_blocks):
    """McNemar's test decides among heads, too."""
    X, y = two_blocks(2, 1)
    selectors = {
        name: HybridSelector(head, BLOCKS).fit(X, y, held_out=np.arange(240) >= 120)
        for name, head in [("bayes", GaussianNB()), ("knn", KNeighborsClassifier(1))]
    }
    (pair,) = compare_winners(selectors, "bayes")["heads"]
    assert pair["two_sided"] == pair["tests"]["McNemar"]["mid_p"]
