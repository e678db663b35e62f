"""Caches: a good one with something in it that shows, changes, fills, stops or steers what it should not."""

from __future__ import annotations

import os
import struct
import zlib

import h5py
import numpy as np

from attacks._registry import GOLDEN, attack


def cache(tries, said, file="x.h5"):
    """Enter an attack that begins with a good cache, which the function changes through h5py."""

    def enter(change):
        def make(path):
            path.write_bytes(GOLDEN.read_bytes())
            with h5py.File(path, "r+") as opened:
                change(opened)

        make.__name__ = change.__name__
        attack("cache", file, tries, said)(make)
        return change

    return enter


def signed(file):
    """Give a changed cache the checksum of its tables, so that it is consistent."""
    crc = zlib.crc32(file.attrs["key"])
    for name in ("ids", "labels", "splits", "groups", "digests", "record"):
        crc = zlib.crc32(file[name][...].tobytes(), crc)
    file.attrs["table_crc32"] = crc


def put(file, name, value):
    """Replace a dataset by another one of the kind that caches have."""
    value = np.asarray(value)
    del file[name]
    file.create_dataset(name, data=value, dtype=value.dtype, track_times=False)


def record(file, text):
    """Replace the record and sign."""
    put(file, "record", np.frombuffer(text, np.uint8))
    signed(file)


@cache("show the bytes of /etc/passwd as features, and let writers overwrite it (fault 20)", "stored in another file")
def external_storage(file):
    del file["features"]
    file.create_dataset("features", (5, 3), "<f4", external=[("/etc/passwd", 0, 60)])


@cache("show another HDF5 file's content (fault 19)", "/features is a link to elsewhere")
def external_link(file):
    del file["features"]
    file["features"] = h5py.ExternalLink("/etc/other.h5", "/features")


@cache("lead a path through another file (fault 19)", "/ids is a link to elsewhere")
def soft_link(file):
    file.move("ids", "real")
    file["ids"] = h5py.SoftLink("/real")


@cache("gather features from other files (fault 20)", "virtual or stored in another file")
def virtual_dataset(file):
    del file["features"]
    layout = h5py.VirtualLayout((5, 3), "<f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "features", (5, 3))
    file.create_virtual_dataset("features", layout)


@cache("load a filter plug-in (fault 20)", "chunked, filtered")
def unknown_filter(file):
    del file["state"]
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_chunk((5,))
    how.set_filter(32123, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
    h5py.h5d.create(file.id, b"state", h5py.h5t.STD_U8LE, h5py.h5s.create_simple((5,)), how)


@cache("declare 4 TB in a few bytes (fault 21)", "is cut off|chunked, filtered")
def declared_terabytes(file):
    del file["features"]
    file.attrs["n"] = 10**9
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    space = h5py.h5s.create_simple((10**9, 1000))
    h5py.h5d.create(file.id, b"features", h5py.h5t.IEEE_F32LE, space, how)
    file.attrs["dim"] = 1000


@cache("unpack 160 MB from 160 kB (fault 21)", "chunked, filtered")
def gzip_bomb(file):
    del file["record"]
    data = np.zeros(160_000_000, np.uint8)
    file.create_dataset("record", data=data, chunks=(16_000_000,), compression="gzip")


@cache("be slow by its many groups (fault 21)", "it has 2010 members")
def crowd(file):
    for i in range(2000):
        file.create_group(f"group {i}")


@cache("bring a key of more than is allowed (fault 21)", "attribute key is no fixed-length text")
def long_key(file):
    file.attrs["key"] = np.bytes_(b"x" * 60_002)


@attack("cache", "x.h5", "bring an attribute of 40 MB, of the newer kind (fault 21)", "HDF5 of the format ''")
def huge_dense_attribute(path):
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["format"] = np.bytes_("fusionfer-features" + " " * 40_000_000)


@cache("have references followed (fault 20)", "/ids is object")
def object_references(file):
    del file["ids"]
    file.create_dataset("ids", (5,), h5py.ref_dtype)


@cache("have texts of variable length fetched from a heap", "/labels is object")
def variable_text(file):
    del file["labels"]
    file.create_dataset("labels", data=["a"] * 5, dtype=h5py.string_dtype())


@cache("bring a compound type", "/state is compound")
def compound(file):
    del file["state"]
    file.create_dataset("state", (5,), np.dtype([("a", "u1"), ("b", "S3")]))


@cache("have a group taken for an array", "/state is missing")
def group_for_array(file):
    del file["state"]
    file["state"] = file["/"]


@attack("cache", "x.h5", "let two arrays lie on each other, so that writing one changes the other", "begins within /")
def overlapping(path):
    content = bytearray(GOLDEN.read_bytes())
    with h5py.File(GOLDEN) as file:
        crc, state = (file[name].id.get_offset() for name in ("crc32", "state"))
    struct.pack_into("<Q", content, content.index(b"\3\1" + struct.pack("<Q", crc)) + 2, state + 1)
    path.write_bytes(content)


@attack("cache", "x.h5", "claim 4 TB that a file system without blocks seems to hold (fault 21)", "occupies")
def hollow(path):
    """A file with a hole: its structure is sound, and reading it would take hours."""
    path.write_bytes(GOLDEN.read_bytes())
    with path.open("r+b") as file:
        file.truncate(1 << 41)


@attack("cache", "x.h5", "let the reader wait for ever", "it is no regular file")
def named_pipe(path):
    os.mkfifo(path)


@attack("cache", "x.h5.part", "have another file written in place", "is a symbolic link")
def linked_part(path):
    target = path.with_name("victim")
    target.write_bytes(GOLDEN.read_bytes())
    path.symlink_to(target)


@cache("fill the memory by JSON that grows twentyfold", "record holds more than 100,000 objects")
def json_bomb(file):
    record(file, b'{"a":[' + b"{}," * 200_000 + b"0]}")


@cache("exhaust the stack", "record is nested more than 32 deep")
def deep_json(file):
    record(file, b'{"a":' + b"[" * 500 + b"]" * 500 + b"}")


@cache("exhaust the stack of the JSON parser", "record cannot be understood|record is nested")
def deeper_json(file):
    record(file, b'{"a":' + b"[" * 90_000 + b"]" * 90_000 + b"}")


@cache("crash whoever prints the record", "record cannot be understood")
def half_signs(file):
    record(file, b'{"weights":{"name":"\\ud800"}}')


@cache("spend minutes on one number", "record cannot be understood")
def long_number(file):
    record(file, b'{"a":' + b"9" * 100_000 + b"}")


@cache("pass a list for the record", "record is no JSON object")
def list_record(file):
    record(file, b"[1,2,3,4,5,6]")


@cache("have two rows of one id (fault 28)", "2 ids occur more than once|1 ids occur more than once")
def twin_ids(file):
    put(file, "ids", np.array([b"a", b"a", b"b", b"c", b"d"]))
    signed(file)


@cache("bring texts that are no UTF-8", "cannot be understood")
def no_unicode(file):
    put(file, "labels", np.array([b"\xff\xfe", b"a", b"b", b"c", b"d"]))
    signed(file)


@cache("steer the terminal by escape sequences", r"written by 'x\\x1b\[2Jroot#'; it needs 'a\\nb' or newer")
def terminal(file):
    file.attrs["version"] = 2
    file.attrs["written_by"] = np.bytes_(b"x\x1b[2Jroot#")
    file.attrs["needs"] = np.bytes_(b"a\nb")


@cache("pass another backbone's features for these", "backbone, level or dim are not those of its key")
def false_name(file):
    file.attrs["backbone"] = np.bytes_("resnet50")


@attack("cache", "x.h5", "lead the reader round in a circle", "damaged")
def circle(path):
    """The root group's header continues in itself."""
    content = bytearray(GOLDEN.read_bytes())
    struct.pack_into("<QQ", content, 4120, 4112, 24)
    path.write_bytes(content)
