"""The bytes on disk are those of docs/cache_format.md: contiguous, aligned, allocated, and of fixed-length text."""

import importlib.util
import json
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from fusionfer.cache import read_feature_file
from fusionfer.cache._planning import trusted_state
from fusionfer.exceptions import CacheError

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def golden():
    """The script that made the golden file."""
    spec = importlib.util.spec_from_file_location("make_golden", HERE / "make_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("n", "dim"), [(1, 1), (10, 5), (70, 512)])
def test_layout_of_a_new_file(cache, toolkit, n, dim):
    """Everything is contiguous and allocated; the features begin on a page and all lies within the file."""
    rows = toolkit.rows([f"{i}.png" for i in range(n)])
    with cache.lock():
        job = cache.prepare("resnet34", "logits", dim, key={}, record={}, rows=rows)
        job.close()
    size = job.part.stat().st_size
    with h5py.File(job.part) as file:
        assert sorted(file) == [
            "crc32", "digests", "features", "groups", "ids", "labels", "reasons", "record", "splits", "state"
        ]  # fmt: skip
        for name, dataset in file.items():
            assert dataset.chunks is None, name
            assert dataset.compression is None, name
            assert dataset.id.get_offset() + dataset.nbytes <= size, name
        assert file["features"].id.get_offset() % 4096 == 0
        assert file["features"].dtype == np.dtype("<f4")
        for name in ("ids", "labels", "splits", "groups", "reasons"):
            assert h5py.check_string_dtype(file[name].dtype).length is not None, name
            assert h5py.check_string_dtype(file[name].dtype).encoding == "utf-8" or name == "reasons", name
        assert not file["features"][...].any()
        assert not file["state"][...].any()
        assert not file["crc32"][...].any()
    assert job.part.read_bytes()[8] == 0  # superblock version 0, which a killed writer cannot lock


def test_room_is_reserved(cache, toolkit):
    """The blocks of the disk are there before the first row is, so that a full disk shows at once."""
    if not hasattr(__import__("os"), "posix_fallocate"):
        pytest.skip("this system reserves nothing")
    rows = toolkit.rows([f"{i}.png" for i in range(100)])
    with cache.lock():
        job = cache.prepare("resnet34", "logits", 4096, key={}, record={}, rows=rows)
        job.close()
    status = job.part.stat()
    assert status.st_blocks * 512 >= status.st_size


def test_golden_file(golden):
    """Fault 8: the file of version 1 beside this test is read as it was written, by whatever release this is."""
    stored = read_feature_file(golden.GOLDEN)
    assert np.array_equal(stored.X, golden.FEATURES)
    assert stored.X.tobytes() == golden.FEATURES.tobytes()
    assert stored.state.tolist() == golden.STATE
    assert stored.reasons == golden.REASONS
    assert stored.rows.same_as(golden.golden_rows())
    assert stored.key == {**golden.KEY, "backbone": "resnet34", "level": "penultimate", "dim": 3}
    assert stored.record == golden.RECORD
    assert stored.layout.block_rows == 2
    assert stored.verify() == []


def test_golden_file_with_h5py_alone(golden):
    """What the format page promises is enough for another reader."""
    with h5py.File(golden.GOLDEN) as file:
        assert (file.attrs["format"], file.attrs["version"]) == (b"fusionfer-features", 1)
        n, dim, block_rows = (int(file.attrs[name]) for name in ("n", "dim", "block_rows"))
        features, state, reasons = file["features"][...], file["state"][...], file["reasons"][...]
        assert features.shape == (n, dim)
        assert [i.decode() for i in file["ids"][...]] == golden.golden_rows().ids.tolist()
        assert [d.tobytes().hex() for d in file["digests"][:4]] == golden.golden_rows().digests[:4].tolist()
        assert json.loads(file["record"][...].tobytes()) == golden.RECORD
        assert json.loads(file.attrs["key"])["size"] == 48
        crc = zlib.crc32(file.attrs["key"])
        for name in ("ids", "labels", "splits", "groups", "digests", "record"):
            crc = zlib.crc32(file[name][...].tobytes(), crc)
        assert crc == file.attrs["table_crc32"]
        for block, expected in enumerate(file["crc32"][...]):
            rows = slice(block * block_rows, (block + 1) * block_rows)
            assert zlib.crc32(features[rows].tobytes() + state[rows].tobytes() + reasons[rows].tobytes()) == expected
        assert reasons[state == 2].tolist() == ["kein Bild: ü".encode()]


def test_this_release_writes_the_golden_file(golden, tmp_path):
    """The script gives the same data again: a change of the format cannot go unnoticed."""
    golden.make(tmp_path / "new.h5")
    with h5py.File(golden.GOLDEN) as old, h5py.File(tmp_path / "new.h5") as new:
        assert sorted(old) == sorted(new)
        for name in old:
            assert old[name].dtype == new[name].dtype, name
            assert old[name][...].tobytes() == new[name][...].tobytes(), name
        assert {**old.attrs, "created": 0, "written_by": 0} == {**new.attrs, "created": 0, "written_by": 0}


def test_large_records_and_long_keys(cache, toolkit):
    """The record has room for the hashes of all images that a checkpoint was trained on; a key is short."""
    rows = toolkit.rows(["a.png"])
    record = {"weights": {"name": "mine", "trained_on": [toolkit.digest(str(i)) for i in range(30_000)]}}
    assert read_feature_file(toolkit.extract(cache, rows, record=record).path).record == record
    with pytest.raises(CacheError, match=r"key of a cache takes 700.. bytes as JSON; at most 60000"):
        toolkit.extract(cache, rows, key={"x": "y" * 70_000})


def test_text_of_any_script_comes_back(cache, toolkit):
    """Ids beyond ASCII, and of very different length, are kept."""
    rows = toolkit.rows(["é/水.png", "x" * 1000, "😀", " blank ", "a\tb\nc"], labels="fröhlich")
    stored = read_feature_file(toolkit.extract(cache, rows).path)
    assert stored.rows.same_as(rows)
    assert trusted_state(stored)[1] == ""
