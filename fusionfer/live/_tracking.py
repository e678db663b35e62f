"""One number per face over time: boxes that follow their pixels between detections, and are matched at detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from fusionfer.exceptions import DataError
from fusionfer.faces import Face

__all__ = ["Track", "Tracker", "overlap"]

#: Least overlap (intersection over union) of a detection with a track that it is to continue.
MATCH = 0.3
#: Corners that are followed in a face, and fewer than how many say nothing any more.
POINTS, FEWEST = 40, 6
#: Pixels by which a corner may miss its place when it is followed there and back.
ROUND_TRIP = 1.0
#: Pixels around a corner that are compared, and how often the frame is halved for large movements.
WINDOW, LEVELS = (13, 13), 2
#: Width in pixels to which frames are shrunk to follow corners.
FLOW_WIDTH = 320
#: Weight of a detection against the place where the track was followed to.
TRUST = 0.6


@dataclass(frozen=True)
class Track:
    """One face at one moment.

    Attributes
    ----------
    number : int
        The same as long as the face is followed, from 1; never given twice.
    face : fusionfer.faces.Face
        Where it is now.
    seen : float
        Time in seconds of the last detection that confirmed it.
    lost : bool
        Whether its pixels could not be followed since: it may come back, and nothing is said of it meanwhile.
    """

    number: int
    face: Face
    seen: float
    lost: bool = False


class Tracker:
    """Follows faces from frame to frame.

    Between detections the corners in each face [1]_ are followed by pyramidal optical flow [2]_, there and back, and
    those that return to where they began give a shift, a turn and a scale by RANSAC, by which box and eyes are moved.
    At detections boxes and tracks are matched so that the sum of overlaps is largest [3]_.

    Parameters
    ----------
    keep : float
        Seconds for which a track goes on that detections do not confirm, or that is lost.

    References
    ----------
    .. [1] J. Shi and C. Tomasi, "Good features to track", CVPR 1994.
    .. [2] J.-Y. Bouguet, "Pyramidal implementation of the Lucas Kanade feature tracker", Intel, 2000.
    .. [3] H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics Quarterly 2, 1955.
    """

    def __init__(self, keep: float = 1.0) -> None:
        if not (np.isfinite(keep) and keep > 0):
            msg = f"keep must be a time in seconds above 0, got {keep!r}."
            raise DataError(msg)
        self.keep = float(keep)
        self.tracks: tuple[Track, ...] = ()
        self._numbers = 0
        self._before: np.ndarray | None = None
        self._size = (0, 0)

    @property
    def count(self) -> int:
        """How many faces there have been."""
        return self._numbers

    def follow(self, pixels: np.ndarray, time: float) -> tuple[Track, ...]:
        """Move all tracks to the frame `pixels` (uint8, RGB), and end those that were lost for too long."""
        grey, shrunk = _small(pixels)
        before, self._before = self._before, grey
        # Frames of two sizes may shrink to one, but boxes are in pixels of the whole frame.
        known, self._size = self._size == pixels.shape[:2], pixels.shape[:2]
        moved = [
            self._move(track, before, grey, shrunk) if known else replace(track, lost=True) for track in self.tracks
        ]
        self.tracks = tuple(track for track in moved if not (track.lost and time - track.seen > self.keep))
        return self.tracks

    def correct(self, faces: Sequence[Face], time: float) -> tuple[Track, ...]:
        """Match what was detected in the frame that was last followed to the tracks, and begin tracks for the rest.

        Parameters
        ----------
        faces : sequence of Face
        time : float
            Of the frame, in seconds.

        Returns
        -------
        tuple of Track
            In the order of their numbers. A track that this detection does not confirm stays unless it is too old.
        """
        tracks = list(self.tracks)
        overlaps = np.array([[overlap(t.face.box, f.box) for f in faces] for t in tracks]).reshape(
            len(tracks), len(faces)
        )
        taken = set()
        for i, j in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
            if overlaps[i, j] < MATCH:
                continue
            taken.add(int(j))
            new = faces[j] if tracks[i].lost else _between(tracks[i].face, faces[j])
            tracks[i] = Track(tracks[i].number, new, seen=time)
        for j, face in enumerate(faces):
            if j not in taken:
                self._numbers += 1
                tracks.append(Track(self._numbers, face, seen=time))
        self.tracks = tuple(track for track in tracks if time - track.seen <= self.keep)
        return self.tracks

    def _move(self, track: Track, before: np.ndarray | None, grey: np.ndarray, shrunk: float) -> Track:
        if track.lost or before is None:
            return track
        moved = _similarity(before, grey, np.array(track.face.box) * shrunk)
        if moved is None:
            return replace(track, lost=True)
        moved[:, 2] /= shrunk
        x, y, width, height = track.face.box
        scale = float(np.hypot(moved[0, 0], moved[1, 0]))
        centre = moved @ (x + width / 2, y + height / 2, 1.0)
        frame_height, frame_width = grey.shape[0] / shrunk, grey.shape[1] / shrunk
        if not (0.8 < scale < 1.25 and 0 <= centre[0] < frame_width and 0 <= centre[1] < frame_height):
            return replace(track, lost=True)
        width, height = scale * width, scale * height
        box = (float(centre[0] - width / 2), float(centre[1] - height / 2), width, height)
        eyes = track.face.eyes
        if eyes is not None:
            (ax, ay), (bx, by) = (moved @ (*eye, 1.0) for eye in eyes)
            eyes = ((float(ax), float(ay)), (float(bx), float(by)))
        return replace(track, face=replace(track.face, box=box, eyes=eyes))


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two boxes (x, y, width, height), from 0 to 1.

    Examples
    --------
    >>> overlap((0, 0, 2, 2), (1, 0, 2, 2))
    0.3333333333333333
    """
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(0.0, width) * max(0.0, height)
    union = a[2] * a[3] + b[2] * b[3] - common
    return common / union if union > 0 else 0.0


def _between(followed: Face, found: Face) -> Face:
    """Detections jump by some pixels and followed boxes drift: a place between the two does neither."""
    x, y, width, height = (TRUST * new + (1 - TRUST) * old for new, old in zip(found.box, followed.box, strict=True))
    eyes = followed.eyes if found.eyes is None else found.eyes  # eyes that blink were there before
    if found.eyes is not None and followed.eyes is not None:
        pairs = zip(found.eyes, followed.eyes, strict=True)
        left, right = ((TRUST * n[0] + (1 - TRUST) * o[0], TRUST * n[1] + (1 - TRUST) * o[1]) for n, o in pairs)
        eyes = (left, right)
    return replace(found, box=(x, y, width, height), eyes=eyes)


def _small(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    shrunk = min(1.0, FLOW_WIDTH / grey.shape[1])
    return (cv2.resize(grey, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA) if shrunk < 1 else grey), shrunk


def _similarity(before: np.ndarray, grey: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """Return the (2, 3) matrix that moves what is in `box` from one frame to the next; None if too little follows."""
    x, y, width, height = box
    # The middle of the box: at its border is background, which goes its own way.
    left, top = max(0, int(x + 0.1 * width)), max(0, int(y + 0.1 * height))
    right, bottom = int(x + 0.9 * width), int(y + 0.95 * height)
    part = before[top:bottom, left:right]
    if min(part.shape, default=0) < 8:
        return None
    corners = cv2.goodFeaturesToTrack(part, POINTS, qualityLevel=0.02, minDistance=3)
    if corners is None or len(corners) < FEWEST:
        return None
    start = corners + np.array([left, top], np.float32)
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, grey, start, start.copy(), winSize=WINDOW, maxLevel=LEVELS)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(grey, before, there, start.copy(), winSize=WINDOW, maxLevel=LEVELS)
    missed = np.linalg.norm(np.asarray(back) - start, axis=2).ravel()
    good = np.asarray(found, bool).ravel() & np.asarray(returned, bool).ravel() & (missed < ROUND_TRIP)
    if good.sum() < FEWEST:
        return None
    matrix, _ = cv2.estimateAffinePartial2D(start[good], there[good], ransacReprojThreshold=1.5)
    return matrix
