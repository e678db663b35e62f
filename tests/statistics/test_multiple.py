"""Holm's p-values against statsmodels; the intersection-union test is the larger p."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from fusionfer.exceptions import DataError
from fusionfer.statistics import holm, intersection_union


@pytest.mark.parametrize("m", [1, 2, 7, 30])
def test_holm_is_that_of_statsmodels(m):
    """In the order in which they came, never above 1."""
    p = np.random.default_rng(m).random(m) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_intersection_union():
    """The claim that all hold is as weak as its weakest part."""
    assert intersection_union([0.01, 0.3, 0.02]) == 0.3


@pytest.mark.parametrize("p", [[], [0.5, 1.2], [np.nan], [[0.1]]])
def test_what_is_no_list_of_p_values(p):
    """Empty, outside of 0 to 1, not a number, not a list."""
    for function in (holm, intersection_union):
        with pytest.raises(DataError, match=r"^p-values are one or more numbers from 0 to 1, got "):
            function(p)
