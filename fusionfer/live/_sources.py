"""Where frames come from: a camera, a video file, a folder of pictures; each frame with its time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fusionfer.exceptions import DataError, ImageError
from fusionfer.images import read_pictures

__all__ = ["CameraSource", "Frame", "ImagesSource", "Source", "VideoSource"]

#: Frames per second where a camera or a file does not say.
FRAME_RATE = 25.0


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes
    ----------
    number : int
        Place in the source, from 0; a dropped frame has a number, too.
    time : float
        Seconds since the first frame: a camera's by the clock, a file's as it stands in the file.
    pixels : ndarray of uint8, shape (height, width, 3)
        RGB.
    taken : float
        `time.perf_counter` when it was at hand: how late the result is, is measured from here.
    """

    number: int
    time: float
    pixels: np.ndarray
    taken: float


class Source:
    """Frames in their order; to be used once.

    Attributes
    ----------
    name : str
        For messages.
    rate : float
        Frames per second, as the source says.
    total : int
        Number of frames; 0 where nobody knows.
    live : bool
        Whether frames come by the clock: then those that nobody takes in time are dropped.
    waits : bool
        Whether it knows when its next frame is due and waits for that: then it is not lost, however long it is silent.
    skipped : list of (str, str)
        What could not be read, and why.
    ended : str
        Why there are no more frames: empty while there are, "end" where that was to be expected.
    """

    name: str
    rate: float = FRAME_RATE
    total: int = 0
    live: bool = False
    waits: bool = False

    def __init__(self) -> None:
        self.skipped: list[tuple[str, str]] = []
        self.ended = ""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the device or the file."""


class CameraSource(Source):
    """A camera of this machine, or a stream.

    Parameters
    ----------
    camera : int or str
        Number of the camera, from 0; or what else OpenCV opens, such as ``rtsp://...`` or ``/dev/video2``.
    size : tuple of (int, int), optional
        Width and height to ask the camera for; it may give others.

    Raises
    ------
    DataError
        If there is no such camera, or it gives no frame.
    """

    live = True

    def __init__(self, camera: int | str = 0, *, size: tuple[int, int] | None = (640, 480)) -> None:
        super().__init__()
        text = str(camera)
        self.name = f"camera {text}"
        self._capture = _open(int(text) if text.isdecimal() else text)
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what a driver queues is late before it is read
        self._first = _read(self._capture) if self._capture.isOpened() else None
        if self._first is None:
            self._capture.release()
            there = ", ".join(map(str, sorted(Path("/dev").glob("video*")))) or "none"
            msg = f"The {self.name} gives no picture. Devices of this machine: {there}. Is another program using it?"
            raise DataError(msg)
        self.rate = _rate(self._capture)

    def frames(self) -> Iterator[Frame]:
        """Yield frames as they come, until the camera is lost."""
        begin = time.perf_counter()
        pixels, number = self._first, 0
        while pixels is not None:
            now = time.perf_counter()
            yield Frame(number, now - begin, pixels, now)
            pixels, number = _read(self._capture), number + 1
        self.ended = f"the {self.name} gives no more frames"

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()


class VideoSource(Source):
    """A video file.

    Parameters
    ----------
    path : str or Path
        Whatever this OpenCV decodes; turned as its metadata say.
    realtime : bool
        False: every frame in its turn, however long that takes. True: at the file's own speed, as a camera.
    clock, sleep : callable
        What `realtime` goes by.

    Raises
    ------
    DataError
        If it is no video that can be read.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        realtime: bool = False,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.name, self.live, self.waits = str(path), bool(realtime), bool(realtime)
        self._clock, self._sleep = clock, sleep
        if not Path(path).is_file():
            msg = f"{path}: there is no such file. Give a video, or a folder of pictures to --images."
            raise DataError(msg)
        self._capture = _open(str(path))
        self._first = _read(self._capture) if self._capture.isOpened() else None
        if self._first is None:
            self._capture.release()
            msg = f"{path} holds no video that this OpenCV can read, or is cut off before its index. Store it anew."
            raise DataError(msg)
        self.rate = _rate(self._capture)
        self.total = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def frames(self) -> Iterator[Frame]:
        """Yield the frames; where the file holds fewer than it says, `ended` tells so."""
        begin, last, first = self._clock(), -1.0, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        pixels, number = self._first, 0
        while pixels is not None:
            told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3 - first
            # Some containers hold no times; then the frame rate is all there is.
            at = told if told > last else max(last, number / self.rate)
            last = at
            if self.live:
                self._sleep(max(0.0, begin + at - self._clock()))
            yield Frame(number, at, pixels, time.perf_counter())
            pixels, number = _read(self._capture), number + 1
        # Containers count frames that decoders do not show, so that one or two are no sign of damage.
        cut = number < self.total - max(2, self.total // 100)
        self.ended = f"{self.name} breaks off after {number} of {self.total} frames" if cut else "end"

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class ImagesSource(Source):
    """Pictures as frames, in the order of their names, where frame10 follows frame9.

    Parameters
    ----------
    path : str or Path
        A folder or a zip.
    rate : float
        Frames per second, for the times.
    max_pixels : int
        Larger pictures are listed in `skipped`, as those that cannot be decoded.

    Raises
    ------
    DataError
        If there is no picture.
    """

    def __init__(self, path: str | Path, *, rate: float = FRAME_RATE, max_pixels: int = 50_000_000) -> None:
        super().__init__()
        if not rate > 0:
            msg = f"rate must be above 0 frames per second, got {rate!r}."
            raise DataError(msg)
        self.name, self.rate = str(path), float(rate)
        self._pictures = read_pictures([path], max_pixels=max_pixels)
        self.skipped += self._pictures.skipped
        self.total = len(self._pictures)
        self._order = sorted(range(self.total), key=lambda i: _natural(str(self._pictures.ids[i])))

    def frames(self) -> Iterator[Frame]:
        """Yield the pictures that can be decoded; the others keep their number and their time."""
        for number, i in enumerate(self._order):
            try:
                pixels, _ = self._pictures.load(i)
            except ImageError as error:
                self.skipped.append((str(self._pictures.ids[i]), str(error)))
                continue
            if pixels.ndim == 2:
                pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
            yield Frame(number, number / self.rate, pixels, time.perf_counter())
        self.ended = "end"


def _open(what: int | str) -> cv2.VideoCapture:
    log = cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)  # a camera that is not there is told by our own error, once
    try:
        return cv2.VideoCapture(what)
    finally:
        log.setLogLevel(before)


def _read(capture: cv2.VideoCapture) -> np.ndarray | None:
    ok, pixels = capture.read()
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if ok and pixels is not None else None


def _rate(capture: cv2.VideoCapture) -> float:
    told = capture.get(cv2.CAP_PROP_FPS)
    return float(told) if np.isfinite(told) and 0.1 <= told <= 1000 else FRAME_RATE


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]
