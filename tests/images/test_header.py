"""The first bytes of picture files."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fusionfer.exceptions import ImageError
from fusionfer.images._header import SUFFIXES, read_header


def encode(image_format, **options):
    """Return a random picture, 7 wide and 5 high, as Pillow writes it."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("image_format", "options", "kind"),
    [
        ("PNG", {}, "PNG"),
        ("JPEG", {}, "JPEG"),
        ("JPEG", {"progressive": True, "comment": b"x" * 999}, "JPEG"),
        ("BMP", {}, "BMP"),
        ("GIF", {}, "GIF"),
        ("WEBP", {}, "WebP"),
        ("WEBP", {"lossless": True}, "WebP"),
        ("WEBP", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}, "WebP"),
        ("TIFF", {}, "TIFF"),
        ("TIFF", {"compression": "tiff_lzw"}, "TIFF"),
        ("TIFF", {"big_tiff": True}, "TIFF"),
        ("PPM", {}, "PNM"),
    ],
)
def test_size_is_what_pillow_wrote(image_format, options, kind):
    """Format, width and height come out of every format that Pillow writes."""
    assert read_header(encode(image_format, **options)) == (kind, 7, 5)


def test_big_endian_tiff_and_upside_down_bmp():
    """Byte order MM and a negative height are understood."""
    tags = struct.pack(">HHI2sxx", 256, 3, 1, b"\0\x07") + struct.pack(">HHI2sxx", 257, 3, 1, b"\0\x05")
    assert read_header(b"MM\0*" + struct.pack(">IH", 8, 2) + tags) == ("TIFF", 7, 5)
    assert read_header(b"BM" + bytes(12) + struct.pack("<Iii", 40, 7, -5)) == ("BMP", 7, 5)
    assert read_header(b"BM" + bytes(12) + struct.pack("<IHH", 12, 7, 5)) == ("BMP", 7, 5)


def test_of_a_tiff_tag_given_twice_the_first_counts():
    """As libtiff has it; the last would let a picture of any size pass for a small one."""
    sizes = [(256, 300), (256, 7), (257, 200), (257, 5)]
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sizes)
    assert read_header(b"II*\0" + struct.pack("<IH", 8, 4) + tags) == ("TIFF", 300, 200)


def test_headers_that_decoders_read_otherwise_are_refused():
    """8-byte numbers in a small TIFF, a JPEG's stuffed zero that would hide a frame, a PNM comment in a number."""
    small = struct.pack("<HHII", 256, 16, 1, 99) + struct.pack("<HHII", 257, 4, 1, 5)
    jpeg = encode("JPEG")
    hidden = jpeg[:2] + b"\xff\x00" + struct.pack(">H", len(jpeg)) + jpeg[2:] + jpeg[2:]
    for stored in (
        b"II*\0" + struct.pack("<IH", 8, 2) + small + bytes(99),
        hidden,
        b"P5\n7#9999\n5\n255\n" + bytes(35),
    ):
        with pytest.raises(ImageError, match="header is damaged"):
            read_header(stored)
    assert read_header(b"P5\n# a\r7 5\n9 255\n" + bytes(35)) == ("PNM", 7, 5)


def test_a_pnm_of_blanks_takes_no_time():
    """Megabytes of blanks are refused in one pass."""
    with pytest.raises(ImageError, match="Looks like PNM, but its header is damaged"):
        read_header(b"P5" + b" " * 1_000_000 + b"x")


def test_pnm_with_comments():
    """Comments may stand between the numbers of a PNM header."""
    assert read_header(b"P5\n# made by hand\n7 # wide\n5\n255\n" + bytes(35)) == ("PNM", 7, 5)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"\n<!DOCTYPE html><html>", "No picture but an HTML page"),
        (b"<HTML>", "No picture but an HTML page"),
        (b"<?xml version='1.0'?><svg/>", "XML or SVG"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"%PDF-1.4", "a PDF"),
        (b"\0\0\0\x1cftypheic", "HEIC or AVIF"),
        (bytes(64), "zero bytes only"),
        (b'{"error": 404}', "JSON"),
        (b"Not found\n", "plain text"),
        (b"\x01\x02\x03\xff", "unknown first bytes 01 02 03 ff"),
        (b"\x89PNG\r\n\x1a\n", "Looks like PNG, but its header is damaged"),
        (b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 0, 5), "says 0 x 5 pixels"),
        (b"\xff\xd8\xff\xda", "Looks like JPEG, but its header is damaged"),
        (b"P5 x y", "Looks like PNM, but its header is damaged"),
    ],
)
def test_strangers_are_named(stored, message):
    """What is no picture is refused, and the error says what it looks like."""
    with pytest.raises(ImageError, match=message):
        read_header(stored)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_no_cut_gives_anything_but_an_image_error(image_format):
    """However short the file is cut, the answer is the right size or an ImageError."""
    whole = encode(image_format)
    for length in range(len(whole)):
        try:
            size = read_header(whole[:length])[1:]
        except ImageError:
            continue
        assert size == (7, 5)


def test_enormous_png_costs_nothing():
    """Fault 14: the size of a 30000 x 30000 PNG comes from its first 33 bytes."""
    head = struct.pack(">4sIIBBBBB", b"IHDR", 30000, 30000, 8, 2, 0, 0, 0)
    stored = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    assert read_header(stored) == ("PNG", 30000, 30000)


def test_suffixes_are_lower_case_with_a_dot():
    """Endings are compared in lower case, so they must be written so."""
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
