"""prune: leftovers out of a cache and its shards, and nothing else."""

import contextlib
import shutil
from pathlib import Path

import pytest

from fusionfer.cache import SHARDS, CacheFolder
from fusionfer.exceptions import CacheError, CacheLockedError, DataError, ExtractionInterrupted
from fusionfer.extraction import Shard
from fusionfer.maintenance import merge, prune


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


@pytest.fixture
def shards(tmp_path, tools):
    """Return a function that extracts both shards of 22 faces into the cache `folder`, and returns their folders."""

    def make(levels=("conv", "out"), **options):
        return [
            tools.extract(tools.faces(broken=(5,)), tmp_path / "cache", levels, shard=Shard(i, 2), **options).cache
            for i in range(2)
        ]

    return make


def files(folder):
    """What lies in a folder and below, apart from locks."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.h5*"))


def test_shards_that_are_to_be_joined_stay(shards, tmp_path):
    """Finished shards, the only ones to hold their rows, are never offered; nor is the unfinished one beside them."""
    first, second = shards()
    assert prune(tmp_path / "cache") == []
    path = CacheFolder(second).files()[0]
    path.rename(path.with_name(path.name + ".part"))
    before = files(tmp_path)
    assert prune(tmp_path / "cache") == prune(tmp_path / "cache", confirm=lambda found: True) == []
    assert files(tmp_path) == before
    assert first.exists()


def test_shards_that_are_joined_go(folder, shards, tools):
    """What a join that was killed left goes with its folders; the cache stays as it is, and other files stay too."""
    whole = tools.contents(folder)
    shutil.rmtree(folder)
    first, second = shards()
    merge([first, second], folder)
    (folder / SHARDS / "notes.txt").write_text("mine")
    found = prune(folder)
    assert [item.path.parent for item in found] == [first, first, second, second]
    assert {item.why for item in found} == {f"a shard, and {name} holds every row of it" for name in whole}
    assert prune(folder, confirm=lambda found: True) == found
    assert not first.exists()
    assert not second.exists()
    assert tools.contents(folder) == whole
    (folder / SHARDS / "notes.txt").unlink()
    prune(folder, confirm=lambda found: True)
    assert prune(folder) == []


def test_a_shard_of_a_block_that_is_not_joined_stays(shards, folder, tools):
    """Of two blocks of which one was joined, the shards of the other are needed; the same extraction then goes on."""
    shutil.rmtree(folder)
    first, second = shards()
    merge([first, second], folder)
    (conv, out) = CacheFolder(folder).files()
    out.unlink()
    prune(folder, confirm=lambda found: True)
    assert files(folder) == sorted([conv.name, *(f"{SHARDS}/{one.name}/{out.name}" for one in (first, second))])
    assert [tools.extract(tools.faces(broken=(5,)), folder, shard=Shard(i, 2)).computed for i in range(2)] == [0, 0]
    merge([first, second], folder)
    assert CacheFolder(folder).files() == [conv, out]


def test_a_damaged_cache_does_not_stand_for_its_shards(shards, folder, tools):
    """While a bit of the joined file is wrong its shards hold the only true rows."""
    shutil.rmtree(folder)
    merge(shards(), folder)
    for path in CacheFolder(folder).files():
        tools.flip(path, 3)
    assert prune(folder) == []


def test_an_interrupted_shard_stays(shards, folder, tools):
    """A shard amid its rows stays, and the rank goes on in it; drafts and shards without any row go."""
    shutil.rmtree(folder)
    with pytest.raises(ExtractionInterrupted):
        shards(stop=tools.StopLater(2))
    (shard,) = CacheFolder(folder).shards()
    parts = shard.parts()
    (shard.path / "x.h5.part.new").write_bytes(b"half")
    empty = shard.path.with_name(shard.path.name.replace("-0-of-2", "-1-of-2"))
    empty.mkdir()
    assert [(item.path.name, item.why) for item in prune(folder, confirm=lambda found: True)] == [
        ("x.h5.part.new", "a kill left it amid the making of another file"),
        (empty.name, "an empty shard"),
    ]
    assert shard.parts() == parts
    assert not empty.exists()


def test_a_shard_under_work_is_left_alone(shards, folder):
    """While its process holds a shard's lock, nothing of that shard goes, joined or not."""
    shutil.rmtree(folder)
    first, second = shards()
    merge([first, second], folder)
    (first / "x.h5.part.new").write_bytes(b"half")
    with CacheFolder(first).lock():
        found = prune(folder, confirm=lambda found: True)
    assert {item.path.parent for item in found} == {second}
    assert len(CacheFolder(first).files()) == 2
    assert not second.exists()


def test_links_and_strangers_among_shards_stay(folder, tmp_path, shards):
    """A link in the place of shards, or a folder of another name, is none of ours (fault 19)."""
    shutil.copytree(folder, tmp_path / "elsewhere" / "0123abcd-0-of-2")
    (folder / SHARDS).symlink_to(tmp_path / "elsewhere")
    assert prune(folder) == []
    (folder / SHARDS).unlink()
    (folder / SHARDS).mkdir()
    (folder / SHARDS / "0123abcd-0-of-2").symlink_to(tmp_path / "elsewhere" / "0123abcd-0-of-2")
    shutil.copytree(tmp_path / "elsewhere" / "0123abcd-0-of-2", folder / SHARDS / "mine")
    assert prune(folder) == []
