"""Small data sets and a stand-in for extraction, whose feature of an image depends on its id and digest only."""

import hashlib

import numpy as np
import pytest

from fusionfer.cache import RowTable

DIM = 5


def digest_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


def make_rows(ids, changed=(), labels="happy", splits="train", groups=""):
    """Rows whose digest is that of their id, and another one for the ids in `changed`."""
    n = len(ids)
    columns = [
        np.array([value] * n) if isinstance(value, str) else np.array(value) for value in (labels, splits, groups)
    ]
    return RowTable(np.array(ids), *columns, np.array([digest_of(i + "!" * (i in changed)) for i in ids]))


def features_of(rows):
    """The features that a network would give; float32, shape (n, DIM)."""
    seeds = [int(digest[:8], 16) for digest in rows.digests.tolist()]
    return np.array([np.random.default_rng(seed).normal(size=DIM) for seed in seeds], dtype=np.float32)


def extract(folder, rows, *, blocks=None, bad=(), key=None, record=None, backbone="resnet34", level="logits", size=4):
    """Do what extraction does: prepare, commit `blocks` blocks (all by default), finish. Return the job."""
    X = features_of(rows)
    with folder.lock():
        job = folder.prepare(
            backbone,
            level,
            DIM,
            key={"size": 48} if key is None else key,
            record=record or {},
            rows=rows,
            block_rows=size,
        )
        job.computed = []
        for number, start in enumerate(range(0, len(rows), job.block_rows)):
            if blocks is not None and number >= blocks:
                job.close()
                return job
            part = slice(start, start + job.block_rows)
            todo = job.todo[part]
            if todo.any():
                failed = {
                    i: f"no image: {rows.ids[start + i]}" for i in np.flatnonzero(todo) if rows.ids[start + i] in bad
                }
                done = todo.copy()
                done[list(failed)] = False
                job.computed += rows.ids[part][todo].tolist()
                job.commit(start, X[part], done, failed)
        job.finish()
    return job


@pytest.fixture
def cache(tmp_path):
    """A folder that does not exist yet."""
    from fusionfer.cache import CacheFolder

    return CacheFolder(tmp_path / "cache")


@pytest.fixture
def toolkit():
    """The functions above; conftest files cannot be imported by name."""
    from types import SimpleNamespace

    return SimpleNamespace(rows=make_rows, features=features_of, extract=extract, digest=digest_of, dim=DIM)
