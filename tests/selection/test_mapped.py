"""A selection from features that stay in their files is that from memory, and never reads them as a whole."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from fusionfer.exceptions import NonFiniteFeaturesError
from fusionfer.heads import HEADS, make_head
from fusionfer.matrices import MappedMatrix, in_pieces, row_pieces
from fusionfer.selection import HybridSelector

BLOCKS = {"a": slice(0, 4), "b": slice(4, 10)}
QUICK = {"xgb": {"n_rounds": 5}, "xgb-wn": {"n_rounds": 5}, "svm-nystroem": {"n_components": 40}}


@pytest.fixture
def rows():
    """150 rows of three classes which both blocks know something of, in memory and as two parts in another order."""
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    X = rng.normal(size=(150, 10)).astype(np.float32)
    X[:, :3] += np.eye(3, dtype=np.float32)[y]
    X[:, 5:8] += 1.2 * np.eye(3, dtype=np.float32)[y]
    order = rng.permutation(150)
    shuffled = np.empty_like(X[:, 4:])
    shuffled[order] = X[:, 4:]
    return X, MappedMatrix([np.ascontiguousarray(X[:, :4]), shuffled], [slice(0, 150), order]), y


def _heads():
    return [make_head(name, **QUICK.get(name, {})) for name in HEADS]


@pytest.mark.parametrize("head", [*_heads(), LogisticRegression()], ids=lambda head: type(head).__name__)
def test_every_head_selects_as_in_memory(rows, head):
    """Scores, choice and predictions of every listed head are those of the same rows in memory."""
    X, matrix, y = rows
    read = HybridSelector(head, BLOCKS, cv=3).fit(X, y)
    mapped = HybridSelector(head, BLOCKS, cv=3).fit(matrix, y)
    assert mapped.selected_ == read.selected_
    for name, scores in read.scores_.items():
        assert_allclose(mapped.scores_[name], scores, atol=0.021)  # one row of a fold of 50
    assert np.mean(mapped.predict(matrix) == read.predict(X)) >= 0.99
    assert_allclose(mapped.predict_proba(matrix), read.predict_proba(X), atol=0.02)


@pytest.mark.parametrize("name", ["ecoc", "svm-linear", "softmax", "svm-nystroem", "xgb-wn"])
def test_nobody_reads_it_as_a_whole(rows, name, monkeypatch):
    """From fit to score, no call asks for all of the matrix, or for a fold of it, at once."""
    _, matrix, y = rows
    monkeypatch.setattr(MappedMatrix, "__array__", None)
    most, read, walk = 40 * 4 * 10, MappedMatrix.read, MappedMatrix.walk

    def watched(self, which=slice(None), out=None):
        found = read(self, which, out)
        assert found.nbytes <= most, f"{found.shape} at once"
        return found

    def followed(self, most=most):
        for rows, parts in walk(self, most):
            # Of ascending rows others between them are seen, too: as many again at most, of maps.
            assert sum(part.nbytes for part, _ in parts) <= 2 * 40 * 4 * 10, f"{rows} at once"
            yield rows, parts

    monkeypatch.setattr(MappedMatrix, "read", watched)
    monkeypatch.setattr(MappedMatrix, "walk", followed)
    monkeypatch.setattr("fusionfer.matrices._mapped.PIECE_BYTES", most)
    monkeypatch.setattr("fusionfer.heads.linear._stack._PIECE_BYTES", most)
    monkeypatch.setattr("fusionfer.heads._spread._CHUNK_BYTES", most)
    for function in (row_pieces, in_pieces):
        monkeypatch.setattr(function, "__defaults__", (most,))
    monkeypatch.setattr("fusionfer.heads._svm_kernel._CHUNK", most // 4)
    monkeypatch.setattr("fusionfer.heads.boosting._binning.columns_at_once", lambda *_, **__: 2)
    selector = HybridSelector(make_head(name, **QUICK.get(name, {})), BLOCKS, cv=3).fit(matrix, y)
    assert selector.score(matrix, y) > 0.5


def test_weights_groups_and_held_out(rows):
    """Rows of weight 0 are left out; groups and a predefined split judge; all as in memory."""
    X, matrix, y = rows
    rng = np.random.default_rng(1)
    weight, groups, held = rng.integers(0, 3, 150).astype(float), np.arange(150) // 5, np.arange(150) % 5 == 0
    for options in ({"sample_weight": weight}, {"groups": groups}, {"held_out": held}):
        read, mapped = (HybridSelector("softmax", BLOCKS, cv=3).fit(rows_, y, **options) for rows_ in (X, matrix))
        assert mapped.mean_scores_ == read.mean_scores_
        assert_allclose(mapped.estimator_[-1].coef_, read.estimator_[-1].coef_, atol=0.02)
        assert_array_equal(mapped.predict(matrix), read.predict(X))


@pytest.mark.parametrize("scale", [None, "standard"])
def test_scalings(rows, scale):
    """Without a scaling, and with another one, the refit is that of memory."""
    X, matrix, y = rows
    read, mapped = (HybridSelector("svm-linear", BLOCKS, cv=3, scale=scale).fit(rows_, y) for rows_ in (X, matrix))
    assert len(mapped.estimator_) == (1 if scale is None else 2)
    assert_allclose(mapped.estimator_[-1].coef_, read.estimator_[-1].coef_, atol=0.02)


def test_other_columns_are_refused(rows):
    """Rows of another width are refused as scikit-learn does it."""
    _, matrix, y = rows
    selector = HybridSelector(GaussianNB(), BLOCKS, cv=3).fit(matrix, y)
    with pytest.raises(ValueError, match="X has 4 features, but HybridSelector is expecting 10 features"):
        selector.predict(matrix[:, :4])


@pytest.mark.parametrize("head", [GaussianNB(), "softmax"], ids=str)
def test_held_out_rows_that_are_not_finite(rows, head):
    """NaN in a row that no fit learns from is refused, as it is in memory, with the row; not scored."""
    X, matrix, y = rows
    held = np.arange(150) % 5 == 0
    X[20, 1] = matrix.parts[0][20, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        HybridSelector(head, BLOCKS).fit(X, y, held_out=held)
    with pytest.raises(NonFiniteFeaturesError, match=r"NaN.*first in row 4"):
        HybridSelector(head, BLOCKS).fit(matrix, y, held_out=held)
    never = [(np.flatnonzero(np.arange(150) % 5 > 1), np.flatnonzero(held))]
    with pytest.raises(NonFiniteFeaturesError, match=r"NaN.*first in row 4"):
        HybridSelector(head, BLOCKS, cv=never).fit(matrix, y)
