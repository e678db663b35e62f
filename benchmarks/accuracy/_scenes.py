"""Videos of invented people whose expression is known at every moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np

from fusionfer.images import generate_faces
from fusionfer.images._canvas import View
from fusionfer.images._drawing import Actions, draw_face
from fusionfer.images._generated import EXPRESSIONS, Person, _express, _see

__all__ = ["Scene", "Shot", "people", "portrait", "scene", "write_video"]

GREY = (118.0, 124.0, 130.0)
CHANGE = 0.24  # seconds in which one expression becomes the next
GRAIN = 2.5  # standard deviation of the sensor's noise, in grey levels


def people(n: int, seed: int = 0) -> tuple[Person, ...]:
    """Return the first `n` people that `generate_faces` invents for a seed."""
    return generate_faces(n, 1, seed=seed).source.people  # type: ignore[attr-defined]


def portrait(person: Person, expression: str, seed: int, size: int = 220) -> np.ndarray:
    """Return a whole head: uint8 RGB of shape (size, size, 3), as faces in videos are drawn."""
    rng = np.random.default_rng(seed)
    view = replace(
        _see(rng, person.looks.skin), zoom=1.0, shift_x=0.0, shift_y=0.0, background=GREY,
        roll=float(rng.normal(0.0, 0.06)), yaw=float(rng.normal(0.0, 0.08)), noise=GRAIN,
    )  # fmt: skip
    return draw_face(person.looks, _express(rng, expression, person.rest), view, size=size)


@dataclass(frozen=True)
class Shot:
    """A frame and the truth: one label and one box around the head for each person, left to right at the beginning."""

    pixels: np.ndarray
    time: float
    labels: tuple[str, ...]
    boxes: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Scene:
    """Who moves through a picture, and how.

    Attributes
    ----------
    people : sequence of Person
        Each in a strip of the picture.
    seconds : float
    hold : float
        Seconds after which each shows another expression.
    rate : float
        Frames per second.
    size : tuple of (int, int)
        Width and height.
    head : float
        Side of a drawn head as a share of the picture's height.
    seed : int
        Of expressions, paths, light and noise.
    """

    people: Sequence[Person]
    seconds: float = 28.0
    hold: float = 2.0
    rate: float = 25.0
    size: tuple[int, int] = (640, 480)
    head: float = 0.45
    seed: int = 0


def scene(about: Scene) -> Iterator[Shot]:
    """Yield the frames of a scene, the same for the same seed."""
    background = _background(about)
    actors = [_Actor(about, k) for k in range(len(about.people))]
    for number in range(round(about.seconds * about.rate)):
        time = number / about.rate
        pixels, boxes = background.copy(), []
        for actor in actors:
            boxes.append(actor.paint(pixels, time, number))
        yield Shot(pixels, time, tuple(actor.label(time) for actor in actors), tuple(boxes))


def write_video(path: Path, about: Scene) -> list[Shot]:
    """Write a scene as Motion JPEG, and return its truth, without the pixels."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), about.rate, about.size)
    truth = []
    for shot in scene(about):
        writer.write(shot.pixels[..., ::-1].copy())
        truth.append(replace(shot, pixels=np.empty((0, 0, 3), np.uint8)))
    writer.release()
    return truth


class _Actor:
    """One person of a scene: which expression when, where on which path, in which light."""

    def __init__(self, about: Scene, k: int) -> None:
        self.about, self.k, self.person = about, k, about.people[k]
        rng = np.random.default_rng(np.random.SeedSequence(about.seed, spawn_key=(k,)))
        n = math.ceil(about.seconds / about.hold) + 1
        rounds = [rng.permutation(len(EXPRESSIONS)) for _ in range(math.ceil(n / len(EXPRESSIONS)))]
        order = np.concatenate(rounds)[:n]
        self._expressions = [EXPRESSIONS[i] for i in order]
        names = [field.name for field in fields(Actions)]
        takes = [_express(rng, expression, self.person.rest) for expression in self._expressions]
        self._names, self._actions = names, np.array([[getattr(take, name) for name in names] for take in takes])
        self._view = _see(rng, self.person.looks.skin)
        self._phases, self._periods = rng.uniform(0, 2 * np.pi, 6), rng.uniform(5.0, 11.0, 6)

    def label(self, time: float) -> str:
        """Return what is shown from the middle of each change on."""
        return self._expressions[int((time + CHANGE / 2) / self.about.hold)]

    def paint(self, pixels: np.ndarray, time: float, number: int) -> tuple[float, float, float, float]:
        """Draw the head into a frame; return its box."""
        about = self.about
        swing = np.sin(self._phases + 2 * np.pi * time / self._periods)
        side = round(about.head * about.size[1] * (1 + 0.12 * swing[2]))
        strip = about.size[0] / len(about.people)
        room = max(0.0, strip - side) / 2
        left = round(strip * self.k + (strip - side) / 2 + 0.8 * room * swing[0])
        top = round((about.size[1] - side) / 2 + 0.6 * (about.size[1] - side) / 2 * swing[1])
        view: View = replace(
            self._view, zoom=1.0, shift_x=0.0, shift_y=0.0, roll=0.1 * float(swing[3]), yaw=0.12 * float(swing[4]),
            pitch=0.05 * float(swing[5]), background=GREY, noise=GRAIN, grain=about.seed * 100_003 + number, blur=0.0,
        )  # fmt: skip
        head = draw_face(self.person.looks, Actions(**dict(zip(self._names, self._now(time), strict=True))), view,
                         size=side)  # fmt: skip
        y0, x0 = max(0, top), max(0, left)
        y1, x1 = min(about.size[1], top + side), min(about.size[0], left + side)
        inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        part, mask = head[inside], _mask(side)[inside]
        pixels[y0:y1, x0:x1] = (part * mask + pixels[y0:y1, x0:x1] * (1 - mask)).astype(np.uint8)
        return float(left), float(top), float(side), float(side)

    def _now(self, time: float) -> list[float]:
        """Return what the muscles do: one expression, or on the way to the next."""
        step = int((time + CHANGE / 2) / self.about.hold)
        since = time + CHANGE / 2 - step * self.about.hold
        share = min(1.0, since / CHANGE) if step else 1.0
        share = share * share * (3 - 2 * share)
        return (share * self._actions[step] + (1 - share) * self._actions[max(0, step - 1)]).tolist()


def _background(about: Scene) -> np.ndarray:
    """Return a room out of focus: soft shapes about grey."""
    rng = np.random.default_rng(about.seed)
    width, height = about.size
    coarse = rng.normal(0.0, 50.0, (6, 8, 3)).astype(np.float32)
    shapes = cv2.resize(coarse, about.size, interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.normal(0.0, 40.0, (height, width, 1)).astype(np.float32), (0, 0), 2)[..., None]
    return np.clip(np.array(GREY) + shapes.mean(axis=2, keepdims=True) + 0.15 * shapes + fine, 0, 255).astype(np.uint8)


def _mask(side: int) -> np.ndarray:
    """Return 1 on the head and 0 at the border of its square, softly: (side, side, 1)."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side * 2 - 1
    radius = np.maximum(np.hypot(x / 0.96, y / 1.0), np.abs(y))
    return np.clip((1.0 - radius) / 0.08, 0, 1).astype(np.float32)[..., None]
