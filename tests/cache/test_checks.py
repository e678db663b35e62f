"""Files that are no caches, or not any more, or meant to harm, are refused with what was found and what to do."""

import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from fusionfer.cache import describe, read_feature_file
from fusionfer.cache._layout import read_layout
from fusionfer.exceptions import CacheError, CacheFormatError

GOLDEN = Path(__file__).with_name("golden-v1.h5")


@pytest.fixture
def path(cache, toolkit):
    return toolkit.extract(cache, toolkit.rows([f"{i}.png" for i in range(10)])).path


def refused(path, said):
    """Each reader refuses the file, soon and with the same words."""
    started = time.monotonic()
    for read in (read_feature_file, describe):
        with pytest.raises(CacheFormatError, match=said) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "fusionfer" in str(caught.value)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not HDF5, it is empty"),
        (b"<html>404</html>", "not HDF5, it begins with b'<html>40'"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 2000, "is damaged: HDF5 says"),
    ],
)
def test_other_files(tmp_path, content, said):
    """Empty, a web page, and a signature with nothing behind it."""
    (tmp_path / "x.h5").write_bytes(content)
    refused(tmp_path / "x.h5", said)


def test_missing_file(tmp_path):
    """A path to nothing is named."""
    with pytest.raises(CacheError, match=r"Cannot read .*x.h5: No such file"):
        read_feature_file(tmp_path / "x.h5")


@pytest.mark.parametrize("kept", [0.999, 0.99, 0.5, 0.1, 0.01])
def test_truncated(path, kept):
    """A file that lacks its end is never read, wherever it was cut (fault 6)."""
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refused(path, "is damaged|cut off")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("format", "anndata", "HDF5 of the format 'anndata' instead of 'fusionfer-features'"),
        ("version", 2, r"has format version 2, written by fusionfer 0.1.0; it needs fusionfer 9.9 or newer"),
        ("n", 11, r"/features is float32 \(10, 5\) instead of float32 \(11, 5\)"),
        ("n", 10**15, "instead of float32"),
        ("n", -1, "attribute n is -1, less than 1"),
        ("n", 1.5, "attribute n is no integer"),
        ("block_rows", 0, "attribute block_rows is 0"),
        ("key", "x" * 60_001, "attribute key is no fixed-length text of at most 60000 bytes"),
        ("key", "{}", "do not have the checksum written with them"),
        ("table_crc32", 5, "do not have the checksum written with them"),
    ],
)
def test_wrong_attributes(path, name, value, said):
    """Attributes are checked before anything is made of them."""
    with h5py.File(path, "r+") as file:
        file.attrs["needs"] = np.bytes_("fusionfer 9.9")
        file.attrs[name] = np.bytes_(value) if isinstance(value, str) else value
    refused(path, said)


def test_all_complaints_at_once(path):
    """Two missing attributes are told in one error."""
    with h5py.File(path, "r+") as file:
        del file.attrs["level"], file.attrs["dim"]
    refused(path, "attribute level is missing; attribute dim is missing")


def replace(path, name, make):
    with h5py.File(path, "r+") as file:
        del file[name]
        make(file)


def external(file):
    file.create_dataset("features", (10, 5), "<f4", external=[("/etc/passwd", 0, 200)])


def virtual(file):
    layout = h5py.VirtualLayout((10, 5), "<f4")
    layout[:] = h5py.VirtualSource("other.h5", "features", (10, 5))
    file.create_virtual_dataset("features", layout)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("features", lambda file: None, "/features is missing"),
        ("features", lambda file: file.create_group("features"), "/features is missing"),
        ("features", lambda file: file.__setitem__("features", h5py.SoftLink("/state")), "/features is a link"),
        ("ids", lambda file: file.__setitem__("ids", h5py.ExternalLink("a.h5", "/x")), "/ids is a link to elsewhere"),
        ("labels", lambda file: [file.__setitem__(n, h5py.SoftLink("/x")) for n in ("labels", "y")], "/y is a link"),
        ("features", external, "chunked, filtered, virtual or stored in another file"),
        ("features", virtual, "chunked, filtered, virtual or stored in another file"),
        ("features", lambda file: file.create_dataset("features", (10, 5), "<f4", chunks=(1, 5)), "chunked"),
        ("features", lambda file: file.create_dataset("features", (10, 5), "<f4", compression="gzip"), "chunked"),
        ("features", lambda file: file.create_dataset("features", (10**9, 10**6), "<f4", chunks=True), "chunked"),
        (
            "features",
            lambda file: file.create_dataset("features", (10, 5), ">f4"),
            r"is >f4 \(10, 5\) instead of float32",
        ),
        ("features", lambda file: file.create_dataset("features", (10, 5), "<f8"), "is float64"),
        ("state", lambda file: file.create_dataset("state", (9,), "u1"), r"/state is uint8 \(9,\)"),
        ("ids", lambda file: file.create_dataset("ids", (10,), h5py.string_dtype()), r"/ids is object \(10,\)"),
        ("ids", lambda file: file.create_dataset("ids", (10,), h5py.ref_dtype), "/ids is object"),
        ("ids", lambda file: file.create_dataset("ids", (10,), "S5000"), "texts of at most 4096 bytes"),
        ("record", lambda file: file.create_dataset("record", (0,), "u1"), "/record is"),
        ("record", lambda file: [file.create_group(f"g{i}") for i in range(100)], "it has 109 members"),
    ],
)
def test_wrong_members(path, name, make, said):
    """Nothing is read from another file, decompressed, or allocated because a header says so."""
    replace(path, name, make)
    refused(path, said)


def test_unaligned(path):
    """Features that begin elsewhere than on a page cannot be mapped everywhere."""

    with h5py.File(path, "r+") as file:
        file.move("features", "old")  # deleted, it would leave its aligned place to the new one
        file.create_dataset("features", (10, 5), "<f4", data=np.zeros((10, 5)))
    refused(path, "which is no multiple of 4096")


def test_members_beyond_the_ten_are_ignored(path):
    """A file MAY hold more; readers leave it alone."""
    with h5py.File(path, "r+") as file:
        file["note"] = 1
    assert read_feature_file(path).complete


def test_cut_off_files_are_read_on_demand(path):
    """What stands before the features can be known of a file that lacks their end, and nothing is made up."""
    whole = read_layout(path)
    content = path.read_bytes()
    path.write_bytes(content[: whole.offsets["features"] + 30])
    with pytest.raises(CacheFormatError, match=rf"should have {len(content)} bytes and has .*: it is cut off"):
        read_layout(path)
    cut = read_layout(path, cut_off=True)
    assert cut.rows.same_as(whole.rows)
    assert (cut.offsets, cut.key) == (whole.offsets, whole.key)
    with pytest.raises(CacheFormatError, match="has become shorter"):
        cut.map("features")
    path.write_bytes(content[: whole.offsets["state"]])
    with pytest.raises(CacheFormatError, match=r"cut off|damaged"):
        read_layout(path, cut_off=True)


def test_flipped_bytes_never_come_back_as_other_features(tmp_path):
    """With any byte changed a file is refused, or says which rows are damaged, or has all that it had."""
    good = GOLDEN.read_bytes()
    path = tmp_path / "x.h5"
    path.write_bytes(good)
    before = read_feature_file(path)
    expected, rows = np.array(before.X), before.rows
    rng = np.random.default_rng(0)
    places = set(rng.integers(0, len(good), 150).tolist())
    for name in ("features", "state", "crc32"):
        places |= set(range(before.layout.offsets[name], before.layout.offsets[name] + 5))
    outcomes = {"refused": 0, "damaged": 0, "same": 0}
    for place in sorted(places):
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        try:
            stored = read_feature_file(path)
            damages = stored.verify()
        except CacheError:
            outcomes["refused"] += 1
            continue
        if damages:
            outcomes["damaged"] += 1
        else:
            outcomes["same"] += 1
            assert np.array_equal(stored.X, expected)
            assert stored.rows.same_as(rows)
            assert np.array_equal(stored.state, before.state)
    assert all(outcomes.values()), outcomes
