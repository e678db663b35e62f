"""Features that stay in their files are those that would be read, in every view of them."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fusionfer.cache import CacheFolder, RowTable
from fusionfer.features import Features
from fusionfer.matrices import MappedMatrix, is_mapped
from fusionfer.memory import memory_limit


@pytest.fixture
def folder(tmp_path):
    """Two caches of 40 rows in different orders, the second without row 7, and a row that failed in it."""
    caches, rng = CacheFolder(tmp_path / "cache"), np.random.default_rng(0)
    with caches.lock():
        for backbone, dim in (("left", 5), ("right", 8)):
            ids = np.array([f"{i}.png" for i in (range(40) if backbone == "left" else rng.permutation(40)) if i != 7])
            if backbone == "left":
                ids = np.append(ids, "7.png")
            n = len(ids)
            number = np.array([int(one.removesuffix(".png")) for one in ids])
            rows = RowTable(
                ids,
                np.array(["happy", "sad"])[number % 2],
                np.array(["train", "train", "validation", "test"])[number % 4],
                np.full(n, ""),
                np.array([hashlib.sha256(one.encode()).hexdigest() for one in ids]),
            )
            with caches.prepare(backbone, "logits", dim, key={}, record={}, rows=rows, block_rows=n) as job:
                done = (number != 11) | (backbone == "left")
                failed = {int(i): "broken" for i in np.flatnonzero(~done)}
                job.commit(0, rng.normal(size=(n, dim)).astype(np.float32), done, failed)
                job.finish()
    return caches


@pytest.fixture
def both(folder):
    """The same features, read into memory and left in their files."""
    return Features.read(folder, mapped=False), Features.read(folder, mapped=True)


def test_the_same_numbers(both):
    """Aligned by id, without the row that one lacks and the one that failed: equal in all that features have."""
    read, mapped = both
    assert is_mapped(mapped.X)
    assert not is_mapped(read.X)
    assert len(read) == 38
    assert_array_equal(np.asarray(mapped.X), read.X)
    for name in ("ids", "y", "splits", "groups", "digests", "notes"):
        assert_array_equal(getattr(mapped, name), getattr(read, name))
    assert mapped.blocks == read.blocks


@pytest.mark.parametrize(
    "view",
    [
        lambda features: features.split("train"),
        lambda features: features.split("train+test"),
        lambda features: features.take(np.arange(len(features))[::-1]),
        lambda features: features.only("right:logits"),
        lambda features: features.only("right:logits", "left:logits"),
        lambda features: features.split("train").only("left:logits").take([3, 1]),
    ],
)
def test_views_stay_in_the_files(both, view):
    """Splits, rows and blocks are taken without reading, and are the numbers that they are in memory."""
    read, mapped = (view(features) for features in both)
    assert is_mapped(mapped.X)
    assert_array_equal(np.asarray(mapped.X), read.X)
    assert_array_equal(mapped.ids, read.ids)
    assert_array_equal(np.asarray(mapped.block(next(iter(mapped.blocks)))), read.block(next(iter(read.blocks))))


def test_the_limit_decides(folder, monkeypatch):
    """Without being told, features stay in their files where they are more than an eighth of what may be used."""
    n_bytes = Features.read(folder).X.nbytes
    with memory_limit(8 * n_bytes):
        assert not is_mapped(Features.read(folder).X)
    with memory_limit(8 * n_bytes - 1):
        assert is_mapped(Features.read(folder).X)
    assert not is_mapped(Features.read(folder).X)


def test_written_again(both, tmp_path):
    """Written to another folder, mapped features have the key that the same numbers in memory have."""
    read, mapped = both
    first = read.to_hdf5(tmp_path / "copy")
    assert [path.name for path in mapped.to_hdf5(tmp_path / "copy")] == [path.name for path in first]
    assert_array_equal(Features.read(tmp_path / "copy").X, read.X)


def test_a_count_of_rows(both):
    """How many rows a split has is known without taking them."""
    read, _ = both
    for name in ("train", "test+validation"):
        assert read.count(name) == len(read.split(name))
    assert (read.count("all"), read.count("nowhere")) == (38, 0)


def test_a_matrix_in_memory_may_stand_for_maps(both):
    """Features take any MappedMatrix, as of arrays."""
    read, _ = both
    parts = [read.block(name) for name in read.blocks]
    again = Features(read.ids, MappedMatrix(parts), read.y, read.splits, read.groups, read.blocks)
    assert_array_equal(np.asarray(again.X), read.X)
