"""Writes files that try to harm whoever opens them, each with what it tries: ``python tests/fuzz/attacks.py FOLDER``.

The corpus is made anew by each run of the tests. Nothing in it harms by lying there; the worst tries to write a file
"HARM" beside itself.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

GOLDEN = Path(__file__).parents[1] / "cache" / "golden-v1.h5"
HARM = "HARM"


@dataclass(frozen=True)
class Attack:
    """One file: how it is made, what it tries, and what the refusal says."""

    make: Callable[[Path], None]
    reader: str
    file: str
    tries: str
    said: str


ATTACKS: dict[str, Attack] = {}


def attack(reader, file, tries, said):
    """Enter the decorated function, which writes the file at a path, into the corpus."""

    def enter(make):
        ATTACKS[make.__name__] = Attack(make, reader, file, tries, said)
        return make

    return enter


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


# Caches ---------------------------------------------------------------------------------------------------------------


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


# Models ---------------------------------------------------------------------------------------------------------------


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path.with_name(HARM),))


def good_model(path):
    """A model that `load_model` reads."""
    from sklearn.linear_model import LogisticRegression

    from fusionfer.persistence import Model, save_model

    block = {"backbone": "resnet34", "level": "logits", "dim": 1, "key": {}, "record": {}}
    blocks, classes = {"resnet34:logits": block}, ("a", "b")
    estimator = LogisticRegression().fit([[0.0], [1.0]], ["a", "b"])
    save_model(Model(estimator, blocks, classes, {}, {}, {}, "2026-11-20T00:00:00+00:00", {}), path)


def rewritten(path, change):
    """Write a model anew with changed members (name -> bytes), its list of hashes brought up to date."""
    import hashlib

    good_model(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["model.json"])
    change(members, manifest)
    for name in manifest["members"]:
        stored = members.get(name, b"")
        manifest["members"][name] = {"sha256": hashlib.sha256(stored).hexdigest(), "bytes": len(stored)}
    members["model.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@attack("model", "m.fusionfer", "run code when it is unpickled (fault 22)", "looks like a pickle or joblib file")
def pickled_model(path):
    path.write_bytes(pickle.dumps(Harm(path)))


@attack("model", "m.fusionfer", "name os.system in skops' own format (fault 22)", "types that fusionfer does not know")
def skops_system(path):
    node = {
        "__class__": "system", "__module__": "posix", "__loader__": "FunctionNode", "__id__": 1,
        "content": {"module_path": "posix", "function": "system"},
    }  # fmt: skip
    schema = {**node, "protocol": 2, "_skops_version": "0.12"}

    def change(members, _manifest):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("schema.json", json.dumps(schema))
        members["estimator.skops"] = target.getvalue()

    rewritten(path, change)


@attack("model", "m.fusionfer", "have a member written outside (fault 22)", "is no fusionfer model, but a zip")
def model_traversal(path):
    good_model(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../" + HARM, "x")


@attack("model", "m.fusionfer", "unpack to gigabytes", "members repeat, are compressed, or are too large")
def model_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", b"[" * 50_000_000)


@attack("model", "m.fusionfer", "exhaust the stack by its manifest", "model.json is not JSON")
def deep_manifest(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", b"[" * 1_000_000)
        archive.writestr("estimator.skops", b"")


@attack("model", "m.fusionfer", "have numbers where texts belong", "is damaged")
def mistyped_manifest(path):
    rewritten(path, lambda _members, manifest: manifest["weights"].update(a=["x"]))


@attack("model", "m.fusionfer", "let the reader wait for ever", "There is no model")
def model_pipe(path):
    os.mkfifo(path)


# Archives -------------------------------------------------------------------------------------------------------------


def zipped(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)


@attack("faces", "x.zip", "leave the archive's folder (fault 17)", r"leads out by \.\.")
def zip_traversal(path):
    zipped(path, ("happy/1.png", b"x"), ("../../sad/2.png", b"x"))


@attack("faces", "x.zip", "leave it by Windows' separators (fault 17)", r"leads out by \.\.")
def zip_backslashes(path):
    zipped(path, ("happy/1.png", b"x"), (r"..\..\sad\2.png", b"x"))


@attack("faces", "x.zip", "name a drive (fault 17)", "is absolute")
def zip_drive(path):
    zipped(path, ("happy/1.png", b"x"), ("C:/sad/2.png", b"x"))


@attack("faces", "x.zip", "unpack to 100 MB from 100 kB (fault 14)", "would unpack from")
def zip_bomb(path):
    zipped(path, ("happy/1.png", b"\0" * 100_000_000))


@attack("faces", "x.zip", "unpack more than it declares (fault 14)", "damaged in the zip")
def zip_lie(path):
    zipped(path, ("happy/1.png", b"\0" * 50_000_000))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\1\2") + 24, 1000)
    path.write_bytes(content)


@attack("faces", "x.zip", "hide one member behind another of its name", "two members of this name")
def zip_twins(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("happy/1.png", b"x")
        archive.start_dir = archive.fp.tell()
        archive.NameToInfo.clear()
        archive.writestr("happy/1.png", b"y")


@attack("faces", "x.zip", "use a rare method of compression", "only stored and deflated")
def zip_method(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("happy/1.png", b"x" * 1000)


@attack("faces", "x.zip", "put a member beyond the file", "cannot be read from the zip|damaged in the zip|no zip")
def zip_beyond(path):
    zipped(path, ("happy/1.png", b"x" * 1000))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\1\2") + 42, 0x7FFFFFF0)
    path.write_bytes(content)


# Tables ---------------------------------------------------------------------------------------------------------------


def manifest(tries, said):
    def enter(lines):
        def make(path):
            path.write_bytes(lines())

        make.__name__ = lines.__name__
        attack("faces", "x.csv", tries, said)(make)
        return lines

    return enter


@manifest("read a file outside of the folder (fault 17)", r"leads out by \.\.")
def csv_traversal():
    return b"path,label\n../../etc/passwd,happy\n"


@manifest("read a file by its absolute path (fault 17)", "is absolute")
def csv_absolute():
    return b"path,label\n/etc/passwd,happy\n"


@manifest("read from a share, which tells it the user's name (fault 17)", "is a network path")
def csv_share():
    return b"path,label\n\\\\evil\\share\\a.png,happy\n"


@manifest("read from the home folder (fault 17)", "begins with ~")
def csv_home():
    return b"path,label\n~/.ssh/id_rsa,happy\n"


@manifest("end a path early by a NUL (fault 17)", "NUL")
def csv_nul():
    return b"path,label\na.png\0.txt,happy\n"


@manifest("fill a cell with 50 MB", "field larger than field limit|cells instead of")
def csv_cell():
    return b'path,label\n"' + b"x" * 50_000_000


@manifest("bring 5 million columns", "has 5,000,001 columns")
def csv_columns():
    return b"a" + b"," * 5_000_000 + b"\n"


@manifest("fill the screen by its header", "no column for the path")
def csv_header():
    return b",".join(b"%d" % i * 1000 for i in range(500)) + b"\n"


@manifest("bring 5 million cells in a row (fault 16)", "cells instead of")
def csv_cells():
    return b"path,label\n" + b"a," * 5_000_000 + b"\n"


@manifest("bring a pixel of a million digits (fault 16)", "pixel")
def fer_digits():
    return b"emotion,pixels,Usage\n0," + b"9" * 1_000_000 + b",Training\n"


@manifest("separate pixels by tabs (fault 16)", "separated by other signs than blanks")
def fer_tabs():
    return b"emotion,pixels,Usage\n0," + b"1\t" * 2304 + b",Training\n"


@manifest("bring 20 million pixels (fault 16)", "20000000 pixels instead of 2304")
def fer_pixels():
    return b"emotion,pixels,Usage\n0," + b"1 " * 20_000_000 + b",Training\n"


# Pictures -------------------------------------------------------------------------------------------------------------


def picture(suffix, tries, said):
    def enter(content):
        def make(path):
            path.write_bytes(content())

        make.__name__ = content.__name__
        attack("picture", f"x{suffix}", tries, said)(make)
        return content

    return enter


def png_chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@picture(".png", "unpack to 2.7 GB (fault 14)", "900,000,000 pixels; at most")
def png_bomb():
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000_000)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


@picture(".png", "unpack a text of 100 MB beside a small picture (fault 14)", "")
def png_text_bomb():
    header = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    text = b"x\0\0" + zlib.compress(b"\0" * 100_000_000)
    chunks = [(b"IHDR", header), (b"zTXt", text), (b"IDAT", zlib.compress(b"\0\1\2\0\3\4")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


@picture(".gif", "declare a canvas of 4 billion pixels (fault 14)", "pixels; at most")
def gif_bomb():
    return b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0" * 20


@picture(".bmp", "declare rows of negative height (fault 14)", "pixels; at most")
def bmp_bomb():
    return b"BM" + b"\0" * 12 + struct.pack("<IiiHH", 40, 60_000, -60_000, 1, 24) + b"\0" * 24


@picture(".tiff", "declare two sizes, the small one first (fault 14)", "damaged or cut off|pixels")
def tiff_twice():
    entries = [(256, 4), (256, 60_000), (257, 4), (257, 60_000), (258, 8), (277, 1), (273, 8), (279, 16)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + body + b"\0" * 4


@picture(".tiff", "declare 65,535 samples a pixel (fault 14)", "TIFF")
def tiff_samples():
    entries = [(256, 6000), (257, 6000), (258, 8), (259, 1), (262, 1), (273, 8), (277, 65_535), (278, 6000), (279, 9)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + body + b"\0" * 4


@picture(".ppm", "declare 10^16 pixels (fault 14)", "pixels; at most")
def pnm_bomb():
    return b"P6 99999999 99999999 255\n"


@picture(".jpg", "be a page of HTML (fault 13)", "HTML page")
def html_picture():
    return b"<!DOCTYPE html><html>404</html>"


# Weights --------------------------------------------------------------------------------------------------------------


@attack("weights", "w.pth", "run code when it is unpickled (fault 23)", "was not executed")
def pickled_weights(path):
    path.write_bytes(pickle.dumps({"a": Harm(path)}))


@attack("weights", "w.pth", "run code from a file of torch's own form (fault 23)", "was not executed")
def torch_code(path):
    import torch

    torch.save({"a": Harm(path)}, path)


@attack("weights", "w.pth", "unpack to 100 MB", "compressed, or overlap")
def torch_bomb(path):
    import torch

    torch.save({"a": torch.zeros(25_000_000)}, path)
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    zipped(path, *members)


@attack("weights", "w.pth", "have a last layer of 2 TB made for it", "larger than the file")
def expanded_tensor(path):
    import torch

    torch.save({"fc.weight": torch.zeros(1).expand(10**9, 512)}, path)


@attack("weights", "w.pth", "declare a sparse tensor of 10^15 numbers", "not dense|was not executed")
def sparse_tensor(path):
    import torch

    torch.save({"a": torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.int64), [1.0], (10**8, 10**7))}, path)


@attack("weights", "w.safetensors", "declare a header of 10^18 bytes", "no intact safetensors")
def safetensors_header(path):
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")


@attack("weights", "w.safetensors", "declare numbers beyond the file", "no intact safetensors")
def safetensors_beyond(path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def readers():
    """Return reader -> function of a path."""
    from benchmarks.reliability import _seeds
    from fusionfer.images import decode_image

    def read_faces(path):
        from fusionfer.images import read_faces

        faces = read_faces(path)
        for i in range(len(faces)):
            faces.load(i)

    return {
        "cache": _seeds.read_cache,
        "model": _seeds.read_model,
        "faces": read_faces,
        "picture": lambda path: decode_image(path.read_bytes()),
        "weights": _seeds.read_weights,
    }


if __name__ == "__main__":
    for name, made in ATTACKS.items():
        folder = Path(sys.argv[1], name)
        folder.mkdir(parents=True)
        made.make(folder / made.file)
        print(f"{name}/{made.file}: tries to {made.tries}")  # noqa: T201
