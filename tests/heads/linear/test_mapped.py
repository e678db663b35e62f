"""Fits to rows that stay in maps, read in many pieces, are those to the array."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionfer.heads import make_head
from fusionfer.heads.linear import LinearProblem, SoftmaxProblem, _stack, solve_many, solve_softmax_many
from fusionfer.matrices import MappedMatrix, _mapped

N, D = 66, 7
PIECE = 4 * D * 11  # bytes of 11 rows in float32


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of eleven rows, and of five where they become float64."""
    for reads in (MappedMatrix.walk, _mapped.row_pieces, _mapped.in_pieces):
        monkeypatch.setattr(reads, "__defaults__", (PIECE,))
    monkeypatch.setattr(_mapped, "PIECE_BYTES", PIECE)
    monkeypatch.setattr(_stack, "_PIECE_BYTES", PIECE)
    assert [len(X) for _, ((X, _),) in MappedMatrix([np.zeros((25, D), np.float32)]).walk()] == [11, 11, 3]


def _map(X, how):
    """The same rows: as they lie, one of every two neighbours but for a few (dense), or from all over (sparse)."""
    rng = np.random.default_rng(1)
    if how == "contiguous":
        places = [np.arange(N), np.arange(N) + 3]
    elif how == "dense":
        places = [np.sort(rng.choice(N + 40, N, replace=False)), np.arange(N)]
    else:
        places = [rng.permutation(4 * N)[:N], np.sort(rng.choice(6 * N, N, replace=False))]
    parts = []
    for own, columns in zip(places, (slice(0, 3), slice(3, D)), strict=True):
        # What lies between is nobody's: not even finite.
        part = np.full((own.max() + 2, X[:, columns].shape[1]), np.nan, dtype=np.float32)
        part[own] = X[:, columns]
        parts.append(part)
    return MappedMatrix(parts, places)


@pytest.fixture
def given(faces_like):
    """X (66, 7) float32 and classes (66,)."""
    X, y = faces_like(N, D, 3)
    return X.astype(np.float32), y


def _same(array, mapped, tol):
    """Both are done, and their objectives are as near as the gaps say."""
    for one, other in zip(array, mapped, strict=True):
        assert np.all(one.gap <= tol)
        assert np.all(other.gap <= tol)
        assert_allclose(other.objective, one.objective, rtol=2 * max(tol, 1e-7))
        if tol < 1e-6:
            assert_allclose(other.coef, one.coef, atol=1e-4 * np.abs(one.coef).max())


@pytest.mark.parametrize("tol", [1e-3, 1e-9])
@pytest.mark.parametrize("how", ["contiguous", "dense", "sparse"])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "logistic"])
def test_solving(small_pieces, given, codes, loss, how, tol):
    """Objectives and gaps of learners on all columns, and of those on a scaled block without some of the rows."""
    X, y = given
    Y, c = codes(y), np.full(N, 0.1)
    without = np.where((np.arange(N) % 3 == 0)[:, None], 0, Y).astype(np.int8)
    block = slice(1, 5)
    scaling = X[:, block].mean(axis=0).astype(float), 1 / X[:, block].std(axis=0).astype(float)
    problems = [LinearProblem(Y, c), LinearProblem(without, c, block, *scaling)]
    options = {"loss": loss, "tol": tol, "max_iter": 5000}
    _same(solve_many(X, problems, **options), solve_many(_map(X, how), problems, **options), tol)


@pytest.mark.parametrize("tol", [1e-3, 1e-9])
@pytest.mark.parametrize("how", ["contiguous", "dense", "sparse"])
def test_solving_softmax(small_pieces, given, how, tol):
    """The same of multinomial regression."""
    X, y = given
    without = np.where(np.arange(N) % 3 == 0, -1, y)
    problems = [SoftmaxProblem(y, 3, np.full(N, 0.1)), SoftmaxProblem(without, 3, np.full(N, 0.1), slice(1, 5))]
    options = {"tol": tol, "max_iter": 5000}
    _same(solve_softmax_many(X, problems, **options), solve_softmax_many(_map(X, how), problems, **options), tol)


@pytest.mark.parametrize(
    ("name", "params", "how"),
    [
        ("ecoc", {"coding": "onevsone", "loss": "squared_hinge"}, "contiguous"),
        ("ecoc", {"coding": "onevsone", "loss": "logistic"}, "sparse"),
        ("svm-linear", {"loss": "hinge"}, "dense"),
        ("svm-linear", {"C": "auto"}, "sparse"),
        ("softmax", {}, "dense"),
        ("softmax", {"C": "auto"}, "sparse"),
    ],
)
def test_heads(small_pieces, given, name, params, how):
    """What a head finds, chooses and says of rows."""
    X, y = given
    mapped = _map(X, how)
    one = make_head(name, tol=1e-5, **params).fit(X, y)
    other = make_head(name, tol=1e-5, **params).fit(mapped, y)
    assert_allclose(other.C_, one.C_, rtol=1e-5)
    assert_allclose(other.objective_, one.objective_, rtol=2e-5)
    assert np.all(other.gap_ <= 1e-5)
    assert_allclose(other.predict_proba(mapped), one.predict_proba(X), atol=1e-2)
    assert_allclose(one.decision_function(mapped), one.decision_function(X), rtol=1e-4, atol=1e-4)
