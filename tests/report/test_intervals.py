"""Intervals agree with an independent implementation, and hold the truth as often as they say."""

import json

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from fusionfer.metrics import Scores
from fusionfer.report import (
    average_intervals,
    class_intervals,
    describe_intervals,
    interval_table,
    overall_interval_table,
)

#: What a classifier does with 7 % of fear, 40 % of joy, 53 % of anger: probability of (true, predicted).
TRUTH = np.array([[0.33, 0.15, 0.05], [0.06, 0.32, 0.02], [0.02, 0.01, 0.04]])


def test_shares_are_wilsons(make_scores):
    """Accuracy, precision, recall, specificity and Jaccard of each class are Wilson's intervals by statsmodels."""
    scores = make_scores(["a", "b", "c"])
    found = class_intervals(scores)
    for k in range(3):
        tp = scores.confusion[k, k]
        fp, fn = scores.confusion[:, k].sum() - tp, scores.confusion[k].sum() - tp
        tn = scores.n - tp - fp - fn
        shares = {
            "accuracy": (tp + tn, scores.n), "precision": (tp, tp + fp), "recall": (tp, tp + fn),
            "specificity": (tn, tn + fp), "jaccard": (tp, tp + fp + fn),
        }  # fmt: skip
        for name, (hits, n) in shares.items():
            assert found[name][k] == pytest.approx(proportion_confint(hits, n, method="wilson")), name
    assert np.array_equal(found["f1"], found["dice"])
    low, high = average_intervals(scores)["accuracy"]
    hits = int(np.trace(scores.confusion))
    assert (low, high) == pytest.approx(proportion_confint(hits, scores.n, method="wilson"))


def test_every_interval_holds_its_figure(make_scores, with_gaps):
    """The figure lies inside; what is undefined has none."""
    for scores in (make_scores(["a", "b", "c"]), with_gaps):
        found = class_intervals(scores)
        for metric, ends in found.items():
            values = scores.per_class[metric]
            known = ~np.isnan(values)
            assert np.array_equal(np.isnan(ends).any(axis=1), ~known)
            assert np.all((ends[known, 0] <= values[known]) & (values[known] <= ends[known, 1])), metric
        for name, (low, high) in average_intervals(scores).items():
            value = {"accuracy": scores.accuracy, "balanced_accuracy": scores.balanced_accuracy}.get(name)
            value = scores.macro[name.removeprefix("macro_")] if value is None else value
            assert low <= value <= high, name


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 400 samples of 300, the 95 % intervals of every figure hold the true figure in 92 to 98 %."""
    true = Scores(("a", "b", "c"), np.rint(TRUTH * 10_000).astype(int))
    rng = np.random.default_rng(0)
    hits = {}
    for _ in range(400):
        seen = Scores(true.classes, rng.multinomial(300, TRUTH.ravel()).reshape(3, 3))
        for metric, ends in class_intervals(seen).items():
            inside = (ends[:, 0] <= true.per_class[metric]) & (true.per_class[metric] <= ends[:, 1])
            hits.setdefault(metric, []).extend(inside)
        for name, (low, high) in average_intervals(seen).items():
            if name.startswith("macro_"):
                hits.setdefault(name, []).append(low <= true.macro[name.removeprefix("macro_")] <= high)
    shares = {name: np.mean(inside) for name, inside in hits.items()}
    assert all(0.92 <= share <= 0.98 for share in shares.values()), shares


def test_more_samples_narrower_intervals():
    """Four times the samples halve the intervals, those of the bootstrap too."""
    few = Scores(("a", "b", "c"), np.rint(TRUTH * 1000).astype(int))
    many = Scores(("a", "b", "c"), np.rint(TRUTH * 4000).astype(int))
    for name, (low, high) in average_intervals(few).items():
        lower, upper = average_intervals(many)[name]
        assert upper - lower == pytest.approx((high - low) / 2, rel=0.1), name


def test_the_tables_show_figure_and_interval(make_scores, with_gaps):
    """Each cell is the figure of `Scores`, with its interval; a dash where there is none; averages stand below."""
    scores = make_scores(["a", "b"])
    table = interval_table(scores)
    low, high = class_intervals(scores)["recall"][0]
    column = table.header.index("recall (sensitivity)")
    assert table.rows[0][column] == f"{100 * scores.per_class['recall'][0]:.1f} ({100 * low:.1f}–{100 * high:.1f})"
    low, high = average_intervals(scores)["macro_f1"]
    assert (
        table.rows[2][table.header.index("F1")] == f"{100 * scores.macro['f1']:.1f} ({100 * low:.1f}–{100 * high:.1f})"
    )
    assert table.rows[3][table.header.index("F1")] == f"{100 * scores.weighted['f1']:.1f}"
    assert interval_table(with_gaps).rows[2][3] == "–"
    assert "undefined, and left out" in interval_table(with_gaps).note
    overall = overall_interval_table(scores, "T")
    low, high = average_intervals(scores)["accuracy"]
    assert overall.rows[0] == ("accuracy", f"{100 * scores.accuracy:.1f} %", f"{100 * low:.1f} % to {100 * high:.1f} %")


def test_json_has_them_all(with_gaps):
    """Pairs of numbers, and None where a figure is undefined; no NaN."""
    found = json.loads(json.dumps(describe_intervals(with_gaps), allow_nan=False))
    assert found["level"] == 0.95
    assert found["per_class"]["contempt"]["precision"] is None
    assert found["per_class"]["joy"]["recall"] == pytest.approx(proportion_confint(3, 4, method="wilson"))
    assert set(found) >= {"accuracy", "balanced_accuracy", "macro_f1", "macro_jaccard", "macro_dice"}
