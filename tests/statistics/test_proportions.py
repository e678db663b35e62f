"""Intervals of a proportion against statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.statistics import proportion_interval


@pytest.mark.parametrize(("method", "theirs"), [("wilson", "wilson"), ("clopper-pearson", "beta")])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_intervals_are_those_of_statsmodels(method, theirs, level):
    """From no hit to all, for few and many rows."""
    hits, n = np.array([0, 1, 5, 9, 10, 0, 1, 3000]), np.array([10, 10, 10, 10, 10, 1, 1, 3579])
    wanted = proportion_confint(hits, n, alpha=1 - level, method=theirs)
    found = proportion_interval(hits, n, level=level, method=method)
    for ours, other in zip(found, wanted, strict=True):
        assert ours == pytest.approx(np.asarray(other), abs=1e-9)


@pytest.mark.parametrize("method", ["wilson", "clopper-pearson"])
def test_no_rows(method):
    """Nothing is known of nothing."""
    low, high = proportion_interval([0, 2], [0, 4], method=method)
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] < 0.5 < high[1]


@pytest.mark.parametrize(("hits", "n", "level"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 95)])
def test_what_is_no_proportion(hits, n, level):
    """More hits than rows, less than none, a level in percent."""
    with pytest.raises(DataError, match=r"^A proportion is 0 or more hits of at least as many rows"):
        proportion_interval(hits, n, level=level)


def test_an_unknown_method():
    """With the known ones."""
    with pytest.raises(UnknownNameError, match=r"Known methods: clopper-pearson, wilson\. Did you mean 'wilson'"):
        proportion_interval(1, 2, method="Wilson")
