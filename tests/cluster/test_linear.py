"""Linear problems solved on workers are those solved on one machine: objective, weights and predictions."""

import os

import numpy as np
import pytest

from fusionfer.cluster import ClusterMatrix, _blocks, connect
from fusionfer.exceptions import ClusterError, DataError, UnknownNameError
from fusionfer.heads.ecoc import ECOCClassifier
from fusionfer.heads.linear import LinearProblem, SoftmaxProblem, solve_many, solve_softmax_many

LOSSES = ("hinge", "squared_hinge", "logistic", "softmax")


def problems_of(loss, X, y):
    """Several fits: all rows; a fold, scaled; some columns."""
    n, d = X.shape
    out, scaling = np.arange(n) % 5 == 0, {"shift": X.mean(axis=0), "factor": 1 / X.std(axis=0)}
    if loss == "softmax":
        return [
            SoftmaxProblem(y, 4, np.full(n, 0.5)),
            SoftmaxProblem(np.where(out, -1, y), 4, np.full(n, 2.0), **scaling),
        ]
    Y = np.where(y[:, None] == np.arange(4), 1, -1)
    fold = np.where(out[:, None], 0, Y)
    return [
        LinearProblem(Y, np.full(n, 0.05)),
        LinearProblem(fold, np.linspace(0.0, 1.0, n), **scaling),
        LinearProblem(fold[:, :2], np.full((n, 2), 0.2), slice(2, d // 2)),
    ]


def solve(X, loss, problems, **options):
    if loss == "softmax":
        return solve_softmax_many(X, problems, **options)
    return solve_many(X, problems, loss=loss, **options)


def objective(loss, problem, solution, X, penalty=0.0):
    """The objective, as it is written, in float64."""
    columns = problem.columns or slice(None)
    Z = X[:, columns].astype(np.float64)
    Z = (Z - (0 if problem.shift is None else problem.shift)) * (1 if problem.factor is None else problem.factor)
    S = Z @ solution.coef.T + solution.intercept
    squares = 0.5 * ((solution.coef**2).sum(axis=1) + penalty * solution.intercept**2)
    if loss == "softmax":
        y, c = problem.y_index, problem.c * (problem.y_index >= 0)
        losses = np.log(np.exp(S).sum(axis=1)) - S[np.arange(len(y)), y]
        return np.array([squares.sum() + c @ losses])
    M, c = problem.Y * S, (problem.c if problem.c.ndim == 2 else problem.c[:, None]) * (problem.Y != 0)
    short = np.maximum(1 - M, 0)
    each = {"hinge": short, "squared_hinge": short**2, "logistic": np.logaddexp(0, -M)}[loss]
    return squares + (c * each).sum(axis=0)


def check(loss, problems, there, here, X, tol, penalty=0.0):
    """What is told is true, within `tol` of the best there is, and near what one machine finds."""
    for problem, a, b in zip(problems, there, here, strict=True):
        np.testing.assert_allclose(a.objective, objective(loss, problem, a, X, penalty), rtol=tol)
        assert np.all(a.gap <= tol)
        assert np.all(a.objective * (1 - tol) <= b.objective)
        assert np.all(b.objective * (1 - tol) <= a.objective)


@pytest.mark.parametrize("penalize", [False, True], ids=["free", "penalised"])
@pytest.mark.parametrize("loss", LOSSES)
def test_two_workers_solve_what_one_machine_does(on_cluster, blobs, loss, penalize):
    """Objectives within the tolerance of each other, told as they are, and the same predictions but for near ties."""
    X, y = blobs()
    tol = 5e-3 if loss == "hinge" else 1e-3  # the hinge takes many more calls for each digit
    problems, options = problems_of(loss, X, y), {"tol": tol, "penalize_intercept": penalize}
    there, here = solve(on_cluster(X, 12, 8), loss, problems, **options), solve(X, loss, problems, **options)
    check(loss, problems, there, here, X, tol, float(penalize))
    fresh = blobs(200, seed=1)[0]
    scores = [fresh @ one[0].coef.T + one[0].intercept for one in (there, here)]
    top = np.sort(scores[1], axis=1)
    clear = top[:, -1] - top[:, -2] > 0.02
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(scores[0].argmax(axis=1)[clear], scores[1].argmax(axis=1)[clear])


@pytest.mark.parametrize(
    ("loss", "count"), [("hinge", 3), ("squared_hinge", 1), ("squared_hinge", 3), ("logistic", 3), ("softmax", 3)]
)
def test_any_number_of_workers(mapped, threads_team, blobs, loss, count):
    """One worker and three find the weights of one machine, to a tolerance beyond what float32 can prove."""
    X, y = blobs(60, 4)
    tol = {"hinge": 1e-4, "softmax": 1e-5}.get(loss, 1e-7)  # each digit takes as many calls again
    problems = problems_of(loss, X, y)[1:2]
    with connect(threads_team(count)) as team:
        there = solve(ClusterMatrix.over(mapped(X), team), loss, problems, tol=tol)
    here = solve(X.astype(np.float64), loss, problems, tol=tol)
    check(loss, problems, there, here, X, tol)
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a.coef, b.coef, atol=2e-3 * np.abs(b.coef).max())


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_more_columns_than_rows_and_hard_rows(on_cluster, blobs, loss):
    """High costs, where few rows or many curve, need Hessians of single learners."""
    for n, d, cost in ((100, 6, 20.0), (30, 40, 10.0)):
        X, y = blobs(n, d)
        problems = [LinearProblem(np.where(y[:, None] == np.arange(2), 1, -1), np.full(n, cost))]
        there, here = (solve(one, loss, problems, tol=1e-2) for one in (on_cluster(X), X))
        check(loss, problems, there, here, X, 1e-2)


def test_a_worker_killed_in_the_middle(mapped, blobs, mortals, monkeypatch):  # test_recovery.py: all losses and steps
    """Its block is made again from the weights reached, and the result is within the tolerance as ever."""
    X, y = blobs(160, 8)
    loss = "squared_hinge"
    problems = problems_of(loss, X, y)[:1]
    calls, recovered, real = [], [], _blocks.Blocks.call

    def call(self, method, *arguments, **given):
        calls.append(method)
        # In the middle of a line search, or of a sweep: after the first few of them.
        if len(calls) == 12:
            address = self.blocks[0].worker
            self.team.client.run(os._exit, 1, workers=[address], on_error="ignore")
        found = real(self, method, *arguments, **given)
        recovered.append(self.recovered)
        return found

    monkeypatch.setattr(_blocks.Blocks, "call", call)
    there = solve(ClusterMatrix.over(mapped(X), mortals), loss, problems, tol=1e-4)
    assert max(recovered) == 1
    check(loss, problems, there, solve(X, loss, problems, tol=1e-4), X, 1e-4)


def test_a_classifier_of_many_fits(on_cluster, blobs):
    """Folds, costs that are tried and calibration of an ECOC head, with the rows on workers: the same head."""
    X, y = blobs(160, 6)
    made = []
    for rows in (on_cluster(X, 2, 4), X):
        head = ECOCClassifier("onevsone", loss="squared_hinge", tol=1e-5)
        made.append(head.fit(rows, y))
    np.testing.assert_allclose(made[0].coef_, made[1].coef_, rtol=1e-3, atol=1e-4)
    fresh = blobs(200, 6, seed=1)[0]
    np.testing.assert_array_equal(made[0].predict(fresh), made[1].predict(fresh))
    np.testing.assert_array_equal(made[0].predict(on_cluster(fresh)), made[1].predict(fresh))


def test_progress_counts_learners(on_cluster, blobs):
    """Every learner is told once, the last call says that all are done."""
    X, y = blobs(200, 10)
    told = []
    problems = problems_of("logistic", X, y)
    solve_many(on_cluster(X), problems, loss="logistic", progress=lambda *what: told.append(what))
    assert told[-1] == (10, 10, "learners")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_what_cannot_be_solved_is_said(on_cluster, blobs):
    """Numbers that are none, unknown losses, and labels of another length."""
    X, y = blobs(100, 6)
    Y = np.where(y[:, None] == 0, 1, -1)
    with pytest.raises(UnknownNameError, match="hing"):
        solve_many(on_cluster(X), [LinearProblem(Y, np.ones(100))], loss="hing")
    with pytest.raises(DataError, match="99"):
        solve_many(on_cluster(X), [LinearProblem(Y[:99], np.ones(99))], loss="hinge")
    X[3, 4] = np.nan
    with pytest.raises(DataError, match="column 4"):
        solve_many(on_cluster(X), [LinearProblem(Y, np.ones(100))], loss="hinge")


def test_a_file_that_goes_away_is_named(on_cluster, blobs, tmp_path):
    """The error of a worker that cannot read its rows says which file and which worker."""
    X, y = blobs(100, 6)
    matrix = on_cluster(X)
    for path in tmp_path.glob("*.bin"):
        path.unlink()
    with pytest.raises(ClusterError, match=r"tcp://.*\.bin is not to be seen"):
        solve_many(matrix, [LinearProblem(np.where(y[:, None] == 0, 1, -1), np.ones(100))], loss="hinge")
