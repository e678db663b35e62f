"""Draw one face from parameters: who it is, what the muscles do, what covers it, how it is seen.

The muscles follow the action units (AU) of FACS [1]_: each moves its own part of the face, by an intensity from 0 to
1, and an expression is a combination of them. Nothing here is random: equal parameters give equal bytes.

References
----------
.. [1] P. Ekman and W. V. Friesen, "Facial Action Coding System", Consulting Psychologists Press, 1978.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusionfer.images._canvas import Canvas, Colour, View

__all__ = ["BEARDS", "COVERS", "GLASSES", "HAIR_STYLES", "HIDEABLE", "Actions", "Cover", "Looks", "draw_face"]

HAIR_STYLES = ("bald", "buzz", "short", "parted", "fringe", "bob", "long", "curly", "bun")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "round", "square")
COVERS = ("none", "hand", "scarf", "sunglasses", "bar", "strand")
HIDEABLE = {"mouth": (0.0, 0.58, 0.64, 0.36), "eyes": (0.0, -0.2, 0.66, 0.3)}  # centre x, y, half width, half height

_TURN = np.linspace(0.0, 2.0 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
_T = np.linspace(-1.0, 1.0, 15)
_ARCH = 1.0 - _T**2
_STEPS = np.linspace(0.0, 1.0, 9)
_BEZIER = np.stack([(1.0 - _STEPS) ** 2, 2.0 * _STEPS * (1.0 - _STEPS), _STEPS**2], axis=1)
_DARK = (38.0, 26.0, 26.0)


@dataclass(frozen=True)
class Actions:
    """Intensity of each facial action, 0 (at rest) to 1 (as strong as it gets)."""

    inner_brow_up: float = 0.0  # AU 1
    outer_brow_up: float = 0.0  # AU 2
    brow_down: float = 0.0  # AU 4
    brow_together: float = 0.0  # AU 4
    lid_wide: float = 0.0  # AU 5
    cheek_up: float = 0.0  # AU 6
    lid_tight: float = 0.0  # AU 7
    nose_wrinkle: float = 0.0  # AU 9
    upper_lip_up: float = 0.0  # AU 10
    lip_corner_up: float = 0.0  # AU 12
    lip_corner_down: float = 0.0  # AU 15
    chin_up: float = 0.0  # AU 17
    lip_stretch: float = 0.0  # AU 20
    lip_press: float = 0.0  # AU 24
    jaw_drop: float = 0.0  # AU 26


@dataclass(frozen=True)
class Looks:
    """What a person looks like at rest; lengths in face units, factors about 1, colours RGB from 0 to 255."""

    skin: Colour = (222.0, 178.0, 150.0)
    hair: Colour = (70.0, 45.0, 30.0)
    iris: Colour = (90.0, 70.0, 50.0)
    hair_style: str = "short"
    glasses: str = "none"
    beard: str = "none"
    width: float = 0.72
    height: float = 1.0
    jaw: float = 0.9  # below 1 square, above 1 pointed
    brow_thickness: float = 0.05
    brow_height: float = 0.0
    eye_size: float = 1.0
    eye_spacing: float = 0.3
    nose_width: float = 0.13
    nose_length: float = 0.24
    mouth_width: float = 0.27
    mouth_height: float = 0.0
    lip_fullness: float = 1.0
    age: float = 0.3  # depth of lines, 0 to 1
    asymmetry: float = 0.0  # of brows, eyes and mouth at rest, -1 to 1


@dataclass(frozen=True)
class Cover:
    """Something before the face: its kind (one of COVERS), place in face units, and colour (RGB from 0 to 255)."""

    kind: str = "none"
    x: float = 0.0
    y: float = 0.6
    colour: Colour = (90.0, 90.0, 110.0)


def draw_face(
    looks: Looks,
    actions: Actions,
    view: View | None = None,
    *,
    cover: Cover | None = None,
    hide: str | None = None,
    gaze: float = 0.0,
    size: int = 64,
) -> np.ndarray:
    """Draw one face.

    Parameters
    ----------
    looks : Looks
        The person.
    actions : Actions
        What the muscles do.
    view : View, optional
        Pose, light and lens; by default from the front, sharp and without noise.
    cover : Cover, optional
        What stands before the face.
    hide : str, optional
        Part of the face to be covered by a grey patch: a key of HIDEABLE.
    gaze : float
        Where the eyes look, -1 (left of the picture) to 1.
    size : int
        Side of the picture in pixels.

    Returns
    -------
    ndarray of uint8, shape (size, size, 3)
        RGB.

    Examples
    --------
    >>> draw_face(Looks(), Actions(lip_corner_up=1.0)).shape
    (64, 64, 3)
    """
    canvas = Canvas()
    _behind(canvas, looks)
    _head(canvas, looks, actions)
    _eyes(canvas, looks, actions, gaze)
    _forehead(canvas, looks, actions)
    _nose(canvas, looks, actions)
    _beard(canvas, looks, actions)
    _mouth(canvas, looks, actions)
    _hair(canvas, looks)
    _brows(canvas, looks, actions)
    _spectacles(canvas, looks)
    _cover(canvas, looks, cover or Cover())
    if hide is not None:
        x, y, width, height = HIDEABLE[hide]
        canvas.cover(_oval(x, y, width, height), (128.0, 128.0, 128.0))
    return canvas.render(view or View(), size)


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from a to b."""
    share = min(1.0, max(0.0, share))
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]))


def _dim(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _oval(x: float, y: float, width: float, height: float) -> np.ndarray:
    """Return the outline of an ellipse: centre, half width, half height."""
    return _CIRCLE * (width, height) + (x, y)


def _bend(*corners: tuple[float, float]) -> np.ndarray:
    """Return 9 points on the Bezier curve of 3 control points."""
    return _BEZIER @ np.array(corners)


def _mirror(points: np.ndarray, side: int) -> np.ndarray:
    return points * (side, 1)


def _band(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Return the outline between two curves over the same x."""
    return np.stack([np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]])], axis=1)


def _outline(looks: Looks, jaw_drop: float, grow: float = 1.0) -> np.ndarray:
    """Return the outline of the head; the jaw takes the chin with it."""
    cos, sin = np.cos(_TURN), np.sin(_TURN)
    lower = np.sign(cos) * np.abs(cos) ** looks.jaw
    x = looks.width * grow * np.where(sin > 0, 0.25 * cos + 0.75 * lower, cos)
    y = looks.height * grow * np.where(sin > 0, 0.97 * sin, sin)
    return np.stack([x, y + 0.14 * jaw_drop * np.clip((y - 0.3) / 0.6, 0.0, 1.0)], axis=1)


def _behind(canvas: Canvas, looks: Looks) -> None:
    """Paint what stands behind the head: hair, neck, shoulders, ears."""
    back, w = _dim(looks.hair, 0.75), looks.width
    if looks.hair_style == "long":
        canvas.fill(_band(np.array([-w - 0.2, w + 0.2]), np.full(2, -0.3), np.full(2, 1.5)), back, -0.5)
        canvas.fill(_oval(0, -0.3, w + 0.2, 0.9), back, -0.5)
    elif looks.hair_style == "bob":
        canvas.fill(_oval(0, -0.1, w + 0.2, 0.95), back, -0.5)
    elif looks.hair_style == "curly":
        for angle in np.linspace(-0.15 * np.pi, 1.15 * np.pi, 13):
            x, y = (w + 0.07) * np.cos(angle), -0.2 - 0.88 * np.sin(angle)
            canvas.fill(_oval(x, y, 0.2, 0.2), _dim(looks.hair, 0.72 + 0.12 * (round(10 * angle) % 3)), -0.4)
    elif looks.hair_style == "bun":
        canvas.fill(_oval(0, -1.1, 0.28, 0.24), back, -0.4)
    cloth = _mix(looks.iris, looks.hair, 0.5)
    canvas.fill(_oval(0, 1.75, 1.25, 0.62), cloth, -0.5)
    canvas.fill(_band(np.array([-0.36, 0.36]), np.full(2, 0.5), np.full(2, 1.3)), _dim(looks.skin, 0.72), -0.45)
    for side in (-1, 1):
        canvas.fill(_oval(side * (w + 0.03), -0.02, 0.1, 0.19), _dim(looks.skin, 0.88), -0.5)
        canvas.fill(_oval(side * (w + 0.04), -0.02, 0.05, 0.11), _dim(looks.skin, 0.68), -0.5)


def _head(canvas: Canvas, looks: Looks, actions: Actions) -> None:
    canvas.fill(_outline(looks, actions.jaw_drop), looks.skin, -0.3)
    canvas.shade(_band(np.array([-0.3, 0.3]), np.full(2, -0.8), np.full(2, -0.45)), 0.07)
    canvas.shade(_oval(0, 0.86 + 0.12 * actions.jaw_drop, 0.16, 0.1), 0.06)
    for side in (-1, 1):
        canvas.shade(_oval(side * 0.4, 0.24 - 0.07 * actions.cheek_up, 0.17, 0.12), 0.05 + 0.13 * actions.cheek_up)
        canvas.shade(_oval(side * (looks.width - 0.07), 0.3, 0.1, 0.4), -0.12, -0.2)
    # The chin's pad is pushed up and dimples.
    if actions.chin_up > 0.02:
        canvas.shade(_oval(0, 0.74, 0.15, 0.07), -0.3 * actions.chin_up)


def _eyes(canvas: Canvas, looks: Looks, actions: Actions, gaze: float) -> None:
    half = 0.135 * looks.eye_size
    for side in (-1, 1):
        x, y = side * looks.eye_spacing, -0.12 + 0.015 * side * looks.asymmetry
        squeeze = 1.0 - 0.1 * side * looks.asymmetry
        wide, tight = actions.lid_wide, max(actions.lid_tight, 0.6 * actions.nose_wrinkle)
        upper = half * squeeze * max(0.12, 0.5 + 0.55 * wide - 0.3 * tight - 0.1 * actions.cheek_up)
        lower = half * squeeze * max(0.02, 0.36 + 0.12 * wide - 0.24 * tight - 0.3 * actions.cheek_up)
        # The inner brow drags the lid's inner part along, as in sadness; the outer part hangs.
        slant = -0.02 * actions.inner_brow_up * _T * -side
        lid_top, lid_bottom = y - upper * _ARCH**0.7 + slant, y + lower * _ARCH**0.8 + slant
        lid_x = x + half * _T
        canvas.shade(_oval(x, y - 0.03, half * 1.3, half * 0.95), -0.17)
        canvas.fill(_band(lid_x, lid_top, lid_bottom), (238.0, 234.0, 228.0))
        for radius, colour in ((0.56, looks.iris), (0.27, (18.0, 14.0, 14.0))):
            # Points of the iris beyond a lid are laid onto it: the lid cuts the iris off.
            iris = _oval(x + 0.045 * gaze, y - 0.01, half * radius, half * radius)
            over = np.interp(iris[:, 0], lid_x, lid_top), np.interp(iris[:, 0], lid_x, lid_bottom)
            iris[:, 1] = np.clip(iris[:, 1], *over)
            canvas.fill(iris, colour)
        canvas.fill(_oval(x + 0.045 * gaze - 0.025, y - 0.035 * squeeze, 0.014, 0.014), (250.0, 250.0, 250.0))
        canvas.line(np.stack([lid_x, lid_top], axis=1), _mix(_DARK, looks.skin, 0.1), 0.032)
        canvas.line(np.stack([lid_x, lid_bottom], axis=1), _dim(looks.skin, 0.55), 0.014)
        crease = _mix(_dim(looks.skin, 0.62), looks.skin, 0.6 * wide)
        canvas.line(np.stack([lid_x, lid_top - 0.045 + 0.02 * wide], axis=1), crease, 0.014)
        bag = 0.12 + 0.3 * looks.age + 0.5 * actions.cheek_up + 0.3 * tight
        under = np.stack([lid_x, lid_bottom + 0.05], axis=1)[3:12]
        canvas.line(under, _mix(looks.skin, _dim(looks.skin, 0.6), bag), 0.016)
        for spread in (-0.06, 0.0, 0.06):
            start = side * (looks.eye_spacing + half + 0.04), y + 0.4 * spread
            end = side * (looks.eye_spacing + half + 0.12), y + 1.4 * spread - 0.01
            crow = actions.cheek_up * (0.35 + 0.6 * looks.age)
            canvas.line(np.array([start, end]), _mix(looks.skin, _dim(looks.skin, 0.6), crow), 0.014)


def _brows(canvas: Canvas, looks: Looks, actions: Actions) -> None:
    t = np.linspace(0.0, 1.0, 11)
    inner, outer = (1.0 - t) ** 1.3, t**1.2
    lower = 0.11 * actions.brow_down + 0.05 * actions.nose_wrinkle
    lift = (
        0.13 * actions.inner_brow_up * inner + 0.13 * actions.outer_brow_up * outer
        + 0.05 * actions.outer_brow_up * np.sin(np.pi * t) - lower * (0.45 + 0.75 * inner)
    )  # fmt: skip
    start = 0.115 - 0.055 * actions.brow_together
    x = start + (looks.eye_spacing + 0.2 - start) * t
    thick = looks.brow_thickness * (0.75 + 0.5 * np.sin(np.pi * t**0.7) - 0.55 * t**3)
    colour = _dim(_mix(looks.hair, looks.skin, 0.12), 0.85)
    for side in (-1, 1):
        rest = -0.335 - looks.brow_height + 0.025 * side * looks.asymmetry
        y = rest - 0.055 * np.sin(np.pi * t**1.2) + 0.035 * t - lift
        canvas.fill(_mirror(_band(x, y - thick / 2, y + thick / 2), side), colour, 0.02)


def _forehead(canvas: Canvas, looks: Looks, actions: Actions) -> None:
    """Paint the lines that the brows push up (across) and together (upright)."""
    deep = _dim(looks.skin, 0.62)
    across = max(actions.inner_brow_up, actions.outer_brow_up) * (0.4 + 0.6 * looks.age)
    reach = 0.14 + 0.2 * actions.outer_brow_up
    for y in (-0.54, -0.62):
        arch = y - 0.05 * actions.outer_brow_up * _ARCH - 0.03 * (actions.inner_brow_up - actions.outer_brow_up) * _ARCH
        canvas.line(np.stack([reach * _T, arch], axis=1), _mix(looks.skin, deep, across), 0.016)
    upright = max(actions.brow_together, 0.5 * actions.brow_down) * (0.5 + 0.5 * looks.age)
    for side in (-1, 1):
        bent = _bend((side * 0.045, -0.42), (side * 0.025, -0.35), (side * 0.05, -0.25))
        canvas.line(bent, _mix(looks.skin, deep, upright), 0.02)
        canvas.shade(_oval(side * 0.07, -0.3, 0.05, 0.06), -0.22 * actions.brow_down)


def _nose(canvas: Canvas, looks: Looks, actions: Actions) -> None:
    wrinkle = actions.nose_wrinkle
    width = looks.nose_width * (1.0 + 0.18 * wrinkle)
    tip = looks.nose_length - 0.045 * wrinkle
    dark, deep = _dim(looks.skin, 0.72), _dim(looks.skin, 0.58)
    canvas.shade(_band(np.array([-0.035, 0.035]), np.full(2, -0.2), np.full(2, tip - 0.04)), 0.2, 0.1)
    canvas.shade(_band(np.array([0.05, 0.11]), np.full(2, -0.15), np.full(2, tip)), -0.15, 0.05)
    canvas.line(_bend((0.07, -0.14), (0.06, 0.06), (width * 0.8, tip - 0.06)), _mix(looks.skin, dark, 0.6), 0.02, 0.1)
    for side in (-1, 1):
        wing = _bend((side * width * 0.8, tip - 0.09), (side * width * 1.3, tip), (side * width * 0.55, tip + 0.015))
        canvas.line(wing, dark, 0.024, 0.08)
        canvas.fill(_oval(side * width * 0.5, tip + 0.005, 0.034, 0.02), _mix(_DARK, looks.skin, 0.25), 0.12)
        fold = 0.1 + 0.35 * looks.age + 0.75 * max(wrinkle, actions.upper_lip_up, 0.8 * actions.lip_corner_up)
        furrow = _bend(
            (side * (width + 0.03), tip - 0.06),
            (side * (looks.mouth_width + 0.1), tip + 0.08),
            (side * (looks.mouth_width + 0.08 + 0.05 * actions.lip_corner_up), 0.47 + looks.mouth_height),
        )
        canvas.line(furrow, _mix(looks.skin, dark, fold), 0.022)
        for y in (-0.1, -0.04, 0.02):
            line = np.array([(side * 0.015, y + 0.01), (side * 0.1, y - 0.035)])
            canvas.line(line, _mix(looks.skin, deep, wrinkle), 0.016, 0.08)
    canvas.shade(_oval(0, tip - 0.05, 0.05, 0.04), 0.18, 0.15)


def _mouth(canvas: Canvas, looks: Looks, actions: Actions) -> None:
    up, down, stretch, jaw = actions.lip_corner_up, actions.lip_corner_down, actions.lip_stretch, actions.jaw_drop
    raised, chin, press = actions.upper_lip_up, actions.chin_up, actions.lip_press
    x = looks.mouth_width * (1.0 + 0.3 * up + 0.3 * stretch - 0.16 * jaw - 0.2 * press - 0.06 * chin) * _T
    corner = -0.16 * up + 0.15 * down + 0.02 * stretch + 0.022 * looks.asymmetry * np.sign(_T)
    middle = 0.5 + looks.mouth_height + 0.035 * up - 0.045 * down - 0.035 * chin
    line = middle * _ARCH + (0.5 + looks.mouth_height + corner) * _T**2
    # A jaw alone opens an oval, stretched lips open a slot, a smile a crescent.
    square = 0.6 - 0.25 * min(1.0, stretch + raised)
    top = line - (0.02 * jaw + 0.085 * raised + 0.015 * stretch) * _ARCH**square
    bottom = line + (0.33 * jaw + 0.06 * stretch + 0.02 * raised) * _ARCH**square
    full = looks.lip_fullness * (1.0 - 0.7 * press) * (1.0 - 0.25 * max(up, stretch))
    cupid = 1.0 - 0.3 * np.exp(-((_T / 0.16) ** 2))
    upper_edge = top - 0.05 * full * cupid * (1.0 - _T**4)
    lower_edge = bottom + 0.075 * full * (1.0 + 0.3 * chin) * _ARCH**0.7
    lips = _mix(looks.skin, (168.0, 62.0, 66.0), 0.5)
    canvas.fill(_band(x, upper_edge, top), _dim(lips, 0.88))
    canvas.fill(_band(x, bottom, lower_edge), lips)
    gap = float(bottom[7] - top[7])
    canvas.fill(_band(x, top, bottom), _mix((70.0, 20.0, 24.0), _DARK, 4.0 * gap))
    bare = min(0.75 * gap, 0.03 + 0.06 * max(up, raised, stretch))
    if gap > 0.03:
        canvas.fill(_band(0.9 * x, top, top + bare * _ARCH**0.4), (236.0, 230.0, 220.0))
    if gap > 0.12:
        tongue = np.maximum(bottom - 0.38 * (gap - bare) * _ARCH**0.3, top + bare)
        canvas.fill(_band(0.75 * x, tongue, bottom - 0.01), (170.0, 74.0, 78.0))
    canvas.line(np.stack([x, top], axis=1), _mix(_dim(lips, 0.45), _DARK, press), 0.022)
    canvas.line(np.stack([x, bottom], axis=1), _dim(lips, 0.55), 0.014)
    canvas.shade(_oval(0, float(lower_edge[7]) + 0.05, 0.14, 0.03), -0.15 - 0.15 * max(chin, press))
    for end in (0, -1):
        canvas.shade(_oval(float(x[end]) * 1.1, float(line[end]), 0.04, 0.04), -0.1 - 0.25 * max(up, down, stretch))


def _beard(canvas: Canvas, looks: Looks, actions: Actions) -> None:
    mouth = 0.5 + looks.mouth_height
    share = 0.3 if looks.beard == "stubble" else 0.82
    colour = _mix(looks.skin, _dim(looks.hair, 0.9), share)
    if looks.beard in ("stubble", "full"):
        outline = _outline(looks, actions.jaw_drop, 1.0 if looks.beard == "stubble" else 1.04)
        low = outline[(outline[:, 1] > 0.12)]
        low = low[np.argsort(-low[:, 0])]
        inner = np.stack([-(looks.width - 0.2) * _T, 0.3 + 0.08 * _ARCH], axis=1)[::-1]
        canvas.fill(np.concatenate([low, inner]), colour, -0.28)
    if looks.beard in ("moustache", "goatee", "full"):
        x = (looks.mouth_width + 0.05) * _T
        rise = 0.04 * actions.upper_lip_up * _ARCH
        drop = (0.07 * _T**4) - 0.1 * actions.lip_corner_up * _T**2
        canvas.fill(_band(x, mouth - 0.16 + 0.07 * _T**2 + drop - rise, mouth - 0.05 + drop - rise), colour)
    if looks.beard == "goatee":
        canvas.fill(_oval(0, 0.82 + 0.14 * actions.jaw_drop, 0.2, 0.2), colour, -0.1)


def _hair(canvas: Canvas, looks: Looks) -> None:
    """Paint the hair before the forehead: between the crown and a hairline of its own for each style."""
    if looks.hair_style == "bald":
        canvas.shade(_oval(-0.15, -0.75, 0.2, 0.1), 0.2)
        return
    w, h = looks.width, looks.height
    crown = np.stack([(w + 0.05) * _T, -0.25 - (h - 0.15) * np.sqrt(np.maximum(_ARCH, 0.0))], axis=1)
    line = {
        "buzz": -0.3 - 0.42 * _ARCH**0.3,
        "short": -0.3 - 0.36 * _ARCH**0.4 + 0.03 * np.cos(9 * _T),
        "parted": -0.25 - 0.5 * _ARCH**0.5 * np.where(_T > -0.3, 0.65 - 0.35 * _T, 0.9),
        "fringe": -0.2 - 0.22 * _ARCH**0.2 + 0.02 * np.cos(14 * _T),
        "bob": -0.05 - 0.55 * _ARCH**0.3,
        "long": 0.0 - 0.68 * _ARCH**0.35,
        "curly": -0.25 - 0.4 * _ARCH**0.35 + 0.04 * np.cos(16 * _T),
        "bun": -0.3 - 0.45 * _ARCH**0.35,
    }[looks.hair_style]
    inner = np.stack([(w - 0.02) * _T, line], axis=1)
    colour = _mix(looks.hair, looks.skin, 0.35) if looks.hair_style == "buzz" else looks.hair
    canvas.fill(np.concatenate([crown, inner[::-1]]), colour, -0.25)
    shine = np.stack([(w - 0.15) * _T, -0.3 - (h - 0.28) * np.sqrt(_ARCH)], axis=1)[3:9]
    canvas.line(shine, _mix(colour, (255.0, 255.0, 255.0), 0.16), 0.05, -0.2)


def _spectacles(canvas: Canvas, looks: Looks) -> None:
    if looks.glasses == "none":
        return
    frame = _mix(_DARK, looks.hair, 0.3)
    for side in (-1, 1):
        lens = _CIRCLE if looks.glasses == "round" else np.sign(_CIRCLE) * np.abs(_CIRCLE) ** 0.45
        rim = lens * (0.2, 0.18 if looks.glasses == "round" else 0.14) + (side * (looks.eye_spacing + 0.01), -0.1)
        canvas.line(np.concatenate([rim, rim[:2]]), frame, 0.03, 0.08)
        temple = np.array([(side * (looks.eye_spacing + 0.21), -0.13), (side * (looks.width + 0.01), -0.1)])
        canvas.line(temple, frame, 0.03, -0.1)
    gap = looks.eye_spacing - 0.19
    canvas.line(_bend((-gap, -0.12), (0, -0.17), (gap, -0.12)), frame, 0.03, 0.12)


def _cover(canvas: Canvas, looks: Looks, cover: Cover) -> None:
    if cover.kind == "hand":
        for finger, reach in enumerate((0.0, -0.1, -0.08, 0.04)):
            x = cover.x + 0.15 * finger - 0.22
            limb = np.array([(x, cover.y + reach), (x + 0.35 * cover.x, cover.y + 1.3)])
            canvas.line(limb, _dim(looks.skin, 0.6), 0.17, 0.1)
            canvas.line(limb, _dim(looks.skin, 0.94), 0.13, 0.1)
    elif cover.kind == "scarf":
        edge = cover.y + 0.04 * np.cos(5 * _T)
        canvas.cover(_band(1.3 * _T, edge, np.full(len(_T), 1.9)), cover.colour, -0.2)
        for y in (0.14, 0.3):
            canvas.line(np.stack([1.2 * _T, edge + y - 0.05 * _ARCH], axis=1), _dim(cover.colour, 0.75), 0.03, -0.2)
    elif cover.kind == "sunglasses":
        for side in (-1, 1):
            canvas.cover(_oval(side * looks.eye_spacing, -0.1, 0.23, 0.18), _dim(cover.colour, 0.3), 0.05)
        canvas.line(np.array([(-looks.width, -0.16), (looks.width, -0.16)]), _dim(cover.colour, 0.25), 0.05, 0.0)
    elif cover.kind == "bar":
        lean = 0.3 * cover.y
        canvas.line(np.array([(cover.x - lean, -1.6), (cover.x + lean, 1.6)]), cover.colour, 0.2, 0.0)
    elif cover.kind == "strand":
        side = 1 if cover.x > 0 else -1
        lock = np.array([(0.1, -0.95), (0.62, -0.75), (0.7, -0.2), (0.55, 0.3), (0.45, -0.1), (0.2, -0.4)])
        canvas.fill(_mirror(lock, side), _dim(looks.hair, 0.9), 0.05)
