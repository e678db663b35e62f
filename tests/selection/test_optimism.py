"""How much too good the winner's score is: nothing without a choice, as much as it is where all is chance."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from fusionfer.selection import HybridSelector
from fusionfer.selection._deciding import decide
from fusionfer.selection._optimism import Choice, optimism
from fusionfer.statistics import mean_scores, resample


@pytest.mark.parametrize("min_gain", [0.0, 0.03])
def test_the_choice_is_that_of_the_selector(min_gain):
    """On the scores of all rows the winner is the selector's, for many tables of scores with ties."""
    rng, widths = np.random.default_rng(0), {"a": 5, "b": 3, "a + b": 8}
    tables = rng.integers(0, 8, size=(300, 3, 2)) / 50
    columns = Choice(widths, 2, min_gain, 0).winners(tables.reshape(300, 6))
    for table, column in zip(tables, columns, strict=True):
        best = dict(zip(widths, table.max(axis=1), strict=True))
        empty: dict[str, dict] = {name: {} for name in widths}
        name, _ = decide(best, widths, empty, min_gain=min_gain, measure="score", judged="once")
        i = list(widths).index(name)
        assert column == 2 * i + table[i].argmax()


def test_what_a_test_refused_is_not_taken_for_its_mean():
    """Where a test kept a single block, the draws choose among single blocks."""
    scores = np.array([[0.5, 0.6, 0.9], [0.9, 0.6, 0.5]])
    widths = {"a": 1, "b": 1, "a + b": 2}
    assert Choice(widths, 1, 0.0, 0, singles_only=True).winners(scores).tolist() == [1, 0]
    assert Choice(widths, 1, 0.0, 2).winners(scores).tolist() == [2, 0]


def test_the_best_of_many_coins_is_no_better():
    """Fifty classifiers that guess: the best promises much, and less what the choice brings it promises a half."""
    corrected, promised = [], []
    for seed in range(30):
        right = np.random.default_rng(seed).random((200, 50)) < 0.5
        means = right.mean(axis=0)
        choice = Choice({"all": 3}, 50, 0.0, int(means.argmax()))
        found = optimism([resample(mean_scores(right), 200, samples=200)], [choice], 0, float(means.max()))
        assert found["corrected"] == pytest.approx(found["score"] - found["optimism"])
        promised.append(found["score"])
        corrected.append(found["corrected"])
    assert np.mean(promised) > 0.57
    assert abs(np.mean(corrected) - 0.5) < 0.02


def test_a_clear_winner_owes_nothing_to_the_choice():
    """One that is far better wins in every draw."""
    right = np.random.default_rng(0).random((200, 3)) < [0.9, 0.3, 0.3]
    found = optimism([resample(mean_scores(right), 200)], [Choice({"all": 1}, 3, 0.0, 0)], 0, 0.9)
    assert found["optimism"] == 0
    assert found["sentence"] == (
        "The winner is the best of 3 that were tried; less what that brings by chance, its score is 0.9000 in the "
        "place of 0.9000 (bootstrap bias correction)."
    )


def test_several_heads():
    """The best head is chosen in every draw, too: two that guess have more optimism together than one."""
    right = np.random.default_rng(1).random((150, 20)) < 0.5
    drawn = [resample(mean_scores(part), 150) for part in (right[:, :10], right[:, 10:])]
    choices = [Choice({"all": 1}, 10, 0.0, int(part.mean(axis=0).argmax())) for part in (right[:, :10], right[:, 10:])]
    both = optimism(drawn, choices, 0, 0.6)
    assert both["configurations"] == 20
    together = Choice({"all": 1}, 20, 0.0, choices[0].selected)
    assert both["optimism"] == optimism([resample(mean_scores(right), 150)], [together], 0, 0.6)["optimism"]


def test_noise_through_the_selector():
    """Twelve selections with a search on noise: the scores are above chance, the corrected ones are not."""
    y, corrected, promised = np.arange(90) % 3, [], []
    for seed in range(12):
        X = np.random.default_rng(seed).normal(size=(90, 6))
        search = {"var_smoothing": [1e-9, 0.3, 1.0, 3.0]}
        selector = HybridSelector(GaussianNB(), {"a": slice(0, 3), "b": slice(3, 6)}, cv=3, search=search).fit(X, y)
        promised.append(selector.evidence_["optimism"]["score"])
        corrected.append(selector.evidence_["optimism"]["corrected"])
    assert np.mean(promised) > 0.36
    assert abs(np.mean(corrected) - 1 / 3) < 0.025
