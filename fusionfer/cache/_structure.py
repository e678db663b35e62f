"""What an HDF5 file says lies where, read from its bytes without HDF5, if they have the form in which fusionfer writes.

HDF5 is a large program in C that a few changed bytes can crash or keep busy for ever. Our files use little of it: one
group, contiguous arrays, short attributes. So little can be read here, each byte looked at before it is believed; a
file of any other form goes to the child process of `_foreign`, whoever made it.

References
----------
The HDF Group, "HDF5 File Format Specification Version 3.0": III.A (superblock 0), III.A.1, III.B, III.D (groups),
IV.A.1.a (object headers 1), IV.A.2 (messages).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

__all__ = ["ARRAYS", "ATTRIBUTES", "MEMBERS", "Array", "Structure", "UnfamiliarError", "read_own"]

MEMBERS = 64  # a cache has ten; more is somebody's bomb
ARRAYS = ("features", "state", "crc32", "reasons", "ids", "labels", "splits", "groups", "digests", "record")
ATTRIBUTES = (
    "format", "version", "needs", "written_by", "created", "backbone", "level", "n", "dim", "block_rows", "key",
    "table_crc32",
)  # fmt: skip

_BUDGET = 1 << 20  # bytes read in all; the key takes 60,000, the rest of a structure some thousand
_MESSAGES = 256  # of one object
_NOWHERE = 2**64 - 1

_NIL, _SPACE, _TYPE, _OLD_FILL, _FILL, _LAYOUT, _ATTRIBUTE = 0x00, 0x01, 0x03, 0x04, 0x05, 0x08, 0x0C
_CONTINUED, _GROUP, _MODIFIED = 0x10, 0x11, 0x12

_INT64 = bytes.fromhex("1008000008000000 00004000")
_NUMBERS = {
    bytes.fromhex("11201f0004000000 00002000 17080017 7f000000"): "<f4",
    bytes.fromhex("1000000001000000 00000800"): "|u1",
    bytes.fromhex("1000000004000000 00002000"): "<u4",
    _INT64: "<i8",
}
_TEXTS = (b"\x13\x01\0\0", b"\x13\x11\0\0")  # of fixed length, padded by NUL, in ASCII or UTF-8
_SCALAR = b"\1\0\0\0\0\0\0\0"


class UnfamiliarError(Exception):
    """The bytes are not of the form that fusionfer writes; they may be neither wrong nor harmful."""


@dataclass(frozen=True)
class Array:
    """What a structure says of one dataset.

    Attributes
    ----------
    shape : tuple of int
        Its shape.
    dtype : str
        As NumPy writes it: ``<f4``, ``|S12``.
    offset : int or None
        First byte in the file; None where no room was given to it.
    plain : bool
        Whether it lies in this file as it is: contiguous, neither filtered nor virtual.
    """

    shape: tuple[int, ...]
    dtype: str
    offset: int | None
    plain: bool = True


@dataclass(frozen=True)
class Structure:
    """What a file says of itself, before any of it is believed.

    Attributes
    ----------
    attributes : dict of str to (bytes, int or None)
        Those of `ATTRIBUTES` that are there; None stands for what is neither a text of fixed length nor an integer.
    arrays : dict of str to Array
        Those of `ARRAYS` that are there.
    links : tuple of str
        Members of the root group that are links to elsewhere.
    members : int
        Number of members of the root group.
    end : int
        Bytes that the file should have at least, which may be more than it has; 0 where that is not said.
    """

    attributes: dict[str, bytes | int | None] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    members: int = 0
    end: int = 0


def read_own(stream: BinaryIO, size: int) -> Structure:
    """Read the structure of a file of the form that fusionfer writes.

    Parameters
    ----------
    stream : binary file
        Open for reading.
    size : int
        Bytes of the file.

    Returns
    -------
    Structure
        Found within 1 MiB of the file.

    Raises
    ------
    UnfamiliarError
        If anything is not of that form.
    """
    source = _Source(stream, size)
    root, group, end = _superblock(source)
    attributes: dict[str, bytes | int | None] = {}
    groups = []
    for kind, body in _messages(source, root):
        if kind == _ATTRIBUTE:
            name, rest = _attribute_name(body)
            _require(name not in attributes)
            attributes[name] = _attribute_value(body, rest) if name in ATTRIBUTES else None
        elif kind == _GROUP:
            groups.append(body)
        else:
            _require(kind in (_NIL, _MODIFIED))
    _require(groups == [group])
    members = _members(source, *struct.unpack("<QQ", group))
    return Structure(
        {name: value for name, value in attributes.items() if name in ATTRIBUTES},
        {name: _array(source, members[name]) for name in ARRAYS if name in members},
        (),
        len(members),
        end,
    )


def _require(familiar: bool) -> None:
    if not familiar:
        raise UnfamiliarError


class _Source:
    """The bytes of a file, as far as they are within it and within the budget."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self._left = _BUDGET

    def read(self, at: int, count: int) -> bytes:
        _require(at >= 0 and 0 < count <= self._left and at + count <= self._size)
        self._left -= count
        self._stream.seek(at)
        content = self._stream.read(count)
        _require(len(content) == count)
        return content


def _superblock(source: _Source) -> tuple[int, bytes, int]:
    """Return where the root group's header is, what it must say of its members, and the length of the file."""
    block = source.read(0, 96)
    # Versions 0, offsets and lengths of 8 bytes, nodes of the usual width, no flags; begins at byte 0.
    _require(block[8:32] == bytes.fromhex("0000000000080800 0400100000000000 0000000000000000"))
    free, end, driver, name, root, cached = struct.unpack_from("<QQQQQQ", block, 32)
    _require(free == driver == _NOWHERE and name == 0 and cached == 1)
    return root, block[80:96], end


def _messages(source: _Source, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each message of an object header of version 1."""
    version, count, references, size = struct.unpack("<BxHII4x", source.read(at, 16))
    _require(version == 1 and count <= _MESSAGES and references == 1)
    blocks = [(at + 16, size)]
    found = 0
    for start, length in blocks:
        block = source.read(start, length)
        place = 0
        while place < length:
            _require(place + 8 <= length and found < count)
            kind, width, flags = struct.unpack_from("<HHB", block, place)
            body = block[place + 8 : place + 8 + width]
            _require(len(body) == width and width % 8 == 0 and flags in (0, 1))
            place += 8 + width
            found += 1
            if kind == _CONTINUED:
                _require(width == 16)
                blocks.append(struct.unpack("<QQ", body))
            else:
                yield kind, body
    _require(found == count)


def _padded(length: int) -> int:
    return -(-length // 8) * 8


def _attribute_name(body: bytes) -> tuple[str, int]:
    """Return the name of an attribute and where in its message the type begins."""
    _require(len(body) >= 8 and body[0] == 1)
    (length,) = struct.unpack_from("<H", body, 2)
    name, end, rest = body[8 : 8 + length].partition(b"\0")
    _require(end == b"\0" and not rest)
    try:
        return name.decode(), 8 + _padded(length)
    except UnicodeDecodeError as error:
        raise UnfamiliarError from error


def _attribute_value(body: bytes, at: int) -> bytes | int:
    """Return a text without its padding, or a 64-bit integer."""
    of_type, of_space = struct.unpack_from("<HH", body, 4)
    kind = body[at : at + of_type]
    at += _padded(of_type)
    _require(body[at : at + of_space] == _SCALAR)
    at += _padded(of_space)
    if kind == _INT64:
        value = body[at : at + 8]
        _require(len(value) == 8)
        return int.from_bytes(value, "little", signed=True)
    _require(len(kind) == 8 and kind[:4] in _TEXTS)
    length = int.from_bytes(kind[4:], "little")
    value = body[at : at + length]
    _require(len(value) == length)
    return value.rstrip(b"\0")


def _members(source: _Source, tree: int, heap: int) -> dict[str, int]:
    """Return name -> where its object header is, for all members of a group, none of which is a link."""
    names = _heap(source, heap)
    node = source.read(tree, 24)
    entries = int.from_bytes(node[6:8], "little")
    _require(node[:6] == b"TREE\0\0" and node[8:] == b"\xff" * 16)  # one leaf holds 64 members and more
    _require(entries <= MEMBERS)
    keys = source.read(tree + 24, 16 * entries + 8)
    members: dict[str, int] = {}
    for child in struct.unpack_from(f"<{2 * entries}Q", keys)[1::2]:
        start = source.read(child, 8)
        count = int.from_bytes(start[6:], "little")
        _require(start[:6] == b"SNOD\1\0" and 0 < count <= 8)
        for name_at, header, cached in struct.iter_unpack("<QQI20x", source.read(child + 8, 40 * count)):
            name = _name(names, name_at)
            _require(cached in (0, 1) and name not in members and len(members) < MEMBERS)
            members[name] = header
    return members


def _heap(source: _Source, at: int) -> bytes:
    """Return the names of a group's members, each ended by NUL."""
    head = source.read(at, 32)
    length, _, place = struct.unpack_from("<QQQ", head, 8)
    _require(head[:8] == b"HEAP\0\0\0\0")
    return source.read(place, length)


def _name(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    _require(0 <= at < end)
    try:
        return names[at:end].decode()
    except UnicodeDecodeError as error:
        raise UnfamiliarError from error


def _array(source: _Source, at: int) -> Array:
    """Return what the header of a dataset says."""
    found: dict[int, bytes] = {}
    for kind, body in _messages(source, at):
        _require(kind in (_NIL, _OLD_FILL, _FILL, _MODIFIED, _ATTRIBUTE) or kind in (_SPACE, _TYPE, _LAYOUT))
        if kind in (_SPACE, _TYPE, _LAYOUT):
            _require(kind not in found)
            found[kind] = body
    _require(len(found) == 3)
    shape = _shape(found[_SPACE])
    dtype, width = _dtype(found[_TYPE])
    layout = found[_LAYOUT]
    _require(len(layout) >= 18 and layout[:2] == b"\3\1")  # contiguous
    offset, length = struct.unpack_from("<QQ", layout, 2)
    _require(offset != _NOWHERE and length == math.prod(shape) * width)
    return Array(shape, dtype, offset)


def _shape(space: bytes) -> tuple[int, ...]:
    version, rank, flags = struct.unpack_from("<BBB", space)
    _require(version == 1 and rank in (1, 2) and flags in (0, 1))
    _require(len(space) == 8 + 8 * rank * (1 + flags))
    shape = struct.unpack_from(f"<{rank}Q", space, 8)
    _require(flags == 0 or space[8 : 8 + 8 * rank] == space[8 + 8 * rank :])  # cannot grow
    return shape


def _dtype(kind: bytes) -> tuple[str, int]:
    """Return a type's name and its width in bytes."""
    if kind[:4] in _TEXTS:
        _require(len(kind) == 8)
        width = int.from_bytes(kind[4:], "little")
        _require(width > 0)
        return f"|S{width}", width
    for known, name in _NUMBERS.items():
        if kind[: len(known)] == known and not any(kind[len(known) :]):
            return name, int(name[2:])
    raise UnfamiliarError
