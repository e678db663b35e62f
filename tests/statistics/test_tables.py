"""Measures of confusion matrices against the scorers of scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.metrics import confusion_matrix, get_scorer
from sklearn.naive_bayes import GaussianNB

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.statistics import TABLE_MEASURES, measure_tables


@pytest.mark.filterwarnings("ignore::UserWarning")  # of classes that are not there, which is what is tried
@pytest.mark.parametrize("measure", list(TABLE_MEASURES))
def test_measures_are_the_scorers_of_scikit_learn(measure):
    """Weighted rows, all classes or some; every table of a stack on its own."""
    X, y = make_classification(200, 6, n_informative=4, n_classes=4, random_state=0)
    head = GaussianNB().fit(X[:100], y[:100])
    predicted, rng = head.predict(X), np.random.default_rng(0)
    tables, wanted = [], []
    for rows in (
        np.arange(100, 200),
        np.flatnonzero(y != 2),
        np.flatnonzero((y == 1) & (predicted == 1)),
        np.arange(3),
    ):
        weight = rng.integers(1, 5, size=len(rows))
        tables.append(confusion_matrix(y[rows], predicted[rows], labels=range(4), sample_weight=weight))
        wanted.append(get_scorer(measure)(head, X[rows], y[rows], sample_weight=weight))
    assert measure_tables(np.stack(tables), measure) == pytest.approx(np.array(wanted))


def test_what_cannot_be_measured():
    """Tables that are not square; a measure that there is not."""
    with pytest.raises(DataError, match=r"shape \(\.\.\., K, K\), got \(2, 3\)\.$"):
        measure_tables(np.ones((2, 3)), "accuracy")
    with pytest.raises(UnknownNameError, match=r"Unknown measure 'f1_macroo'\. .*Did you mean 'f1_macro'"):
        measure_tables(np.ones((2, 2)), "f1_macroo")
