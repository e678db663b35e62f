"""Bounds from cells that are known up to rounding hold every matrix that could have been rounded, and are reached."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from fusionfer.claims._confusing import any_average, averages, class_figures, f1_of_averages, total
from fusionfer.claims._intervals import Interval

NAMES = ("precision", "recall", "specificity", "accuracy", "f1", "jaccard")


def plain(confusion, k):
    """The figures of class k, in floats; nan where undefined."""
    n, tp = confusion.sum(), confusion[k, k]
    fp, fn = confusion[:, k].sum() - tp, confusion[k].sum() - tp
    parts = [(tp, tp + fp), (tp, tp + fn), (n - tp - fp - fn, n - tp - fn), (n - fp - fn, n),
             (2 * tp, 2 * tp + fp + fn), (tp, tp + fp + fn)]  # fmt: skip
    return [part / whole if whole else np.nan for part, whole in parts]


@pytest.mark.parametrize("rows", [[[3, 1, 0], [2, 5, 1], [0, 0, 9]], [[0, 0], [4, 0]], [[5, 0], [0, 0]], [[2]]])
def test_exact_cells_give_exact_figures(rows):
    """Against the formulas in floats; what is undefined is None."""
    confusion = np.array(rows)
    cells = [[Interval.point(int(count)) for count in row] for row in rows]
    for k in range(len(rows)):
        found = class_figures(cells, confusion.sum(axis=1).tolist(), k)
        for name, value in zip(NAMES, plain(confusion, k), strict=True):
            assert found[name] is None if np.isnan(value) else found[name] == pytest.approx((value, value)), name


def test_rounded_cells_give_bounds_that_are_reached():
    """All matrices with rows of the same sums within the cells lie inside, and some at each end."""
    supports, slack = [10, 20], [2, 3]
    middle = np.array([[7.0, 3.0], [4.0, 16.0]])
    cells = [[Interval(Fraction(x) - s, Fraction(x) + s) for x in row] for row, s in zip(middle, slack, strict=True)]
    seen = {name: [] for name in NAMES}
    for a, b in product(np.linspace(-2, 2, 21), np.linspace(-3, 3, 21)):
        for name, value in zip(NAMES, plain(np.add(middle, [[a, -a], [b, -b]]), 0), strict=True):
            seen[name].append(value)
    for name, (low, high) in class_figures(cells, supports, 0).items():
        assert (float(low), float(high)) == pytest.approx((min(seen[name]), max(seen[name]))), name


def test_cells_that_may_all_be_empty_tell_nothing():
    """A column that may be empty or not allows every precision, and the average stays within what that gives."""
    cells = [[Interval(Fraction(0), Fraction(1)), Interval.point(4)], [Interval(Fraction(0), Fraction(1))] * 2]
    assert class_figures(cells, [5, 2], 0)["precision"] == (0, 1)


def test_averages_by_each_convention():
    """A class without a value is left out, or counts as 0; weights likewise; nothing at all has no average."""
    a, b = Interval.point(Fraction(1, 2)), Interval.point(1)
    assert averages([a, b]) == (Interval.point(Fraction(3, 4)),)
    assert averages([a, b], [3, 1]) == (Interval.point(Fraction(5, 8)),)
    assert averages([a, None]) == (a, Interval.point(Fraction(1, 4)))
    assert averages([a, None], [1, 0]) == (a, a)
    assert averages([None, None], [0, 0]) == ()
    assert any_average([b, None, a]) == (0, 1)


def test_f1_of_averages():
    """2PR / (P + R) of the means, which lies above the mean of F1."""
    one, half = Interval.point(1), Interval.point(Fraction(1, 2))
    assert f1_of_averages([one, half], [half, one]) == (Interval.point(Fraction(3, 4)),)


def test_a_sum_adds_both_ends():
    """Of nothing it is 0."""
    assert total([]) == (0, 0)
    assert total([Interval(Fraction(1), Fraction(2)), Interval.point(3)]) == (4, 5)
