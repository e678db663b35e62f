"""Haar: faces where they are, eyes near the truth, turned and partial ones; equal results from several threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fusionfer.exceptions import DataError, ImageError
from fusionfer.faces import HaarDetector, detect, get_detector


def inter_eye_error(face, eyes):
    """Largest distance of a found eye from the true one, as a share of the distance between the eyes."""
    return np.abs(np.hypot(*(np.array(face.eyes) - eyes).T)).max() / np.hypot(*(eyes[1] - eyes[0]))


@pytest.mark.parametrize("colour", [True, False])
def test_a_face_is_found_with_its_eyes(head, colour):
    """One box around the head's middle; both eyes within a sixth of their distance."""
    pixels, eyes = head(colour=colour)
    (face,) = detect(pixels)
    x, y, width, height = face.box
    assert x < eyes[0, 0] < eyes[1, 0] < x + width
    assert y < eyes[:, 1].mean() < y + height
    assert face.eyes[0][0] < face.eyes[1][0]
    assert inter_eye_error(face, eyes) < 0.17


@pytest.mark.parametrize("degrees", [-30, 30])
def test_a_turned_face_is_found_only_where_turns_are_tried(head, degrees):
    """At 30 degrees nothing is found upright; turned back, the eyes lie at their places in the picture as it is."""
    pixels, eyes = head(roll=np.radians(degrees))
    assert HaarDetector(turn=0)(pixels) == ()
    (face,) = HaarDetector()(pixels)
    left, right = np.array(face.eyes)
    assert inter_eye_error(face, eyes) < 0.2
    assert np.degrees(np.arctan2(*(right - left)[::-1])) == pytest.approx(degrees, abs=8)


def test_a_face_cut_by_the_border_has_a_box_that_reaches_out(head):
    """A face whose left edge is outside the picture is found, with a box that begins at or beyond the border."""
    pixels, _ = head(at=(-34, 80))
    (face,) = detect(pixels)
    assert face.box[0] <= 0


def test_a_large_picture_is_shrunk_and_places_are_those_of_the_picture(head):
    """Found at a third of the size, the box is that of the full size to a twelfth."""
    pixels, eyes = head(at=(240, 240), side=480, size=(960, 960))
    (full,) = HaarDetector()(pixels)
    (small,) = HaarDetector(max_side=320)(pixels)
    assert np.allclose(small.box, full.box, atol=480 / 12)
    assert inter_eye_error(small, eyes) < 0.2


@pytest.mark.parametrize("side", [200, 330])
def test_large_faces_are_found_in_grain(head, side):
    """OpenCV's cascade alone misses them: it shrinks without smoothing, and grain drowns what is left of the face."""
    pixels, _ = head(at=(60, 60), side=side, size=(side + 120, side + 120))
    grain = np.random.default_rng(0).normal(0, 45, pixels.shape)
    (face,) = detect(np.clip(pixels + grain, 0, 255).astype(np.uint8))
    assert np.hypot(*np.subtract(face.box[:2], 60)) < 0.45 * side


def test_equal_faces_come_in_an_order_of_their_own(head):
    """Two equal heads beside each other: the same order however often, and whatever the detector's order is."""
    pixels, _ = head()
    boxes = [face.box for face in detect(np.hstack([pixels, pixels]))]
    assert len(boxes) == 2
    swapped = get_detector(lambda _: boxes[::-1])(pixels)
    assert [face.box for face in swapped] == sorted(boxes, key=lambda box: (-box[2], box))


def test_faces_below_min_size_are_not_found(head):
    """A face of some 110 pixels is found with min_size 24, not with 200."""
    pixels, _ = head()
    assert len(HaarDetector(min_size=24)(pixels)) == 1
    assert HaarDetector(min_size=200, turn=0)(pixels) == ()


def test_threads_and_repetitions_give_equal_faces(head):
    """One detector, eight calls from four threads and one from this: the same faces, to the bit."""
    pixels, _ = head()
    detector = HaarDetector()
    expected = detector(pixels)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(detector, [pixels] * 8))


def test_nothing_is_found_in_noise_and_in_pictures_of_a_few_pixels():
    """Noise, one value and one pixel: no face, and no error of OpenCV."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    for pixels in (noise, np.zeros((60, 60, 3), np.uint8), np.zeros((1, 1), np.uint8), np.zeros((3, 700), np.uint8)):
        assert detect(pixels) == ()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"min_size": 4}, "min_size must be a number from 20 to 4096, got 4"),
        ({"turn": 90}, "turn must be a number from 0 to 60, got 90"),
        ({"neighbours": True}, "neighbours must be a number from 1 to 100, got True"),
    ],
)
def test_options_out_of_range_are_refused(option, message):
    """The message names the option, what is allowed, and what came."""
    with pytest.raises(DataError, match=message):
        HaarDetector(**option)


def test_what_is_no_picture_is_refused():
    """Floats and four channels are no picture."""
    for pixels in (np.zeros((9, 9)), np.zeros((9, 9, 4), np.uint8)):
        with pytest.raises(ImageError, match="Pixels must be uint8"):
            detect(pixels)
