"""From shapes in face coordinates to pixels: pose, supersampled painting, light, lens and grain.

Face coordinates: the origin lies between the eyes and the tip of the nose, x points to the right of the picture, y
down, z to the viewer; a head reaches from about -1 (crown) to 1 (chin). Posing the points, and not the finished
picture, keeps edges sharp and lets the nose move against the cheeks as it does in a head that turns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["Canvas", "Colour", "View"]

Colour = tuple[float, float, float]

SUPERSAMPLING = 3
FACE_UNIT = 0.42  # of the picture's side
SUBPIXEL_BITS = 4  # OpenCV's fixed-point coordinates
CAMERA_DISTANCE = 5.0  # in face units
NEUTRAL_GREY = 128  # of the relief, where nothing is raised or sunk


@dataclass(frozen=True)
class View:
    """How a face is seen: everything in a picture that is neither person nor expression.

    Attributes
    ----------
    yaw, pitch, roll : float
        Rotation of the head in radians: to the right of the picture, up, clockwise.
    zoom : float
        1 fills the picture with the face.
    shift_x, shift_y : float
        Of the whole face, in face units.
    light_x, light_y : float
        Where the light comes from, -1 to 1 each; (0, 0) is the camera.
    light : float
        Share of the light that comes from there, 0 to 1; the rest is ambient.
    tint : tuple of 3 float
        Colour of the light; (1, 1, 1) is white.
    brightness : float
        Added to every value, in grey levels.
    contrast : float
        Factor about middle grey.
    blur : float
        Standard deviation of the Gaussian blur, as a share of the picture's side.
    noise : float
        Standard deviation of the noise, in grey levels.
    grain : int
        Seed of the noise.
    background : tuple of 3 float
        RGB, 0 to 255.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    zoom: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    light_x: float = -0.3
    light_y: float = -0.4
    light: float = 0.35
    tint: Colour = (1.0, 1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    grain: int = 0
    background: Colour = (120.0, 130.0, 140.0)

    def project(self, points: np.ndarray, depth: np.ndarray, size: int) -> np.ndarray:
        """Return where points of the face appear in a picture.

        Parameters
        ----------
        points : ndarray of float, shape (n, 2)
            Face coordinates.
        depth : ndarray of float, shape (n,)
            Height of each point above the curved front of the head.
        size : int
            Side of the picture in pixels.

        Returns
        -------
        ndarray of float, shape (n, 2)
            (x, y) in pixels from the upper left corner of the picture.
        """
        x, y = points[:, 0], points[:, 1]
        z = 0.75 * np.sqrt(np.maximum(0.0, 1.0 - (x / 0.8) ** 2 - (y / 1.1) ** 2)) + depth
        sin, cos = math.sin(self.yaw), math.cos(self.yaw)
        x, z = x * cos + z * sin, z * cos - x * sin
        sin, cos = math.sin(self.pitch), math.cos(self.pitch)
        y, z = y * cos - z * sin, z * cos + y * sin
        near = CAMERA_DISTANCE / (CAMERA_DISTANCE + 0.5 - z)
        x, y = x * near, y * near
        sin, cos = math.sin(self.roll), math.cos(self.roll)
        scale = self.zoom * FACE_UNIT * size
        return np.stack(
            [
                size / 2 + scale * (x * cos - y * sin + self.shift_x),
                size / 2 + scale * (x * sin + y * cos + self.shift_y),
            ],
            axis=1,
        )


@dataclass(frozen=True)
class _Shape:
    points: np.ndarray
    depth: float
    colour: Colour
    width: float  # of the line in face units; 0 fills the outline
    soft: bool = False  # part of the relief
    opaque: bool = False  # flattens the relief behind it


class Canvas:
    """Shapes in the order in which they are painted; `render` makes the picture."""

    def __init__(self) -> None:
        self._shapes: list[_Shape] = []

    def fill(self, points: np.ndarray, colour: Colour, depth: float = 0.0) -> None:
        """Paint the inside of a closed outline; points of shape (n, 2) in face coordinates, RGB from 0 to 255."""
        self._shapes.append(_Shape(points, depth, colour, 0.0))

    def cover(self, points: np.ndarray, colour: Colour, depth: float = 0.0) -> None:
        """Paint the inside of a closed outline so that not even the shading of what lies behind is seen."""
        self._shapes.append(_Shape(points, depth, colour, 0.0, opaque=True))

    def line(self, points: np.ndarray, colour: Colour, width: float, depth: float = 0.0) -> None:
        """Draw an open line; points of shape (n, 2) and width in face coordinates, RGB from 0 to 255."""
        self._shapes.append(_Shape(points, depth, colour, width))

    def shade(self, points: np.ndarray, amount: float, depth: float = 0.0) -> None:
        """Make the inside of an outline softly brighter (amount up to 1) or darker (down to -1)."""
        grey = NEUTRAL_GREY * (1.0 + amount)
        self._shapes.append(_Shape(points, depth, (grey, grey, grey), 0.0, soft=True))

    def render(self, view: View, size: int) -> np.ndarray:
        """Return the picture: uint8 RGB of shape (size, size, 3)."""
        fine = size * SUPERSAMPLING
        paint = np.empty((fine, fine, 3), np.uint8)
        paint[:] = np.clip(view.background, 0, 255)
        relief: np.ndarray = np.full((size, size), NEUTRAL_GREY, np.uint8)
        self._paint(view, size, paint, relief)
        picture = cv2.resize(paint, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
        relief = cv2.GaussianBlur(relief, (0, 0), 0.022 * size)
        light = _light(view, size) * relief.astype(np.float32) / NEUTRAL_GREY
        picture *= light[:, :, None] * np.array(view.tint, np.float32)
        return _lens(picture, view, size)

    def _paint(self, view: View, size: int, paint: np.ndarray, relief: np.ndarray) -> None:
        if not self._shapes:
            return
        # Everything is projected at once: a face has some seventy shapes, and one call each costs more than painting.
        lengths = [len(shape.points) for shape in self._shapes]
        depth = np.repeat([shape.depth for shape in self._shapes], lengths)
        scale = np.repeat([1 if shape.soft else SUPERSAMPLING for shape in self._shapes], lengths)[:, None]
        projected = view.project(np.concatenate([shape.points for shape in self._shapes]), depth, size)
        pixels = projected * scale - 0.5  # OpenCV counts from the middle of the first pixel
        fixed = np.rint(pixels * (1 << SUBPIXEL_BITS)).astype(np.int32)
        colours = np.clip([shape.colour for shape in self._shapes], 0.0, 255.0).tolist()
        unit = FACE_UNIT * view.zoom * size * SUPERSAMPLING
        end = 0
        flat = (NEUTRAL_GREY,)
        for shape, colour, length in zip(self._shapes, colours, lengths, strict=True):
            outline = [fixed[end : end + length]]
            end += length
            if shape.width:
                width = max(1, round(shape.width * unit))
                cv2.polylines(paint, outline, False, colour, width, cv2.LINE_AA, SUBPIXEL_BITS)
            else:
                cv2.fillPoly(relief if shape.soft else paint, outline, colour, cv2.LINE_AA, SUBPIXEL_BITS)
            if shape.opaque:
                coarse = [np.rint((projected[end - length : end] - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)]
                cv2.fillPoly(relief, coarse, flat, cv2.LINE_AA, SUBPIXEL_BITS)


def _light(view: View, size: int) -> np.ndarray:
    """Return the light that falls on each pixel of a curved front; 1 is full."""
    centre = view.project(np.zeros((1, 2)), np.full(1, -0.75), size)[0]
    radius = FACE_UNIT * view.zoom * size
    axis = np.arange(size, dtype=np.float32) + 0.5
    # The normals of a paraboloid: unlike an ellipsoid's they have no rim that would show as a ring around the head.
    x = (1.2 * (axis - centre[0]) / radius)[None, :].astype(np.float32)
    y = (0.9 * (axis - centre[1]) / radius)[:, None].astype(np.float32)
    towards = np.array([view.light_x, view.light_y, 1.0])
    lx, ly, lz = (towards / np.linalg.norm(towards)).tolist()
    directed = np.maximum((lx * x + ly * y + lz) / np.sqrt(x * x + y * y + 1.0), 0.0)
    light: np.ndarray = 1.0 + view.light * (1.25 * directed - 1.0)
    return light


def _lens(picture: np.ndarray, view: View, size: int) -> np.ndarray:
    """Apply contrast, blur and noise to a float picture and return uint8."""
    picture = (picture - NEUTRAL_GREY) * view.contrast + (NEUTRAL_GREY + view.brightness)
    if view.blur > 0:
        picture = cv2.GaussianBlur(picture, (0, 0), view.blur * size)
    if view.noise > 0:
        grain = np.random.default_rng(view.grain).standard_normal((size, size, 1), dtype=np.float32)
        picture += view.noise * grain
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
