"""From a frame to its faces, and from these to what they express."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionfer.exceptions import DataError
from fusionfer.faces import Face, FacePreparation
from fusionfer.live._smoothing import Smoothing
from fusionfer.live._sources import Frame
from fusionfer.live._timing import Timing
from fusionfer.live._tracking import Track, Tracker
from fusionfer.prediction import Classifier

__all__ = ["Finder", "Judge", "Reading", "check_every"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What one face expresses at one moment.

    Attributes
    ----------
    track : int
        Number of the face, the same as long as it is followed.
    face : fusionfer.faces.Face
        Where it is.
    label : str
        The class of the largest smoothed probability.
    proba : ndarray of float, shape (K,)
        Smoothed over time.
    label_raw : str
        The class of the largest probability of this frame alone.
    proba_raw : ndarray of float, shape (K,)
        Of this frame alone, or of the last one that was classified.
    """

    track: int
    face: Face
    label: str
    proba: np.ndarray
    label_raw: str
    proba_raw: np.ndarray


def check_every(name: str, value: int) -> int:
    """Return a whole number from 1, or raise DataError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        msg = f"{name} must be a whole number of frames from 1, got {value!r}."
        raise DataError(msg)
    return int(value)


class Finder:
    """Finds the faces of frames: detection now and then, tracking in between.

    Parameters
    ----------
    preparation : FacePreparation
        Its detector; with mode "none" the whole frame is one face.
    every : int
        Detect in every n-th frame that comes, and whenever a face is lost.
    keep : float
        As in `Tracker`.
    timing : Timing, optional
        Notes how long "detect" and "follow" take.
    """

    def __init__(
        self, preparation: FacePreparation, *, every: int = 5, keep: float = 1.0, timing: Timing | None = None
    ) -> None:
        self.preparation, self.every = preparation, check_every("every", every)
        self.tracker, self.detections = Tracker(keep), 0
        self._timing = timing or Timing()
        self._came = 0

    @property
    def count(self) -> int:
        """How many faces there have been."""
        return self.tracker.count if self.preparation.find is not None else min(1, self._came)

    def __call__(self, frame: Frame) -> tuple[Track, ...]:
        """Return the faces of the next frame, in the order of their numbers."""
        due, self._came = self._came % self.every == 0, self._came + 1
        lost = {track.number for track in self.tracker.tracks if track.lost}
        if self.preparation.find is None:
            height, width = frame.pixels.shape[:2]
            return (Track(1, Face((0.0, 0.0, float(width), float(height))), frame.time),)
        with self._timing("follow"):
            tracks = self.tracker.follow(frame.pixels, frame.time)
        # A face that has just been lost is looked for at once: after a cut, or when somebody turned away and back.
        if due or any(track.lost and track.number not in lost for track in tracks):
            with self._timing("detect"):
                self.detections += 1
                tracks = self.tracker.correct(self.preparation.find(frame.pixels), frame.time)
        return tracks


class Judge:
    """Says what faces express, each with its own past.

    Parameters
    ----------
    classifier : Classifier
        Its head must give probabilities.
    preparation : FacePreparation
        How faces are cut out and lit.
    every : int
        A face is classified in every n-th frame in which it is seen, and keeps its probabilities in between.
    smooth : float
        Time constant in seconds, as in `Smoothing`.
    timing : Timing, optional
        Notes how long "prepare" and "classify" take.

    Raises
    ------
    DataError
        If a number is out of range, or the head gives no probabilities.
    """

    def __init__(
        self,
        classifier: Classifier,
        preparation: FacePreparation,
        *,
        every: int = 1,
        smooth: float = 0.25,
        timing: Timing | None = None,
    ) -> None:
        if not hasattr(classifier.model.estimator, "predict_proba"):
            name = type(classifier.model.estimator).__name__
            msg = f"{name} gives no probabilities, which are smoothed over time. Fit a model with another head."
            raise DataError(msg)
        Smoothing(smooth)  # refused now, not at the first face
        self.classifier, self.preparation = classifier, preparation
        self.every, self.smooth = check_every("classify_every", every), smooth
        self._timing = timing or Timing()
        self._states: dict[int, _State] = {}

    def __call__(self, frame: Frame, tracks: Sequence[Track]) -> tuple[Reading, ...]:
        """Return a reading of each track that is not lost."""
        there = {track.number for track in tracks}
        self._states = {number: state for number, state in self._states.items() if number in there}
        seen = [track for track in tracks if not track.lost]
        states = [self._states.setdefault(track.number, _State(Smoothing(self.smooth))) for track in seen]
        due = [i for i, state in enumerate(states) if state.raw is None or state.age + 1 >= self.every]
        if due:
            with self._timing("prepare"):
                pictures = [self.preparation.cut(frame.pixels, seen[i].face) for i in due]
            with self._timing("classify"):
                for i, proba in zip(due, self.classifier.predict_proba(pictures), strict=True):
                    states[i].raw, states[i].age = proba, -1
        return tuple(self._read(track, state, frame.time) for track, state in zip(seen, states, strict=True))

    def _read(self, track: Track, state: _State, time: float) -> Reading:
        assert state.raw is not None
        state.age += 1
        smooth = state.smoothing(state.raw, time)
        classes = self.classifier.classes
        return Reading(
            track.number, track.face, classes[int(smooth.argmax())], smooth, classes[int(state.raw.argmax())], state.raw
        )


@dataclass
class _State:
    """The past of one face."""

    smoothing: Smoothing
    raw: np.ndarray | None = None
    age: int = 0
