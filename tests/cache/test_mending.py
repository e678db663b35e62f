"""A repair replaces damaged rows only, and gives back the file that was there before."""

import numpy as np
import pytest

from fusionfer.cache import damaged_blocks, examine, read_feature_file, start_mending
from fusionfer.exceptions import CacheError

IDS = [f"{i}.png" for i in range(10)]
ARRAYS = ("features", "state", "crc32", "reasons")


@pytest.fixture
def path(cache, toolkit):
    """Ten rows in blocks of four, one of them failed, with a record that has a history."""
    toolkit.extract(cache, toolkit.rows(IDS[:8]), record={"torch": "1"})
    return toolkit.extract(cache, toolkit.rows(IDS), bad=("9.png",), record={"torch": "2"}).path


def arrays(path):
    stored = read_feature_file(path)
    return {name: stored.layout.map(name).tobytes() for name in ARRAYS}, stored.record, stored.rows


def flip(path, back):
    content = bytearray(path.read_bytes())
    content[-back] ^= 1
    path.write_bytes(content)


def fill(job, toolkit, blocks=None):
    """Commit what is to be done, and return its rows."""
    X, computed = toolkit.features(job.rows), []
    for start in range(0, len(job.rows), job.block_rows)[:blocks]:
        todo = job.todo[start : start + job.block_rows]
        if todo.any():
            failed = {i: "no image: 9.png" for i in np.flatnonzero(todo) if job.rows.ids[start + i] == "9.png"}
            done = todo.copy()
            done[list(failed)] = False
            job.commit(start, X[start : start + job.block_rows], done, failed)
            computed += job.rows.ids[start : start + job.block_rows][todo].tolist()
    return computed


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_the_file_is_as_before(cache, path, toolkit, damage):
    """Only damaged rows are to be done; the data, the record and the rows then equal the undamaged file's."""
    before = arrays(path)
    if damage == "flip":
        flip(path, 5 * toolkit.dim * 4)  # row 5
    else:
        path.write_bytes(path.read_bytes()[: -5 * toolkit.dim * 4])
    found = examine(path)
    crcs = damaged_blocks(found)
    with cache.lock(), start_mending(cache, found, {"torch": "2"}) as job:
        assert fill(job, toolkit) == (IDS[4:8] if damage == "flip" else IDS[4:])
        job.finish()
    after = arrays(path)
    assert (after[0], after[1]) == (before[0], before[1])
    assert after[2].same_as(before[2])
    assert set(crcs) == ({1} if damage == "flip" else {1, 2})
    stored = read_feature_file(path).layout.map("crc32")
    assert all(stored[block] == crc for block, crc in crcs.items())
    assert cache.parts() == []


def test_the_damaged_file_stays_until_the_end(cache, path, toolkit):
    """An interrupted repair has changed nothing, and the next one goes on where it was."""
    flip(path, 5 * toolkit.dim * 4)
    flip(path, 9 * toolkit.dim * 4)
    damaged = path.read_bytes()
    with cache.lock():
        with start_mending(cache, examine(path), {"torch": "2"}) as job:
            assert fill(job, toolkit, blocks=1) == IDS[:4]
        assert path.read_bytes() == damaged
        with start_mending(cache, examine(path), {"torch": "2"}) as job:
            assert fill(job, toolkit) == IDS[4:8]
            job.finish()
    assert examine(path).sound


def test_another_record_keeps_the_old_one(cache, path, toolkit):
    """Rows computed by other versions say so: the file's own record goes into the history."""
    flip(path, 5 * toolkit.dim * 4)
    with cache.lock(), start_mending(cache, examine(path), {"torch": "3"}) as job:
        fill(job, toolkit)
        job.finish()
    assert read_feature_file(path).record == {"torch": "3", "history": [{"torch": "1"}, {"torch": "2"}]}


def test_an_unfinished_extension_is_not_lost(cache, path, toolkit):
    """Rows that only an unfinished extraction has would be gone: it is to be finished first."""
    toolkit.extract(cache, toolkit.rows(["new.png", *IDS]), blocks=1)
    flip(path, 5 * toolkit.dim * 4)
    with cache.lock(), pytest.raises(CacheError, match=r"unfinished extraction of other images\. Finish it"):
        start_mending(cache, examine(path), {})


def test_what_cannot_be_mended(cache, path, toolkit):
    """Files of which nothing is known, unfinished ones, and folders that are not locked."""
    with pytest.raises(CacheError, match="without its lock"):
        start_mending(cache, examine(path), {})
    path.write_bytes(b"")
    assert damaged_blocks(examine(path)) == {}
    with cache.lock(), pytest.raises(CacheError, match=r"cannot be mended: .* it is empty"):
        start_mending(cache, examine(path), {})
