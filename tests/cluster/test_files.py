"""Parts of files travel as path and place, and are the same numbers when they are opened."""

import pickle

import numpy as np
import pytest

from fusionfer.cluster._files import FileRows, FileStack
from fusionfer.exceptions import ClusterError, DataError


@pytest.fixture
def X():
    """Numbers that tell where they were."""
    return np.arange(60, dtype=np.float32).reshape(12, 5)


@pytest.mark.parametrize("view", [np.s_[:, :], np.s_[3:9, :], np.s_[:, 2:4], np.s_[5:, 1:2], np.s_[4:4, :]])
def test_a_view_of_a_map_is_found_in_its_file(X, mapped, view):
    """Whatever slice of the map is given, the file's bytes of it are opened."""
    file = FileRows.of(mapped(X).parts[0][view])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(file)).open(), X[view])


def test_every_second_column_is_refused(X, mapped):
    """Rows that do not lie together in the file are no rows of it."""
    with pytest.raises(DataError, match="rows of float32"):
        FileRows.of(mapped(X).parts[0][:, ::2])


def test_a_file_that_is_gone_is_an_error_with_its_name(X, mapped, tmp_path):
    """Opening says which file, and on which machine."""
    file = FileRows.of(mapped(X).parts[0])
    (path,) = tmp_path.iterdir()
    path.unlink()
    with pytest.raises(ClusterError, match=rf"process \d+.*{path.name} is not to be seen"):
        file.open()


def test_another_copy_of_the_same_size_is_told(X, mapped, tmp_path):
    """What lies before the rows, in a cache the checksums of all blocks, must be the same."""
    file = FileRows.of(mapped(X).parts[0])
    (path,) = tmp_path.iterdir()
    assert file.problem() == ""
    with path.open("r+b") as out:
        out.write(b"other")
    assert file.problem() == f"{path} is another file there, of the same size, but with other rows or checksums"
    with pytest.raises(ClusterError, match=r"process \d+.*of the same size.*Workers need the cache at the same path"):
        file.open()


@pytest.mark.parametrize(
    "key",
    [
        slice(0, 12),
        slice(2, 4),
        slice(3, 9),
        slice(7, 7),
        np.array([11, 0, 5, 4, 4]),
        (slice(None), slice(1, 3)),
        (slice(2, 9), slice(0, 2)),
    ],
    ids=str,
)
def test_a_stack_is_indexed_as_the_whole(X, mapped, key):
    """Files below each other give the rows and columns of what was cut into them; a stack that travelled too."""
    stack = FileStack(tuple(FileRows.of(mapped(X[rows]).parts[0]) for rows in (slice(0, 4), slice(4, 5), slice(5, 12))))
    assert stack.shape == (12, 5)
    for one in (stack, pickle.loads(pickle.dumps(stack))):
        found = one[key]
        np.testing.assert_array_equal(found[:] if isinstance(found, FileStack) else found, X[key])


def test_a_stack_that_travels_takes_no_numbers_along(X, mapped):
    """What is pickled is small, even after rows were read."""
    stack = FileStack.of(mapped(np.tile(X, (1000, 1))).parts[0])
    stack[0:10]
    assert len(pickle.dumps(stack)) < 1000


def test_files_with_other_columns_do_not_stack(X, mapped):
    """Files below each other have the same columns."""
    files = [FileRows.of(mapped(X[:, :d]).parts[0]) for d in (3, 5)]
    with pytest.raises(DataError, match=r"got \[3, 5\]"):
        FileStack(tuple(files))
