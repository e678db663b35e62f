"""Drawing one face: each muscle moves its own part, every look shows, nothing is random."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from fusionfer.images._canvas import View
from fusionfer.images._drawing import (
    BEARDS,
    COVERS,
    GLASSES,
    HAIR_STYLES,
    HIDEABLE,
    Actions,
    Cover,
    Looks,
    draw_face,
)

SIZE = 128
# Rows of a 128-pixel picture, seen from the front: face coordinate y lies near row 64 + 54 y.
FOREHEAD_TO_EYES, EYES_TO_NOSE, NOSE_TO_CHIN = (22, 66), (24, 82), (72, 128)
ROWS = {
    "inner_brow_up": FOREHEAD_TO_EYES,
    "outer_brow_up": FOREHEAD_TO_EYES,
    "brow_down": FOREHEAD_TO_EYES,
    "brow_together": FOREHEAD_TO_EYES,
    "lid_wide": (44, 72),
    "lid_tight": (44, 72),
    "cheek_up": (44, 96),
    "nose_wrinkle": (24, 98),
    "upper_lip_up": (64, 104),
    "lip_corner_up": NOSE_TO_CHIN,
    "lip_corner_down": NOSE_TO_CHIN,
    "chin_up": NOSE_TO_CHIN,
    "lip_stretch": NOSE_TO_CHIN,
    "lip_press": NOSE_TO_CHIN,
    "jaw_drop": NOSE_TO_CHIN,
}
BROWS, MOUTH = slice(26, 52), slice(84, 100)


def changed_rows(first, second):
    return np.flatnonzero(np.abs(first.astype(int) - second).max(axis=(1, 2)) > 8)


def draw(looks=None, actions=None, **options):
    return draw_face(looks or Looks(), actions or Actions(), size=SIZE, **options)


def test_a_face_is_an_rgb_picture_and_nothing_is_random():
    """The result is uint8 of the asked size, and equal parameters give equal bytes."""
    for size in (16, 64, 97):
        picture = draw_face(Looks(), Actions(), View(noise=3.0, blur=0.01), size=size)
        assert picture.shape == (size, size, 3)
        assert picture.dtype == np.uint8
        assert np.array_equal(picture, draw_face(Looks(), Actions(), View(noise=3.0, blur=0.01), size=size))


def test_every_action_has_its_region_in_these_tests():
    """An action that is added must say here which rows it moves."""
    assert set(ROWS) == {field.name for field in fields(Actions)}


@pytest.mark.parametrize("action", ROWS)
def test_an_action_moves_its_own_region_only(action):
    """Each action changes pixels in the rows of its muscles, and in no other row."""
    rows = changed_rows(draw(), draw(actions=Actions(**{action: 1.0})))
    first, last = ROWS[action]
    assert len(rows) >= 4
    assert first <= rows.min()
    assert rows.max() < last


@pytest.mark.parametrize("action", ROWS)
def test_a_stronger_action_changes_more(action):
    """Intensity 1 is farther from the face at rest than intensity 0.4."""
    rest = draw().astype(float)
    weak = np.abs(draw(actions=Actions(**{action: 0.4})) - rest).sum()
    strong = np.abs(draw(actions=Actions(**{action: 1.0})) - rest).sum()
    assert strong > 1.2 * weak > 0


def test_jaw_drop_opens_the_mouth_and_leaves_the_brows():
    """A dropped jaw shows the dark of the mouth; brows and eyes stay as they were, to the byte."""
    rest, open_mouth = draw(), draw(actions=Actions(jaw_drop=1.0))
    assert np.array_equal(rest[BROWS], open_mouth[BROWS])
    assert open_mouth[MOUTH, 56:72].min() < rest[MOUTH, 56:72].min() - 5 or (
        open_mouth[MOUTH, 56:72].mean() < rest[MOUTH, 56:72].mean() - 20
    )


def test_brows_rise_and_sink():
    """The brows' dark pixels lie higher when raised and lower when lowered."""

    def height(actions):
        strip = draw(Looks(hair_style="bald"), actions)[20:52, 68:88].astype(float).mean(axis=2)
        dark = np.clip(140.0 - strip, 0.0, None)
        return (dark.sum(axis=1) * np.arange(len(dark))).sum() / dark.sum()

    rest = height(Actions())
    assert height(Actions(inner_brow_up=1.0, outer_brow_up=1.0)) < rest - 2.0
    assert height(Actions(brow_down=1.0)) > rest + 1.0


@pytest.mark.parametrize(
    ("field", "values"),
    [("hair_style", HAIR_STYLES), ("glasses", GLASSES), ("beard", BEARDS)],
)
def test_every_look_looks_different(field, values):
    """No two hair styles, glasses or beards give the same picture."""
    pictures = {draw(replace(Looks(), **{field: value})).tobytes() for value in values}
    assert len(pictures) == len(values)


@pytest.mark.parametrize("field", [f.name for f in fields(Looks) if f.type == "float"])
def test_every_measure_of_a_person_shows(field):
    """A change in any measure of the face changes the picture."""
    looks = Looks()
    other = replace(looks, **{field: 1.25 * getattr(looks, field) + 0.05})
    assert (np.abs(draw(looks).astype(int) - draw(other)).max(axis=(1, 2)) > 2).sum() > 3


def test_a_symmetric_face_is_symmetric():
    """Seen from the front without asymmetry, the outline of both eyes mirrors (lights and nose shadow aside)."""
    picture = draw(Looks(hair_style="bald"), view=View(light=0.0))[40:70].astype(float)
    halves = np.abs(picture[:, 20:54] - picture[:, ::-1][:, 20:54])
    assert halves.mean() < 4.0
    askew = draw(Looks(hair_style="bald", asymmetry=1.0), view=View(light=0.0))[40:70].astype(float)
    assert np.abs(askew[:, 20:54] - askew[:, ::-1][:, 20:54]).mean() > 1.5 * halves.mean()


@pytest.mark.parametrize("kind", [kind for kind in COVERS if kind != "none"])
def test_every_cover_covers(kind):
    """Each cover changes part of the picture, not all of it."""
    changed = np.abs(draw(cover=Cover(kind, 0.4, 0.6)).astype(int) - draw()).max(axis=2) > 8
    assert 0.01 < changed.mean() < 0.6


def patch_interior(part):
    """Return the rows and columns well inside a patch of a 128-pixel picture."""
    x, y, width, height = HIDEABLE[part]
    middle, unit = np.array([64 + 54 * y, 64 + 54 * x]), np.array([54 * height, 54 * width])
    (top, left), (bottom, right) = np.rint(middle - 0.6 * unit).astype(int), np.rint(middle + 0.6 * unit).astype(int)
    return slice(top, bottom), slice(left, right)


@pytest.mark.parametrize(
    ("part", "hidden_actions", "seen_action"),
    [
        ("mouth", ("lip_corner_up", "lip_corner_down", "lip_stretch", "lip_press", "jaw_drop", "chin_up"), "brow_down"),
        ("eyes", ("inner_brow_up", "brow_down", "brow_together", "lid_wide", "lid_tight"), "jaw_drop"),
    ],
)
def test_a_patch_hides_its_part_and_no_more(part, hidden_actions, seen_action):
    """Behind the patch nothing shows, not even shading; actions elsewhere still show."""
    rest, inside = draw(hide=part), patch_interior(part)
    for action in hidden_actions:
        other = draw(actions=Actions(**{action: 1.0}), hide=part)
        assert np.abs(other[inside].astype(int) - rest[inside]).max() <= 2, action
    assert len(changed_rows(rest, draw(actions=Actions(**{seen_action: 1.0}), hide=part))) > 4


def test_the_eyes_look_where_they_are_told():
    """The gaze changes the eyes and nothing else."""
    rows = changed_rows(draw(gaze=-1.0), draw(gaze=1.0))
    assert len(rows) > 2
    assert rows.min() > 44
    assert rows.max() < 70
