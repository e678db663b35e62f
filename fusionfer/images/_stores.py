"""Where picture files lie, a folder or a zip: what is in there, and one file of it. Nothing is unpacked."""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fusionfer.exceptions import DataError, ImageError
from fusionfer.images._complaints import Complaint
from fusionfer.images._header import SUFFIXES

__all__ = ["FolderStore", "Listing", "Store", "ZipStore", "is_picture", "way_out"]

# A deflated picture is hardly smaller than it was; a member that swells to this is made to fill the memory.
_MAX_SWELLING = 200
_HARMLESS_SIZE = 16 << 20
_MAX_SIZE = 1 << 30

_SYSTEM_NAMES = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin"})


@dataclass
class Listing:
    """Paths below the root of a store with slashes, each list sorted: pictures, other files, and what is refused."""

    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    refused: list[Complaint] = field(default_factory=list)

    def add(self, path: str) -> None:
        """File `path` under pictures or others."""
        (self.pictures if is_picture(path) else self.others).append(path)

    def sorted(self) -> Listing:
        """Return the same lists in an order that does not depend on the file system."""
        return Listing(sorted(self.pictures), sorted(self.others), sorted(self.refused))


class Store(Protocol):
    """A folder or an archive; reading is safe from several threads and processes."""

    name: str

    def list(self) -> Listing:
        """Return what lies in it."""

    def problem(self, key: str) -> str:
        """Return why the file `key` cannot be used, or an empty string."""

    def read(self, key: Hashable) -> bytes:
        """Return the content of one file."""


def is_picture(path: str) -> bool:
    """Tell by its ending whether a file is taken for a picture."""
    return os.path.splitext(path)[1].lower() in SUFFIXES  # noqa: PTH122  (a Path for each of 36,000 names is slow)


def _ignored(name: str) -> bool:
    hidden = name.startswith(".") and name not in (".", "..")
    return hidden or name.lower() in _SYSTEM_NAMES


def _bad_name(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "the name is not valid UTF-8; rename the file"
    return "the name holds a NUL" if "\0" in path else ""


def way_out(path: str) -> str:
    """Return how a path with slashes leaves the folder it is relative to, or an empty string."""
    if "\0" in path:
        return "holds a NUL"
    if path.startswith("//"):
        return "is a network path"
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "is absolute"
    if path.startswith("~"):
        return "begins with ~"
    depth = 0
    for part in path.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return "leads out by .."
    return ""


class FolderStore:
    """Files below a folder.

    Parameters
    ----------
    root : Path
    allow_outside_root : bool
        Whether symbolic links may lead out of `root`.
    """

    def __init__(self, root: Path, *, allow_outside_root: bool = False) -> None:
        self.root = root
        self.name = str(root)
        self.allow_outside_root = allow_outside_root
        self._real_root = os.path.realpath(root)
        self._real_folders: dict[str, bool] = {}

    def list(self) -> Listing:
        """Return all files below the root; hidden and system files are passed over."""
        listing = Listing()
        self._walk(str(self.root), "", {self._real_root}, listing)
        return listing.sorted()

    def _walk(self, folder: str, prefix: str, above: set[str], listing: Listing) -> None:
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            listing.refused.append((prefix or self.name, f"the folder cannot be read ({error.strerror})"))
            return
        for entry in entries:
            if _ignored(entry.name):
                continue
            path = prefix + entry.name
            refusal = _bad_name(path)
            if not refusal and entry.is_symlink():
                refusal = self._link_problem(entry.path)
            if refusal:
                listing.refused.append((path.encode(errors="replace").decode(), refusal))
            elif entry.is_dir():
                inner = {os.path.realpath(entry.path)} if entry.is_symlink() else set()
                if not inner & above:  # a link to a folder above would go round for ever
                    self._walk(entry.path, path + "/", above | inner, listing)
            elif entry.is_file():
                listing.add(path)

    def _link_problem(self, path: str) -> str:
        if not os.path.exists(path):  # noqa: PTH110
            return "is a symbolic link to nothing"
        if not self.allow_outside_root and not self._inside(os.path.realpath(path)):
            return "is a symbolic link that leaves the folder (allow it with allow_outside_root)"
        return ""

    def _inside(self, real: str) -> bool:
        return real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep)

    def problem(self, key: str) -> str:
        """Return why the file `key` cannot be used, or an empty string."""
        path = os.path.join(self.root, key)  # noqa: PTH118
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                link = self._link_problem(path)
                if link:
                    return link
                mode = os.stat(path).st_mode  # noqa: PTH116
        except OSError as error:
            return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        if not stat.S_ISREG(mode):
            return "is not a file"
        folder = os.path.dirname(path)  # noqa: PTH120
        if folder not in self._real_folders:
            self._real_folders[folder] = self.allow_outside_root or self._inside(os.path.realpath(folder))
        return "" if self._real_folders[folder] else "lies behind a symbolic link that leaves the folder"

    def read(self, key: Hashable) -> bytes:
        """Return the content of the file at `key`, a path relative to the root."""
        try:
            return (self.root / str(key)).read_bytes()
        except OSError as error:
            msg = f"The file cannot be read: {error.strerror or error}."
            raise ImageError(msg) from error


_LOCAL_HEADER = struct.Struct("<4s22xHH")


class ZipStore:
    """Files in a zip, read in place.

    The file is opened anew for each read: this costs some microseconds and is safe with threads, forks and pickling.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        If this is no zip, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._members: dict[str, tuple[int, int, int, int, int]] = {}
        self._listing = Listing()
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, OSError, UnicodeError, NotImplementedError) as error:
            msg = f"{path} is not a zip that can be read: {error}."
            raise DataError(msg) from error
        for info in infos:
            self._add(info)

    def _add(self, info: zipfile.ZipInfo) -> None:
        if info.is_dir():
            return
        name = _member_name(info)
        if any(_ignored(part) for part in name.split("/")):
            return
        refusal = self._refusal(name, info)
        if refusal:
            self._listing.refused.append((name.encode(errors="replace").decode(), refusal))
            return
        self._members[name] = (info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type)
        self._listing.add(name)

    def _refusal(self, name: str, info: zipfile.ZipInfo) -> str:
        out = way_out(name)
        if out:
            return f"the member's path {out}"
        if name in self._members:
            return "the archive holds two members of this name"
        if info.flag_bits & 0x1:
            return "the member is encrypted; unpack the archive with its password first"
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return f"the member is compressed by method {info.compress_type}; only stored and deflated ones are read"
        swollen = info.file_size > _HARMLESS_SIZE and info.file_size > _MAX_SWELLING * max(info.compress_size, 1)
        if swollen or info.file_size > _MAX_SIZE:
            return f"the member would unpack from {info.compress_size:,} to {info.file_size:,} bytes"
        return _bad_name(name)

    def list(self) -> Listing:
        """Return all members; hidden and system files are passed over."""
        return self._listing.sorted()

    def problem(self, key: str) -> str:
        """Return why the member `key` cannot be used, or an empty string."""
        return "" if key in self._members else "no such member of the archive"

    def read(self, key: Hashable) -> bytes:
        """Return the content of the member `key`, checked by its CRC."""
        offset, packed_size, size, crc, method = self._members[str(key)]
        try:
            with open(self.path, "rb") as file:
                file.seek(offset)
                magic, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
                file.seek(name_length + extra_length, os.SEEK_CUR)
                content = file.read(packed_size)
            if method == zipfile.ZIP_DEFLATED:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, size + 1)
        except (OSError, struct.error, zlib.error) as error:
            msg = f"The member cannot be read from the zip: {error}."
            raise ImageError(msg) from error
        if magic != b"PK\x03\x04" or len(content) != size or zlib.crc32(content) != crc:
            msg = "The member is damaged in the zip (its checksum differs), or the zip was changed meanwhile."
            raise ImageError(msg)
        return content


def _member_name(info: zipfile.ZipInfo) -> str:
    """Return the name with slashes; macOS writes UTF-8 without saying so, and zipfile then takes it for cp437."""
    name = info.orig_filename
    if not info.flag_bits & 0x800 and not name.isascii():
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.orig_filename
    return name.replace("\\", "/")
