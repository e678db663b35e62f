"""Where readings go: a table, a video, a window. Whatever ends the run, what was written is whole."""

from __future__ import annotations

import errno
import io
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fusionfer.exceptions import DataError, ReportError, StoreFullError
from fusionfer.live._reading import Reading
from fusionfer.live._sources import Frame
from fusionfer.report import write_csv

__all__ = ["CONTAINERS", "TableOutput", "VideoOutput", "Window", "part_of"]

#: Ending of a video file -> codec.
CONTAINERS = {".avi": "MJPG", ".mkv": "mp4v", ".mp4": "mp4v"}
#: Bytes that are left free on the disk of a video, for its index and for what else runs there.
RESERVE = 32 * 2**20
#: Seconds of a gap that are filled at most; files with broken times would fill a disk.
LONGEST_GAP = 10.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def part_of(path: Path) -> Path:
    """Return the name that a file has until it is whole."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


class TableOutput:
    """CSV, one line for each face of each frame, written as it comes.

    Parameters
    ----------
    path : Path
        Appears when the run ends, however it does; until then the lines are in `part_of(path)`.
    classes : sequence of str
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.path, self._part = path, part_of(path)
        self._size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer: the lines of a frame go to the system in one call, so that a kill tears none.
            self._file = open(self._part, "wb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _cannot(path, error) from error
        header = ["time", "frame", "face", "x", "y", "width", "height", "score", "label", "label_raw"]
        try:
            self._write([[*header, *classes, *(f"{name}_raw" for name in classes)]])
        except StoreFullError:
            self._file.close()
            self._part.unlink(missing_ok=True)
            raise
        self._frames = 0

    def add(self, frame: Frame, readings: Sequence[Reading]) -> None:
        """Write the lines of a frame."""
        self._frames += 1
        self._write([_row(frame, reading) for reading in readings])

    def close(self) -> None:
        """Give the file its name; without any frame what was there before stays."""
        self._file.close()
        try:
            if not self._frames:
                self._part.unlink()
                return
            self._part.replace(self.path)
        except OSError as error:
            raise _cannot(self.path, error) from error

    def _write(self, rows: Sequence[list[str]]) -> None:
        if not rows:
            return
        text = io.StringIO()
        write_csv(text, rows[0], rows[1:])
        content = text.getvalue().encode()
        try:
            if self._file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._file.truncate(self._size)  # whole lines only
            raise _cannot(self.path, error) from error
        self._size += len(content)


def _row(frame: Frame, reading: Reading) -> list[str]:
    return [
        f"{frame.time:.4f}", str(frame.number), str(reading.track), *(f"{value:.1f}" for value in reading.face.box),
        f"{reading.face.score:.3f}", reading.label, reading.label_raw,
        *(f"{p:.6f}" for p in reading.proba), *(f"{p:.6f}" for p in reading.proba_raw),
    ]  # fmt: skip


class VideoOutput:
    """A video of a fixed frame rate in which every frame stands as long as it was seen.

    Parameters
    ----------
    path : Path
        Its ending says which container. Appears when the run ends, however it does.
    rate : float
        Frames per second; frames that were dropped are filled with the one before.

    Raises
    ------
    DataError
        If the ending is none of `CONTAINERS`.
    """

    def __init__(self, path: Path, rate: float) -> None:
        if path.suffix.lower() not in CONTAINERS:
            msg = f"A video must end in {', '.join(CONTAINERS)}, got {path.name}."
            raise DataError(msg)
        self.path, self.rate, self.written = path, rate, 0
        self._part = part_of(path)
        self._writer: cv2.VideoWriter | None = None
        self._size, self._checked = (0, 0), 0.0
        self._left_out = 0  # frames of gaps that were too long to be filled

    def add(self, frame: Frame, pixels: np.ndarray) -> None:
        """Write a frame, at its time.

        Parameters
        ----------
        frame : Frame
            Says when.
        pixels : ndarray of uint8, shape (height, width, 3)
            RGB; frames of another size than the first are fitted in.
        """
        if self._writer is None:
            self._writer = self._open((pixels.shape[1], pixels.shape[0]))
        self._require_room()
        picture = cv2.cvtColor(_fitted(pixels, self._size), cv2.COLOR_RGB2BGR)
        # At least once; and again where frames before it were dropped, so that the video keeps the time.
        behind = round(frame.time * self.rate) + 1 - self.written - self._left_out
        longest = round(LONGEST_GAP * self.rate) + 1
        self._left_out += max(0, behind - longest)  # once: what follows the gap is on time again
        for _ in range(min(max(1, behind), longest)):
            self._writer.write(picture)
            self.written += 1

    def close(self) -> None:
        """Write the index, look whether all frames are there, and give the file its name."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        capture = cv2.VideoCapture(str(self._part))
        stored = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if stored < self.written:
            msg = f"{self._part} holds {stored} of {self.written} frames: the disk, or your quota of it, is full."
            raise StoreFullError(msg)
        try:
            self._part.replace(self.path)
        except OSError as error:
            raise _cannot(self.path, error) from error

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        self._size = (size[0] - size[0] % 2, size[1] - size[1] % 2)  # codecs want even sides
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot(self.path, error) from error
        codec = cv2.VideoWriter.fourcc(*CONTAINERS[self.path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._part), cv2.CAP_FFMPEG, codec, self.rate, self._size)
        if not writer.isOpened():
            msg = f"{self.path} cannot be written: is its folder there, and yours to write in?"
            raise ReportError(msg)
        return writer

    def _require_room(self) -> None:
        # OpenCV does not tell when a disk is full, and a video without its index is lost: so it ends before.
        now = time.monotonic()
        if now - self._checked < 0.5:
            return
        self._checked = now
        if shutil.disk_usage(self.path.parent).free < RESERVE:
            msg = f"{self.path}: less than {RESERVE >> 20} MB are free on this disk. The video ends here, and is whole."
            raise StoreFullError(msg)


class Window:
    """A window of this OpenCV, if it has one; headless builds have not.

    Attributes
    ----------
    open : bool
        Whether it is there, and nobody closed it or pressed q or Esc.
    """

    def __init__(self, title: str = "fusionfer live") -> None:
        self.title, self.open, self.why = title, True, ""
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error:
            self.open = False
            self.why = "no window: this OpenCV was built without (opencv-python-headless), or there is no display."

    def show(self, pixels: np.ndarray) -> None:
        """Show RGB pixels, and look at the keys."""
        try:
            cv2.imshow(self.title, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
            key = cv2.waitKey(1) & 0xFF
            gone = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # Qt raises where others say that a closed window is not visible
            key, gone = -1, True
        if gone or key in (27, ord("q")):
            self.open = False

    def close(self) -> None:
        """Take the window away."""
        if not self.why:
            cv2.destroyAllWindows()


def _fitted(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels in the middle of a picture of `size` (width, height), as large as they fit in."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    if 0 <= width - size[0] <= 1 and 0 <= height - size[1] <= 1:
        return pixels[: size[1], : size[0]]
    scale = min(size[0] / width, size[1] / height)
    inner = cv2.resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    top, left = (size[1] - inner.shape[0]) // 2, (size[0] - inner.shape[1]) // 2
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas


def _cannot(path: Path, error: OSError) -> ReportError | StoreFullError:
    if error.errno in _FULL:
        return StoreFullError(
            f"{path}: the disk, or your quota of it, is full. What was written before is whole. "
            "Free space, or write elsewhere."
        )
    return ReportError(f"{path} cannot be written: {error.strerror or error}.")
