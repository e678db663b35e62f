"""Tracker: one number per face, boxes that follow their pixels, detections that correct them."""

from itertools import permutations

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.faces import Face
from fusionfer.live import Tracker
from fusionfer.live._tracking import overlap

EMPTY = np.full((120, 160, 3), 90, np.uint8)


def textured(x, y, side=60):
    """Return a frame with a patch of noise at a place."""
    pixels = EMPTY.copy()
    pixels[y : y + side, x : x + side] = np.random.default_rng(0).integers(0, 255, (side, side, 1), dtype=np.uint8)
    return pixels


def boxes(tracks):
    return {track.number: track.face.box for track in tracks}


def test_overlap_against_counted_pixels():
    """Intersection over union of whole boxes is what a count of pixels gives."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(1, 20, 4), rng.integers(1, 20, 4)
        masks = np.zeros((2, 50, 50), bool)
        for mask, (x, y, w, h) in zip(masks, (a, b), strict=True):
            mask[y : y + h, x : x + w] = True
        assert overlap(a, b) == pytest.approx((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def test_a_box_and_its_eyes_follow_the_pixels():
    """A patch that moves by (3, 2) a frame takes box and eyes along, without any detection after the first."""
    tracker = Tracker(keep=10)
    tracker.follow(textured(20, 20), 0.0)
    tracker.correct([Face((20, 20, 60, 60), 1.0, ((35, 40), (65, 40)))], 0.0)
    for i in range(1, 11):
        (track,) = tracker.follow(textured(20 + 3 * i, 20 + 2 * i), 0.1 * i)
    assert np.allclose(track.face.box, (50, 40, 60, 60), atol=1.5)
    assert np.allclose(track.face.eyes, ((65, 60), (95, 60)), atol=1.5)
    assert (track.number, track.lost, track.seen) == (1, False, 0.0)


def test_what_cannot_be_followed_is_lost_and_found_again():
    """After a cut to an empty frame the face is lost; a detection at its place gives the old number back."""
    tracker = Tracker(keep=1.0)
    tracker.follow(textured(20, 20), 0.0)
    tracker.correct([Face((20, 20, 60, 60), 1.0)], 0.0)
    (track,) = tracker.follow(EMPTY, 0.1)
    assert track.lost
    tracker.follow(textured(22, 20), 0.2)
    (track,) = tracker.correct([Face((22, 20, 60, 60), 1.0)], 0.2)
    assert (track.number, track.lost, track.face.box) == (1, False, (22, 20, 60, 60))


def test_a_lost_face_ends_after_its_time():
    """Until `keep` it may come back, then a detection begins a new number."""
    tracker = Tracker(keep=1.0)
    tracker.follow(textured(20, 20), 0.0)
    tracker.correct([Face((20, 20, 60, 60), 1.0)], 0.0)
    assert len(tracker.follow(EMPTY, 1.0)) == 1
    assert tracker.follow(EMPTY, 1.1) == ()
    tracker.follow(textured(20, 20), 1.2)
    assert list(boxes(tracker.correct([Face((20, 20, 60, 60), 1.0)], 1.2))) == [2]
    assert tracker.count == 2


def test_a_track_that_detections_never_confirm_ends():
    """A false alarm on a wall is followed for `keep` seconds only; without detections it goes on."""
    tracker, still = Tracker(keep=0.5), textured(20, 20)
    tracker.follow(still, 0.0)
    tracker.correct([Face((20, 20, 60, 60), 1.0)], 0.0)
    assert len(tracker.follow(still, 0.4)) == len(tracker.correct([], 0.4)) == 1
    assert len(tracker.follow(still, 0.6)) == 1
    assert tracker.correct([], 0.6) == ()


def test_boxes_and_tracks_are_matched_for_the_largest_sum():
    """Random boxes: the sum of overlaps is the best of all assignments, tried one by one."""
    rng = np.random.default_rng(1)
    for _ in range(10):
        old = [Face((*rng.uniform(0, 30, 2), 40, 40), 1.0) for _ in range(3)]
        new = [Face((*rng.uniform(0, 30, 2), 40, 40), 1.0) for _ in range(3)]
        tracker = Tracker()
        tracker.correct(old, 0.0)
        before = boxes(tracker.tracks)
        after = boxes(tracker.correct(new, 0.1))
        # The corrected box lies between old and new: the new one is recovered from it.
        trust = 0.6
        got = sum(
            overlap(before[n], tuple((a - (1 - trust) * b) / trust for a, b in zip(after[n], before[n], strict=True)))
            for n in before
        )
        best = max(sum(overlap(o.box, n.box) for o, n in zip(old, order, strict=True)) for order in permutations(new))
        if len(after) == 3:
            assert got == pytest.approx(best)


def test_two_people_keep_their_numbers_whatever_the_order():
    """Detections that come in another order change nothing."""
    tracker = Tracker()
    left, right = Face((0, 0, 40, 40), 1.0), Face((100, 0, 40, 40), 1.0)
    tracker.correct([left, right], 0.0)
    found = boxes(tracker.correct([right, left], 0.1))
    assert found == {1: left.box, 2: right.box}


def test_eyes_that_blink_are_remembered():
    """A detection without eyes keeps those that were followed."""
    tracker = Tracker()
    eyes = ((12.0, 15.0), (28.0, 15.0))
    tracker.correct([Face((0, 0, 40, 40), 1.0, eyes)], 0.0)
    (track,) = tracker.correct([Face((0, 0, 40, 40), 1.0)], 0.1)
    assert track.face.eyes == eyes


def test_frames_of_another_size_lose_all():
    """There is nothing to follow from one size to the next."""
    tracker = Tracker()
    tracker.follow(textured(20, 20), 0.0)
    tracker.correct([Face((20, 20, 60, 60), 1.0)], 0.0)
    (track,) = tracker.follow(np.zeros((200, 300, 3), np.uint8), 0.1)
    assert track.lost


def test_frames_of_twice_the_size_lose_all():
    """Both shrink to the same size for the flow, but the box is in pixels of the first."""
    tracker = Tracker()
    tracker.follow(np.kron(textured(20, 20), np.ones((3, 3, 1), np.uint8)), 0.0)
    tracker.correct([Face((60, 60, 180, 180), 1.0)], 0.0)
    (track,) = tracker.follow(np.kron(textured(20, 20), np.ones((6, 6, 1), np.uint8)), 0.1)
    assert track.lost


def test_what_is_no_time_is_refused():
    """The message says what is allowed."""
    with pytest.raises(DataError, match="keep must be a time in seconds above 0, got 0"):
        Tracker(keep=0)
