"""Many problems at once equal each alone; nothing is copied; wrong input is named."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.heads.linear import (
    LOSSES,
    LinearProblem,
    SoftmaxProblem,
    _ridge,
    solve_linear,
    solve_many,
    solve_softmax,
    solve_softmax_many,
)
from fusionfer.heads.linear import _solving as solving


def folds_blocks_costs(X, y, codes, make):
    """Problems of two folds, three blocks of columns, each scaled for itself, and three costs."""
    d = X.shape[1]
    inside = np.arange(len(X)) % 3
    for columns in (slice(0, d // 3), slice(d // 3, d), slice(0, d)):
        for fold in range(2):
            rows = inside != fold
            shift, factor = X[rows, columns].mean(axis=0), 1 / X[rows, columns].std(axis=0)
            for cost in (1e-3, 3e-2, 1e-2):
                yield rows, make(rows, np.full(len(X), cost), columns, shift, factor)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalised", [False, True])
def test_many_equal_each_alone(faces_like, codes, loss, penalised):
    """Folds, blocks and costs together give the objective that scaled, cut rows give one after the other."""
    X, y = faces_like(240, 24, 3)
    Y = codes(y)

    def make(rows, c, *scaling):
        return LinearProblem(Y * rows[:, None].astype(np.int8), c, *scaling)

    cases = list(folds_blocks_costs(X, y, codes, make))
    together = solve_many(X, [p for _, p in cases], loss=loss, tol=1e-7, penalize_intercept=penalised)
    for (rows, p), fit in zip(cases, together, strict=True):
        Z = (X[rows][:, p.columns] - p.shift) * p.factor
        alone = solve_linear(Z, Y[rows], p.c[rows], loss=loss, tol=1e-7, penalize_intercept=penalised)
        assert np.all(fit.gap <= 1e-7)
        assert_allclose(fit.objective, alone.objective, rtol=2e-7)
        assert_allclose(fit.coef, alone.coef, atol=2e-3)
        assert_allclose(fit.intercept, alone.intercept, atol=2e-3)


def test_many_softmax_equal_each_alone(faces_like, codes):
    """The same for multinomial problems."""
    X, y = faces_like(240, 24, 3)

    def make(rows, c, *scaling):
        return SoftmaxProblem(np.where(rows, y, -1), 3, c, *scaling)

    cases = list(folds_blocks_costs(X, y, codes, make))
    for (rows, p), fit in zip(cases, solve_softmax_many(X, [p for _, p in cases], tol=1e-7), strict=True):
        Z = (X[rows][:, p.columns] - p.shift) * p.factor
        alone = solve_softmax(Z, y[rows], 3, p.c[rows], tol=1e-7)
        assert_allclose(fit.objective, alone.objective, rtol=2e-7)
        assert_allclose(fit.coef, alone.coef, atol=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_batches_do_not_matter(faces_like, codes, loss, monkeypatch):
    """Memory for one problem at a time gives the same within tol as all at once."""
    X, y = faces_like(150, 10, 3)
    problems = [LinearProblem(codes(y) * (np.arange(150) % 4 != f)[:, None], np.ones(150)) for f in range(4)]
    at_once = solve_many(X, problems, loss=loss, tol=1e-6)
    monkeypatch.setattr(solving, "BATCH_BYTES", 1)
    one_by_one = solve_many(X, problems, loss=loss, tol=1e-6)
    for a, b in zip(at_once, one_by_one, strict=True):
        assert_allclose(a.objective, b.objective, rtol=2e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_costs_of_each_learner(faces_like, codes, loss):
    """Costs may differ by learner; a row of cost 0 counts as absent."""
    X, y = faces_like(150, 6, 3)
    c = np.random.default_rng(0).uniform(0, 1, size=(150, 3))
    c[::3, 1] = 0
    fit = solve_linear(X, codes(y), c, loss=loss, tol=1e-8)
    for k in range(3):
        rows = c[:, k] > 0
        alone = solve_linear(X[rows], codes(y)[rows][:, [k]], c[rows, k], loss=loss, tol=1e-8)
        assert_allclose(fit.objective[k], alone.objective[0], rtol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_same_bits_again(faces_like, codes, loss):
    """The same input gives the same bits."""
    X, y = faces_like(200, 20, 3)
    first, second = (solve_linear(X.astype(np.float32), codes(y), np.ones(200), loss=loss) for _ in range(2))
    assert_array_equal(first.coef, second.coef)
    assert_array_equal(first.gap, second.gap)


def test_one_gram_matrix_serves_all(faces_like, codes, monkeypatch):
    """Folds, costs and blocks of columns take parts of one centred Gram matrix, which is right."""
    X, y = faces_like(200, 20, 3)
    made, make = [], _ridge.weighted_gram

    def spy(*given, **options):
        made.append(make(*given, **options))
        return made[-1]

    monkeypatch.setattr(_ridge, "weighted_gram", spy)
    monkeypatch.setattr(_ridge.Hessian, "price", lambda k, d: np.inf)  # which would make some of few rows
    inside = np.arange(200)[:, None] % 4 > 0
    problems = [
        LinearProblem(codes(y) * part, np.full(200, cost), columns)
        for part in (1, inside)
        for cost in (0.01, 0.1)
        for columns in (slice(0, 20), slice(5, 12))
    ]
    assert all(np.all(fit.gap <= 1e-3) for fit in solve_many(X, problems, loss="squared_hinge"))
    centred = X - X.mean(axis=0)
    (shared,) = made
    assert_allclose(np.tril(shared), np.tril(centred.T @ centred), rtol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_progress_counts_learners(faces_like, codes, loss):
    """Progress ends with all learners, and never goes back."""
    X, y = faces_like(150, 10, 3)
    told = []
    problems = [LinearProblem(codes(y), np.full(150, cost)) for cost in (0.1, 1.0)]
    solve_many(X, problems, loss=loss, progress=lambda *what: told.append(what))
    assert told[-1] == (6, 6, "learners")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


@pytest.mark.parametrize("loss", LOSSES)
def test_memory_maps_are_not_copied(tmp_path, loss):
    """Of a large float32 memory map less than its size in float32 is ever allocated, let alone a float64 copy."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40_000, 64)).astype(np.float32)
    Y = np.where(X[:, :1] + rng.normal(size=(40_000, 1)) > 0, 1, -1).astype(np.int8)
    np.save(tmp_path / "x.npy", np.tile(X, 4))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    fit = solve_linear(mapped, Y, np.full(40_000, 1e-3), loss=loss)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.all(fit.gap <= 1e-3)
    assert peak < mapped.nbytes


@pytest.mark.parametrize("order", ["fortran", "strided", "integers", "big-endian"])
def test_any_layout(faces_like, codes, order):
    """Layouts and types that BLAS does not take are made such that it does."""
    X, y = faces_like(100, 8, 3)
    X = np.round(X * 4)
    given = {
        "fortran": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=1)[:, ::2],
        "integers": X.astype(int),
        "big-endian": X.astype(">f8"),
    }[order]
    expected = solve_linear(X, codes(y), np.ones(100), loss="logistic", tol=1e-8)
    assert_allclose(
        solve_linear(given, codes(y), np.ones(100), loss="logistic", tol=1e-8).coef, expected.coef, atol=1e-6
    )


def test_constant_columns(faces_like, codes):
    """A column whose factor is 0 gets no weight."""
    X, y = faces_like(100, 5, 2)
    X[:, 2] = 7.0
    factor = np.array([1.0, 1, 0, 1, 1])
    fits = solve_many(X, [LinearProblem(codes(y), np.ones(100), factor=factor)], loss="logistic")
    assert_array_equal(fits[0].coef[:, 2], 0.0)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"Y": np.full((10, 1), 2)}, "Y must hold \\+1, -1 and 0 only"),
        ({"Y": np.ones(10)}, "Y must have 10 rows and one column a learner, got shape \\(10,\\)"),
        ({"c": np.full(10, -1.0)}, "c must be finite and at least 0"),
        ({"c": np.ones(9)}, "c must have shape \\(10,\\) or \\(10, 1\\), got \\(9,\\)"),
        ({"columns": slice(0, 4)}, "columns must be a slice without step within the 3 columns"),
        ({"shift": np.ones(2)}, "shift must be 3 finite numbers"),
        ({"factor": np.array([1, np.nan, 1])}, "factor must be 3 finite numbers"),
    ],
)
def test_wrong_problems_are_named(wrong, text):
    """What does not fit X is an error that says what, before anything is solved."""
    fine = {"Y": np.resize([1, -1], (10, 1)), "c": np.ones(10)}
    with pytest.raises(DataError, match=text):
        solve_many(np.ones((10, 3)), [LinearProblem(**{**fine, **wrong})], loss="hinge")


@pytest.mark.parametrize(
    ("y", "text"),
    [(np.array([0, 1, 2]), "between -1 and 1"), (np.array([0.0, 1.0, 1.0]), "y_index must be 3 whole numbers")],
)
def test_wrong_classes_are_named(y, text):
    """Class numbers out of range, or none, are an error."""
    with pytest.raises(DataError, match=text):
        solve_softmax(np.eye(3), y, 2, np.ones(3))


def test_wrong_x_and_names():
    """X that is not finite or has no columns, and unknown losses and backends, are errors."""
    Y, c = np.resize([1, -1], (4, 1)), np.ones(4)
    with pytest.raises(DataError, match="column 1 holds NaN or infinity"):
        solve_linear(np.array([[1.0, 2], [1, np.nan], [0, 1], [2, 2]]), Y, c, loss="hinge")
    with pytest.raises(DataError, match="X must have two dimensions"):
        solve_linear(np.ones((4, 0)), Y, c, loss="hinge")
    with pytest.raises(UnknownNameError, match=r"Unknown loss 'hinge2'.*Did you mean 'hinge'"):
        solve_linear(np.eye(4), Y, c, loss="hinge2")
    with pytest.raises(UnknownNameError, match="Unknown backend 'cupy'"):
        solve_linear(np.eye(4), Y, c, loss="logistic", backend="cupy")


def test_torch_is_not_imported_by_default():
    """Solving with numpy loads no torch."""
    code = (
        "import sys, numpy as np; from fusionfer.heads.linear import solve_linear;"
        "solve_linear(np.eye(4), np.array([[1], [-1], [1], [-1]]), np.ones(4), loss='logistic');"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
