"""Finder and Judge: detection in every n-th frame, each face with its own past."""

from types import SimpleNamespace

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.faces import Face, FacePreparation
from fusionfer.live import Finder, Frame, Judge, Track


def as_frame(number, pixels=None, rate=10.0):
    pixels = np.zeros((40, 60, 3), np.uint8) if pixels is None else pixels
    return Frame(number, number / rate, pixels, 0.0)


class Scripted:
    """A classifier that says what it is told, one row a picture."""

    classes = ("a", "b")
    model = SimpleNamespace(estimator=SimpleNamespace(predict_proba=None))

    def __init__(self, rows):
        self.rows, self.asked = list(rows), []

    def predict_proba(self, pictures):
        self.asked.append(len(pictures))
        return np.array([self.rows.pop(0) for _ in pictures])


@pytest.mark.parametrize(("every", "detected"), [(1, 12), (5, 3), (100, 1)])
def test_detection_in_every_nth_frame(frames, preparation, every, detected):
    """One face keeps its number and its place within 12 pixels of the truth, however seldom it is detected."""
    finder = Finder(preparation, every=every, keep=9)
    places = [finder(as_frame(i, frames[i])) for i in range(12)]
    assert finder.detections == detected
    assert finder.count == 1
    assert [[t.number for t in tracks] for tracks in places] == [[1]] * 12
    offsets = []
    for i, (track,) in enumerate(places):
        x, y = 20 + 3 * i, 40 + round(20 * np.sin(i / 6))
        offsets.append((track.face.box[0] - x, track.face.box[1] - y))
    assert np.ptp(np.array(offsets), axis=0).max() < 12


def test_a_face_that_is_lost_is_looked_for_at_once(frames, preparation):
    """After a cut a detection comes out of turn, once; while the face stays away, only in its turn."""
    finder = Finder(preparation, every=50, keep=9)
    for i in range(3):
        finder(as_frame(i, frames[i]))
    empty = np.full_like(frames[0], 120)
    for i in range(3, 8):
        (track,) = finder(as_frame(i, empty))
        assert track.lost
    assert finder.detections == 2


def test_without_detection_the_whole_frame_is_one_face():
    """Mode none: number 1, the box of the frame."""
    finder = Finder(FacePreparation("none"))
    tracks = [finder(as_frame(i)) for i in range(3)]
    assert [t.face.box for (t,) in tracks] == [(0, 0, 60, 40)] * 3
    assert (finder.count, finder.detections) == (1, 0)


def judged(judge, tracks_by_frame):
    return [judge(as_frame(i), tracks) for i, tracks in enumerate(tracks_by_frame)]


def track(number, lost=False):
    return Track(number, Face((5, 5, 20, 20), 1.0), 0.0, lost)


def test_each_face_has_its_own_past():
    """Two faces are smoothed apart; a number that went away and came back begins anew."""
    judge = Judge(Scripted([(1, 0), (0, 1), (0, 1), (0, 1), (0, 1)]), FacePreparation("detect", size=8), smooth=1.0)
    first, second, _, fourth = judged(judge, [[track(1), track(2)], [track(1), track(2)], [], [track(1)]])
    assert [r.label for r in first] == ["a", "b"]
    weight = 1 - np.exp(-0.1)
    assert np.allclose(second[0].proba, (1 - weight, weight))
    assert (second[0].label, second[0].label_raw, second[0].proba_raw.tolist()) == ("a", "b", [0, 1])
    assert np.allclose(second[1].proba, (0, 1))
    assert fourth[0].proba.tolist() == [0, 1]


def test_classification_in_every_nth_frame():
    """Between, the last probabilities count; a new face is classified at once."""
    judge = Judge(Scripted([(1, 0), (0, 1), (0, 1)]), FacePreparation("detect", size=8), every=3, smooth=0)
    found = judged(judge, [[track(1)], [track(1)], [track(1), track(2)], [track(1), track(2)]])
    assert judge.classifier.asked == [1, 1, 1]
    assert [r.label for readings in found for r in readings] == ["a", "a", "a", "b", "b", "b"]


def test_nothing_is_said_of_a_lost_face():
    """It is not classified, but its past is kept."""
    judge = Judge(Scripted([(1, 0), (0, 1)]), FacePreparation("detect", size=8), smooth=1.0)
    found = judged(judge, [[track(1)], [track(1, lost=True)], [track(1)]])
    assert [len(readings) for readings in found] == [1, 0, 1]
    assert found[2][0].proba[1] == pytest.approx(1 - np.exp(-0.2))


@pytest.mark.parametrize("value", [0, True, 1.5])
def test_impossible_numbers(value):
    """Refused when it begins, by the name of the parameter."""
    with pytest.raises(DataError, match="every must be a whole number of frames from 1"):
        Finder(FacePreparation("none"), every=value)
    with pytest.raises(DataError, match="classify_every must be a whole number of frames from 1"):
        Judge(Scripted([]), FacePreparation("none"), every=value)


def test_a_head_without_probabilities():
    """Labels alone cannot be smoothed; the message names the head."""
    bare = SimpleNamespace(model=SimpleNamespace(estimator=object()), classes=("a", "b"))
    with pytest.raises(DataError, match="object gives no probabilities"):
        Judge(bare, FacePreparation("none"))
