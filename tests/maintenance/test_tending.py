"""list_caches and merge: what is there, shards into one."""

import pytest

from fusionfer.cache import CacheFolder
from fusionfer.exceptions import CacheError, DataError, ExtractionInterrupted
from fusionfer.extraction import Shard, extract_to_cache
from fusionfer.maintenance import list_caches, merge


def test_list_caches(folder):
    """A folder of caches, and a folder of such folders; others are passed over."""
    (folder.parent / "empty").mkdir()
    (one,) = list_caches(folder)
    assert [entry.block for entry in one.entries] == ["tiny:conv", "tiny:out"]
    assert one.bytes == sum(path.stat().st_size for path in folder.glob("*.h5"))
    assert [listing.folder for listing in list_caches(folder.parent)] == [folder]
    with pytest.raises(DataError, match="holds no cache, nor does any folder in it"):
        list_caches(folder.parent / "empty")
    with pytest.raises(DataError, match="nowhere holds no cache"):
        list_caches(folder.parent / "nowhere")


def test_list_caches_knows_shards(tmp_path, tools):
    """Shards that are not joined are listed by themselves, also where nothing is joined yet; other folders are not."""
    reports = [tools.extract(tools.faces(), tmp_path / "cache", shard=Shard(i, 2)) for i in range(2)]
    (tmp_path / "cache" / "shards" / "mine").mkdir()
    (tmp_path / "cache" / "shards" / "mine" / "a.h5").write_bytes(b"mine")
    listings = list_caches(tmp_path / "cache")
    assert [one.folder for one in listings] == [report.cache for report in reports]
    assert [[(entry.block, entry.rows) for entry in one.entries] for one in listings] == [
        [("tiny:conv", 12), ("tiny:out", 12)],
        [("tiny:conv", 10), ("tiny:out", 10)],
    ]
    merge([report.cache for report in reports], tmp_path / "cache")
    assert [one.folder for one in list_caches(tmp_path)] == [tmp_path / "cache", *(one.cache for one in reports)]


def test_merge_equals_one_process(folder, tmp_path, tools):
    """Shards of whole batches, extracted each by itself, give the files of one process in all that they hold."""
    for number, rows in enumerate((range(8), range(8, 16), range(16, 22))):
        tools.extract(tools.faces(broken=(5,), rows=rows), tmp_path / f"shard{number}")
    shards = [tmp_path / f"shard{number}" for number in range(3)]
    merged = merge(shards, tmp_path / "merged")
    assert [(one.path.name, one.new, len(one.shards)) for one in merged] == [
        (path.name, True, 3) for path in CacheFolder(folder).files()
    ]
    assert tools.contents(tmp_path / "merged") == tools.contents(folder)
    assert not any(one.new for one in merge(shards, tmp_path / "merged"))


def test_merge_refuses_what_does_not_belong_together(folder, tmp_path, tools):
    """Fault 29: one shard, the target among the shards, a block that one lacks, an unfinished shard, another key."""
    tools.extract(tools.faces(rows=range(8)), tmp_path / "a")
    tools.extract(tools.faces(rows=range(8, 12)), tmp_path / "b", levels=["conv"])
    with pytest.raises(DataError, match="at least two shards to merge; got 1"):
        merge([folder], tmp_path / "out")
    with pytest.raises(DataError, match="is one of the shards"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "b")
    with pytest.raises(CacheError, match=r"Shards hold the same blocks, but .*b has no tiny:out"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(CacheError, match=r"no finished shard \(no complete cache in it\)"):
        merge([tmp_path / "a", tmp_path / "nothing"], tmp_path / "out")
    with pytest.raises(ExtractionInterrupted):
        tools.extract(tools.faces(rows=range(8, 22)), tmp_path / "c", stop=tools.StopLater(1))
    with pytest.raises(CacheError, match=r"no finished shard \(unfinished: tiny.conv"):
        merge([tmp_path / "a", tmp_path / "c"], tmp_path / "out")
    for level in ("conv", "out"):
        extract_to_cache(
            tools.faces(rows=range(8, 22)), tools.backbone(seed=1), level, cache=tmp_path / "d", batch_size=4,
            device="cpu",
        )  # fmt: skip
    with pytest.raises(CacheError, match=r"another key.*weights_sha256 '[0-9a-f]+'; .*weights_sha256"):
        merge([tmp_path / "a", tmp_path / "d"], tmp_path / "out")
    assert CacheFolder(tmp_path / "out").files() == []


def test_merge_into_another_data_set(tmp_path, tools):
    """Fault 29: a folder of other images takes no shards, as it would take no extraction."""
    tools.extract(tools.faces(rows=[20, 21]), tmp_path / "other", levels=["out"])
    for number, rows in enumerate((range(8), range(8, 18))):
        tools.extract(tools.faces(rows=rows), tmp_path / f"shard{number}", levels=["conv"])
    with pytest.raises(CacheError, match=r"other holds another data set: only 0 of the 2 ids"):
        merge([tmp_path / "shard0", tmp_path / "shard1"], tmp_path / "other")
    assert len(CacheFolder(tmp_path / "other").files()) == 1
