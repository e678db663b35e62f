"""One face in a picture: its box, how sure the detector is, and the eyes where they are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusionfer.exceptions import DataError, ImageError

__all__ = ["Face", "Point", "checked_pixels", "largest_first", "overlap"]

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """A face in a picture.

    Attributes
    ----------
    box : tuple of 4 float
        x, y, width and height in pixels of the picture. A part of it may lie outside, where a face is cut off by the
        border.
    score : float
        Larger is surer. The scale is the detector's own, so scores of two detectors cannot be compared.
    eyes : tuple of two (x, y), or None
        Centres of the eye on the left of the picture and of the right one, in pixels; None where they were not found.
        Given the other way round they are swapped, so that no face is turned upside down.

    Raises
    ------
    DataError
        If the box or the eyes are no finite numbers, the box is empty, or both eyes are at one point.

    Examples
    --------
    >>> Face((10, 20, 40, 40), 3.5).area
    1600.0
    """

    box: tuple[float, float, float, float]
    score: float = 0.0
    eyes: tuple[Point, Point] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        try:
            put(self, "box", _numbers(self.box, (4,)))
            put(self, "score", float(self.score))
            if self.eyes is not None:
                flat = _numbers(np.asarray(self.eyes, dtype=float).ravel(), (4,))
                put(self, "eyes", tuple(sorted((flat[:2], flat[2:]))))
        except (TypeError, ValueError) as error:
            msg = (
                "A face has a box of four finite numbers (x, y, width, height) and perhaps two eyes of two (x, y); got "
                f"box {self.box!r}, score {self.score!r}, eyes {self.eyes!r}."
            )
            raise DataError(msg) from error
        if self.box[2] <= 0 or self.box[3] <= 0:
            msg = f"The box of a face needs a width and a height above 0, got {self.box}."
            raise DataError(msg)
        if self.eyes is not None and self.eyes[0] == self.eyes[1]:
            msg = f"The two eyes of a face cannot be at one point, got {self.eyes}."
            raise DataError(msg)

    @property
    def area(self) -> float:
        """Width times height of the box, in square pixels."""
        return self.box[2] * self.box[3]


def _numbers(values: object, shape: tuple[int, ...]) -> tuple[float, ...]:
    array = np.asarray(values, dtype=float)
    if array.shape != shape or not np.isfinite(array).all():
        msg = f"{shape} finite numbers are needed"
        raise ValueError(msg)
    return tuple(array.tolist())


def largest_first(faces: list[Face]) -> tuple[Face, ...]:
    """Return the faces in an order that depends on them alone: by area, then score, then place."""
    return tuple(sorted(faces, key=lambda face: (-face.area, -face.score, face.box)))


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, float]:
    """Return how far two boxes overlap: as a share of their union, and of the smaller one."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = a[2] * a[3], b[2] * b[3]
    return shared / (sum(areas) - shared), shared / min(areas)


def checked_pixels(pixels: np.ndarray) -> np.ndarray:
    """Return `pixels`, or raise ImageError where they are no picture."""
    array = np.asarray(pixels)
    if array.dtype != np.uint8 or array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        msg = f"Pixels must be uint8, (height, width) or (height, width, 3) in RGB; got {array.dtype} of {array.shape}."
        raise ImageError(msg)
    return array
