"""A folder's listing tells each file's share, and stops at nothing."""

from fusionfer.cache import list_entries

IDS = [f"{i}.png" for i in range(10)]


def test_every_kind_of_file(cache, toolkit):
    """Complete, unfinished, unreadable, drafts and strangers, in this order, with what is known of each."""
    record = {"weights": {"name": "mine.pth", "seed": None}}
    key = {"size": 48, "weights_sha256": "ab" * 32}
    a = toolkit.extract(cache, toolkit.rows(IDS), bad=("3.png",), record=record, key=key).path
    toolkit.extract(cache, toolkit.rows(IDS), level="multi", blocks=1)
    (cache.path / "gone.h5").write_bytes(b"\0" * 100)
    (cache.path / "x.h5.part.new").write_bytes(b"half")
    (cache.path / "notes.txt").write_text("mine")
    entries = list_entries(cache)
    assert [entry.kind for entry in entries] == ["complete", "unfinished", "unreadable", "draft", "other"]
    whole, part, gone, draft, other = entries
    assert (whole.path, whole.block, whole.dim, whole.bytes) == (str(a), "resnet34:logits", 5, a.stat().st_size)
    assert (whole.rows, whole.done, whole.failed, whole.absent) == (10, 9, 1, 0)
    assert whole.weights == {"name": "mine.pth", "sha256": "ab" * 32, "seed": None}
    assert a.name == f"resnet34.logits.{whole.key8}.h5"
    assert (part.block, part.done, part.absent) == ("resnet34:multi", 4, 6)
    assert "not HDF5" in gone.error
    assert (draft.bytes, other.bytes) == (4, 4)


def test_an_empty_or_missing_folder(cache):
    """There is nothing to tell, and nothing is made."""
    assert list_entries(cache) == []
    assert not cache.path.exists()
