"""A frame with what was read in it: box, label, a bar for each probability, frames per second."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from fusionfer.live._reading import Reading

__all__ = ["draw"]

#: Colours of tracks, in turn, RGB: those of Okabe and Ito that stand out from skin, so that all eyes tell them apart.
COLOURS = ((86, 180, 233), (240, 228, 66), (0, 158, 115), (204, 121, 167), (230, 159, 0))
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _DARK = (255, 255, 255), (24, 24, 24)
_SHADE = 0.45  # what is left of the picture behind text


def draw(pixels: np.ndarray, readings: Sequence[Reading], classes: Sequence[str], rate: float | None) -> np.ndarray:
    """Return a copy of a frame with everything drawn into it.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
        RGB.
    readings : sequence of Reading
    classes : sequence of str
        Names of the probabilities.
    rate : float or None
        Frames per second, for the corner; None draws none.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    canvas = np.ascontiguousarray(pixels).copy()
    unit = max(0.6, min(pixels.shape[:2]) / 480)
    for reading in readings:
        colour = COLOURS[(reading.track - 1) % len(COLOURS)]
        x, y, width, height = (round(value) for value in reading.face.box)
        cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, max(1, round(2 * unit)))
        _bars(canvas, reading, classes, colour, unit)
        title = f"{reading.track}: {_plain(reading.label)} {100 * reading.proba.max():.0f} %"
        _line(canvas, title, x, y - round(10 * unit), 0.6 * unit, colour)
    if rate is not None:
        _line(canvas, f"{rate:.1f} frames/s", round(8 * unit), round(22 * unit), 0.5 * unit, _WHITE)
    return canvas


def _bars(
    canvas: np.ndarray, reading: Reading, classes: Sequence[str], colour: tuple[int, int, int], unit: float
) -> None:
    """Draw a panel beside the face, on the side where there is room: one line a class."""
    names, size = [_plain(name)[:14] for name in classes], 0.42 * unit
    text = max(cv2.getTextSize(name, _FONT, size, 1)[0][0] for name in names)
    step, length, gap = round(17 * unit), round(60 * unit), round(5 * unit)
    width, height = text + length + 3 * gap, step * len(names) + gap
    x, y, box_width, _ = (round(value) for value in reading.face.box)
    left = x + box_width + gap
    if left + width > canvas.shape[1]:
        left = x - gap - width if x - gap - width >= 0 else canvas.shape[1] - width
    left, top = max(0, left), min(max(0, y), max(0, canvas.shape[0] - height))
    panel = canvas[top : top + height, left : left + width]
    panel[:] = (panel * _SHADE).astype(np.uint8)
    for k, (name, share) in enumerate(zip(names, reading.proba, strict=True)):
        base = top + (k + 1) * step - gap // 2
        chosen = classes[k] == reading.label
        cv2.putText(canvas, name, (left + gap, base), _FONT, size, colour if chosen else _WHITE, 1, cv2.LINE_AA)
        begin = left + text + 2 * gap
        end = begin + round(length * float(np.clip(share, 0.0, 1.0)))
        cv2.rectangle(canvas, (begin, base - step + 2 * gap), (end, base), colour if chosen else _WHITE, -1)


def _line(canvas: np.ndarray, text: str, x: int, y: int, size: float, colour: tuple[int, int, int]) -> None:
    """Write one line on a dark ground, moved into the picture where it would leave it."""
    (width, height), below = cv2.getTextSize(text, _FONT, size, 1)
    x = min(max(2, x), max(2, canvas.shape[1] - width - 2))
    y = min(max(height + 2, y), canvas.shape[0] - below - 2)
    cv2.rectangle(canvas, (x - 2, y - height - 3), (x + width + 2, y + below), _DARK, -1)
    cv2.putText(canvas, text, (x, y), _FONT, size, colour, 1, cv2.LINE_AA)


def _plain(text: str) -> str:
    """OpenCV's letters are ASCII: accents are left out, what has no likeness becomes a question mark."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return letters.encode("ascii", "replace").decode()
