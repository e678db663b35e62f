"""What the first bytes of an image file say: its format and its size, before anything is decoded."""

from __future__ import annotations

import re
import struct

from fusionfer.exceptions import ImageError

__all__ = ["SUFFIXES", "read_header"]

#: File name endings under which a picture is looked for, in lower case.
SUFFIXES = frozenset(
    (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
)

_SUPPORTED = "PNG, JPEG, BMP, GIF, WebP, TIFF and PNM"

# What else is met under the name of a picture, by its first bytes.
_STRANGERS: tuple[tuple[bytes, str], ...] = (
    (
        rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|!--)",
        "an HTML page, as a failed download leaves it",
    ),
    (rb"\s*(?:\xef\xbb\xbf)?\s*<(?:\?xml|svg)", "XML or SVG"),
    (rb"version https://git-lfs", "a Git LFS pointer (run `git lfs pull`)"),
    (rb"%PDF", "a PDF"),
    (rb"PK\x03\x04", "a zip archive"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb"....ftyp(?:avi|mif|msf|hei|hev)", "HEIC or AVIF"),
    (rb"\0\0\0\x0cjP  ", "JPEG 2000"),
    (rb"\0+\Z", "zero bytes only, as a broken copy leaves them"),
    (rb"\s*[\[{]", "JSON"),
    (rb"[\t\n\r\x20-\x7e]+\Z", "plain text"),
)


def read_header(stored: bytes) -> tuple[str, int, int]:
    """Return format, width and height of an encoded picture without decoding it.

    Parameters
    ----------
    stored : bytes
        The whole file.

    Returns
    -------
    kind : str
        "PNG", "JPEG", "BMP", "GIF", "WebP", "TIFF" or "PNM".
    width, height : int
        As stored, before any rotation that EXIF asks for; both at least 1.

    Raises
    ------
    ImageError
        If the file is empty, no picture of these formats, or ends inside its header.
    """
    if not stored:
        msg = "The file is empty (0 bytes)."
        raise ImageError(msg)
    for magic, kind, parse in _FORMATS:
        if magic.match(stored):
            try:
                width, height = parse(stored)
            except (struct.error, IndexError, ValueError) as error:
                msg = f"Looks like {kind}, but its header is damaged or cut off ({len(stored)} bytes)."
                raise ImageError(msg) from error
            if width < 1 or height < 1:
                msg = f"Looks like {kind}, but its header says {width} x {height} pixels."
                raise ImageError(msg)
            return kind, width, height
    head = stored[:512]
    found = next((what for magic, what in _STRANGERS if re.match(magic, head, re.DOTALL | re.IGNORECASE)), None)
    msg = f"No picture but {found}." if found else f"No picture: unknown first bytes {head[:8].hex(' ')}."
    raise ImageError(f"{msg} Read are {_SUPPORTED}.")


def _png(stored: bytes) -> tuple[int, int]:
    if stored[12:16] != b"IHDR":
        raise ValueError
    return struct.unpack_from(">II", stored, 16)


# Markers that carry the size: SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC).
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg(stored: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if stored[at] != 0xFF:
            raise ValueError
        while stored[at] == 0xFF:  # any number of fill bytes may precede a marker
            at += 1
        marker = stored[at]
        at += 1
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", stored, at + 3)
            return width, height
        if marker in (0x00, 0xDA):  # no marker, which libjpeg passes over; or the scan begins, and no frame came before
            raise ValueError
        if marker != 0x01 and not 0xD0 <= marker <= 0xD7:  # these stand alone, all others carry a length
            at += struct.unpack_from(">H", stored, at)[0]


def _bmp(stored: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", stored, 14)[0] == 12:  # the header of OS/2 1.x
        return struct.unpack_from("<HH", stored, 18)
    width, height = struct.unpack_from("<ii", stored, 18)
    return width, abs(height)  # negative: rows run from top to bottom


def _gif(stored: bytes) -> tuple[int, int]:
    return struct.unpack_from("<HH", stored, 6)


def _webp(stored: bytes) -> tuple[int, int]:
    chunk = stored[12:16]
    if chunk == b"VP8X":
        return (
            (
                int.from_bytes(stored[24:27], "little") + 1,
                int.from_bytes(stored[27:30], "little") + 1,
            )
            if len(stored) >= 30
            else (0, 0)
        )
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", stored, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", stored, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError


def _tiff(stored: bytes) -> tuple[int, int]:
    order = "<" if stored[:2] == b"II" else ">"
    big = stored[2:4] in (b"+\0", b"\0+")  # BigTIFF is version 43
    first = struct.unpack_from(order + ("Q" if big else "I"), stored, 8 if big else 4)[0]
    count = struct.unpack_from(order + ("Q" if big else "H"), stored, first)[0]
    size = {}
    for i in range(min(count, 4096)):
        entry = first + (8 + 20 * i if big else 2 + 12 * i)
        tag, kind = struct.unpack_from(order + "HH", stored, entry)
        if tag in (256, 257) and tag not in size:  # of a tag given twice libtiff takes the first
            code = {1: "B", 3: "H", 4: "I", 16: "Q" if big else None}.get(kind)
            if code is None:
                raise ValueError
            size[tag] = struct.unpack_from(order + code, stored, entry + (12 if big else 8))[0]
    return size.get(256, 0), size.get(257, 0)


# As OpenCV reads it: a comment ends with either line end, and a number with white space only.
_PNM = re.compile(rb"P[1-6](?:\s|#[^\r\n]*[\r\n])+(\d{1,9})\s(?:\s|#[^\r\n]*[\r\n])*(\d{1,9})\s")


def _pnm(stored: bytes) -> tuple[int, int]:
    found = _PNM.match(stored)
    if found is None:
        raise ValueError
    return int(found[1]), int(found[2])


# Compiled here: for a small picture, the look-up in re's own cache would be felt.
_FORMATS = tuple(
    (re.compile(magic, re.DOTALL), kind, parse)
    for magic, kind, parse in (
        (rb"\x89PNG\r\n\x1a\n", "PNG", _png),
        (rb"\xff\xd8\xff", "JPEG", _jpeg),
        (rb"BM.{12}", "BMP", _bmp),
        (rb"GIF8[79]a", "GIF", _gif),
        (rb"RIFF....WEBP", "WebP", _webp),
        (rb"II[*+]\0|MM\0[*+]", "TIFF", _tiff),
        (rb"P[1-6][\s#]", "PNM", _pnm),
    )
)
