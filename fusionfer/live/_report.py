"""What a run came to, as figures and as sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["LiveReport"]

#: Why runs end: what `LiveReport.ended` says of those that ended as they should.
GOOD_ENDS = ("end", "time", "window", "stopped")


@dataclass(frozen=True)
class LiveReport:
    """What `live` did.

    Attributes
    ----------
    source : str
    engine : str
        What ran the networks.
    frames : int
        Frames that were read and written.
    dropped : int
        Frames that came too late to be looked at.
    detections : int
        Frames in which faces were detected; in the others they were followed.
    faces : int
        Different faces, as far as they could be followed.
    frames_with_a_face : int
    labels : dict of str to int
        Frames by label, each face of a frame counted.
    seconds : float
        From the first frame to the last result.
    rate : float
        Frames per second of `seconds`.
    steps : dict of str to float
        Step -> milliseconds per frame; steps of different threads run at the same time.
    latency : dict of str to float
        Milliseconds from a frame to its result, of the last 10,000 frames: "median", "p95", "largest".
    ended : str
        Why it ended: "end" of the source, "time" (`max_seconds`), "window" (closed, or q), "stopped" (asked to), or a
        sentence that says what went wrong.
    skipped : tuple of (str, str)
        Pictures that could not be read, and why.
    written : tuple of str
        Files.
    notes : tuple of str
        What the user should know besides.
    """

    source: str
    engine: str
    frames: int
    dropped: int
    detections: int
    faces: int
    frames_with_a_face: int
    labels: dict[str, int]
    seconds: float
    rate: float
    steps: dict[str, float]
    latency: dict[str, float]
    ended: str
    skipped: tuple[tuple[str, str], ...] = ()
    written: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the source was read to where it was to be read, and all of it."""
        return self.ended in GOOD_ENDS and not self.skipped

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON knows it."""
        return {**asdict(self), "complete": self.complete}

    def lines(self) -> list[str]:
        """Return it in a few lines for people."""
        found = [
            f"{self.frames:,} frames of {self.source} in {self.seconds:.1f} s: {self.rate:.1f} frames/s, "
            f"{self.dropped:,} dropped, engine {self.engine}",
        ]
        if self.ended not in ("end", "stopped"):
            why = {"time": "the time was up", "window": "the window was closed"}.get(self.ended, self.ended)
            found.append(f"ended because {why}")
        faces = "1 face" if self.faces == 1 else f"{self.faces:,} faces"
        found.append(f"{faces}, in {self.frames_with_a_face:,} of the frames; detected in {self.detections:,}")
        if self.labels:
            total = sum(self.labels.values())
            shares = sorted(self.labels.items(), key=lambda item: (-item[1], item[0]))
            found.append("labels: " + ", ".join(f"{name} {100 * n / total:.0f} %" for name, n in shares))
        if self.steps:
            found.append("ms a frame: " + ", ".join(f"{step} {value:.1f}" for step, value in self.steps.items()))
        if self.latency:
            found.append(
                f"from frame to result: median {self.latency['median']:.0f} ms, "
                f"95 % within {self.latency['p95']:.0f} ms"
            )
        if self.written:
            found.append(f"written: {', '.join(self.written)}")
        return found


def latency_of(seconds: list[float]) -> dict[str, float]:
    """Return the figures of `LiveReport.latency`."""
    if not seconds:
        return {}
    values = 1e3 * np.asarray(seconds)
    return {
        "median": float(np.median(values)),
        "p95": float(np.quantile(values, 0.95)),
        "largest": float(values.max()),
    }
