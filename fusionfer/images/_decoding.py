"""From a stored picture to grey or RGB pixels, with one defined result for every kind of file."""

from __future__ import annotations

import struct
import threading
import zlib

import cv2
import numpy as np

from fusionfer.exceptions import ImageError
from fusionfer.images._header import read_header

__all__ = ["DECODER", "MAX_PIXELS", "decode_image"]

#: Largest picture that is decoded, in pixels, unless another limit is given.
MAX_PIXELS = 50_000_000

#: Stored with features, because other decoders give other pixels. Raise the number of the rules when they change.
DECODER = f"opencv {cv2.__version__}, rules 1"

# Without IMREAD_IGNORE_ORIENTATION these two flags turn the picture as EXIF says, drop alpha and keep grey grey;
# IMREAD_UNCHANGED would ignore EXIF.
_FLAGS = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH


def decode_image(stored: bytes | np.ndarray, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode one picture.

    The size is read from the header, and a picture above `max_pixels` is refused before it is decoded. The result is
    defined for every kind of file:

    - Grey (also of 1 or 16 bits) stays grey; all else is RGB, also where red, green and blue are equal, and grey with
      alpha.
    - Of 16 bits the high byte is kept.
    - Palette colours become RGB.
    - Alpha is dropped without blending, as Pillow's ``convert("RGB")`` and torchvision do it. (TIFF alone is blended
      with black: libtiff does that.)
    - CMYK becomes RGB by OpenCV's simple formula, without colour profiles; profiles are ignored elsewhere too.
    - The rotation or mirroring that EXIF asks for is applied.
    - Of an animation or of several pages the first picture is taken.

    Parameters
    ----------
    stored : bytes, or ndarray of uint8
        An encoded PNG, JPEG, BMP, GIF, WebP, TIFF or PNM file; or ready pixels, grey or RGB, which are returned as they
        are.
    max_pixels : int
        Largest allowed width times height.

    Returns
    -------
    ndarray of uint8, shape (height, width) or (height, width, 3)
        Grey, or RGB.

    Raises
    ------
    ImageError
        If the file is empty, of another format, cut off, damaged, of a number type other than 8 or 16 bits, or too
        large.

    Examples
    --------
    >>> decode_image(b"P5 3 1 255 abc")
    array([[97, 98, 99]], dtype=uint8)
    >>> decode_image(b"<html>404</html>")
    Traceback (most recent call last):
    fusionfer.exceptions.ImageError: No picture but an HTML page...
    """
    if isinstance(stored, np.ndarray):
        return _checked_pixels(stored, max_pixels)
    kind, width, height = read_header(stored)
    _check_size(width, height, max_pixels)
    _check_whole(stored, kind)
    try:
        with _quiet:
            pixels = cv2.imdecode(np.frombuffer(stored, dtype=np.uint8), _FLAGS)
    except (cv2.error, MemoryError) as error:
        msg = f"The {kind} of {width} x {height} pixels cannot be decoded: {str(error).strip() or 'out of memory'}."
        raise ImageError(msg) from error
    if pixels is None or pixels.size == 0:
        msg = f"The {kind} of {width} x {height} pixels is damaged or cut off ({len(stored)} bytes)."
        raise ImageError(msg)
    _check_size(pixels.shape[1], pixels.shape[0], max_pixels)  # lest a header be read in two ways
    if pixels.dtype == np.uint16:
        pixels = (pixels // 256).astype(np.uint8)
    if pixels.dtype != np.uint8:
        msg = f"The {kind} holds {pixels.dtype} numbers; allowed are 8 and 16 bits without sign."
        raise ImageError(msg)
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _checked_pixels(pixels: np.ndarray, max_pixels: int) -> np.ndarray:
    grey_or_rgb = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not grey_or_rgb or pixels.size == 0:
        msg = f"Pixels must be uint8, (height, width) or (height, width, 3). Got {pixels.dtype} of {pixels.shape}."
        raise ImageError(msg)
    _check_size(pixels.shape[1], pixels.shape[0], max_pixels)
    return pixels


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        msg = (
            f"The picture has {width} x {height} = {width * height:,} pixels; at most {max_pixels:,} are decoded "
            "(raise max_pixels if you trust it)."
        )
        raise ImageError(msg)


def _check_whole(stored: bytes, kind: str) -> None:
    """Refuse a file that lacks its end: some versions of OpenCV fill the rest with grey and say nothing."""
    if kind == "JPEG" and stored.find(b"\xff\xd9", max(stored.find(b"\xff\xda"), 0)) < 0:
        msg = f"The JPEG is cut off: its end marker is missing ({len(stored)} bytes)."
        raise ImageError(msg)
    if kind == "PNG":
        _check_png(stored)


def _check_png(stored: bytes) -> None:
    """Follow the chunks of a PNG to its end, checking each against its CRC."""
    view = memoryview(stored)
    at, name = 8, b""
    while name != b"IEND":
        end = at + 8 + int.from_bytes(view[at : at + 4], "big")
        name = bytes(view[at + 4 : at + 8])
        if end + 4 > len(stored):
            msg = f"The PNG is cut off after {len(stored)} bytes."
            raise ImageError(msg)
        if zlib.crc32(view[at + 4 : end]) != struct.unpack_from(">I", stored, end)[0]:
            msg = f"The PNG is damaged: a checksum differs in its {name.decode('latin-1')} part."
            raise ImageError(msg)
        at = end + 4


class _Quiet:
    """Keeps OpenCV from writing to stderr about a picture for which an ImageError is raised anyway.

    The level is one for the whole process, so the first thread to come lowers it and the last to leave restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._level = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._level = _set_log_level(_SILENT)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                _set_log_level(self._level)


_set_log_level = cv2.utils.logging.setLogLevel
_SILENT = cv2.utils.logging.LOG_LEVEL_SILENT
_quiet = _Quiet()
