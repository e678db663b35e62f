"""What it takes to look at every picture once."""

from __future__ import annotations

from fusionfer.costs._machine import cores, decoders, slowness
from fusionfer.costs._summing import summed
from fusionfer.memory import Estimate

__all__ = ["estimate_audit", "estimate_eda"]

_MB = 1 << 20
_PROGRAMS = 40 * _MB  # the interpreter, NumPy, OpenCV
_LEARNING = 75 * _MB  # SciPy and scikit-learn beside them
_FIGURES = 50 * _MB  # matplotlib
_ROW = 900  # bytes: ids, labels, groups as text, the key of a picture, digests
_THUMBNAIL = 1032  # bytes, as the audit keeps them
_NEAR_ROW = 1400  # bytes: descriptors and candidates
_NEAR = 60 * _MB  # blocks that are compared and aligned
_DECODED = 12  # bytes a pixel while a picture is decoded and looked at: colour, grey, and a copy in floats
_START = 3.0  # seconds

_LOOK, _LOOK_PIXEL = 0.15, 35e-6  # ms a picture, and each of its pixels: decoding, digest, thumbnail
_EDA, _EDA_PIXEL = 0.1, 40e-6
_NEAR_EACH, _NEAR_PAIR = 2.4, 67e-6  # ms a picture, and each pair of them


def _decoding(pixels: int) -> int:
    return decoders() * _DECODED * pixels


def estimate_eda(n: int, pixels: int = 48 * 48, *, samples: int = 56, figures: bool = False) -> Estimate:
    """Estimate what a look at n pictures takes.

    Parameters
    ----------
    n : int
        Pictures.
    pixels : int
        Of a picture.
    samples : int
        Pictures that are kept to be shown.
    figures : bool
        Whether figures are drawn.

    Returns
    -------
    Estimate
    """
    parts = [
        ("programs", _PROGRAMS + figures * _FIGURES),
        ("tables of rows", n * _ROW),
        ("pictures being decoded", _decoding(pixels)),
        ("samples", 3 * samples * min(pixels, 1 << 16)),
    ]
    seconds = slowness() * (1e-3 * n * (_EDA + _EDA_PIXEL * pixels) / cores() + _START + 4.0 * figures)
    return summed("eda", parts, seconds)


def estimate_audit(
    n: int, pixels: int = 48 * 48, *, near: bool = True, faces: bool = False, noise: Estimate | None = None,
    limit: int | None = None,
) -> Estimate:  # fmt: skip
    """Estimate what an audit of n pictures takes.

    Parameters
    ----------
    n : int
        Pictures.
    pixels : int
        Of a picture.
    near : bool
        Whether near copies are looked for.
    faces : bool
        Whether faces are looked for.
    noise : Estimate, optional
        Of the search for wrong labels, which follows.
    limit : int, optional
        Bytes that are allowed: thumbnails that would take more than an eighth of them lie in a file.

    Returns
    -------
    Estimate
    """
    thumbnails = n * _THUMBNAIL * near
    parts = [
        ("programs", _PROGRAMS + _LEARNING),
        ("tables of rows", n * _ROW),
        ("pictures being decoded", _decoding(pixels)),
        ("thumbnails", 0 if limit is not None and 8 * thumbnails > limit else thumbnails),
        ("near copies", near * (_NEAR + n * _NEAR_ROW)),
    ]
    work = n * (_LOOK + _LOOK_PIXEL * pixels)
    if near:
        work += n * (_NEAR_EACH + _NEAR_PAIR * n / 2)
    if faces:
        work += n * (2.0 + 1e-3 * pixels)
    seconds = slowness() * (1e-3 * work / cores() + _START)
    found = summed("audit", parts, seconds)
    if noise is None:
        return found
    kept = n * _ROW
    more = [*found.parts] if found.bytes >= noise.bytes + kept else [*noise.parts, ("tables of rows", kept)]
    return summed("audit", more, found.seconds + noise.seconds)
