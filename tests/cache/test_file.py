"""FeatureFile stores whole blocks or nothing, whatever happens in the middle."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from fusionfer.cache import CacheFolder, _file, read_feature_file
from fusionfer.cache._planning import trusted_state
from fusionfer.cache._reading import open_stored
from fusionfer.exceptions import CacheError, IncompleteCacheError, NonFiniteFeaturesError


@pytest.fixture
def rows(toolkit):
    return toolkit.rows([f"{i}.png" for i in range(10)])


@pytest.fixture
def job(cache, rows, toolkit):
    with cache.lock():
        job = cache.prepare("resnet34", "logits", toolkit.dim, key={}, record={}, rows=rows, block_rows=4)
        yield job
        job.close()


def block(toolkit, rows, start, stop, failed=()):
    done = np.ones(stop - start, bool)
    done[list(failed)] = False
    return toolkit.features(rows)[start:stop], done, dict.fromkeys(failed, "why")


def test_commit_and_finish(job, rows, toolkit):
    """What was committed is read back bit by bit; failed rows are zeros with their reason."""
    for start in (0, 4, 8):
        job.commit(start, *block(toolkit, rows, start, min(start + 4, 10), failed=(1,) if start == 4 else ()))
    job.finish()
    stored = read_feature_file(job.path)
    expected = toolkit.features(rows)
    expected[5] = 0
    assert stored.X.dtype == np.float32
    assert np.array_equal(stored.X, expected)
    assert stored.reasons == {5: "why"}
    assert stored.state.tolist() == [1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert stored.rows.same_as(rows)
    assert stored.verify() == []
    assert not job.part


def test_undecided_rows_of_a_block_stay_as_they_were(job, rows, toolkit):
    """A second commit of a block adds to it and takes nothing away."""
    X, done, _ = block(toolkit, rows, 0, 4)
    job.commit(0, X, done & [True, False, False, False], {2: "broken"})
    assert job.todo[:4].tolist() == [False, True, False, True]
    job.commit(0, np.full_like(X, 7), done & [False, True, False, False], {})
    stored = open_stored(job.part)
    assert np.array_equal(stored.features_map[:4], [X[0], [7] * 5, [0] * 5, [0] * 5])
    assert stored.reasons == {2: "broken"}
    assert stored.verify() == []


def test_finish_needs_all_rows(job, rows, toolkit):
    """Fault 7: a file with open rows never gets its final name."""
    job.commit(0, *block(toolkit, rows, 0, 4))
    with pytest.raises(IncompleteCacheError, match=r"lacks 6 of 10 rows \(first: '4.png'\)"):
        job.finish()
    assert not job.path.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_rows_are_refused(job, rows, toolkit, value):
    """Fault 26: the sample is named and the block stays as it was; a row that is not done may hold anything."""
    X, done, _ = block(toolkit, rows, 4, 8)
    X[2, 3] = value
    with pytest.raises(NonFiniteFeaturesError, match=r"features of '6.png' hold NaN or infinity"):
        job.commit(4, X, done, {})
    assert job.todo.all()
    job.commit(4, X, done & [True, True, False, True], {2: "not finite"})
    assert open_stored(job.part).features_map[6].tolist() == [0] * 5


@pytest.mark.parametrize(
    ("start", "change", "said"),
    [
        (2, {}, "multiple of 4 below 10, not at 2"),
        (12, {}, "not at 12"),
        (-4, {}, "not at -4"),
        (0, {"X": np.zeros((3, 5), np.float32)}, r"takes X of shape \(4, 5\)"),
        (0, {"done": np.ones(4, int)}, "type bool; got"),
        (0, {"failed": {0: "x"}}, "done and failed at once"),
        (0, {"failed": {4: "x"}}, "not in the block"),
    ],
)
def test_commit_refuses_what_does_not_fit(job, start, change, said):
    """A block is whole and in its place."""
    given = {"X": np.zeros((4, 5), np.float32), "done": np.ones(4, bool), "failed": {}, **change}
    with pytest.raises(CacheError, match=said):
        job.commit(start, **given)


def test_closed_files_take_nothing(job, rows, toolkit):
    """Closing twice is harmless, committing afterwards is an error."""
    job.close()
    job.close()
    with pytest.raises(CacheError, match="is closed, or was complete already"):
        job.commit(0, *block(toolkit, rows, 0, 4))


WRITER = """
    import sys, time, numpy as np
    sys.path.insert(0, {here!r})
    import conftest
    from fusionfer.cache import CacheFolder
    folder, rows = CacheFolder({folder!r}), conftest.make_rows([f"{{i}}.png" for i in range(400)])
    X = conftest.features_of(rows)
    with folder.lock():
        key = {{"size": 48}}
        job = folder.prepare("resnet34", "logits", conftest.DIM, key=key, record={{}}, rows=rows, block_rows=4)
        for start in range(0, 400, 4):
            if job.todo[start : start + 4].any():
                job.commit(start, X[start : start + 4], np.ones(4, bool), {{}})
                print(start + 4, flush=True)
                time.sleep(0.003)
        job.finish()
"""


def test_killed_writers_lose_the_open_block_at_most(tmp_path, toolkit):
    """Fault 1: after each SIGKILL exactly the committed rows are there; the last run gives the data of a whole one."""
    rows = toolkit.rows([f"{i}.png" for i in range(400)])
    X = toolkit.features(rows)
    folder = CacheFolder(tmp_path / "cache")
    code = textwrap.dedent(WRITER).format(here=str(Path(__file__).parent), folder=str(folder.path))
    rng = np.random.default_rng(0)
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        lines = [writer.stdout.readline() for _ in range(rng.integers(1, 15))]
        writer.kill()
        lines += writer.stdout.readlines()
        writer.wait()
        writer.stdout.close()
        told = int([line for line in lines if line.endswith("\n")][-1])
        assert folder.files() == []
        (part,) = folder.parts()
        stored = open_stored(part)
        state, _ = trusted_state(stored)
        done = int(np.sum(state == 1))
        assert told <= done <= told + 4
        assert (state[:done] == 1).all()
        assert np.array_equal(stored.features_map[:done], X[:done])
    last = toolkit.extract(folder, rows)
    fresh = toolkit.extract(CacheFolder(tmp_path / "fresh"), rows)
    assert last.status == "resume"
    for name in ("features", "state", "crc32", "reasons"):
        ours, theirs = (read_feature_file(job.path).layout.map(name) for job in (last, fresh))
        assert ours.tobytes() == theirs.tobytes()


def test_synchronised_before_the_rename(job, rows, toolkit, monkeypatch):
    """The data reach the disk before the file gets its name, and at times in between."""
    calls = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), rename(*paths)))
    job.commit(0, *block(toolkit, rows, 0, 4))
    assert calls == []
    monkeypatch.setattr(_file, "SYNC_SECONDS", -1.0)
    job.commit(4, *block(toolkit, rows, 4, 8))
    assert calls == ["fsync"]
    monkeypatch.undo()
    job.commit(8, *block(toolkit, rows, 8, 10))
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), rename(*paths)))
    calls.clear()
    job.finish()
    assert calls[0] == "fsync"
    assert calls.index("replace") < len(calls) - 1  # the folder is synchronised afterwards
