"""Nothing is offered for removal that is the only copy of a feature."""

import shutil

import pytest

from fusionfer.cache import SHARDS, CacheFolder, find_prunable
from fusionfer.cache import _layout as layouts

IDS = [f"{i}.png" for i in range(10)]


def found(cache, **options):
    return {item.path.name: item.why for item in find_prunable(cache, **options)}


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_tidy_folder(cache, toolkit):
    """Finished files of different blocks and keys, and an extraction under way, stay."""
    toolkit.extract(cache, toolkit.rows(IDS))
    toolkit.extract(cache, toolkit.rows(IDS), level="multi")
    toolkit.extract(cache, toolkit.rows(IDS), key={"size": 224})
    toolkit.extract(cache, toolkit.rows(IDS), backbone="resnet50", blocks=1)
    assert found(cache, superseded=True) == {}


def test_drafts(cache, toolkit):
    """What a kill left amid the making of a file or of the lock's note holds nothing."""
    toolkit.extract(cache, toolkit.rows(IDS))
    for name in ("a.h5.part.new", ".lock-owner.json.new"):
        (cache.path / name).write_bytes(b"half")
    assert sorted(found(cache)) == [".lock-owner.json.new", "a.h5.part.new"]


def test_unfinished_files(cache, toolkit):
    """A part goes if it has no row, or none that the finished file lacks; one row more and it stays."""
    whole = toolkit.extract(cache, toolkit.rows(IDS)).path
    part = whole.with_name(whole.name + ".part")
    toolkit.extract(cache, toolkit.rows(["new.png", *IDS]), blocks=1)
    assert found(cache) == {}
    part.unlink()
    toolkit.extract(cache, toolkit.rows(IDS[::-1]), blocks=1)
    assert found(cache) == {part.name: f"unfinished, and {whole.name} holds every row of it"}
    flip(whole)
    assert found(cache) == {}  # the rows of the damaged block are nowhere else
    part.unlink()
    whole.unlink()
    toolkit.extract(cache, toolkit.rows(IDS), blocks=0)
    assert found(cache) == {part.name: "an extraction that had not stored a row yet"}


def test_a_changed_picture_is_another_row(cache, toolkit):
    """Rows are the same by id and digest, here too."""
    whole = toolkit.extract(cache, toolkit.rows(IDS)).path
    toolkit.extract(cache, toolkit.rows([*IDS, "a", "b"], changed=("1.png",)), blocks=1)
    assert len(cache.parts()) == 1
    assert found(cache) == {}
    assert whole.exists()


def test_second_copies(cache, toolkit):
    """A copy under another name goes; of two copies without the own name neither may vouch for the other."""
    whole = toolkit.extract(cache, toolkit.rows(IDS)).path
    copy = whole.with_name("backup.h5")
    shutil.copy(whole, copy)
    assert found(cache) == {"backup.h5": f"a copy under another name; {whole.name} holds every row of it"}
    whole.rename(whole.with_name("mine.h5"))
    assert found(cache) == {}


def test_superseded_only_when_asked(cache, toolkit, monkeypatch):
    """An older release's file goes for a newer one of the same weights and rows; other weights never count."""
    key = {"weights_sha256": "ab" * 32, "rules": 1, "decoder": "a"}
    made = iter(range(2020, 2040))

    class Clock:
        @staticmethod
        def now(_):
            return type("", (), {"isoformat": lambda self, **_: f"{next(made)}-01-01T00:00:00+00:00"})()

    monkeypatch.setattr(layouts, "datetime", Clock)
    old = toolkit.extract(cache, toolkit.rows(IDS), key=key).path
    toolkit.extract(cache, toolkit.rows(IDS), key={**key, "weights_sha256": "cd" * 32})
    new = toolkit.extract(cache, toolkit.rows(IDS[::-1]), key={**key, "rules": 2, "decoder": "b"}).path
    assert found(cache) == {}
    why = f"superseded by {new.name}, which a newer release computed from the same weights"
    assert found(cache, superseded=True) == {old.name: why}
    flip(new)
    assert found(cache, superseded=True) == {}


def test_shards(cache, toolkit):
    """A shard goes when the joined file holds each of its rows, or when it has none; else it stays."""
    shard = CacheFolder(cache.path / SHARDS / "0123abcd-1-of-2")
    part = toolkit.extract(shard, toolkit.rows(IDS[4:]), blocks=0).part
    assert found(cache) == {part.name: "a shard that had not stored a row yet"}
    toolkit.extract(shard, toolkit.rows(IDS[4:]), blocks=1)
    assert found(cache) == {}
    whole = toolkit.extract(cache, toolkit.rows(IDS)).path
    assert found(cache) == {part.name: f"a shard, and {whole.name} holds every row of it"}
    assert [item.path for item in find_prunable(cache)] == [part]
    assert found(cache, shards=[]) == {}
    toolkit.extract(shard, toolkit.rows(IDS[4:]))
    other = toolkit.extract(shard, toolkit.rows(IDS[4:]), level="multi").path
    assert sorted(path.name for path in shard.files()) == sorted([whole.name, other.name])
    assert list(found(cache)) == [whole.name]
    flip(whole)
    assert found(cache) == {}


@pytest.mark.parametrize("content", [b"", b"\xff\xd8 a picture", b"PK\x03\x04 a zip"])
def test_strangers_and_wrecks_stay(cache, toolkit, content):
    """What cannot be read may be all that is left of something."""
    whole = toolkit.extract(cache, toolkit.rows(IDS)).path
    (cache.path / "photo.jpg").write_bytes(content)
    (cache.path / "wreck.h5").write_bytes(content)
    (cache.path / f"{whole.name}.part").write_bytes(content)
    assert found(cache, superseded=True) == {}
