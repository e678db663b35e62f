"""Shares of classes by FER+'s three rules, against their code's own course; soft labels by id and class."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.images import TARGETS, SoftLabels, vote_shares


def their_course(votes, rule):
    """Follow the published code step by step, on one row of eight emotions, "unknown" and "not a face"."""
    left = [0 if vote <= 1 else vote for vote in votes]
    total, got = sum(left), [0] * 10
    if rule == "majority":
        most = max(left)
        if most > 0.5 * total:
            got[left.index(most)] = most
    elif rule == "multi-target":
        got = [vote if vote >= 0.3 * total else 0 for vote in left]
    else:
        done, n, going = 0, 0, True
        while done < 0.75 * total and n < 3 and going:
            most = max(left)
            for i in range(10):
                if left[i] != most:
                    continue
                got[i], left[i] = most, 0
                done, n = done + most, n + 1
                if i >= 8:
                    going = False
                    if sum(got) > most:
                        got[i], n = 0, n - 1
                    break
        if n > 3:
            got = [0] * 10
    if sum(got) <= 0.5 * total or got.index(max(got)) >= 8:
        return [0.0] * 8
    emotions = [float(g > 0) if rule == "multi-target" else g for g in got[:8]]
    return [e / sum(emotions) for e in emotions]


@pytest.mark.parametrize("rule", TARGETS)
def test_shares_follow_the_published_code(rule):
    """On 3,000 rows of ten votes, crowded so that ties, unknown faces and several emotions are all there."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.4] * 10, 3000)
    votes = np.array([rng.multinomial(10, row) for row in p])
    found = vote_shares(votes, rule, 8)
    np.testing.assert_allclose(found, [their_course(row, rule) for row in votes.tolist()], atol=1e-12)
    without = found.sum(axis=1) == 0
    assert 100 < without.sum() < 2900


def test_rows_that_the_rules_tell_apart():
    """One vote counts nowhere; four equal choices are too many; beside a tie with "unknown" half is too little."""
    votes = np.array([[5, 3, 1, 0, 0, 0, 0, 0, 1, 0], [4, 0, 0, 0, 0, 0, 0, 0, 4, 0], [2, 2, 2, 2, 0, 0, 0, 0, 1, 1]])
    probabilistic = vote_shares(votes, "probabilistic", 8)
    np.testing.assert_allclose(probabilistic[0, :3], [0.625, 0.375, 0])
    assert not probabilistic[1:].any()
    np.testing.assert_allclose(vote_shares(votes, "multi-target", 8)[0, :3], [0.5, 0.5, 0])
    with pytest.raises(UnknownNameError, match=r"rule for targets 'probable'.*Did you mean 'probabilistic'"):
        vote_shares(votes, "probable")


def soft(**changes):
    shares = np.array([[0.5, 0.5, 0.0], [0.2, 0.0, 0.8]])
    made = {"ids": ("a", "b"), "classes": ("contempt", "fear", "sad"), "shares": shares, "rule": "probabilistic"}
    return SoftLabels(**{**made, **changes})


def test_faces_take_their_shares():
    """By id, in any order of classes; copies have those of their source; other classes are left out."""
    taken = soft().take(["b", "a", "a#aug3"], ["sad", "fear", "contempt"])
    np.testing.assert_allclose(taken, [[0.8, 0, 0.2], [0, 0.5, 0.5], [0, 0.5, 0.5]])
    assert taken.dtype == np.float32
    np.testing.assert_allclose(soft().take(["b", "a"], ["sad", "fear"]), [[1, 0], [0, 1]])
    with pytest.raises(DataError, match=r"2 of 3 faces have no share in any of the classes sad: a, c\."):
        soft().take(["a", "b", "c"], ["sad"])


def test_classes_are_mapped():
    """Joined classes add up, dropped ones go; a face of which nothing is left goes, too."""
    joined = soft().mapped({"contempt": "low", "sad": "low"})
    assert joined.classes == ("fear", "low")
    np.testing.assert_allclose(joined.shares, [[0.5, 0.5], [0, 1]])
    dropped = soft().mapped({"contempt": "", "fear": ""})
    assert (dropped.ids, dropped.shares.tolist()) == (("b",), [[1.0]])
    with pytest.raises(UnknownNameError, match="label 'joy'"):
        soft().mapped({"joy": ""})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rule": "majority"}, "rule for soft labels 'majority'"),
        ({"ids": ("a", "a")}, "2 ids, all different, and 3 classes need shares"),
        ({"shares": np.ones((2, 2)) / 2}, r"shape \(2, 3\), got \(2, 2\)"),
        ({"shares": np.ones((2, 3))}, "numbers from 0 that sum to 1"),
        ({"shares": np.array([[1.5, -0.5, 0], [0, 0, 1]])}, "numbers from 0 that sum to 1"),
        ({"shares": np.array([[np.nan, 0, 0], [0, 0, 1]])}, "numbers from 0 that sum to 1"),
    ],
)
def test_what_is_no_soft_label(changes, text):
    """Wrong rules, ids, shapes and numbers are refused by name."""
    with pytest.raises((DataError, UnknownNameError), match=text):
        soft(**changes)
