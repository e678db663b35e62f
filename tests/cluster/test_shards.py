"""Shards that were never joined are one data set to the workers that see them."""

import shutil

import numpy as np
import pytest

from fusionfer.cache import SHARDS, CacheFolder, merge_shards, read_feature_file
from fusionfer.cluster import find_shards
from fusionfer.exceptions import CacheError, CacheFormatError, UnknownNameError
from fusionfer.extraction import Shard, extract_to_cache
from fusionfer.images import generate_faces

SETTINGS = {"weights": "none", "size": 32, "batch_size": 8}


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """A cache with two shards of one block, and the features of the joined file."""
    folder = tmp_path_factory.mktemp("sharded")
    faces = generate_faces(n_identities=4, takes=1, size=32)
    for index in range(2):
        extract_to_cache(faces, "mobilenet_v2", shard=Shard(index, 2), cache=folder / "cache", **SETTINGS)
    files = sorted((folder / "cache" / SHARDS).glob("*/*.h5"))
    whole = CacheFolder(folder / "joined")
    with whole.lock():
        joined, _ = merge_shards(whole, files)
    return folder / "cache", read_feature_file(joined)


@pytest.fixture
def copy(sharded, tmp_path):
    """The same, to be changed."""
    shutil.copytree(sharded[0], tmp_path / "cache")
    return tmp_path / "cache", sorted((tmp_path / "cache" / SHARDS).iterdir())


def test_shards_are_read_as_the_joined_file(team, sharded):
    """Rows, names and numbers are those of the file that a merge writes, without the merge."""
    found, joined = find_shards(sharded[0], team), sharded[1]
    assert list(found.blocks.values()) == [slice(0, joined.dim)]
    assert found.rows.ids.tolist() == joined.rows.ids.tolist()
    assert found.rows.labels.tolist() == joined.rows.labels.tolist()
    np.testing.assert_array_equal(np.asarray(found.X), joined.X)
    V = np.random.default_rng(0).normal(size=(joined.dim, 2))
    np.testing.assert_allclose(found.X @ V, joined.X @ V, rtol=1e-5, atol=1e-5)
    assert list(found.keys.values()) == [joined.key]
    ((name, record),) = found.records.items()
    assert name in found.blocks
    assert "shard" not in record
    assert found.count == 2


def test_a_shard_that_nobody_sees_is_named(team, copy):
    """A missing shard is an error that says which one."""
    cache, (_, second) = copy
    shutil.rmtree(second)
    with pytest.raises(CacheError, match=r"of shard 1 of 2 is to be seen neither here nor by any of the 2 workers"):
        find_shards(cache, team)


def test_a_damaged_shard_is_refused(team, copy):
    """Rows that do not have their checksum any more are named, as by whoever reads a joined cache."""
    cache, (_, second) = copy
    (path,) = second.glob("*.h5")
    with path.open("r+b") as out:
        out.seek(read_feature_file(path).layout.offsets["features"] + 8)
        out.write(b"\x01\x02")
    with pytest.raises(CacheFormatError, match=rf"{path} is damaged: rows 0-\d+ do not have the checksum"):
        find_shards(cache, team)


def test_blocks_of_shards_are_chosen_by_name(team, sharded):
    """A block that is not there is an error with those that are."""
    with pytest.raises(UnknownNameError, match=r"Unknown block of shards 'resnet18:logits'\. .*mobilenet_v2:"):
        find_shards(sharded[0], team, ["resnet18:logits"])


def test_shards_of_two_runs_are_refused(team, copy):
    """Which run is meant cannot be guessed."""
    cache, (first, _) = copy
    shutil.copytree(first, first.with_name("0" * 8 + "-0-of-2"))
    with pytest.raises(CacheError, match="shards of 2 runs"):
        find_shards(cache, team)


def test_no_shards(team, tmp_path):
    """An empty folder has none."""
    with pytest.raises(CacheError, match="found none"):
        find_shards(tmp_path, team)
