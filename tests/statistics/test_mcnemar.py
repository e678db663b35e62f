"""McNemar's test against the published example and statsmodels."""

import numpy as np
import pytest
from mlxtend.evaluate import mcnemar as of_mlxtend
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as theirs

from fusionfer.exceptions import DataError
from fusionfer.statistics import mcnemar


@pytest.mark.parametrize(("first", "second", "exact", "mid_p"), [(1, 7, 0.0703, 0.0391), (7, 1, 0.0703, 0.0391)])
def test_the_published_example(first, second, exact, mid_p):
    """Fagerland, Lydersen and Laake (2013), table 1: 0.0703 and 0.0391, whichever way round."""
    found = mcnemar(first, second)
    assert (round(found.exact, 4), round(found.mid_p, 4)) == (exact, mid_p)


@pytest.mark.parametrize("first", [0, 1, 3, 10, 500])
@pytest.mark.parametrize("second", [0, 2, 3, 11, 430])
def test_exact_is_that_of_statsmodels_and_mlxtend(first, second):
    """The exact conditional p-value, for small and large counts; mlxtend's for those that its sums can hold."""
    table = np.array([[9, first], [second, 9]])
    assert mcnemar(first, second).exact == pytest.approx(theirs(table, exact=True).pvalue, rel=1e-9)
    if first + second:
        assert mcnemar(first, second).exact == pytest.approx(of_mlxtend(table, exact=True)[1], rel=1e-9)


@pytest.mark.parametrize(("first", "second"), [(0, 5), (4, 4), (12, 3), (200, 260), (5000, 5200)])
def test_mid_p_is_its_formula(first, second):
    """Two tails less the point that was observed; one-sided tails count the point by half and add up to 1."""
    n, point = first + second, binom.pmf(first, first + second, 0.5)
    found = mcnemar(first, second)
    two_sided = 1 - point / 2 if first == second else 2 * binom.cdf(min(first, second), n, 0.5) - point
    assert found.mid_p == pytest.approx(two_sided, rel=1e-9)
    assert found.greater == pytest.approx(binom.sf(first, n, 0.5) + point / 2, rel=1e-9)
    assert found.greater + found.less == pytest.approx(1)


def test_no_row_tells_them_apart():
    """Without a row that only one gets right there is nothing to doubt."""
    assert mcnemar(0, 0) == (0, 0, 1.0, 1.0, 0.5, 0.5)


def test_a_negative_count():
    """Counts are counts."""
    with pytest.raises(DataError, match=r"^McNemar's test takes two counts of rows, 0 or more, got -1 and 3\.$"):
        mcnemar(-1, 3)
