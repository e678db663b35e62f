"""The structure of our files is read without HDF5 as HDF5 reads it, and of any other form nothing is said at all."""

import io
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from fusionfer.cache._structure import ARRAYS, ATTRIBUTES, UnfamiliarError, read_own

GOLDEN = Path(__file__).with_name("golden-v1.h5")


def own(content):
    return read_own(io.BytesIO(content), len(content))


def agrees(path):
    """Compare what is read with what h5py says."""
    found = own(path.read_bytes())
    with h5py.File(path) as file:
        assert found.members == len(file)
        assert found.attributes == {name: file.attrs[name] for name in ATTRIBUTES}
        assert sorted(found.arrays) == sorted(ARRAYS)
        for name, array in found.arrays.items():
            dataset = file[name]
            assert (array.shape, np.dtype(array.dtype)) == (dataset.shape, dataset.dtype), name
            assert array.offset == dataset.id.get_offset(), name
    assert found.end <= path.stat().st_size
    return found


@pytest.mark.parametrize(("n", "dim", "record"), [(1, 1, 1), (10, 5, 1), (300, 512, 30_000)])
def test_what_we_write_is_read_as_hdf5_reads_it(cache, toolkit, n, dim, record):
    """Fails when a release of h5py writes another form, for then every file would take the slow way."""
    rows = toolkit.rows([f"{i}.png" for i in range(n)])
    with cache.lock():
        key = {"x": "y" * 50_000}
        job = cache.prepare("resnet34", "", dim, key=key, record={"r": list(range(record))}, rows=rows)
        job.close()
    agrees(job.part)


def test_the_golden_file():
    """So is the file of the first release."""
    agrees(GOLDEN)


def test_further_members_are_counted_only(cache, toolkit, tmp_path):
    """Others may lie beside ours, of any type, as far as a leaf of the group's tree goes."""
    path = toolkit.extract(cache, toolkit.rows(["a.png"])).path
    with h5py.File(path, "r+") as file:
        for i in range(40):
            file[f"note {i}"] = i
        file.create_dataset("chunked", (9, 9), "<f4", chunks=True, compression="gzip")
    assert agrees(path).members == 51


def change(at, new):
    content = bytearray(GOLDEN.read_bytes())
    content[at : at + len(new)] = new
    return bytes(content)


def find(needle, after=0):
    return GOLDEN.read_bytes().index(needle, after)


#: Where the features' layout stands: version 3, contiguous, offset, length.
FEATURES = find(b"\3\1" + struct.pack("<QQ", 20480, 60))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89HDF\r\n\x1a\n",
        b"\x89HDF\r\n\x1a\n" + b"\0" * 2000,
        change(8, b"\1"),  # superblock 1
        change(13, b"\4"),  # offsets of 4 bytes
        change(24, b"\1"),  # a base address
        change(64, struct.pack("<Q", 1 << 40)),  # the root group beyond it
        change(80, struct.pack("<Q", 96)),  # its tree elsewhere than its header says
        change(find(b"TREE") + 6, b"\xff\xff"),  # entries
        change(find(b"TREE") + 5, b"\1"),  # a tree of two levels
        change(find(b"SNOD") + 6, b"\xff\xff"),
        change(find(b"HEAP") + 8, struct.pack("<Q", 1 << 60)),  # names of 10^18 bytes
        change(find(b"reasons\0"), b"\xff"),  # a name that is no UTF-8
        change(find(b"labels\0"), b"splits"),  # two of one name
        change(4096, b"\2"),  # object header 2
        change(4098, b"\xff\xff"),  # messages
        change(4112, struct.pack("<HHB", 0x10, 16, 2)),  # a shared message
        change(find(b"SNOD") + 8 + 16, b"\2"),  # a soft link
        change(FEATURES - 8, b"\x07"),  # a list of external files in the place of the layout
        change(FEATURES + 24, b"\x0b"),  # filters
        change(FEATURES + 1, b"\2"),  # in chunks
        change(FEATURES + 2, b"\xff" * 8),  # nowhere
        change(FEATURES + 10, struct.pack("<Q", 59)),  # another length than its shape and type take
        change(find(struct.pack("<QQQQ", 5, 3, 5, 3)), struct.pack("<QQQQ", 5, 2, 5, 2)),
        change(find(struct.pack("<QQQQ", 5, 3, 5, 3)) + 16, b"\xff" * 8),  # it may grow
        change(find(bytes.fromhex("11201f0004000000")), b"\x31"),  # a version of the type that HDF5 1.6 did not know
        change(find(bytes.fromhex("11201f0004000000")) + 10, b"\x21"),  # a float of 33 bits
    ],
    ids=range(27),
)
def test_another_form_is_unfamiliar(content):
    """Nothing of it is believed, and nothing is allocated for it."""
    with pytest.raises(UnfamiliarError):
        own(content)


def test_a_header_that_continues_in_itself_ends():
    """A ring of continuations is left after as many messages as the header counts."""
    with pytest.raises(UnfamiliarError):
        own(change(4120, struct.pack("<QQ", 4112, 24)))


def test_the_structure_of_a_cut_file(cache, toolkit):
    """It is known if all of it is there, with the length that the file should have; else nothing is."""
    content = toolkit.extract(cache, toolkit.rows([f"{i}.png" for i in range(10)])).path.read_bytes()
    assert own(content[:-50]) == own(content)
    assert own(content).end == len(content)
    with pytest.raises(UnfamiliarError):
        own(content[:1000])


def test_every_changed_byte():
    """With any byte of the structure changed: the same structure, another one, or unfamiliar; never another error."""
    content = GOLDEN.read_bytes()
    good = own(content)
    outcomes = {"same": 0, "other": 0, "unfamiliar": 0}
    for at in [at for at, byte in enumerate(content) if byte]:
        for flip in (1, 0x80, content[at]):
            bad = bytearray(content)
            bad[at] ^= flip
            try:
                outcomes["same" if own(bytes(bad)) == good else "other"] += 1
            except UnfamiliarError:
                outcomes["unfamiliar"] += 1
    assert all(outcomes.values()), outcomes
