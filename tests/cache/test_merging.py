"""Shards join into the file of a single process, to the byte, or not at all."""

import numpy as np
import pytest

from fusionfer.cache import SHARD, CacheFolder, merge_shards, read_feature_file
from fusionfer.cache import _merging as merging
from fusionfer.exceptions import CacheError, CacheFormatError, IncompleteCacheError, StoreFullError

IDS = [f"{i}.png" for i in range(22)]
ARRAYS = ("features", "state", "crc32", "reasons")


@pytest.fixture
def make(tmp_path, toolkit):
    """Return a function that extracts some rows into a folder of their own, and returns the file."""

    def make(name, ids, **options):
        options = {"record": {"torch": "2"}, "bad": ("5.png", "21.png"), **options}
        return toolkit.extract(CacheFolder(tmp_path / name), toolkit.rows(ids), **options).path

    return make


def merged(cache, *paths):
    with cache.lock():
        return merge_shards(cache, paths)


def contents(path):
    stored = read_feature_file(path)
    tables = [getattr(stored.rows, name).tolist() for name in ("ids", "labels", "splits", "groups", "digests")]
    return {name: stored.layout.map(name).tobytes() for name in ARRAYS}, tables, stored.key, stored.record


@pytest.mark.parametrize("bounds", [(8, 16), (4,), (20,), (4, 8, 12, 16, 20)])
@pytest.mark.parametrize("pieces", [1, 1 << 23])
def test_equals_the_file_of_one_process(cache, make, bounds, pieces, monkeypatch):
    """Rows, marks, reasons, checksums, tables, key and record are those of one process, however it was divided."""
    monkeypatch.setattr(merging, "_BYTES", pieces)
    parts = np.split(np.array(IDS), bounds)
    shards = [make(f"shard{i}", ids.tolist()) for i, ids in enumerate(parts)]
    path, new = merged(cache, *shards)
    assert new
    assert path.name == shards[0].name
    assert contents(path) == contents(make("whole", IDS))
    assert read_feature_file(path).verify() == []
    assert merged(cache, *shards) == (path, False)


def test_recorded_numbers_decide_the_order(cache, make):
    """Shards that say which they are may be given in any order; in the result nothing is left of it."""
    shards = [
        make(f"shard{i}", ids, record={"torch": "2", SHARD: {"index": i, "count": 3}})
        for i, ids in enumerate((IDS[:8], IDS[8:16], IDS[16:]))
    ]
    path, _ = merged(cache, shards[2], shards[0], shards[1])
    assert contents(path) == contents(make("whole", IDS))
    other = CacheFolder(cache.path.with_name("other"))
    with pytest.raises(CacheError, match=r"not all shards of one extraction.*number 0 of 3.*number 2 of 3"):
        merged(other, shards[0], shards[2])
    with pytest.raises(CacheError, match="not all shards"):
        merged(other, shards[0], shards[1], shards[1])
    with pytest.raises(CacheError, match=r"not all shards.*unnumbered\S+: no number"):
        merged(other, *shards[:2], make("unnumbered", IDS[16:]))
    assert other.files() == []


def test_records_that_differ_are_all_kept(cache, make):
    """What other machines recorded stands in the history, each record once."""
    shards = [
        make(f"shard{i}", IDS[4 * i : 4 * i + 4], record={"device": device})
        for i, device in enumerate(("cpu", "cuda", "cuda"))
    ]
    path, _ = merged(cache, *shards)
    assert read_feature_file(path).record == {"device": "cpu", "history": [{"device": "cuda"}]}


def test_other_keys_are_refused_with_both_sides(cache, make):
    """Fault 29: what differs is told with values, shapes and provenance of both files."""
    a, b = make("a", IDS[:8]), make("b", IDS[8:], key={"size": 224, "dtype": "float16"})
    with pytest.raises(CacheError, match="another key cannot be merged") as error:
        merged(cache, a, b)
    said = str(error.value)
    assert f"{a} (resnet34:logits, 8 x 5 float32, 20" in said
    assert f"{b} (resnet34:logits, 14 x 5 float32, 20" in said
    assert "by fusionfer" in said
    assert "has dtype None, size 48" in said
    assert "has dtype 'float16', size 224" in said
    assert cache.files() == []


def test_other_dimensions_are_refused_with_both_sides(cache, tmp_path, toolkit, make):
    """Fault 29: a changed dimension shows both shapes."""
    a, wide = make("a", IDS[:8]), CacheFolder(tmp_path / "wide")
    rows = toolkit.rows(IDS[8:12])
    with (
        wide.lock(),
        wide.prepare("resnet34", "logits", 7, key={"size": 48}, record={}, rows=rows, block_rows=4) as job,
    ):
        job.commit(0, np.ones((4, 7), np.float32), np.ones(4, bool), {})
        job.finish()
    with pytest.raises(CacheError, match=r"8 x 5 float32.* has dim 5; .*4 x 7 float32.* has dim 7"):
        merged(cache, a, job.path)


def test_other_batches_are_refused(cache, make):
    """Two batch sizes give other bits and other checksums."""
    with pytest.raises(CacheError, match=r"another batch size.* has block_rows 4; .* has block_rows 2"):
        merged(cache, make("a", IDS[:8]), make("b", IDS[8:], size=2))


def test_other_engines_are_refused(cache, make):
    """A file holds the rows of one engine."""
    a, b = make("a", IDS[:8], record={"engine": "torch"}), make("b", IDS[8:], record={"engine": "openvino"})
    with pytest.raises(CacheError, match=r"another engine.* has engine 'torch'; .* has engine 'openvino'"):
        merged(cache, a, b)


def test_rows_in_two_shards(cache, make):
    """Each row comes from one shard."""
    with pytest.raises(CacheError, match=r"2 rows of .*b/\S+ are in .*a/\S+ too \(first: 6.png\)"):
        merged(cache, make("a", IDS[:8]), make("b", IDS[6:]))


def test_only_the_last_may_end_within_a_batch(cache, make):
    """A shard that ends in the middle of a batch is no run of whole batches."""
    with pytest.raises(CacheError, match="has 6 rows, which is no multiple of its batches of 4"):
        merged(cache, make("a", IDS[:6]), make("b", IDS[6:]))


def test_damaged_and_unfinished_shards(cache, make, tmp_path, toolkit):
    """A flipped bit stops the merge before anything has a name; so does an unfinished shard."""
    a, b = make("a", IDS[:8]), make("b", IDS[8:])
    content = bytearray(b.read_bytes())
    content[-1] ^= 1
    b.write_bytes(content)
    with pytest.raises(CacheFormatError, match=r"rows 12-13 do not have the checksum .*fusionfer cache repair"):
        merged(cache, a, b)
    assert cache.listing() == [] or {path.name for path in cache.listing()} <= {".lock", ".lock-owner.json"}
    toolkit.extract(CacheFolder(tmp_path / "c"), toolkit.rows(IDS[8:]), blocks=1)
    with pytest.raises(IncompleteCacheError, match="is unfinished"):
        merged(cache, a, CacheFolder(tmp_path / "c").parts()[0])


def test_nothing_is_replaced(cache, make, toolkit):
    """A file of the same name that is something else stays."""
    there = toolkit.extract(cache, toolkit.rows(IDS[:8])).path
    before = there.read_bytes()
    with pytest.raises(CacheError, match="exists and is not what these shards give"):
        merged(cache, make("a", IDS[:8]), make("b", IDS[8:]))
    assert there.read_bytes() == before


def test_another_data_set_in_the_folder(cache, make, toolkit):
    """Files of other images are not joined by these, finished or not; one of nearly these images is no hindrance."""
    shards = make("a", IDS[:8]), make("b", IDS[8:])
    others = toolkit.extract(cache, toolkit.rows(["x.png", "y.png", *IDS[:1]]), backbone="resnet50").path
    with pytest.raises(CacheError, match=r"holds another data set: only 1 of the 3 ids in resnet50"):
        merged(cache, *shards)
    assert cache.files() == [others]
    others.rename(others.with_name(others.name + ".part"))
    with pytest.raises(CacheError, match="holds another data set"):
        merged(cache, *shards)
    cache.parts()[0].unlink()
    toolkit.extract(cache, toolkit.rows([*IDS[:9], "new.png"]), backbone="resnet50")
    assert merged(cache, *shards)[1]


def test_no_shards_no_lock_no_room(cache, make, monkeypatch):
    """Without shards, lock or room nothing is made."""
    a, b = make("a", IDS[:8]), make("b", IDS[8:])
    with pytest.raises(CacheError, match="without its lock"):
        merge_shards(cache, [a, b])
    with pytest.raises(CacheError, match="no shards"):
        merged(cache)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": 100})())
    with pytest.raises(StoreFullError, match="are needed"):
        merged(cache, a, b)
    assert cache.files() == []


def test_progress(cache, make):
    """Rows are counted up to the last."""
    told = []
    with cache.lock():
        merge_shards(cache, [make("a", IDS[:8]), make("b", IDS[8:])], progress=lambda *what: told.append(what))
    assert told == [(8, 22, "merging"), (22, 22, "merging")]
