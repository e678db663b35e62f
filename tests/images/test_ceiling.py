"""Ceilings of accuracy: exact on small votes, true on simulated annotators, and never below what is reached."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.images import copies_ceiling, label_ceiling


def test_by_hand():
    """Three votes for a face: pairs, leaving one out, the most frequent; ties of the rest are guessed."""
    one = label_ceiling(np.array([[2, 1, 0]]), answers={"one": np.array([1])})
    assert one.annotators == pytest.approx(1 / 3)  # one pair of three agrees
    # left out 0: the rest is a tie of 0 and 1; left out 1: the rest says 0
    assert one.others == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert one.highest == pytest.approx(2 / 3)
    assert one.answered == {"one": pytest.approx(1 / 3)}
    assert one.n == 1


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_simulated_annotators(alpha):
    """The true ceiling lies between what the others reach and the highest; pairs are met; and intervals cover."""
    rng = np.random.default_rng(1)
    p = rng.dirichlet([alpha] * 7, 20_000)
    votes = rng.multinomial(10, p)
    found = label_ceiling(votes, answers={"best": p.argmax(axis=1)})
    truth = p.max(axis=1).mean()
    assert found.others < truth < found.highest
    assert found.answered["best"] == pytest.approx(truth, abs=0.01)
    assert found.annotators == pytest.approx((p**2).sum(axis=1).mean(), abs=0.01)
    covered = []
    for start in range(0, 20_000, 200):
        low, high = label_ceiling(votes[start : start + 200]).intervals["annotators"]
        covered.append(low <= (p**2).sum(axis=1).mean() <= high)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_no_answers_agree_more_than_the_highest():
    """The best answers to the very votes reach it exactly; any others stay below."""
    rng = np.random.default_rng(2)
    votes = rng.multinomial(10, rng.dirichlet([0.5] * 5, 500))
    found = label_ceiling(votes, answers={"best": votes.argmax(axis=1), "other": rng.integers(0, 5, 500)})
    assert found.answered["other"] < found.answered["best"] == found.highest


def test_groups_widen_the_interval():
    """Each face twice, as copies, tells as much as once."""
    votes = np.random.default_rng(3).multinomial(10, [0.5, 0.3, 0.2], 200)
    names = np.array([f"p{i}" for i in range(200)])
    once = label_ceiling(votes).intervals["highest"]
    twice = label_ceiling(np.repeat(votes, 2, axis=0), groups=np.repeat(names, 2)).intervals["highest"]
    assert twice == pytest.approx(once)
    unnamed = label_ceiling(votes, groups=np.full(200, "")).intervals["highest"]
    assert unnamed == pytest.approx(once)


def test_the_sentence_and_the_json_say_the_same():
    """Figures with intervals, in words and as numbers."""
    found = label_ceiling(np.array([[10, 0], [5, 5]]), answers={"labels": np.array([0, 0])})
    assert "2 faces: labels 75.0 % [26.0, 100.0], another annotator" in found.sentence()
    assert "no predictor more than 75.0 % [26.0, 100.0]" in found.sentence()
    assert found.describe()["highest"] == {"share": 0.75, "interval": list(found.intervals["highest"])}
    assert found.describe()["answered"]["labels"]["share"] == 0.75


def test_faces_without_two_votes_are_passed_over():
    """They tell of no disagreement; if all are such, or shapes do not fit, that is an error."""
    assert label_ceiling(np.array([[1, 0], [0, 0], [3, 1]])).n == 1
    with pytest.raises(DataError, match="None of 2 faces has two votes"):
        label_ceiling(np.array([[1, 0], [0, 0]]))
    with pytest.raises(DataError, match=r"what is answered \(faces,\); got \(1, 2\), \(2,\)"):
        label_ceiling(np.array([[2, 0]]), answers={"labels": np.array([0, 1])})


def test_copies_by_simulation():
    """Labels drawn anew for each copy: the bound holds for the best predictor, and is met where others are equal."""
    rng = np.random.default_rng(4)
    p = rng.dirichlet([0.3] * 7, 5000)
    drawn = [rng.choice(7, size=rng.integers(2, 5), p=row).astype(str).tolist() for row in p]
    found = copies_ceiling(drawn, 7)
    assert found.n == 5000
    assert found.agreement == pytest.approx((p**2).sum(axis=1).mean(), abs=0.02)
    assert found.highest > p.max(axis=1).mean()
    tight = np.tile(np.array([[0.7, *[0.05] * 6]]), (20_000, 1))
    equal = [rng.choice(7, size=2, p=tight[0]).astype(str).tolist() for _ in tight]
    assert copies_ceiling(equal, 7).highest == pytest.approx(0.7, abs=0.02)


def test_copies_that_tell_nothing():
    """Copies without labels are passed over; without any pair there is no ceiling."""
    assert copies_ceiling([["a", "", "a"], ["b", ""]], 3) == copies_ceiling([["a", "a"]], 3)
    with pytest.raises(DataError, match="No picture has two labelled copies"):
        copies_ceiling([["a", ""], []], 3)
