"""Faces by Haar cascades, with eyes: what OpenCV ships, made usable from several threads and for turned faces."""

from __future__ import annotations

import math
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.faces._aligning import FRAME
from fusionfer.faces._face import Face, Point, checked_pixels, largest_first, overlap

__all__ = ["HaarDetector"]

_FACES = "haarcascade_frontalface_alt2.xml"
#: How eyes are looked for, one after the other until a pair is found: cascade, width to which the face is brought,
#: step between sizes. The first takes a tenth of the time of all three and finds 9 of 10 pairs that they find.
_EYES = (
    ("haarcascade_eye.xml", 100, 1.1),
    ("haarcascade_eye.xml", 160, 1.05),
    ("haarcascade_eye_tree_eyeglasses.xml", 100, 1.1),
)
_WEAK = 3  # windows that are enough where both eyes are found
#: Faces with a longer side, in pixels, are looked for in the picture shrunk by 2, 4, ... (see `_windows`); sizes
#: overlap, so that those between two of them lose no windows.
_LARGE, _OVERLAP = 128, 0.8
#: Where eyes may be in a Haar box, as shares of its side: x of the left and the right eye, y, distance.
_LEFT, _RIGHT, _HEIGHT, _APART = (0.12, 0.5), (0.5, 0.88), (0.2, 0.56), (0.25, 0.6)


class _Cascades(threading.local):
    """The cascades of one thread: OpenCV's classifier holds buffers, so two threads cannot share it."""

    def __init__(self) -> None:
        self.loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.loaded:
            path = Path(cv2.data.haarcascades) / name  # type: ignore[attr-defined]
            self.loaded[name] = cv2.CascadeClassifier(str(path))
            if self.loaded[name].empty():
                del self.loaded[name]
                msg = f"OpenCV's cascade {path} is missing. Install opencv-python-headless anew, which brings it."
                raise DataError(msg)
        return self.loaded[name]


_cascades = _Cascades()


@dataclass(frozen=True)
class HaarDetector:
    """Frontal faces by the boosted cascade of Viola and Jones (2001), as OpenCV ships it.

    One detector may be used from several threads at once; each has cascades of its own. The same picture gives the same
    faces, whatever the number of threads.

    Parameters
    ----------
    min_size : int
        Side of the smallest face that is looked for, in pixels of the picture, from 20.
    max_side : int
        Pictures whose longer side is longer are shrunk to it first, so faces below ``20 * side / max_side`` pixels are
        not found there.
    neighbours : int
        How many windows must agree on a face; more is stricter. Three are enough where both eyes are found in it.
    turn : float
        Where nothing is found upright, the picture is tried turned by this many degrees to both sides; 0 does not.
    eyes : bool
        Whether eyes are looked for.

    Raises
    ------
    DataError
        If a number is out of range, or the cascades are not there.
    """

    min_size: int = 24
    max_side: int = 1024
    neighbours: int = 8
    turn: float = 25.0
    eyes: bool = True

    def __post_init__(self) -> None:
        limits = {"min_size": (20, 4096), "max_side": (64, 16384), "neighbours": (1, 100), "turn": (0, 60)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) or (name == "turn" and isinstance(value, float))
            if isinstance(value, bool) or not whole or not low <= value <= high:
                msg = f"haar: {name} must be a number from {low} to {high}, got {value!r}."
                raise DataError(msg)

    def __call__(self, pixels: np.ndarray) -> tuple[Face, ...]:
        """Return the faces of a picture, largest first.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
            Grey, or RGB.

        Returns
        -------
        tuple of Face
            `score` is the number of windows that agree on the face. (The votes of the cascade's last stage, which
            OpenCV gives as well, are the same for faces and for what is none.)
        """
        pixels = checked_pixels(pixels)
        grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        height, width = grey.shape
        scale = min(1.0, self.max_side / max(height, width))
        if scale < 1.0:
            small = (max(round(width * scale), 1), max(round(height * scale), 1))
            grey = cv2.resize(grey, small, interpolation=cv2.INTER_AREA)
        found = self._upright(grey, scale)
        for degrees in (-self.turn, self.turn) if self.turn and not found else ():
            found += self._turned(grey, scale, degrees)
        return largest_first(_distinct([_enlarged(face, 1.0 / scale) for face in found]))

    def describe(self) -> dict[str, Any]:
        """Return what decides where faces are found, as JSON knows it."""
        return {"name": "haar", "cascade": _FACES, "opencv": cv2.__version__, **asdict(self)}

    def _upright(self, grey: np.ndarray, scale: float) -> list[Face]:
        """Return the upright faces of a grey picture; faces at its very border need the frame that is added."""
        # The windows that agree on a face at the border reach beyond it: without the frame 54 % of FER-2013's faces
        # are found, with it 75 %.
        frame = min(min(grey.shape) // 4, 24)
        framed = cv2.copyMakeBorder(grey, frame, frame, frame, frame, cv2.BORDER_REPLICATE)
        smallest = max(20, round(self.min_size * scale))
        weak = min(_WEAK, self.neighbours) if self.eyes else self.neighbours
        faces = []
        for box, agree in _windows(framed, smallest, weak):
            eyes = self._eyes(framed, box, frame) if self.eyes else None
            if eyes is not None or agree >= self.neighbours:
                faces.append(Face((box[0] - frame, box[1] - frame, box[2], box[3]), agree, eyes))
        return _distinct(faces)

    def _turned(self, grey: np.ndarray, scale: float, degrees: float) -> list[Face]:
        """Return the faces of the picture turned by `degrees`, at their places in the picture as it is."""
        height, width = grey.shape
        angle = math.radians(degrees)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        side = math.ceil(abs(turn[0]) @ (width, height)), math.ceil(abs(turn[1]) @ (width, height))
        shift = np.array([width, height]) / 2 - turn @ (np.array(side) / 2)
        turned = cv2.warpAffine(
            grey,
            np.column_stack([turn, shift]),
            side,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        faces = []
        for face in self._upright(turned, scale):
            x, y, box_width, box_height = face.box
            # Eyes that the cascade did not find are where they are in most faces: without them the turn would be lost.
            eyes = face.eyes or tuple((x + u * box_width, y + v * box_height) for u, v in FRAME)
            left, right = (tuple((turn @ eye + shift).tolist()) for eye in eyes)
            middle = turn @ (x + box_width / 2, y + box_height / 2) + shift
            box = (middle[0] - box_width / 2, middle[1] - box_height / 2, box_width, box_height)
            faces.append(Face(box, face.score, (left, right)))
        return faces

    def _eyes(self, grey: np.ndarray, box: list[int], frame: int) -> tuple[Point, Point] | None:
        """Return the pair of eyes in a face's upper part that fits best, or None."""
        x, y, side, _ = box
        top, bottom = y + round(0.1 * side), y + round(0.62 * side)
        upper = grey[top:bottom, x : x + side]
        for name, width, step in _EYES:
            zoom = width / side
            method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
            work = cv2.resize(upper, (width, round((bottom - top) * zoom)), interpolation=method)
            smallest, largest = round(0.15 * width), round(0.45 * width)
            found, _, votes = _cascades[name].detectMultiScale3(
                work, step, 2, 0, (smallest, smallest), (largest, largest), outputRejectLevels=True
            )
            pair = _best_pair(
                [
                    (vote, (u + w / 2) / width, (v + h / 2) / width + (top - y) / side)
                    for (u, v, w, h), vote in zip(np.asarray(found).tolist(), np.ravel(votes).tolist(), strict=True)
                ]
            )
            if pair is not None:
                (a, b), (c, d) = pair
                return (x + a * side - frame, y + b * side - frame), (x + c * side - frame, y + d * side - frame)
        return None


def _windows(grey: np.ndarray, smallest: int, weak: int) -> list[tuple[list[int], int]]:
    """Return boxes (x, y, side, side) on which at least `weak` windows agree, and how many do."""
    # OpenCV's cascade shrinks pictures without smoothing, so that grain and texture drown large faces. Shrunk by
    # areas before, they are found.
    found: list[tuple[list[int], int]] = []
    factor = 1
    while True:
        last = min(grey.shape) < 2 * _LARGE
        least = max(20, math.ceil(smallest / factor), 0 if factor == 1 else round(_OVERLAP * _LARGE / 2))
        most = max(grey.shape) if last else _LARGE
        if least <= most:
            boxes, windows = _cascades[_FACES].detectMultiScale2(grey, 1.1, weak, 0, (least, least), (most, most))
            sides = np.asarray(boxes, dtype=int).reshape(-1, 4) * factor
            found += zip(sides.tolist(), np.ravel(windows).tolist(), strict=True)
        if last:
            return found
        factor *= 2
        rows, columns = grey.shape[0] // 2, grey.shape[1] // 2
        grey = cv2.resize(grey[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)


def _best_pair(candidates: list[tuple[float, float, float]]) -> tuple[Point, Point] | None:
    """Return the surest two candidates that can be the eyes of one face; positions are shares of its side."""
    lefts = [c for c in candidates if _LEFT[0] <= c[1] <= _LEFT[1] and _HEIGHT[0] <= c[2] <= _HEIGHT[1]]
    rights = [c for c in candidates if _RIGHT[0] <= c[1] <= _RIGHT[1] and _HEIGHT[0] <= c[2] <= _HEIGHT[1]]
    pairs = [
        (a[0] + b[0], a[1:], b[1:])
        for a in lefts
        for b in rights
        if _APART[0] <= b[1] - a[1] <= _APART[1] and abs(b[2] - a[2]) <= 0.5 * (b[1] - a[1])
    ]
    return max(pairs)[1:] if pairs else None


def _distinct(faces: list[Face]) -> list[Face]:
    """Of boxes that overlap by more than 0.4 of their union, or lie within another, keep the surest."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda one: (-one.score, one.box)):
        if all(overlap(face.box, other.box)[0] <= 0.4 and overlap(face.box, other.box)[1] <= 0.8 for other in kept):
            kept.append(face)
    return kept


def _enlarged(face: Face, factor: float) -> Face:
    """Return a face at its place in a picture that is `factor` times as large."""
    if factor == 1.0:
        return face
    x, y, width, height = (value * factor for value in face.box)
    eyes = None if face.eyes is None else tuple((u * factor, v * factor) for u, v in face.eyes)
    return Face((x, y, width, height), face.score, eyes)  # type: ignore[arg-type]
