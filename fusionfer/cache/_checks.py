"""Checker: judges what a file that nobody vouches for says of itself, and collects what is wrong with it.

Sizes and counts are compared with the file, and with what a cache can need, before a byte is allocated for them.
"""

from __future__ import annotations

import json
import math
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fusionfer.cache._foreign import ask_child
from fusionfer.cache._format import PART
from fusionfer.cache._structure import MEMBERS, Array, Structure, UnfamiliarError, read_own
from fusionfer.exceptions import CacheError, CacheFormatError

__all__ = ["Checker", "plain"]

_ADVICE = (
    "Restore the file from a copy, mend it with `fusionfer cache repair`, "
    "or move it away and run `fusionfer extract` again."
)
_SIGNATURE = b"\x89HDF\r\n\x1a\n"

# A file with holes can claim terabytes and occupy nothing; it would be read for hours. Zeros that a file system
# compresses look the same, hence no such judgement of small files, nor of unfinished ones, which begin as zeros.
_HOLLOW_BYTES = 1 << 30
_HOLLOW_RATIO = 200

# JSON turns into objects: a million hashes of images take 120 MB, but "{}" 64 bytes for each three of the file.
_COMMAS = 5_000_000
_BRACKETS = 100_000
_DEPTH = 32


class Checker:
    """Questions to one file; each notes what is wrong, and `stop_if_wrong` raises it all at once."""

    def __init__(self, path: Path, structure: Structure, size: int) -> None:
        self.path = path
        self.structure = structure
        self.size = size
        self.complaints: list[str] = []
        self._places: list[tuple[int, int, str]] = []

    @classmethod
    def open(cls, path: Path, *, cut_off: bool = False) -> Checker:
        """Find out the structure of the file at `path`; where its form is not ours, through a child process.

        With `cut_off`, /features may lie beyond the end of a file of our form.
        """
        try:
            if path.name.endswith(PART) and path.is_symlink():
                msg = f"{path} is a symbolic link, and unfinished caches are written in place. Remove it."
                raise CacheError(msg)
            # Without O_NONBLOCK, a named pipe would wait for ever for somebody to write.
            with open(path, "rb", opener=lambda p, flags: os.open(p, flags | getattr(os, "O_NONBLOCK", 0))) as stream:
                status = os.fstat(stream.fileno())
                if not stat.S_ISREG(status.st_mode):
                    msg = f"Cannot read {path}: it is no regular file."
                    raise CacheError(msg)
                structure = _read_structure(path, stream, status.st_size, cut_off)
        except CacheError:
            raise
        except OSError as error:
            msg = f"Cannot read {path}: {error.strerror}."
            raise CacheError(msg) from error
        check = cls(path, structure, status.st_size)
        occupied = getattr(status, "st_blocks", 0) * 512  # 0 also where the file system does not say
        if path.name.endswith(PART) or check.size < _HOLLOW_BYTES or not occupied:
            return check
        if occupied * _HOLLOW_RATIO < check.size:
            check.wrong(f"it claims {check.size} bytes and occupies {occupied}")
        return check

    def wrong(self, complaint: str) -> None:
        """Note one complaint."""
        self.complaints.append(complaint)

    def stop_if_wrong(self) -> None:
        """Raise CacheFormatError if there are complaints."""
        if self.complaints:
            msg = f"{self.path} is damaged or no feature cache: {'; '.join(self.complaints)}. {_ADVICE}"
            raise CacheFormatError(msg)

    def format_and_version(self, name: str, version: int) -> None:
        """Refuse another format, and another version with what would read it."""
        attributes = self.structure.attributes
        found = self.text("format", 100) if "format" in attributes else ""
        if found != name:
            msg = f"{self.path} is no feature cache: HDF5 of the format {found!r} instead of {name!r}. {_ADVICE}"
            raise CacheFormatError(msg)
        written = self.number("version", least=0)
        if written != version:
            by = plain(self.text("written_by", 200)) if "written_by" in attributes else "an unknown program"
            needs = plain(self.text("needs", 200)) if "needs" in attributes else "another release of fusionfer"
            msg = (
                f"{self.path} has format version {written}, written by {by}; it needs {needs} or newer, and this "
                f"release reads version {version}. Update fusionfer, or run `fusionfer extract` into another --cache."
            )
            raise CacheFormatError(msg)

    def text(self, name: str, most: int) -> str:
        """Return a fixed-length text attribute of at most `most` bytes."""
        if name not in self.structure.attributes:
            self.wrong(f"attribute {name} is missing")
            return ""
        value = self.structure.attributes[name]
        if not isinstance(value, bytes) or len(value) > most:
            self.wrong(f"attribute {name} is no fixed-length text of at most {most} bytes")
            return ""
        try:
            return value.decode()
        except UnicodeDecodeError:
            self.wrong(f"attribute {name} is no UTF-8")
            return ""

    def number(self, name: str, *, least: int) -> int:
        """Return an integer attribute that is at least `least`."""
        if name not in self.structure.attributes:
            self.wrong(f"attribute {name} is missing")
            return least
        value = self.structure.attributes[name]
        if not isinstance(value, int):
            self.wrong(f"attribute {name} is no integer")
            return least
        if value < least:
            self.wrong(f"attribute {name} is {value}, less than {least}")
            return least
        return value

    def links(self) -> None:
        """Refuse links to elsewhere, which could show another file's bytes, and crowds of members."""
        if self.structure.members > MEMBERS:
            self.wrong(f"it has {self.structure.members} members")
        for name in self.structure.links[:5]:
            self.wrong(f"/{plain(name)} is a link to elsewhere")

    def array(self, name: str, shape: tuple[int, ...] | None, dtype: np.dtype, *, most: int | None = None) -> int:
        """Check one dataset and return the byte at which it begins.

        `shape` None asks for one dimension of any length, up to `most` bytes.
        """
        array = self._plain_array(name)
        if array is None:
            return 0
        expected = "(any,)" if shape is None else str(shape)
        fits = len(array.shape) == 1 and array.shape[0] > 0 if shape is None else array.shape == shape
        if not fits or array.dtype != dtype.str:
            self.wrong(f"/{name} is {_said(array)} instead of {dtype} {expected}")
            return 0
        taken = math.prod(array.shape) * dtype.itemsize
        if most is not None and taken > most:
            self.wrong(f"/{name} takes {taken} bytes, more than {most}")
        return self._place(name, array, taken)

    def strings(self, name: str, n: int, most: int) -> tuple[int, np.dtype]:
        """Check one dataset of n fixed-length texts of at most `most` bytes each; return its first byte and type."""
        array = self._plain_array(name)
        if array is None:
            return 0, np.dtype("S1")
        width = int(array.dtype[2:]) if array.dtype.startswith("|S") else 0
        if array.shape != (n,) or not 1 <= width <= most:
            self.wrong(f"/{name} is {_said(array)} instead of ({n},) texts of at most {most} bytes")
            return 0, np.dtype("S1")
        return self._place(name, array, n * width), np.dtype(f"S{width}")

    def disjoint(self) -> None:
        """Refuse arrays that share bytes, so that writing one would change the other."""
        end, before = 0, ""
        for offset, stop, name in sorted(self._places):
            if offset < end:
                self.wrong(f"/{name} begins within /{before}")
            end, before = stop, name

    def json_object(self, text: bytes, what: str) -> dict[str, Any]:
        """Return the JSON object that `text` holds; it takes no more than some hundred megabytes."""
        brackets = text.count(b"{") + text.count(b"[")
        if brackets > _BRACKETS or text.count(b",") > _COMMAS:
            self.wrong(f"{what} holds more than {_BRACKETS:,} objects or {_COMMAS:,} entries")
            return {}
        try:
            value = json.loads(text)
            if rb"\ud" in text.lower():  # half a sign, which nobody could print or write
                json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            self.wrong(f"{what} cannot be understood ({str(error)[:100]})")
            return {}
        if not isinstance(value, dict):
            self.wrong(f"{what} is no JSON object")
            return {}
        if brackets > _DEPTH and _deeper(value, _DEPTH):
            self.wrong(f"{what} is nested more than {_DEPTH} deep")
        return value

    def _plain_array(self, name: str) -> Array | None:
        """Return what is said of a dataset if it lies in this file as it is."""
        array = self.structure.arrays.get(name)
        if array is None:
            self.wrong(f"/{name} is missing")
            return None
        if not array.plain:
            self.wrong(f"/{name} is chunked, filtered, virtual or stored in another file; caches are contiguous")
            return None
        return array

    def _place(self, name: str, array: Array, taken: int) -> int:
        """Return where the dataset begins, if all of it lies within the file."""
        offset = array.offset
        # HDF5's end lies beyond the file's only where `open` was told that it may.
        size = max(self.size, self.structure.end) if name == "features" else self.size
        if offset is None or offset < 0 or offset + taken > size:
            self.wrong(f"/{name} takes {taken} bytes, and the file has {self.size} in all: it is cut off")
            return 0
        self._places.append((offset, offset + taken, name))
        return offset


def plain(text: str) -> str:
    """Return a foreign text as it can be shown: one with control signs, which could steer a terminal, in quotes."""
    return text if text.isprintable() else ascii(text)


def _read_structure(path: Path, stream: BinaryIO, size: int, cut_off: bool) -> Structure:
    start = stream.read(len(_SIGNATURE))
    if start != _SIGNATURE:
        what = "it is empty" if size == 0 else f"it begins with {start!r}"
        msg = f"{path} is no feature cache: not HDF5, {what}. {_ADVICE}"
        raise CacheFormatError(msg)
    try:
        structure = read_own(stream, size)
    except UnfamiliarError:
        return ask_child(path, _ADVICE)
    if structure.end > size and not cut_off:
        msg = f"{path} is damaged: it should have {structure.end} bytes and has {size}: it is cut off. {_ADVICE}"
        raise CacheFormatError(msg)
    return structure


def _said(array: Array) -> str:
    """Type and shape for people."""
    with suppress(TypeError, ValueError):
        return f"{np.dtype(array.dtype)} {array.shape}"
    return f"{plain(array.dtype)} {array.shape}"


def _deeper(value: Any, most: int) -> bool:
    """Tell whether lists and dicts lie in each other more than `most` deep; without recursion."""
    layer = [value]
    for _ in range(most):
        layer = [
            item
            for outer in layer
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, dict | list)
        ]
        if not layer:
            return False
    return True
