"""What was stored is what is read, and nothing else."""

from collections import deque

import numpy as np
import pytest

from fusionfer.cache import _reading, describe, read_feature_file, refuse_damaged
from fusionfer.cache._format import block_crc
from fusionfer.cache._reading import open_stored
from fusionfer.exceptions import CacheFormatError, IncompleteCacheError


@pytest.fixture
def rows(toolkit):
    return toolkit.rows([f"{i}.png" for i in range(10)], splits=["train"] * 6 + ["test"] * 4)


def overwrite(path, name, at, data):
    layout = read_feature_file(path).layout
    with path.open("r+b") as stream:
        stream.seek(layout.offsets[name] + at)
        stream.write(data)


def test_features_are_a_read_only_map(cache, toolkit, rows):
    """No copy is made and nothing can be changed through it."""
    X = read_feature_file(toolkit.extract(cache, rows).path).X
    assert isinstance(X, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        X[0, 0] = 1


@pytest.mark.parametrize("piece", [1, 3 * 5 * 4, 1 << 21])
def test_copy_into(cache, toolkit, rows, monkeypatch, piece):
    """An array, some columns of a wider one, and one of another type get the same features, in pieces of any size."""
    monkeypatch.setattr(_reading, "_PIECE_BYTES", piece)
    monkeypatch.setattr(_reading, "_BUFFER_BYTES", piece)
    stored = read_feature_file(toolkit.extract(cache, rows).path)
    plain, wide, double = np.empty((10, 5), np.float32), np.zeros((10, 9), np.float32), np.empty((10, 5))
    for out in (plain, wide[:, 2:7], double):
        stored.copy_into(out)
        assert np.array_equal(out, toolkit.features(rows))
    assert not wide[:, [0, 1, 7, 8]].any()


def test_copy_into_refuses_what_is_not_there(cache, toolkit, rows):
    """Rows that are absent, and a file that was cut after it was opened, are errors and not zeros."""
    path = toolkit.extract(cache, rows, blocks=2).part
    with pytest.raises(IncompleteCacheError, match="2 of 10 rows"):
        open_stored(path).copy_into(np.empty((10, 5), np.float32))
    stored = read_feature_file(toolkit.extract(cache, rows).path)
    with stored.path.open("r+b") as stream:
        stream.truncate(stored.layout.offsets["features"] + 7)
    with pytest.raises(CacheFormatError, match="has become shorter while it was read; extract it again"):
        stored.copy_into(np.empty((10, 5), np.float32))


def test_after_an_error_nothing_is_left_to_read(cache, toolkit, rows):
    """Whatever ends one thread, the other one finds no further piece; nobody waits for the rest of a large file."""
    stored = read_feature_file(toolkit.extract(cache, rows).path)
    with stored.path.open("r+b") as stream:
        stream.truncate(stored.layout.offsets["features"] + 3 * 5 * 4)
    out, starts = np.zeros((10, 5), np.float32), deque(range(10))
    with pytest.raises(CacheFormatError, match="has become shorter"):
        stored._copy_pieces(out, starts, 1, True)
    assert np.array_equal(out[:3], toolkit.features(rows)[:3])
    assert not out[3:].any()
    assert not starts


def test_parts_are_never_features(cache, toolkit, rows):
    """Neither under their own name nor renamed by hand."""
    toolkit.extract(cache, rows, blocks=2)
    (part,) = cache.parts()
    with pytest.raises(IncompleteCacheError, match=r"unfinished: 2 of 10 rows are missing. .* goes on where it was"):
        read_feature_file(part)
    renamed = part.rename(part.with_suffix(""))
    with pytest.raises(IncompleteCacheError, match="2 of 10 rows are missing"):
        read_feature_file(renamed)


def test_a_complete_part_is_no_cache_yet(cache, toolkit, rows):
    """A kill between the last commit and the rename leaves a part, which the next run finishes."""
    with cache.lock():
        job = cache.prepare("resnet34", "logits", toolkit.dim, key={"size": 48}, record={}, rows=rows, block_rows=10)
        job.commit(0, toolkit.features(rows), np.ones(10, bool), {})
        job.close()
    with pytest.raises(IncompleteCacheError, match="unfinished: 0 of 10"):
        read_feature_file(job.part)
    again = toolkit.extract(cache, rows)
    assert (again.status, again.computed) == ("resume", [])
    assert read_feature_file(again.path).complete


@pytest.mark.parametrize(
    ("name", "at", "blocks"),
    [("features", 5 * 20 + 3, [1]), ("state", 9, [2]), ("reasons", 0, [0]), ("crc32", 0, [0])],
)
def test_verify_names_damaged_blocks(cache, toolkit, rows, name, at, blocks):
    """A changed byte in features, states, reasons or checksums is found, in its block."""
    path = toolkit.extract(cache, rows).path
    overwrite(path, name, at, b"\x03")
    stored = read_feature_file(path)
    damages = stored.verify()
    assert [damage.block for damage in damages] == blocks
    assert (damages[0].start, damages[0].stop) == (blocks[0] * 4, min(blocks[0] * 4 + 4, 10))
    first, last = damages[0].start, damages[0].stop - 1
    with pytest.raises(CacheFormatError, match=rf"rows {first}-{last} do not have the checksum .* computes just these"):
        refuse_damaged(stored)
    assert not describe(path).intact


@pytest.mark.parametrize(
    ("name", "at", "value", "reason"),
    [
        ("features", 5 * 20 + 8, np.float32(np.nan), "it holds NaN or infinity"),
        ("features", 9 * 20, np.float32(-np.inf), "it holds NaN or infinity"),
        ("state", 9, np.uint8(3), "it has states that do not exist"),
    ],
)
def test_blocks_that_fusionfer_never_committed(cache, toolkit, rows, name, at, value, reason):
    """A right checksum does not make true what no commit accepts (fault 26)."""
    path = toolkit.extract(cache, rows).path
    overwrite(path, name, at, value.tobytes())
    stored = read_feature_file(path)
    (damage,) = stored.verify()
    assert damage.reason == "its checksum differs"
    part = slice(damage.start, damage.stop)
    arrays = (stored.features_map[part], stored.state[part], stored.layout.map("reasons")[part])
    overwrite(path, "crc32", 4 * damage.block, np.uint32(block_crc(*arrays)).tobytes())
    (damage,) = read_feature_file(path).verify()
    assert damage.reason == reason


def test_large_numbers_are_sound(cache, toolkit, rows):
    """Finite features whose sum is beyond float32 are no damage."""
    with cache.lock():
        job = cache.prepare("resnet34", "logits", toolkit.dim, key={}, record={}, rows=rows, block_rows=10)
        job.commit(0, np.full((10, 5), 3e38, np.float32), np.ones(10, bool), {})
        job.finish()
    assert read_feature_file(job.path).verify() == []


def test_reasons_cannot_steer_a_terminal(cache, toolkit, rows):
    """Control signs in a foreign file's reasons are shown as text."""
    path = toolkit.extract(cache, rows, bad=("1.png",)).path
    overwrite(path, "reasons", 128, b"x\x1b[2J\n")
    assert read_feature_file(path).reasons[1].startswith(r"'x\x1b[2J\nge")


def test_zeros_in_place_of_a_block(cache, toolkit, rows):
    """A zero-filled stretch, as some disks leave after a power failure, is no feature."""
    path = toolkit.extract(cache, rows).path
    overwrite(path, "features", 4 * 20, b"\0" * 80)
    assert [damage.block for damage in read_feature_file(path).verify()] == [1]
    overwrite(path, "state", 4, b"\0" * 4)
    with pytest.raises(IncompleteCacheError, match="4 of 10 rows are missing"):
        read_feature_file(path)
