"""CacheFolder serves what is proven to be wanted, and computes only the rest."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fusionfer.cache import CacheFolder, read_feature_file
from fusionfer.exceptions import CacheError, CacheFormatError, StoreFullError, UnknownNameError

IDS = [f"{i}.png" for i in range(10)]


def test_nothing_is_touched_before_use(cache):
    """Neither making the object nor asking it creates the folder."""
    assert cache.files() == []
    assert cache.parts() == []
    assert not cache.path.exists()


def test_second_run_is_a_hit(cache, toolkit):
    """The same images again: nothing to do, and not one byte written."""
    first = toolkit.extract(cache, toolkit.rows(IDS), bad=("3.png",))
    before = {path: path.read_bytes() for path in cache.path.glob("*.h5*")}
    again = toolkit.extract(cache, toolkit.rows(IDS))
    assert first.status == "new"
    assert again.status == "hit"
    assert again.explanation == f"{first.path.name} has all 10 rows, 1 of them known to fail."
    assert not again.todo.any()
    assert {path: path.read_bytes() for path in cache.path.glob("*.h5*")} == before


def test_a_hit_needs_no_lock(cache, toolkit):
    """Complete caches are found in folders that nobody may write; anything else asks for the lock."""
    toolkit.extract(cache, toolkit.rows(IDS))
    keywords = {"key": {"size": 48}, "record": {}}
    assert cache.prepare("resnet34", "logits", toolkit.dim, rows=toolkit.rows(IDS), **keywords).status == "hit"
    with pytest.raises(CacheError, match=r"prepare it inside `with folder.lock\(\):`"):
        cache.prepare("resnet34", "logits", toolkit.dim, rows=toolkit.rows(IDS[:9]), **keywords)


def test_moved_folder_is_a_hit(cache, toolkit, tmp_path):
    """Fault 10: nothing in a file depends on where it lies."""
    toolkit.extract(cache, toolkit.rows(IDS))
    shutil.move(cache.path, tmp_path / "elsewhere")
    assert toolkit.extract(CacheFolder(tmp_path / "elsewhere"), toolkit.rows(IDS)).status == "hit"


def test_interrupted_run_goes_on(cache, toolkit):
    """Fault 1: the rows of the first run are not computed again, even when another block size is asked for."""
    rows = toolkit.rows(IDS)
    toolkit.extract(cache, rows, blocks=2)
    assert cache.files() == []
    job = toolkit.extract(cache, rows, size=3)
    assert (job.status, job.block_rows, job.computed) == ("resume", 4, ["8.png", "9.png"])
    assert job.explanation == f"{job.path.name}.part is continued: 8 of 10 rows are there."
    assert np.array_equal(read_feature_file(job.path).X, toolkit.features(rows))
    assert cache.parts() == []


@pytest.mark.parametrize(
    ("ids", "options", "computed", "said"),
    [
        ([*IDS[:5], "new.png", *IDS[5:]], {}, ["new.png"], "images: 1 new"),
        (IDS[:7], {}, [], "images: 3 removed"),
        (IDS[::-1], {}, [], "the same images with other order"),
        (IDS, {"labels": "sad"}, [], "the same images with other labels"),
        (IDS, {"changed": ("2.png", "7.png")}, ["2.png", "7.png"], "images: 2 changed"),
    ],
)
def test_other_rows_extend_by_what_is_missing(cache, toolkit, ids, options, computed, said):
    """Fault 12: rows are matched by id and digest, never by position; the result equals a fresh extraction."""
    toolkit.extract(cache, toolkit.rows(IDS))
    rows = toolkit.rows(ids, **options)
    job = toolkit.extract(cache, rows, size=3)
    assert (job.status, job.computed) == ("extend", computed)
    assert job.explanation == (
        f"{job.path.name} does not fit ({said}): {len(ids) - len(computed)} of {len(ids)} rows are taken over."
    )
    stored = read_feature_file(job.path)
    assert stored.rows.same_as(rows)
    assert np.array_equal(stored.X, toolkit.features(rows))
    assert stored.verify() == []


def test_no_finished_row_of_two_files_is_lost(cache, toolkit):
    """A whole file and the open part of a larger one both give their rows to a third, in another order."""
    toolkit.extract(cache, toolkit.rows(IDS))
    more = [*IDS, "a.png", "b.png", "c.png", "d.png"]
    toolkit.extract(cache, toolkit.rows(more), blocks=3)  # has a.png and b.png, as block 3 is rows 8 to 11
    last = toolkit.rows([*more[::-1], "e.png"])
    job = toolkit.extract(cache, last)
    assert job.computed == ["d.png", "c.png", "e.png"]
    assert np.array_equal(read_feature_file(job.path).X, toolkit.features(last))


def test_the_whole_file_stays_until_the_new_one_is_finished(cache, toolkit):
    """An interrupted extension leaves the old cache as good as before."""
    old = toolkit.extract(cache, toolkit.rows(IDS)).path
    before = old.read_bytes()
    toolkit.extract(cache, toolkit.rows([*IDS, *(f"n{i}.png" for i in range(8))]), blocks=3)
    assert old.read_bytes() == before
    assert [path.name for path in cache.parts()] == [old.name + ".part"]


def test_failed_rows_are_retried_only_when_the_image_changed(cache, toolkit):
    """Fault 9: the reason is kept while the bytes are; new bytes get a new try."""
    toolkit.extract(cache, toolkit.rows(IDS), bad=("1.png", "2.png"))
    job = toolkit.extract(cache, toolkit.rows([*IDS, "new.png"], changed=("2.png",)))
    assert job.computed == ["2.png", "new.png"]
    assert read_feature_file(job.path).reasons == {1: "no image: 1.png"}


def test_another_key_is_a_file_beside(cache, toolkit):
    """Fault 11: a changed size or weight file names the fields that differ, and the old file stays."""
    old = toolkit.extract(
        cache, toolkit.rows(IDS), key={"size": 48, "weights_sha256": "ab" * 32, "preprocess": {"mean": [0.5], "std": 1}}
    )
    new = toolkit.extract(
        cache,
        toolkit.rows(IDS),
        key={"size": 224, "weights_sha256": "cd" * 32, "preprocess": {"mean": [0.4], "std": 1}},
    )
    assert new.explanation == (
        f"{old.path.name} is of other features (preprocess.mean: [0.5] -> [0.4]; size: 48 -> 224; "
        "weights_sha256: abababababab... -> cdcdcdcdcdcd...); it stays as it is, beside a new file."
    )
    assert new.computed == IDS
    assert sorted(cache.files()) == sorted([old.path, new.path])


def test_damaged_rows_are_computed_again(cache, toolkit):
    """Fault 6: one flipped bit in a complete file costs its block, and no damaged row is copied."""
    rows = toolkit.rows(IDS)
    path = toolkit.extract(cache, rows).path
    stored = read_feature_file(path)
    with path.open("r+b") as stream:
        stream.seek(stored.layout.offsets["features"] + 5 * toolkit.dim * 4)
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))
    job = toolkit.extract(cache, rows)
    assert job.computed == IDS[4:8]
    assert f"4 rows of {path.name} are missing or damaged" in job.explanation
    assert np.array_equal(read_feature_file(path).X, toolkit.features(rows))


def test_another_data_set_is_refused(cache, toolkit):
    """Fault 12: a folder keeps its data set, whatever the backbone; a half of it may be missing, more not."""
    toolkit.extract(cache, toolkit.rows(IDS))
    with pytest.raises(CacheError, match=r"holds another data set: only 4 of the 10 ids .* Use another --cache"):
        toolkit.extract(cache, toolkit.rows([*IDS[:4], *(f"other/{i}" for i in range(90))]), backbone="vgg16")
    assert toolkit.extract(cache, toolkit.rows(IDS[:5]), backbone="vgg16").status == "new"


def test_a_full_disk_shows_before_any_work(cache, toolkit, monkeypatch):
    """Fault 3: too little room, or a reservation that fails, leaves older files as they were and nothing half-made."""
    old = toolkit.extract(cache, toolkit.rows(IDS)).path
    before = sorted((path.name, path.read_bytes()) for path in cache.path.glob("*.h5*"))
    more = toolkit.rows([*IDS, "new.png"])
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 500, 500))
        with pytest.raises(StoreFullError, match=r"kB are needed for a new file and 500 B are free"):
            toolkit.extract(cache, more)

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if hasattr(os, "posix_fallocate"):
        monkeypatch.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(
            StoreFullError, match=rf"Cannot make .*{old.name}.part: the disk.* is full. Older files are"
        ):
            toolkit.extract(cache, more)
    assert sorted((path.name, path.read_bytes()) for path in cache.path.glob("*.h5*")) == before


@pytest.mark.parametrize("limit", [3_000, 20_000, 60_000])
def test_a_real_limit_on_file_size(tmp_path, limit):
    """Fault 3: the system itself refuses bytes while HDF5 makes the file: our error comes, and no file stays."""
    resource = pytest.importorskip("resource")
    code = f"""if True:
        import resource, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import conftest
        from fusionfer.cache import CacheFolder
        from fusionfer.exceptions import StoreFullError
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
        try:
            conftest.extract(CacheFolder({str(tmp_path)!r}), conftest.make_rows([str(i) for i in range(2000)]))
        except StoreFullError as error:
            print(error)
    """
    assert resource.RLIMIT_FSIZE
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "is full. Older files are untouched." in done.stdout
    assert list(tmp_path.glob("*.h5*")) == []


def test_unusable_folders_are_named_first(tmp_path, toolkit):
    """Fault 4: a path under a file cannot become a folder; that shows at the lock, before anything is computed."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"Cannot write in .*file.cache: Not a directory"):
        toolkit.extract(CacheFolder(tmp_path / "file" / "cache"), toolkit.rows(IDS))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path, toolkit):
    """Fault 4: a folder without write permission is told at the lock."""
    tmp_path.chmod(0o500)
    with pytest.raises(CacheError, match="Cannot write in"):
        toolkit.extract(CacheFolder(tmp_path), toolkit.rows(IDS))


def test_remains_of_a_killed_copy_do_not_matter(cache, toolkit):
    """Fault 1: what a kill left while a part was being built is neither listed nor in the way."""
    toolkit.extract(cache, toolkit.rows(IDS))
    (cache.path / (cache.files()[0].name + ".part.new")).write_bytes(b"half a file")
    assert cache.parts() == []
    assert toolkit.extract(cache, toolkit.rows([*IDS, "new.png"])).computed == ["new.png"]
    assert sorted(path.suffix for path in cache.path.glob("*.h5*")) == [".h5"]


def test_broken_files_are_named(cache, toolkit):
    """A file that cannot be opened stops the run with its name; it is neither used nor replaced."""
    path = toolkit.extract(cache, toolkit.rows(IDS)).path
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CacheFormatError, match=rf"{path.name} is damaged.*move it away"):
        toolkit.extract(cache, toolkit.rows(IDS))


def test_history_keeps_who_computed_what(cache, toolkit):
    """Rows that are taken over keep the record under which they were computed, each record once."""
    toolkit.extract(cache, toolkit.rows(IDS[:6]), record={"torch": "2.4"})
    toolkit.extract(cache, toolkit.rows(IDS[:8]), record={"torch": "2.9"})
    job = toolkit.extract(cache, toolkit.rows(IDS), record={"torch": "2.9"})
    assert read_feature_file(job.path).record == {"torch": "2.9", "history": [{"torch": "2.4"}]}


def test_reading_needs_complete_files(cache, toolkit):
    """An empty folder, and one with parts only, say what to run."""
    with pytest.raises(CacheError, match=r"no such folder. Run `fusionfer extract DATA --cache"):
        cache.default_blocks()
    job = toolkit.extract(cache, toolkit.rows(IDS), blocks=1)
    with pytest.raises(CacheError, match=rf"no complete cache in it, but unfinished ones \({job.path.name}.part\)"):
        cache.resolve("resnet34:logits")


def test_defaults_and_names(cache, toolkit):
    """Every complete cache by default; two of one backbone must be chosen between, by names that work."""
    rows = toolkit.rows(IDS)
    a = toolkit.extract(cache, rows, record={"weights": {"name": "imagenet"}}).path
    b = toolkit.extract(cache, rows, backbone="resnet50").path
    assert cache.default_blocks() == {"resnet34:logits": a, "resnet50:logits": b}
    c = toolkit.extract(cache, rows, level="multi").path
    with pytest.raises(UnknownNameError, match=r"more than one cache of one backbone: resnet34:logits, resnet34:multi"):
        cache.default_blocks()
    d = toolkit.extract(
        cache, rows, key={"size": 48, "weights_sha256": "fe" * 32}, record={"weights": {"name": "mine.pth"}}
    ).path
    assert cache.blocks() == {
        "resnet34:logits@imagenet": a,
        "resnet34:logits@mine.pth": d,
        "resnet34:multi": c,
        "resnet50:logits": b,
    }
    assert all(cache.resolve(name) == path for name, path in cache.blocks().items())


def test_a_file_under_another_ones_name(cache, toolkit):
    """A name promises a key; where the file holds another one nothing is served or replaced."""
    a = toolkit.extract(cache, toolkit.rows(IDS), key={"size": 48}).path
    b = toolkit.extract(cache, toolkit.rows(IDS), key={"size": 224}).path
    shutil.copy(a, b)
    with pytest.raises(CacheError, match=rf"{b.name} has another key than its name says. Move it out of the folder"):
        toolkit.extract(cache, toolkit.rows(IDS), key={"size": 224})


@pytest.mark.parametrize(("dim", "block_rows"), [(0, 32), (5, 0)])
def test_sizes_are_positive(cache, toolkit, dim, block_rows):
    """There is no file without columns, nor a block without rows."""
    with cache.lock(), pytest.raises(CacheError, match=f"got dim={dim}, block_rows={block_rows}"):
        cache.prepare("a", "b", dim, key={}, record={}, rows=toolkit.rows(IDS), block_rows=block_rows)
