"""examine names exactly the rows that cannot be believed, whatever happened to a file."""

import shutil

import numpy as np
import pytest

from fusionfer.cache import examine, read_feature_file

IDS = [f"{i}.png" for i in range(10)]


@pytest.fixture
def path(cache, toolkit):
    """Ten rows in blocks of four."""
    return toolkit.extract(cache, toolkit.rows(IDS), bad=("6.png",)).path


def spoil(path, name, row, size, value=None):
    """Flip a bit of each byte, or set it, from a row of an array on."""
    layout = read_feature_file(path).layout
    width = {"features": layout.dim * 4, "state": 1, "crc32": 4, "reasons": 128}[name]
    content = bytearray(path.read_bytes())
    begin = layout.offsets[name] + row * width
    for i in range(begin, begin + size):
        content[i] = content[i] ^ 1 if value is None else value
    path.write_bytes(content)


def test_sound_files(cache, path, toolkit):
    """Nothing is wrong with a finished file, nor with an unfinished one for what it has."""
    found = examine(path)
    assert (found.sound, found.finished, found.samples, found.why) == (True, True, [], "")
    assert found.state.tolist() == [1] * 6 + [2] + [1] * 3
    toolkit.extract(cache, toolkit.rows([*IDS, "a", "b", "c", "d"]), blocks=3)
    part = examine(cache.parts()[0])
    assert (part.sound, part.finished, part.samples) == (True, False, [])


@pytest.mark.parametrize(
    ("name", "row", "size", "value", "damaged"),
    [
        ("features", 5, 1, None, IDS[4:8]),
        ("features", 3, 40, 0, IDS[:8]),
        ("features", 9, 1, None, IDS[8:]),
        ("reasons", 6, 2, None, IDS[4:8]),
        ("crc32", 1, 1, None, IDS[4:8]),
        ("state", 6, 1, 1, IDS[4:8]),
        ("state", 0, 4, 0, IDS[:4]),
        ("state", 0, 10, 0, IDS),
    ],
)
def test_flipped_and_zeroed_bytes(path, name, row, size, value, damaged):
    """Fault 6: changed bytes cost the blocks they are in, also where the marks themselves are gone."""
    spoil(path, name, row, size, value)
    found = examine(path)
    assert found.samples == damaged
    assert found.state[found.damaged].tolist() == [0] * len(damaged)
    assert f"{len(damaged)} of 10 rows: " in found.why


def test_every_cut_within_the_features(path, toolkit):
    """Fault 6: wherever a file is cut off, blocks that are not all there are named; the others are as they were."""
    content, X = path.read_bytes(), np.array(read_feature_file(path).X)
    row = 4 * toolkit.dim
    for lost in range(1, 10 * row + 1):
        path.write_bytes(content[:-lost])
        found = examine(path)
        whole_blocks = (10 * row - lost) // row // 4  # the last one, of two rows, is never whole
        assert found.samples == IDS[4 * whole_blocks :], lost
        sound = np.flatnonzero(~found.damaged)
        assert np.array_equal(found.stored.features_map[sound], X[sound])
        assert "the file is cut off" in found.why


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "it is empty"), (bytes(5000), "not HDF5"), (b"\xff\xd8\xff\xe0" + bytes(100), "not HDF5")],
)
def test_nothing_of_it_is_a_cache(path, content, why):
    """Fault 6: an emptied, zeroed or foreign file says what it is, and no row of it counts."""
    path.write_bytes(content)
    found = examine(path)
    assert found.stored is None
    assert why in found.why
    assert len(found.state) == 0


def test_cut_within_the_tables(path):
    """Fault 6: where the ids are gone too, nothing is believed."""
    path.write_bytes(path.read_bytes()[: read_feature_file(path).layout.offsets["features"] - 5000])
    assert examine(path).stored is None


def test_another_files_content(cache, path, toolkit):
    """A file whose name promises another key is told, though each of its own rows is sound."""
    other = toolkit.extract(cache, toolkit.rows(IDS), key={"size": 224}).path
    shutil.copy(other, path)
    found = examine(path)
    assert not found.sound
    assert not found.damaged.any()
    assert "another file's content" in found.why
    shutil.copy(other, path.with_name("mine.h5"))
    assert examine(path.with_name("mine.h5")).sound
