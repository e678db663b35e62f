"""What a ClusterMatrix says of its rows is what numpy says, wherever the rows lie."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fusionfer.cluster import ClusterMatrix, Team, Worker
from fusionfer.cluster._files import FileRows, FileStack
from fusionfer.exceptions import ClusterError, DataError
from fusionfer.fusion import BlockScaler
from fusionfer.matrices import MappedMatrix


@pytest.fixture
def X(blobs):
    """The rows that all are compared with."""
    return blobs(401, 17)[0]


@pytest.fixture
def views(X, on_cluster):
    """A view of scaled columns of rows in any order, and the same by numpy in float64."""
    rows = np.random.default_rng(1).permutation(401)[:300]
    shift, factor = np.linspace(-1, 1, 12), np.linspace(0.5, 2, 12)
    view = on_cluster(X, 10, 7).rows(rows).columns(slice(3, 15)).scaled(shift, factor)
    return view, (X[rows, 3:15].astype(np.float64) - shift) * factor


def test_views_stay_on_the_cluster_and_read_here(views):
    """Rows, columns and scaling keep the kind of matrix, and reading gives their numbers."""
    view, Z = views
    assert isinstance(view, ClusterMatrix)
    assert view.shape == Z.shape
    np.testing.assert_allclose(np.asarray(view), Z, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(view.read([5, 2]), Z[[5, 2]], rtol=1e-5, atol=1e-5)


def test_products(views):
    """Both products, of views too."""
    view, Z = views
    rng = np.random.default_rng(2)
    V, B = rng.normal(size=(12, 3)), rng.normal(size=(2, 300))
    np.testing.assert_allclose(view @ V, Z @ V, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(view.combine(B), B @ Z, rtol=1e-5, atol=1e-3)


def test_moments_are_those_of_the_scaler(X, on_cluster):
    """A scaler fitted with the rows on workers is the one fitted on the array, and scales alike."""
    weight = np.random.default_rng(3).random(401)
    blocks = {"a": slice(0, 10), "b": slice(10, 17)}
    matrix = on_cluster(X, 10, 7)
    there = BlockScaler(blocks).fit(matrix, sample_weight=weight)
    here = BlockScaler(blocks).fit(X, sample_weight=weight)
    np.testing.assert_allclose(there.mean_, here.mean_, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(there.factor_, here.factor_, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(there.transform(matrix)), here.transform(X), rtol=1e-4, atol=1e-5)


def test_files_below_each_other_are_read_where_they_are_seen(X, mapped, team, views):
    """Rows of a file that one worker alone sees are that worker's, and products are as ever."""
    cuts = (0, 150, 260, 401)
    files = [FileRows.of(mapped(X[a:b]).parts[0]) for a, b in pairwise(cuts)]
    matrix = ClusterMatrix.stacked([FileStack(tuple(files))], team)
    first, second = (worker.address for worker in team.workers)
    matrix._seen[tuple(files), first] = {1: "it is not there"}
    matrix._seen[tuple(files), second] = {0: "it is not there", 2: "it is not there"}
    order = np.random.default_rng(4).permutation(401)
    for view, rows in ((matrix, np.arange(401)), (matrix.rows(order), order)):
        where = np.searchsorted(cuts, rows, side="right") - 1
        for address, mine, eligible in view.shares():
            assert set(where[mine].tolist()) <= ({0, 2} if address == first else {1})
            assert eligible == {address}
        assert sorted(np.concatenate([np.arange(401)[mine] for _, mine, _ in view.shares()])) == list(range(401))
        np.testing.assert_allclose(view @ np.eye(17, dtype=np.float32), X[rows])


def test_rows_of_files_that_are_not_seen_here_come_from_the_workers(X, views):
    """Reading gives the same numbers where the driver has no copy of the files."""
    view, Z = views
    view._seen[tuple(file for part in view.parts for file in part.files), ""] = {0: "it is not there"}
    np.testing.assert_allclose(np.asarray(view), Z, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(view.read([7, 3]), Z[[7, 3]], rtol=1e-5, atol=1e-5)
    assert view.read([]).shape == (0, 12)


def test_a_file_that_no_worker_sees_is_named(X, on_cluster, tmp_path):
    """The error says which file, on which worker, and what to do."""
    matrix = on_cluster(X, 10, 7)
    (gone,) = tmp_path.glob("*-1.bin")
    gone.unlink()
    with pytest.raises(ClusterError, match=rf"tcp://.*{gone.name} is not to be seen.*same path"):
        matrix.combine(np.ones((1, 401)))


def test_another_file_under_the_same_name_is_refused(X, on_cluster, tmp_path):
    """A file of another size is not the one that was mapped."""
    matrix = on_cluster(X)
    (path,) = tmp_path.glob("*.bin")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ClusterError, match="is another file there"):
        matrix @ np.ones((17, 1), dtype=np.float32)


def test_a_stale_copy_on_one_worker_is_not_read(X, mapped, team, elsewhere, tmp_path):
    """A copy of the same size with other rows or checksums is left to nobody: its worker gets no rows of it."""
    mapped(X)
    (path,) = tmp_path.glob("*.bin")
    (tmp_path / "fresh").mkdir()
    (tmp_path / "stale").mkdir()
    shutil.copy(path, tmp_path / "fresh" / "x.bin")
    with path.open("r+b") as out:
        out.write(b"another header")
    path.rename(tmp_path / "stale" / "x.bin")
    here = FileRows.at(tmp_path / "fresh" / "x.bin", 4096, 4096, X.shape, 68)
    file = replace(here, path=str(elsewhere(tmp_path / "fresh", tmp_path / "stale") / "x.bin"))
    matrix = ClusterMatrix.stacked([FileStack((file,))], team)
    first, second = (worker.address for worker in team.workers)
    assert matrix.shares() == [(first, slice(0, 401), {first})]
    assert matrix.eligible(slice(0, 10), [first, second]) == {first}
    np.testing.assert_array_equal(np.asarray(matrix), X)
    elsewhere(tmp_path / "stale", tmp_path / "stale")
    matrix = ClusterMatrix.stacked([FileStack((file,))], team)
    with pytest.raises(ClusterError, match=r"No worker can read some.*x\.bin is another file there, of the same size"):
        matrix.shares()


def test_a_worker_that_dies_before_it_is_asked_is_left_out(X, on_cluster, team, monkeypatch):
    """Between two looks a worker may go: it gets no rows, and where none is left, that is said."""
    matrix, ghost, real = on_cluster(X), Worker("tcp://127.0.0.1:9", 1), Team.refresh
    monkeypatch.setattr(Team, "refresh", lambda self: (ghost, *real(self)))
    assert [worker for worker, _, _ in matrix.shares()] == [worker.address for worker in team.workers]
    monkeypatch.setattr(Team, "refresh", lambda self: (ghost,))
    with pytest.raises(ClusterError, match=r"None of the 1 workers at tcp://\S+ answers"):
        matrix.shares()


def test_arrays_in_memory_are_refused(X, team):
    """What lies in no file cannot be read by others."""
    with pytest.raises(DataError, match=r"is not the map of one\. Write"):
        ClusterMatrix.over(MappedMatrix([X]), team)


def test_stacks_of_other_lengths_are_refused(X, mapped, team):
    """Blocks side by side have the same rows."""
    stacks = [FileStack.of(mapped(X[:n]).parts[0]) for n in (10, 11)]
    with pytest.raises(DataError, match=r"got \[10, 11\]"):
        ClusterMatrix.stacked(stacks, team)
