"""The whole of it: four steps, each in a thread, from a source to files and a window."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fusionfer.exceptions import DataError
from fusionfer.faces import FacePreparation
from fusionfer.live._drawing import draw
from fusionfer.live._reading import Finder, Judge, Reading
from fusionfer.live._relay import Relay
from fusionfer.live._report import LiveReport, latency_of
from fusionfer.live._sources import Frame, Source
from fusionfer.live._timing import Timing
from fusionfer.live._tracking import Track
from fusionfer.live._writing import CONTAINERS, TableOutput, VideoOutput, Window
from fusionfer.prediction import Classifier

__all__ = ["live"]

#: Seconds without a frame after which a camera counts as lost.
PATIENCE = 5.0
LATE_OVER = 10_000  # frames over which the latency is told, so that a camera may run for weeks
RATE_OVER = 30  # frames over which the frames per second in the picture are counted


def live(
    source: Source,
    classifier: Classifier,
    preparation: FacePreparation | None = None,
    *,
    every: int = 5,
    classify_every: int = 1,
    smooth: float = 0.25,
    keep: float = 1.0,
    output: str | Path | None = None,
    csv: str | Path | None = None,
    overwrite: bool = False,
    window: bool = False,
    max_seconds: float | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> LiveReport:
    """Read expressions from a camera, a video or pictures in their order.

    Reading, finding faces, classifying and writing run in a thread each. A source that is live gives the newest frame
    to whoever is ready, and drops those that nobody took; of any other every frame is looked at.

    Parameters
    ----------
    source : Source
        `CameraSource`, `VideoSource` or `ImagesSource`; it is closed at the end.
    classifier : Classifier
        With ``batch_size=1``, as a frame has few faces.
    preparation : FacePreparation, optional
        How faces are found and cut out; by default aligned by the eyes.
    every : int
        Detect in every n-th frame that comes, and when a face is lost; in between faces are followed.
    classify_every : int
        Classify each face in every n-th frame.
    smooth : float
        Time constant in seconds over which probabilities are smoothed; 0 does not.
    keep : float
        Seconds for which a face goes on that detections do not confirm.
    output : path, optional
        Video of what was read, ending in .mp4, .avi or .mkv.
    csv : path, optional
        Table of what was read: one line a face and frame.
    overwrite : bool
        Whether files may be replaced.
    window : bool
        Whether to show the frames, in the thread that calls; without a window that is noted, and all else goes on.
    max_seconds : float, optional
        Frames of this time and later are not read.
    stop : threading.Event, optional
        When it is set, frames that are under way are finished, and that is all.
    progress : callable, optional
        ``progress(done, total, what)``; the total is 0 where nobody knows.

    Returns
    -------
    LiveReport
        A lost camera and a file that breaks off are ends, with their sentence in `ended`, and no errors.

    Raises
    ------
    DataError
        If a parameter is out of range, or a file is there already.
    StoreFullError, ReportError
        If what was read cannot be written; what was written before is whole.
    """
    preparation = preparation or FacePreparation("align")
    timing, stop = Timing(), stop or threading.Event()
    finder = Finder(preparation, every=every, keep=keep, timing=timing)
    judge = Judge(classifier, preparation, every=classify_every, smooth=smooth, timing=timing)
    if max_seconds is not None and not max_seconds > 0:
        msg = f"max_seconds must be above 0, got {max_seconds!r}."
        raise DataError(msg)
    files = _check_files(output, csv, overwrite)
    reader = _Reader(source, stop, max_seconds, timing)
    run = _Run(source, classifier.classes, timing)
    with contextlib.ExitStack() as stack:
        stack.callback(reader.close)
        run.open(stack, files, window)
        frames = stack.enter_context(Relay(reader.frames(), newest=source.live))
        found = stack.enter_context(Relay(_find(reader.taken(frames), finder)))
        judged = stack.enter_context(Relay(_judge(found.take(), judge)))
        for frame, readings in judged.take():
            if not run.add(frame, readings):
                reader.ended = reader.ended or "window"
                stop.set()
            if progress is not None:
                progress(run.frames, max(source.total, run.frames), "frames")
    return run.report(classifier.engine, frames.dropped, finder, reader.ended or source.ended, files)


def _find(frames: Iterable[Frame], finder: Finder) -> Iterator[tuple[Frame, tuple[Track, ...]]]:
    for frame in frames:
        yield frame, finder(frame)


def _judge(
    found: Iterable[tuple[Frame, tuple[Track, ...]]], judge: Judge
) -> Iterator[tuple[Frame, tuple[Reading, ...]]]:
    for frame, tracks in found:
        yield frame, judge(frame, tracks)


class _Reader:
    """Takes frames from the source until something ends it, and knows what."""

    def __init__(self, source: Source, stop: threading.Event, max_seconds: float | None, timing: Timing) -> None:
        self.ended = ""
        self._source, self._stop, self._max_seconds, self._timing = source, stop, max_seconds, timing
        self._last, self._reading = time.monotonic(), False

    def close(self) -> None:
        """Close the source if no thread ever read from it: a thread that hangs in a camera still holds that."""
        if not self._reading:
            self._source.close()

    def frames(self) -> Iterator[Frame]:
        """Yield frames, in the thread that reads, and close the source there."""
        self._reading = True
        try:
            frames = self._source.frames()
            while True:
                with self._timing("wait for a frame" if self._source.live else "read"):
                    frame = next(frames, None)
                if frame is None:
                    return
                if self._stop.is_set():
                    self.ended = self.ended or "stopped"
                    return
                if self._max_seconds is not None and frame.time >= self._max_seconds:
                    self.ended = "time"
                    return
                yield frame
        finally:
            self._source.close()

    def taken(self, relay: Relay[Frame]) -> Iterator[Frame]:
        """Yield what the relay hands over, in the thread that finds faces; a live source that hangs is lost."""
        self._last = time.monotonic()
        for frame in relay.take(idle=self._hangs if self._source.live else None):
            yield frame
            self._last = time.monotonic()

    def _hangs(self) -> bool:
        if self._stop.is_set():
            self.ended = self.ended or "stopped"
        elif not self._source.waits and time.monotonic() - self._last > PATIENCE:
            self.ended = f"the {self._source.name} gave no frame for {PATIENCE:g} s"
        return bool(self.ended)


class _Run:
    """Counts, and writes wherever something is to be written; all in one thread."""

    def __init__(self, source: Source, classes: Sequence[str], timing: Timing) -> None:
        self.source, self.classes, self.timing = source, classes, timing
        self.frames = self.with_a_face = 0
        self.labels: collections.Counter[str] = collections.Counter()
        self.notes: list[str] = []
        self._table: TableOutput | None = None
        self._video: VideoOutput | None = None
        self._window: Window | None = None
        self._begin = self._end = 0.0
        self._late: collections.deque[float] = collections.deque(maxlen=LATE_OVER)
        self._ends: collections.deque[float] = collections.deque(maxlen=RATE_OVER + 1)

    def open(self, stack: contextlib.ExitStack, files: dict[str, Path], window: bool) -> None:
        """Open what is written to; the stack closes it, whatever happens."""
        if "csv" in files:
            self._table = TableOutput(files["csv"], self.classes)
            stack.callback(self._table.close)
        if "output" in files:
            self._video = VideoOutput(files["output"], self.source.rate)
            stack.callback(self._video.close)
        if window:
            self._window = Window()
            stack.callback(self._window.close)
            if self._window.why:
                self.notes.append(self._window.why)
                self._window = None

    def add(self, frame: Frame, readings: Sequence[Reading]) -> bool:
        """Write one frame; return whether to go on."""
        self._begin = self._begin or frame.taken
        if self._table is not None:
            with self.timing("table"):
                self._table.add(frame, readings)
        if self._video is not None or self._window is not None:
            with self.timing("draw"):
                picture = draw(frame.pixels, readings, self.classes, self._rate())
        if self._video is not None:
            with self.timing("encode"):
                self._video.add(frame, picture)
        if self._window is not None:
            with self.timing("show"):
                self._window.show(picture)
        self.frames += 1
        self.with_a_face += bool(readings)
        self.labels.update(reading.label for reading in readings)
        self._end = time.perf_counter()
        self._ends.append(self._end)
        self._late.append(self._end - frame.taken)
        return self._window is None or self._window.open

    def report(self, engine: str, dropped: int, finder: Finder, ended: str, files: dict[str, Path]) -> LiveReport:
        """Say what it came to."""
        seconds = self._end - self._begin
        return LiveReport(
            source=self.source.name,
            engine=engine,
            frames=self.frames,
            dropped=dropped,
            detections=finder.detections,
            faces=finder.count,
            frames_with_a_face=self.with_a_face,
            labels=dict(sorted(self.labels.items())),
            seconds=seconds,
            rate=self.frames / seconds if seconds > 0 else 0.0,
            steps={step: 1e3 * total / max(1, self.frames) for step, total in self.timing.seconds.items()},
            latency=latency_of(list(self._late)),
            ended=ended,
            skipped=tuple(self.source.skipped),
            written=tuple(str(path) for path in files.values() if path.exists()),
            notes=tuple(self.notes),
        )

    def _rate(self) -> float | None:
        ends = self._ends
        return (len(ends) - 1) / (ends[-1] - ends[0]) if len(ends) > 1 and ends[-1] > ends[0] else None


def _check_files(output: Any, csv: Any, overwrite: bool) -> dict[str, Path]:
    files = {name: Path(path) for name, path in (("csv", csv), ("output", output)) if path is not None}
    for name, path in files.items():
        if path.exists() and not overwrite:
            msg = f"{path} exists. Give another {name}, or overwrite=True to replace it."
            raise DataError(msg)
    if "output" in files and files["output"].suffix.lower() not in CONTAINERS:
        msg = f"output must end in {', '.join(CONTAINERS)}, got {files['output'].name}."
        raise DataError(msg)
    if len(set(files.values())) < len(files):
        msg = f"output and csv are one file: {files['output']}."
        raise DataError(msg)
    return files
