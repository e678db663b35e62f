"""Archives of pictures: members that leave the folder, swell, lie or hide."""

from __future__ import annotations

import struct
import zipfile

from attacks._registry import attack

__all__ = ["zipped"]


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
