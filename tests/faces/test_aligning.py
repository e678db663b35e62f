"""Cutting out: eyes at their places whatever the face's turn and size, borders repeated, the box without eyes."""

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.faces import FRAME, Face, align, crop


def dots(eyes, size=(240, 200)):
    """A black picture with a bright spot of Gaussian form at each eye."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    spots = [np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 4.0**2)) for u, v in eyes]
    return [np.rint(255 * spot).astype(np.uint8) for spot in spots]


def centre(picture):
    """Centre of brightness in shares of the side, from the corner of the first pixel."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    weights = picture / picture.sum()
    return (x * weights).sum() / picture.shape[1], (y * weights).sum() / picture.shape[0]


@pytest.mark.parametrize("eyes", [((80, 90), (140, 90)), ((90, 120), (130, 80)), ((100, 70), (118, 88))])
@pytest.mark.parametrize("size", [24, 96, 200])
def test_eyes_stand_at_their_places(eyes, size):
    """Upright, turned both ways, near and far; shrunk and enlarged: within half a hundredth of the side."""
    face = Face((60, 60, 100, 100), 1.0, eyes)
    for spot, place in zip(dots(eyes), FRAME, strict=True):
        assert centre(align(spot, face, size)) == pytest.approx(place, abs=0.005)


def test_a_margin_shows_more_around_the_same_middle():
    """With a margin of a half the frame is twice as wide: eyes move halfway to the middle."""
    eyes = ((100, 90), (124, 90))
    face = Face((80, 60, 60, 60), 1.0, eyes)
    for spot, (x, y) in zip(dots(eyes), FRAME, strict=True):
        assert centre(align(spot, face, 96, margin=0.5)) == pytest.approx((0.25 + x / 2, 0.25 + y / 2), abs=0.005)


def test_without_eyes_the_box_decides():
    """align is crop then; and a box of whole pixels at its own size is the region itself."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    face = Face((20, 10, 40, 40))
    assert np.array_equal(crop(pixels, face, 40), pixels[10:50, 20:60])
    assert np.array_equal(align(pixels, face, 40), crop(pixels, face, 40))
    with_eyes = Face((20, 10, 40, 40), 0.0, ((30, 20), (45, 22)))
    assert np.array_equal(crop(pixels, with_eyes, 40), pixels[10:50, 20:60])


def test_a_box_that_is_no_square_is_widened_not_stretched():
    """A box of 20 x 40 becomes the square of 40 around its middle."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90), np.uint8)
    assert np.array_equal(crop(pixels, Face((30, 10, 20, 40)), 40), pixels[10:50, 20:60])


@pytest.mark.parametrize("size", [20, 96])
def test_beyond_the_border_the_outermost_pixels_are_repeated(size):
    """A box that reaches out to the left shows there what stands at the border, shrunk or not."""
    pixels = np.full((100, 100), 50, np.uint8)
    pixels[:, :5] = 200
    found = crop(pixels, Face((-50, 0, 100, 100)), size)
    assert found.shape == (size, size)
    assert np.all(found[:, : size // 2] == 200)
    assert found[0, -1] == 50


def test_shrinking_averages_like_opencv():
    """Four to one: the mean of each square, as cv2.resize by areas has it."""
    pixels = np.random.default_rng(0).integers(0, 256, (160, 160), np.uint8)
    expected = cv2.resize(pixels[32:128, 32:128], (24, 24), interpolation=cv2.INTER_AREA)
    found = crop(pixels, Face((32, 32, 96, 96)), 24)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_cutting_costs_no_more_than_the_picture_however_large_the_box():
    """A box a million times as wide as the picture, and pictures wider than OpenCV can warp, give squares."""
    pixels = np.full((30, 40, 3), 77, np.uint8)
    for face in (Face((-2e7, -2e7, 4e7, 4e7)), Face((500, 500, 9, 9)), Face((0, 0, 9, 9), 0, ((5, 5), (5 + 1e-9, 5)))):
        assert np.all(align(pixels, face, 32, margin=2.0) == 77)
    wide = np.zeros((30, 40_000), np.uint8)
    wide[:, 39_970:] = 200
    assert np.all(crop(wide, Face((39_970, 0, 30, 30)), 30) == 200)


def test_one_pixel_is_a_picture():
    """Both colours, with and without eyes."""
    for pixels in (np.full((1, 1), 9, np.uint8), np.full((1, 1, 3), 9, np.uint8)):
        for eyes in (None, ((0.2, 0.5), (0.7, 0.5))):
            assert np.all(align(pixels, Face((0, 0, 1, 1), 0, eyes), 8) == 9)


def test_swapped_eyes_do_not_turn_a_face_upside_down():
    """In whichever order they come, the left one of the picture is first."""
    assert Face((0, 0, 50, 50), 0, ((30, 20), (10, 21))) == Face((0, 0, 50, 50), 0, ((10, 21), (30, 20)))


@pytest.mark.parametrize("margin", [-0.25, -0.1])
def test_a_margin_below_nothing_cuts_tighter(margin):
    """A quarter less on each side is the middle half of the box."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80), np.uint8)
    side = round(40 * (1 + 2 * margin))
    inset = (40 - side) // 2
    expected = pixels[20 + inset : 20 + inset + side, 20 + inset : 20 + inset + side]
    assert np.array_equal(crop(pixels, Face((20, 20, 40, 40)), side, margin), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 4}, "size must be a whole number of pixels from 8 to 4096, got 4"),
        ({"size": 9.5}, "got 9.5"),
        ({"margin": -1}, "margin must be a number from -0.25 to 2, a share of the side, got -1"),
        ({"margin": float("nan")}, "got nan"),
    ],
)
def test_sizes_and_margins_out_of_range_are_refused(options, message):
    """By align and by crop."""
    for cut in (align, crop):
        with pytest.raises(DataError, match=message):
            cut(np.zeros((50, 50), np.uint8), Face((0, 0, 20, 20)), **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((0, 0, 5), 1.0, None), "box of four finite numbers"),
        (((0, 0, -5, 5), 1.0, None), "width and a height above 0"),
        (((0, 0, 5, 5), 1.0, ((1, 1), (1, 1))), "cannot be at one point"),
        (((0, 0, 5, 5), 1.0, ((1, 1),)), "two eyes"),
    ],
)
def test_what_is_no_face_is_refused(given, message):
    """Too few numbers, an empty box, one point for both eyes, one eye."""
    with pytest.raises(DataError, match=message):
        Face(*given)
