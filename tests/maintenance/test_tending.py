"""list_caches, merge and prune: what is there, shards into one, leftovers out."""

import contextlib
from pathlib import Path

import pytest

from fusionfer.cache import CacheFolder
from fusionfer.exceptions import CacheError, CacheLockedError, DataError, ExtractionInterrupted
from fusionfer.extraction import extract_to_cache
from fusionfer.maintenance import list_caches, merge, prune


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


def test_prune_asks_and_obeys(folder, tools):
    """What would go is shown once; only a yes removes it; without a question it only looks."""
    draft = folder / "a.h5.part.new"
    draft.write_bytes(b"half")
    asked = []

    def no(found):
        asked.append([item.path for item in found])
        return False

    assert [item.path for item in prune(folder)] == [draft]
    assert prune(folder, confirm=no) == []
    assert asked == [[draft]]
    assert draft.exists()
    before = tools.contents(folder)
    assert [item.path for item in prune(folder, confirm=lambda found: True)] == [draft]
    assert not draft.exists()
    assert tools.contents(folder) == before
    assert prune(folder, confirm=no) == []
    assert len(asked) == 1


def test_prune_leaves_a_writer_alone(folder):
    """While another process writes nothing is removed, as what it makes would count as a leftover."""
    (folder / "a.h5.part.new").write_bytes(b"half")
    with CacheFolder(folder).lock(), pytest.raises(CacheLockedError):
        prune(folder, confirm=lambda found: True)
    assert (folder / "a.h5.part.new").exists()
    with pytest.raises(DataError, match="is no folder of caches"):
        prune(Path("nowhere"), confirm=lambda found: True)


def test_prune_says_what_cannot_be_removed(folder, monkeypatch):
    """A file that the system does not let go is named."""
    (folder / "a.h5.part.new").write_bytes(b"half")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(CacheError, match=r"Cannot remove .*a\.h5\.part\.new: Permission denied"):
            prune(folder, confirm=lambda found: True)
