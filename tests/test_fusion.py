"""Alignment by id, column names, and scaling of blocks."""

import hashlib
import re
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fusionfer.exceptions import DataError, NonFiniteFeaturesError, UnknownNameError
from fusionfer.fusion import BlockScaler, align, check_blocks, column_names, fingerprints, is_among
from fusionfer.matrices import MappedMatrix

BLOCKS = {"a": slice(0, 3), "b": slice(3, 10)}


@pytest.fixture
def rows():
    """Columns of very different mean and size, one of them constant."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 10)) * np.logspace(-2, 2, 10) + np.arange(10) * 3
    X[:, 5] = 0.1
    return X


def test_align_follows_ids_and_not_positions():
    """Shuffled blocks with different samples meet on the common ids, in the order of the first."""
    rng = np.random.default_rng(0)
    everyone = np.array([f"s{i:03d}" for i in range(60)])
    blocks = {name: rng.permutation(everyone)[: 50 - 5 * k] for k, name in enumerate("abc")}
    ids, indices = align(blocks)
    assert list(ids) == [i for i in blocks["a"] if i in set(blocks["b"]) & set(blocks["c"])]
    for name, index in indices.items():
        assert_array_equal(blocks[name][index], ids)


def test_align_equal_blocks_are_taken_as_they_are():
    """Blocks with the same ids in the same order give the identity, and the caller's ids stay the caller's."""
    own = np.array(["x", "y"])
    ids, indices = align({"a": own, "b": ["x", "y"]})
    ids[0] = "z"
    assert own[0] == "x"
    assert [index.tolist() for index in indices.values()] == [[0, 1], [0, 1]]


@pytest.mark.parametrize("blocks", [{"a": ["x", "y", "x"]}, {"a": ["x", "y"], "b": ["x", "x", "y"]}])
def test_align_refuses_duplicates(blocks):
    """An id that stands twice in any block is an error that names block and id."""
    block = list(blocks)[-1]
    with pytest.raises(DataError, match=rf"Block '{block}': 1 sample ids occur more than once \(first: 'x'\)"):
        align(blocks)


def test_align_refuses_strangers_and_nothing():
    """Blocks without a common id are an error that shows an id of each; so is no block at all."""
    with pytest.raises(
        DataError, match=r"No sample id is common.*a \(2 samples, such as 'x'\), b \(0 samples, such as no"
    ):
        align({"a": ["x", "y"], "b": []})
    with pytest.raises(DataError, match="no block to align"):
        align({})


def test_align_is_fast():
    """Two blocks of 300,000 ids in different order take a second or two of processor time, not minutes."""
    ids = np.array([f"train/happy/{i}" for i in range(300_000)])
    start = time.process_time()
    common, indices = align({"a": ids, "b": ids[::-1]})
    assert time.process_time() - start < 5
    assert len(common) == len(ids)
    assert_array_equal(indices["b"], np.arange(len(ids))[::-1])


def test_check_blocks_fills_open_bounds():
    """Open slices get numbers; None is one block of everything."""
    assert check_blocks({"b": slice(2, None), "a": slice(None, 2)}, 3) == {"b": slice(2, 3), "a": slice(0, 2)}
    assert check_blocks(None, 4) == {"all": slice(0, 4)}


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [
        ({"a": slice(0, 2), "b": slice(3, 5)}, "columns 2 to 3 belong to no block"),
        ({"a": slice(0, 3), "b": slice(2, 5)}, "blocks 'a' and 'b' overlap in columns 2 to 3"),
        ({"a": slice(0, 4)}, "columns 4 to 5 belong to no block"),
        ({"a": slice(0, 6)}, "block 'a' has columns 0 to 6 of 5"),
        ({"a": slice(0, 5), "b": slice(5, 5)}, "block 'b' has columns 5 to 5 of 5"),
        ({"a": slice(0, 5, 2)}, "block 'a' must be a slice without step"),
        ({"a": [0, 1, 2, 3, 4]}, "block 'a' must be a slice without step, got [0, 1, 2, 3, 4]"),
        ({}, "columns 0 to 5 belong to no block"),
    ],
)
def test_blocks_must_tile_the_columns(blocks, complaint):
    """Gaps, overlaps, overhang, empty blocks and things that are no slices are named."""
    with pytest.raises(DataError, match=re.escape(complaint)) as error:
        check_blocks(blocks, 5)
    assert "must tile the 5 columns" in str(error.value)


def test_column_names_follow_blocks():
    """Names carry backbone, level and number, and sort as the columns stand even in wide blocks."""
    names = column_names({"resnet50:penultimate": slice(0, 2048), "x:multi@w": slice(2048, 2050)})
    assert names[17] == "resnet50.penultimate_0017"
    assert names[2049] == "x.multi@w_0001"
    assert column_names({"timm:resnet18:multi": slice(0, 1)}).tolist() == ["timm:resnet18.multi_0000"]
    assert column_names({"resnet34:fc:in": slice(0, 1)}).tolist() == ["resnet34.fc:in_0000"]
    assert column_names({"timm:resnet18:fc:in": slice(0, 1)}).tolist() == ["timm:resnet18.fc:in_0000"]
    wide = column_names({"a": slice(0, 10_001)})
    assert wide[-1] == "a_10000"
    assert sorted(wide) == list(wide)


def test_fingerprints_recognise_values_and_stay_small():
    """They are SHA-256 cut to 8 bytes, sorted, each once: those of FER-2013's training rows take less than 500 kB."""
    assert fingerprints(["b", "a", "b"]) == "".join(sorted(hashlib.sha256(v).hexdigest()[:16] for v in (b"a", b"b")))
    ids = [f"train/happy/Training_{i}.jpg" for i in range(28_559)]
    known = fingerprints(ids)
    assert len(known) < 500_000
    assert is_among(ids, known).all()
    assert not is_among([f"test/{i}" for i in range(1000)], known).any()
    assert not is_among(ids, "").any()
    assert fingerprints([]) == ""


def test_equal_blocks_have_squared_norm_one(rows):
    """Over the training rows the squared norm of each block is 1 on average, whatever its width and dead columns."""
    scaled = BlockScaler(BLOCKS).fit_transform(rows)
    for columns in BLOCKS.values():
        assert_allclose((scaled[:, columns] ** 2).sum(axis=1).mean(), 1.0)
    assert_array_equal(scaled[:, 5], 0.0)


def test_standard_is_standard_scaler(rows):
    """Mode "standard" is scikit-learn's StandardScaler, with and without weights."""
    weight = np.random.default_rng(1).uniform(0, 2, size=len(rows))
    for w in (None, weight):
        expected = StandardScaler().fit(rows[:, :5], sample_weight=w).transform(rows[:, :5])
        scaled = BlockScaler(BLOCKS, mode="standard").fit(rows, sample_weight=w).transform(rows)
        assert_allclose(scaled[:, :5], expected, atol=1e-9)


def test_weights_are_repetitions(rows):
    """An integer weight is the same as so many copies of the row."""
    times = np.random.default_rng(2).integers(0, 4, size=len(rows))
    weighted = BlockScaler(BLOCKS).fit(rows, sample_weight=times)
    repeated = BlockScaler(BLOCKS).fit(np.repeat(rows, times, axis=0))
    assert_allclose(weighted.mean_, repeated.mean_)
    assert_allclose(weighted.factor_, repeated.factor_)
    with pytest.raises(ValueError, match="at least one non-zero"):
        BlockScaler().fit(rows, sample_weight=np.zeros(len(rows)))


@pytest.mark.parametrize("mapped", [False, True])
def test_what_no_scaler_learns_from(rows, mapped):
    """No rows, weights beyond all numbers, values that are not finite: each is said as what it is."""
    X = MappedMatrix([rows.astype(np.float32)]) if mapped else rows
    error = DataError if mapped else ValueError
    with pytest.raises(error, match="no rows" if mapped else "0 sample"):
        BlockScaler().fit(X[:0])
    with pytest.raises(ValueError, match=r"at least one non-zero|must be above 0"):
        BlockScaler().fit(X, sample_weight=np.zeros(200))
    with pytest.raises(DataError, match="sum of sample_weight must be above 0 and finite, got inf for 200 rows"):
        BlockScaler().fit(X, sample_weight=np.full(200, 1e307))
    if mapped:
        X.parts[0][7, 2] = np.inf
        with pytest.raises(NonFiniteFeaturesError, match="must be finite; column 2 holds NaN or infinity"):
            BlockScaler().fit(X)
        return
    with config_context(assume_finite=True), pytest.raises(NonFiniteFeaturesError, match="column 2 holds NaN"):
        BlockScaler().fit(np.where(np.arange(10) == 2, np.nan, rows))


def test_values_whose_squares_are_beyond_all_numbers(rows):
    """They are finite, and called so; in float32 there are none."""
    rows[3, 4] = -1e200
    with pytest.raises(DataError, match=r"Column 4 of X holds 1e\+200: its square is beyond float64"):
        BlockScaler().fit(rows)
    large = np.float32([[3e38, 1.0], [-3e38, 2.0]])
    assert_allclose(BlockScaler(mode="standard").fit_transform(large), [[1, -1], [-1, 1]])


def test_constant_columns_stay_zero_on_new_rows(rows):
    """A column that was constant in training is zero later too, whatever comes; nothing is NaN."""
    scaler = BlockScaler(BLOCKS).fit(rows.astype(np.float32))
    new = scaler.transform(np.full((2, 10), 1e6, dtype=np.float32))
    assert np.all(np.isfinite(new))
    assert_array_equal(new[:, 5], 0.0)


def test_float32_stays_and_sums_are_exact():
    """float32 gives float32, with statistics of float64 quality though the mean is far from zero; X is not changed."""
    X = (np.random.default_rng(3).normal(size=(50_000, 3)) + 1000).astype(np.float32)
    before = X.copy()
    scaler = BlockScaler(mode="standard").fit(X)
    assert_allclose(scaler.mean_, X.astype(np.float64).mean(axis=0), rtol=1e-12)
    assert_allclose(1 / scaler.factor_, X.astype(np.float64).std(axis=0), rtol=1e-9)
    assert scaler.transform(X).dtype == np.float32
    assert_array_equal(X, before)


def test_names_out(rows):
    """Names come from the blocks, from the caller, or from scikit-learn's habit."""
    assert BlockScaler(BLOCKS).fit(rows).get_feature_names_out()[3] == "b_0000"
    assert BlockScaler().fit(rows).get_feature_names_out()[3] == "x3"
    given = [f"c{i}" for i in range(10)]
    assert BlockScaler(BLOCKS).fit(rows).get_feature_names_out(given).tolist() == given


def test_unknown_mode_and_wrong_blocks(rows):
    """A wrong mode is named with the closest match; blocks of other features are refused."""
    with pytest.raises(UnknownNameError, match=r"Unknown scaling 'equals'.*Did you mean 'equal'"):
        BlockScaler(mode="equals").fit(rows)
    with pytest.raises(DataError, match="must tile the 4 columns"):
        BlockScaler(BLOCKS).fit(rows[:, :4])


@parametrize_with_checks([BlockScaler(), BlockScaler(mode="standard")])
def test_scikit_learn(estimator, check):
    """BlockScaler passes scikit-learn's checks."""
    check(estimator)
