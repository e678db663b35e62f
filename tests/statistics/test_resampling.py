"""The bootstrap: paired, by groups, the same for means and tables, and with the coverage that it states."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from fusionfer.exceptions import DataError
from fusionfer.statistics import mean_scores, percentile_interval, resample, table_scores


def test_the_interval_is_that_of_scipy():
    """Percentiles of the mean difference, within the noise of the draws."""
    right = np.random.default_rng(0).random((300, 2)) < [0.7, 0.6]
    found = resample(mean_scores(right), 300, samples=4000)
    differences = right[:, 0].astype(float) - right[:, 1]
    wanted = bootstrap((differences,), np.mean, n_resamples=4000, method="percentile", rng=0).confidence_interval
    assert percentile_interval(found.inside[:, 0] - found.inside[:, 1]) == pytest.approx(wanted, abs=0.006)


def test_inside_and_outside_are_what_they_say():
    """Rows that were drawn and rows that were not, written out; the same seed gives the same draws."""
    values = np.random.default_rng(1).normal(size=(20, 3))
    seen = []

    def spy(weights):
        seen.append(weights)
        return mean_scores(values)(weights)

    found = resample(spy, 20, samples=5, seed=7)
    drawn, left = seen
    assert drawn.sum(axis=1).tolist() == [20] * 5
    assert np.array_equal(left, drawn == 0)
    for sample in range(5):
        assert found.inside[sample] == pytest.approx(np.average(values, axis=0, weights=drawn[sample]))
        assert found.outside[sample] == pytest.approx(values[left[sample]].mean(axis=0))
    again = resample(mean_scores(values), 20, samples=5, seed=7)
    assert np.array_equal(again.inside, found.inside)


def test_rows_of_a_group_are_drawn_together():
    """Every row of a group has the same weight, and copies make the interval wider, not narrower."""
    right = np.random.default_rng(2).random((60, 1)) < 0.5
    copies, groups = np.repeat(right, 4, axis=0), np.repeat([f"p{i}" for i in range(60)], 4)
    weights = []
    resample(lambda w: weights.append(w) or mean_scores(copies)(w), 240, groups, samples=10)
    for one in weights:
        assert (one.reshape(10, 60, 4).std(axis=2) == 0).all()
    grouped, alone = (resample(mean_scores(copies), 240, given) for given in (groups, None))
    assert grouped.inside.std() == pytest.approx(2 * alone.inside.std(), rel=0.15)


def test_tables_and_means_agree():
    """Accuracy from confusion matrices is the mean of right and wrong."""
    rng = np.random.default_rng(3)
    y, labels = rng.integers(4, size=90), rng.integers(4, size=(90, 3))
    tables = resample(table_scores(y, labels, "accuracy", 4), 90, samples=20)
    means = resample(mean_scores(labels == y[:, None]), 90, samples=20)
    assert tables.inside == pytest.approx(means.inside, abs=1e-6)
    assert tables.outside == pytest.approx(means.outside, abs=1e-6)


def test_a_draw_always_leaves_rows_out():
    """With two rows every second draw takes both; these are drawn again, so that there is something outside."""
    found = resample(mean_scores([[0.0], [1.0]]), 2, samples=200)
    assert np.isfinite(found.outside).all()
    assert set(found.inside.ravel().tolist()) == {0.0, 1.0}


def test_coverage():
    """Of 300 intervals of a difference of accuracies 95 % cover the truth, within three standard errors."""
    rng, hits = np.random.default_rng(4), 0
    for seed in range(300):
        right = rng.random((150, 1)) < [0.7, 0.6]  # one draw for both: paired, the truth is 0.1
        found = resample(mean_scores(right), 150, samples=200, seed=seed)
        low, high = percentile_interval(found.inside[:, 0] - found.inside[:, 1])
        hits += low <= 0.1 <= high
    assert 0.91 <= hits / 300 <= 0.99


@pytest.mark.parametrize(("n", "groups"), [(1, None), (3, ["a", "a", "a"]), (3, ["a", "b"])])
def test_too_little_to_draw_from(n, groups):
    """One row, one group, or groups of another length."""
    with pytest.raises(DataError, match=r"^A bootstrap takes two (rows|groups) or more, one value for each of"):
        resample(mean_scores(np.ones((n, 1))), n, groups)
