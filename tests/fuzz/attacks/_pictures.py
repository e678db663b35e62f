"""Pictures: sizes that are declared and sizes that come."""

from __future__ import annotations

import struct
import zlib

from attacks._registry import attack


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
