"""The evidence: each figure is what the tests of the statistics room say of the folds and rows."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.selection import HybridSelector
from fusionfer.selection._evidence import Weighing
from fusionfer.statistics import (
    combined_f_5x2,
    corrected_resampled_t,
    holm,
    mcnemar,
    mean_scores,
    percentile_interval,
    resample,
)

BLOCKS = {"a": slice(0, 4), "b": slice(4, 10)}


def by_names(evidence):
    """Return (first, second) -> pair."""
    return {(pair["first"], pair["second"]): pair for pair in evidence["pairs"]}


def test_over_folds(two_blocks):
    """The corrected t decides; bootstrap and pooled McNemar, with its error rate, stand beside."""
    selector = HybridSelector(GaussianNB(), BLOCKS, cv=4).fit(*two_blocks(2, 1))
    evidence, judged = selector.evidence_, selector.judged_
    pairs = by_names(evidence)
    assert list(pairs) == [("a + b", "a"), ("a + b", "b"), ("a", "b")]
    right = {name: said[0] == judged["y"] for name, said in judged["said"].items()}
    drawn = resample(mean_scores(np.stack([right[name] for name in ("a", "b", "a + b")], axis=1)), 240).inside
    for (first, second), pair in pairs.items():
        t = corrected_resampled_t(selector.scores_[first] - selector.scores_[second], 1 / 3)
        assert (pair["difference"], pair["greater"], pair["two_sided"]) == (t.difference, t.greater, t.two_sided)
        i, j = (["a", "b", "a + b"].index(name) for name in (first, second))
        assert tuple(pair["interval"]) == percentile_interval(drawn[:, i] - drawn[:, j])
        m = mcnemar(np.sum(right[first] & ~right[second]), np.sum(right[second] & ~right[first]))
        assert pair["tests"]["McNemar"]["exact"] == m.exact
        assert pair["tests"]["McNemar"]["pooled"] is True
        assert pair["tests"]["McNemar"]["simulated_error_rate"] > 0.05
    assert [pair["holm"] for pair in evidence["pairs"]] == holm([p["two_sided"] for p in evidence["pairs"]]).tolist()
    assert evidence["p"] == max(pairs["a + b", "a"]["greater"], pairs["a + b", "b"]["greater"])
    assert evidence["test"] == "corrected resampled t"
    json.dumps(evidence, allow_nan=False)


def test_on_one_split(two_blocks):
    """McNemar's mid-p decides, and nothing is pooled."""
    X, y = two_blocks(2, 1)
    evidence = HybridSelector(GaussianNB(), BLOCKS).fit(X, y, held_out=np.arange(240) >= 120).evidence_
    assert evidence["test"] == "McNemar mid-p"
    for pair in evidence["pairs"]:
        test = pair["tests"]["McNemar"]
        m = mcnemar(test["first_only"], test["second_only"])
        assert (pair["greater"], pair["less"], pair["two_sided"]) == (m.greater, m.less, m.mid_p)
        assert test.keys() == {"first_only", "second_only", "exact", "mid_p"}
        assert "corrected resampled t" not in pair["tests"]


@pytest.mark.parametrize("options", [{"min_gain": 0.01}, {"scoring": "f1_macro"}, {"grouped": True}])
def test_on_one_split_where_mcnemar_does_not_hold(two_blocks, options):
    """With a margin, another measure, or rows that belong together the bootstrap decides."""
    X, y = two_blocks(2, 1)
    options = dict(options)
    groups = np.arange(240) // 4 if options.pop("grouped", False) else None
    selector = HybridSelector(GaussianNB(), BLOCKS, **options).fit(X, y, groups, held_out=np.arange(240) >= 120)
    assert selector.evidence_["test"] == "paired bootstrap"
    pair = selector.evidence_["pairs"][0]
    assert pair["tests"]["paired bootstrap"]["samples"] == 1000
    assert 1 / 1001 <= pair["greater"] < 0.05


@pytest.mark.parametrize("kind", ["folds", "halves", "bootstrap"])
def test_a_margin_is_what_the_hybrid_must_gain_and_nothing_else(kind):
    """Better asks the hybrid for more than min_gain; worse and different are about 0, and singles as they are."""
    rng = np.random.default_rng(0)
    shape = {"folds": 5, "halves": (5, 2), "bootstrap": 200}[kind]
    found = {name: 0.5 + 0.01 * rng.normal(size=shape) for name in ("a", "b", "a + b")}
    scores = found if kind == "folds" else {name: np.array([one.mean()]) for name, one in found.items()}
    ratio = 1 / 4 if kind == "folds" else None
    resampled = found if kind == "bootstrap" else None
    given = {"halves": found} if kind == "halves" else {}
    plain, strict = (Weighing(scores, ratio, gain, resampled, None, **given) for gain in (0.0, 0.02))
    one, other = plain.pair("a + b", "a"), strict.pair("a + b", "a")
    assert other["greater"] > one["greater"]
    assert {**other, "greater": 0} == {**one, "greater": 0}
    assert strict.pair("a", "b") == plain.pair("a", "b")
    if kind == "folds":
        wanted = corrected_resampled_t(scores["a + b"] - scores["a"], 1 / 4, margin=0.02)
        assert other["greater"] == wanted.greater


def test_a_gain_below_min_gain_is_no_evidence_against_the_hybrid(two_blocks):
    """The hybrid is clearly better, by less than was asked for: the cheaper is kept, and nobody calls it better."""
    X, y = two_blocks(3, 3)
    selector = HybridSelector(GaussianNB(), BLOCKS, min_gain=0.6).fit(X, y)
    evidence = selector.evidence_
    assert (selector.selected_ == "a + b", evidence["outcome"]) == (False, "open")
    assert "that the hybrid beats every single block by more than 0.6 has p = " in evidence["verdict"]
    assert all(pair["two_sided"] < 0.05 < pair["less"] for pair in evidence["pairs"] if pair["first"] == "a + b")


def test_five_by_two(two_blocks):
    """Ten fits of each candidate more, said in the progress; the combined F of their scores decides."""
    X, y = two_blocks(2, 1)
    whats = []
    selector = HybridSelector(GaussianNB(), BLOCKS, cv=3, test="5x2", search={"var_smoothing": [1e-9, 10.0]})
    selector.fit(X, y, progress=lambda done, total, what: whats.append(what))
    assert any(what.startswith("5x2 cv, 30 fits: ") for what in whats)
    evidence = selector.evidence_
    assert (evidence["test"], evidence["fits"]) == ("5x2 cv combined F", 30)
    scores = {}
    folds = [pair for r in range(5) for pair in StratifiedKFold(2, shuffle=True, random_state=r).split(X, y)]
    for name, columns in {"a": slice(0, 4), "a + b": slice(0, 10)}.items():
        blocks = {"a": columns} if name == "a" else BLOCKS
        found = HybridSelector(GaussianNB(**selector.best_params_[name]), blocks, cv=folds).fit(X[:, columns], y)
        scores[name] = found.scores_[name].reshape(5, 2)
    wanted = combined_f_5x2(scores["a + b"] - scores["a"])
    assert by_names(evidence)["a + b", "a"]["greater"] == pytest.approx(wanted.greater)


def test_the_rule_significant(two_blocks):
    """The hybrid is kept if every test says so; with a gain that may be chance the single block is."""
    X, y = two_blocks(3, 3)
    clear = HybridSelector(GaussianNB(), BLOCKS, cv=5, rule="significant").fit(X, y)
    assert clear.selected_ == "a + b"
    assert clear.reason_.endswith("by more than 0 at the level of 0.05 (p = 0.00347, corrected resampled t).")
    assert clear.evidence_["outcome"] == "hybrid"
    X, y = two_blocks(3, 0.3)
    greater, significant = (
        HybridSelector(GaussianNB(), BLOCKS, cv=5, rule=r).fit(X, y) for r in ("greater", "significant")
    )
    assert (greater.selected_, significant.selected_) == ("a + b", "a")
    assert greater.scores_["a"].tolist() == significant.scores_["a"].tolist()
    assert greater.evidence_["outcome"] == significant.evidence_["outcome"] == "open"
    assert "does not beat every single block by more than 0 at the level of 0.05 (p = " in significant.reason_
    assert greater.evidence_["verdict"].endswith("for its greater mean; a single block would be cheaper.")
    assert significant.evidence_["verdict"].endswith(" The cheaper is kept: a single block.")


def test_alpha_is_the_level(two_blocks):
    """The same p is enough at a higher level."""
    X, y = two_blocks(3, 0.3)
    p = HybridSelector(GaussianNB(), BLOCKS).fit(X, y).evidence_["p"]
    for alpha, kept in [(p * 1.01, "a + b"), (p * 0.99, "a")]:
        assert HybridSelector(GaussianNB(), BLOCKS, rule="significant", alpha=alpha).fit(X, y).selected_ == kept


def test_evidence_for_a_single_block():
    """Many columns of noise harm the hybrid: the tests say that the single block is better, and name it."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    X = rng.normal(size=(400, 400))
    X[:, 0] += 2 * y
    selector = HybridSelector(GaussianNB(), {"signal": slice(0, 1), "noise": slice(1, 400)}, scale=None).fit(X, y)
    assert selector.evidence_["outcome"] == "single"
    assert selector.evidence_["verdict"].startswith("Evidence for a single block: signal is better than the hybrid (p ")


def test_one_block_needs_no_evidence(two_blocks):
    """There is nothing to compare, and a search still has its optimism."""
    X, y = two_blocks(2, 1)
    one = HybridSelector(LogisticRegression(), cv=3).fit(X, y).evidence_
    assert (one["outcome"], one["p"], one["pairs"], one["optimism"]) == ("alone", None, [], None)
    searched = HybridSelector(LogisticRegression(), cv=3, search={"C": [1e-4, 1.0]}, rule="significant").fit(X, y)
    assert searched.evidence_["optimism"]["configurations"] == 2


def test_no_variance_no_test(two_blocks):
    """Blocks that always agree: no test, no evidence, and the single block for the rule that asks for a test."""
    X, y = two_blocks(2, 1)
    twice = np.concatenate([X[:, :4], X[:, :4]], axis=1)
    selector = HybridSelector(
        GaussianNB(), {"a": slice(0, 4), "b": slice(4, 8)}, cv=2, rule="significant", scale=None,
        scoring=lambda head, X, y: 0.5 + 0.1 * (X.shape[1] == 8),
    ).fit(twice, y)  # fmt: skip
    assert selector.selected_ == "a"
    assert "(no test where the differences do not vary)" in selector.reason_
    assert selector.evidence_["verdict"].startswith("No evidence either way, as no test can be made: the differences")
    json.dumps(selector.evidence_, allow_nan=False)


def test_one_split_of_ones_own(two_blocks):
    """A splitter with one pair is one split: accuracy has McNemar's test there, a callable has none."""
    X, y = two_blocks(3, 3)
    options = {"blocks": BLOCKS, "cv": [(np.arange(160), np.arange(160, 240))], "rule": "significant"}
    assert HybridSelector(GaussianNB(), **options).fit(X, y).evidence_["test"] == "McNemar mid-p"
    selector = HybridSelector(GaussianNB(), scoring=lambda head, X, y: head.score(X, y), **options).fit(X, y)
    assert "(no test of this scoring on one split)" in selector.reason_
    assert selector.evidence_["test"] is None
    assert "one of single rows, and there is one split only. The cheaper is kept" in selector.evidence_["verdict"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rule": "better"}, UnknownNameError, r"^Unknown rule 'better'\. Known rules: greater, significant\."),
        ({"test": "5x2cv"}, UnknownNameError, r"^Unknown test '5x2cv'\. .*Did you mean '5x2'"),
        ({"alpha": 5}, DataError, r"^alpha must be a level between 0 and 1, such as 0\.05, got 5\.$"),
        ({"test": "5x2", "split": True}, DataError, r"^test='5x2' makes folds of its own; with held_out"),
        (
            {"rule": "significant", "scoring": lambda head, X, y: head.score(X, y), "split": True},
            DataError,
            r"^rule='significant' cannot test .*Use scoring='accuracy', or rule='greater'\.$",
        ),
    ],
)
def test_what_cannot_be_asked_for(two_blocks, options, error, message):
    """Refused before anything is fitted."""
    X, y = two_blocks(2, 1)
    options = dict(options)
    held_out = np.arange(240) >= 120 if options.pop("split", False) else None
    with pytest.raises(error, match=message):
        HybridSelector(None, BLOCKS, **options).fit(X, y, held_out=held_out)


def test_noise_is_not_preferred_more_often_than_stated():
    """Two blocks of noise, 40 times: the mean prefers the hybrid now and then, the test at most at 5 %."""
    rng, kept = np.random.default_rng(0), {"greater": 0, "significant": 0}
    y = np.arange(60) % 3
    for _ in range(40):
        selector = HybridSelector(GaussianNB(), {"a": slice(0, 2), "b": slice(2, 4)}, cv=5, scale=None)
        selector.fit(rng.normal(size=(60, 4)), y)
        evidence = selector.evidence_
        kept["greater"] += selector.selected_ == "a + b"
        kept["significant"] += evidence["outcome"] == "hybrid"
    assert 0.05 < kept["greater"] / 40 <= 0.35
    assert kept["significant"] / 40 <= 0.05
