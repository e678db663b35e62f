"""The canvas: pose, light and lens do what they say, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from fusionfer.images._canvas import Canvas, View

FLAT = View(light=0.0, background=(0.0, 0.0, 0.0))
SQUARE = np.array([(-0.2, -0.2), (0.2, -0.2), (0.2, 0.2), (-0.2, 0.2)])


def centre_of_mass(picture):
    weight = picture.astype(float).sum(axis=2)
    rows, columns = np.indices(weight.shape)
    return (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()


@pytest.fixture
def square():
    canvas = Canvas()
    canvas.fill(SQUARE, (200.0, 100.0, 50.0))
    return canvas


def test_an_empty_canvas_is_background():
    """Without shapes, light and lens the picture has the colour of the background everywhere."""
    picture = Canvas().render(View(light=0.0, background=(10.0, 20.0, 30.0)), 20)
    assert picture.dtype == np.uint8
    assert (picture == np.array([10, 20, 30])).all()


def test_fill_paints_its_colour_in_the_middle(square):
    """A square at the origin is centred in the picture, in its colour, and leaves the corners alone."""
    picture = square.render(FLAT, 64)
    assert picture[32, 32].tolist() == [200, 100, 50]
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert centre_of_mass(picture) == pytest.approx((31.5, 31.5), abs=0.05)


def test_the_picture_scales_with_its_size(square):
    """Twice the side gives the same picture at twice the resolution."""
    small, large = square.render(FLAT, 64), square.render(FLAT, 128)
    halved = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - small).mean() < 2.0


@pytest.mark.parametrize(
    ("change", "axis", "sign"),
    [({"yaw": 0.3}, 0, 1), ({"pitch": 0.3}, 1, -1), ({"shift_x": 0.2}, 0, 1), ({"shift_y": 0.2}, 1, 1)],
)
def test_pose_moves_the_front_of_the_face(square, change, axis, sign):
    """Turning right, looking up and shifting move what lies in the middle of the face as documented."""
    moved = square.render(View(light=0.0, background=(0.0, 0.0, 0.0), **change), 64)
    assert sign * (centre_of_mass(moved)[axis] - centre_of_mass(square.render(FLAT, 64))[axis]) > 2.0


def test_light_comes_from_where_it_is_said_to(square):
    """With light from the left the left half of a grey picture is brighter, and the other way round."""
    grey = (100.0, 100.0, 100.0)
    for x in (-1.0, 1.0):
        picture = Canvas().render(View(light_x=x, light_y=0.0, light=0.6, background=grey), 64).astype(float)
        assert x * (picture[:, 32:].mean() - picture[:, :32].mean()) > 10.0


def test_shade_darkens_and_brightens_softly():
    """A relief changes brightness by its sign, most in its middle, and not far away."""
    for amount in (-0.4, 0.4):
        canvas = Canvas()
        canvas.shade(SQUARE, amount)
        change = canvas.render(View(light=0.0, background=(100.0,) * 3), 64).astype(float) - 100.0
        assert change[32, 32].mean() == pytest.approx(100.0 * amount, abs=4.0)
        assert np.abs(change[:5]).max() == 0.0


def test_noise_has_the_asked_strength_and_a_seed():
    """The noise's standard deviation is as asked, one seed gives one noise, another another."""
    view = {"light": 0.0, "noise": 6.0, "background": (128.0,) * 3}
    first = Canvas().render(View(grain=1, **view), 128)
    assert first.astype(float).std() == pytest.approx(6.0, rel=0.05)
    assert np.array_equal(first, Canvas().render(View(grain=1, **view), 128))
    assert not np.array_equal(first, Canvas().render(View(grain=2, **view), 128))


def test_blur_contrast_and_brightness(square):
    """Blur softens edges; contrast and brightness follow their formula on flat colour."""
    sharp = square.render(FLAT, 64).astype(float)
    soft = square.render(View(light=0.0, background=(0.0, 0.0, 0.0), blur=0.03), 64).astype(float)
    assert np.abs(np.diff(soft, axis=1)).max() < 0.5 * np.abs(np.diff(sharp, axis=1)).max()
    flat = Canvas().render(View(light=0.0, contrast=0.5, brightness=10.0, background=(28.0,) * 3), 16)
    assert (flat == (28 - 128) * 0.5 + 128 + 10).all()
