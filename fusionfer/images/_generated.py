"""Generated faces: invented people who show seven expressions, for demonstrations and tests without any data.

Every picture is drawn when it is asked for, from random numbers of its own: picture i is the same whichever others were
drawn before, and from whichever thread.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, fields
from typing import cast

import numpy as np

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.images._canvas import Colour, View
from fusionfer.images._drawing import BEARDS, GLASSES, HAIR_STYLES, HIDEABLE, Actions, Cover, Looks, draw_face
from fusionfer.images._faceset import FaceSet

__all__ = ["EXPRESSIONS", "generate_faces"]

TEST_SHARE = 0.3
POSED_SHARE = 0.35  # of the takes; in them the mouth shows the expression and the upper face hardly follows
WEAK_SHARE = 0.06  # of the takes; they make neutral and sad, fear and surprise, angry and disgust overlap
SIZES = (16, 1024)

# Each expression has several faces, as in the tables of EMFACS: a person who is angry presses the lips or bares teeth.
PROTOTYPES: dict[str, tuple[dict[str, float], ...]] = {
    "angry": (
        {"brow_down": 1.0, "brow_together": 1.0, "lid_wide": 0.35, "lid_tight": 0.6, "lip_press": 1.0, "chin_up": 0.3},
        {"brow_down": 1.0, "brow_together": 0.9, "lid_tight": 0.7, "upper_lip_up": 0.5, "lip_stretch": 0.5,
         "jaw_drop": 0.35, "nose_wrinkle": 0.2},
    ),
    "disgust": (
        {"nose_wrinkle": 1.0, "upper_lip_up": 0.8, "brow_down": 0.4, "lid_tight": 0.5, "chin_up": 0.6,
         "lip_corner_down": 0.3},
        {"nose_wrinkle": 0.7, "upper_lip_up": 1.0, "brow_down": 0.3, "lid_tight": 0.4, "jaw_drop": 0.3,
         "lip_corner_down": 0.4},
    ),
    "fear": (
        {"inner_brow_up": 1.0, "outer_brow_up": 0.5, "brow_together": 0.9, "lid_wide": 1.0, "lip_stretch": 1.0,
         "jaw_drop": 0.3},
        {"inner_brow_up": 1.0, "outer_brow_up": 0.7, "brow_together": 0.7, "lid_wide": 0.9, "lip_stretch": 0.6,
         "jaw_drop": 0.65},
    ),
    "happy": (
        {"cheek_up": 0.9, "lip_corner_up": 1.0, "jaw_drop": 0.3},
        {"cheek_up": 0.3, "lip_corner_up": 0.9, "jaw_drop": 0.12},
    ),
    "neutral": ({},),
    "sad": (
        {"inner_brow_up": 1.0, "brow_together": 0.6, "lip_corner_down": 1.0, "chin_up": 0.5, "lid_tight": 0.25},
        {"inner_brow_up": 0.8, "brow_down": 0.2, "brow_together": 0.5, "lip_corner_down": 0.8, "lid_tight": 0.5},
    ),
    "surprise": (
        {"inner_brow_up": 1.0, "outer_brow_up": 1.0, "lid_wide": 1.0, "jaw_drop": 1.0},
        {"inner_brow_up": 0.9, "outer_brow_up": 0.9, "lid_wide": 0.7, "jaw_drop": 0.55},
    ),
}  # fmt: skip
EXPRESSIONS = tuple(sorted(PROTOTYPES))

ACTIONS = tuple(field.name for field in fields(Actions))
UPPER_FACE = np.array([name.startswith(("inner", "outer", "brow", "lid_", "cheek", "nose")) for name in ACTIONS])
# How often an action is seen that belongs to no expression: who talks or thinks moves brows and lids, seldom the mouth.
STRAY_SHARES = np.where(UPPER_FACE, 0.15, 0.03)
SKINS = ((243, 208, 186), (226, 178, 148), (203, 150, 116), (164, 112, 80), (134, 90, 64), (108, 72, 54))
HAIRS = ((28, 22, 20), (60, 40, 28), (104, 68, 40), (156, 116, 68), (138, 70, 40), (138, 134, 130))
IRISES = ((62, 42, 28), (96, 70, 40), (84, 110, 130), (90, 120, 84), (40, 30, 26))


@dataclass(frozen=True)
class Person:
    """One identity: the looks, and what the muscles do at rest (added to every expression)."""

    looks: Looks
    rest: dict[str, float]


@dataclass(frozen=True)
class Studio:
    """The source of generated faces; its keys are (identity, expression, take)."""

    seed: int
    size: int
    hide: str | None
    people: tuple[Person, ...]

    def read(self, key: Hashable) -> np.ndarray:
        """Draw one picture: uint8 RGB of shape (size, size, 3)."""
        identity, expression, take = cast(tuple[int, str, int], key)
        person = self.people[identity]
        rng = _generator(self.seed, identity, EXPRESSIONS.index(expression), take)
        actions = _express(rng, expression, person.rest)
        view, cover, gaze = _see(rng, person.looks.skin), _cover(rng), float(rng.uniform(-1.0, 1.0))
        return draw_face(person.looks, actions, view, cover=cover, hide=self.hide, gaze=gaze, size=self.size)


def generate_faces(
    n_identities: int = 42, takes: int = 5, size: int = 64, seed: int = 0, *, hide: str | None = None
) -> FaceSet:
    """Generate labelled faces of invented people.

    Seven expressions are composed of facial actions after the prototypes of EMFACS [1]_ [2]_. Their strength varies
    from take to take, down to hardly visible, so that classes overlap; people differ in looks and in their face at
    rest; pose, light, lens and things before the face vary with every picture.

    Parameters
    ----------
    n_identities : int
        Number of people, at least 2. The first ones look the same whatever their number.
    takes : int
        Pictures of each expression of each person.
    size : int
        Side of the pictures in pixels, 16 to 1024.
    seed : int
        Equal seeds give equal pictures and splits, byte for byte with one version of OpenCV and NumPy.
    hide : {"mouth", "eyes"}, optional
        Part of the face to be covered by a grey patch in every picture.

    Returns
    -------
    FaceSet
        ``7 * n_identities * takes`` faces, ids such as ``identity07/happy/take3`` (both counted from 0), groups
        ``identity07``; some 70 % of the people are in split "train", the others in "test".

    Raises
    ------
    DataError
        If a number is out of its range.
    UnknownNameError
        If `hide` names no part of the face.

    References
    ----------
    .. [1] W. V. Friesen and P. Ekman, "EMFACS-7: Emotional Facial Action Coding System", unpublished manual,
       University of California, San Francisco, 1983.
    .. [2] P. Ekman, W. V. Friesen and J. C. Hager, "Facial Action Coding System: Investigator's Guide", 2002,
       table 10-2.

    Examples
    --------
    >>> faces = generate_faces(n_identities=3, takes=1)
    >>> len(faces), faces.classes[:3], str(faces.ids[0])
    (21, ('angry', 'disgust', 'fear'), 'identity00/angry/take0')
    >>> faces.load(0)[0].shape
    (64, 64, 3)
    """
    _check(n_identities, takes, size, seed, hide)
    people = tuple(_invent(_generator(seed, i)) for i in range(n_identities))
    order = np.random.default_rng(np.random.SeedSequence(seed)).permutation(n_identities)
    in_test = set(order[: max(1, round(TEST_SHARE * n_identities))].tolist())
    keys = tuple(
        (i, expression, take) for i in range(n_identities) for expression in EXPRESSIONS for take in range(takes)
    )
    return FaceSet(
        ids=np.array([f"identity{i:02d}/{expression}/take{take}" for i, expression, take in keys]),
        keys=keys,
        source=Studio(seed=seed, size=size, hide=hide, people=people),
        labels=np.array([expression for _, expression, _ in keys]),
        splits=np.array(["test" if i in in_test else "train" for i, _, _ in keys]),
        groups=np.array([f"identity{i:02d}" for i, _, _ in keys]),
        name="generated faces",
    )


def _check(n_identities: int, takes: int, size: int, seed: int, hide: str | None) -> None:
    ranges = [
        ("n_identities", n_identities, 2, None),
        ("takes", takes, 1, None),
        ("size", size, *SIZES),
        ("seed", seed, 0, None),
    ]
    complaints = []
    for name, value, low, high in ranges:
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < low or (high is not None and value > high):
            allowed = f"at least {low}" if high is None else f"from {low} to {high}"
            complaints.append(f"{name} must be an integer {allowed}, got {value!r}")
    if complaints:
        msg = f"Faces cannot be generated: {'; '.join(complaints)}."
        raise DataError(msg)
    if hide is not None and hide not in HIDEABLE:
        raise unknown_name("part of the face", hide, HIDEABLE, plural="parts of the face")


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _near(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    """Return a colour near one of the palette: mostly darker or brighter, a little of another hue."""
    base = np.array(palette[rng.integers(len(palette))])
    red, green, blue = np.clip(base * rng.uniform(0.9, 1.06) * rng.normal(1.0, 0.02, 3), 8, 250).tolist()
    return red, green, blue


def _invent(rng: np.random.Generator) -> Person:
    """Invent a person."""
    style = str(rng.choice(HAIR_STYLES))
    bearded = style not in ("bob", "long", "bun") and rng.random() < 0.5
    looks = Looks(
        skin=_near(rng, SKINS),
        hair=_near(rng, HAIRS),
        iris=_near(rng, IRISES),
        hair_style=style,
        glasses=str(rng.choice(GLASSES[1:])) if rng.random() < 0.25 else GLASSES[0],
        beard=str(rng.choice(BEARDS[1:])) if bearded else BEARDS[0],
        width=rng.uniform(0.66, 0.79),
        height=rng.uniform(0.94, 1.04),
        jaw=rng.uniform(0.65, 1.15),
        brow_thickness=rng.uniform(0.03, 0.075),
        brow_height=rng.uniform(-0.04, 0.05),
        eye_size=rng.uniform(0.82, 1.18),
        eye_spacing=rng.uniform(0.27, 0.33),
        nose_width=rng.uniform(0.1, 0.165),
        nose_length=rng.uniform(0.18, 0.28),
        mouth_width=rng.uniform(0.26, 0.34),
        mouth_height=rng.uniform(-0.03, 0.05),
        lip_fullness=rng.uniform(0.6, 1.5),
        age=rng.uniform(0.0, 1.0),
        asymmetry=rng.uniform(-1.0, 1.0),
    )
    rest = {action: rng.uniform(0.03, 0.12) for action in rng.choice(ACTIONS[:-1], 2, replace=False)}
    return Person(looks, rest)


def _express(rng: np.random.Generator, expression: str, rest: dict[str, float]) -> Actions:
    """Return what the muscles do in one take: a prototype at some strength, the face at rest, and stray movement."""
    prototype = PROTOTYPES[expression][rng.integers(len(PROTOTYPES[expression]))]
    strength = rng.uniform(0.2, 0.5) if rng.random() < WEAK_SHARE else rng.uniform(0.7, 1.0)
    upper = rng.uniform(0.0, 0.35) if rng.random() < POSED_SHARE else 1.0
    wobble = (rng.uniform(0.75, 1.2, len(ACTIONS)) * np.where(UPPER_FACE, upper, 1.0)).tolist()
    stray = (rng.uniform(0.0, 0.4, len(ACTIONS)) * (rng.random(len(ACTIONS)) < STRAY_SHARES)).tolist()
    return Actions(
        **{
            action: min(1.0, strength * factor * prototype.get(action, 0.0) + rest.get(action, 0.0) + extra)
            for action, factor, extra in zip(ACTIONS, wobble, stray, strict=True)
        }
    )


def _see(rng: np.random.Generator, skin: Colour) -> View:
    """Return a view: pose, light, lens. The crop is tight, as face detectors make it: brows to chin."""
    brightness = 0.3 * skin[0] + 0.6 * skin[1] + 0.1 * skin[2]
    exposure = (150.0 / brightness) ** 0.8  # cameras expose for the face, though never quite enough
    red, green, blue = (exposure * rng.uniform(0.98, 1.02, 3)).tolist()
    grey = rng.uniform(90.0, 150.0)
    return View(
        yaw=float(rng.normal(0.0, 0.035)),
        pitch=float(rng.normal(0.0, 0.02)),
        roll=float(rng.normal(0.0, 0.02)),
        zoom=rng.uniform(1.7, 1.78),
        shift_x=float(rng.normal(0.0, 0.008)),
        shift_y=float(rng.normal(-0.14, 0.008)),
        light_x=rng.uniform(-1.0, 1.0),
        light_y=rng.uniform(-1.0, 0.4),
        light=rng.uniform(0.15, 0.3),
        tint=(red, green, blue),
        brightness=float(rng.normal(0.0, 4.0)),
        contrast=rng.uniform(0.85, 0.95),
        blur=max(0.0, rng.uniform(-0.03, 0.007)),
        noise=rng.uniform(0.0, 1.2),
        grain=int(rng.integers(2**32)),
        background=(grey, grey, grey),
    )


def _cover(rng: np.random.Generator) -> Cover:
    """Return what stands before the face: in most pictures nothing."""
    kind = str(
        rng.choice(("none", "hand", "scarf", "sunglasses", "bar", "strand"), p=(0.93, 0.02, 0.01, 0.015, 0.01, 0.015))
    )
    x = rng.choice((-1.0, 1.0)) * rng.uniform(0.25, 0.75)
    colour: Colour = tuple(rng.uniform(30.0, 200.0, 3).tolist())
    return Cover(kind, x, rng.uniform(0.5, 0.75), colour)
