"""Changed copies of pictures: turned, zoomed, moved, mirrored, brightened; drawn from seed, id and number alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.images._decoding import decode_image

if TYPE_CHECKING:
    from fusionfer.images._faceset import Source

__all__ = ["Augmentation", "AugmentedSource", "as_augmentation", "change_picture"]

# The draws of a copy, in the places that training gives them (fusionfer.training, `augment`): what a recipe means there
# it means here.
_DRAWS = 16
_BORDERS = {"nearest": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT, "black": cv2.BORDER_CONSTANT}
_HIGHEST = {"rotation": 180.0, "zoom": 0.9, "shift": 0.9, "share": 1.0, "flip": 1.0, "brightness": 0.9}


@dataclass(frozen=True)
class Augmentation:
    """How copies may differ from their source; the names are those of a recipe of `fusionfer.training`.

    Attributes
    ----------
    rotation : float
        Turned by at most so many degrees, to either side.
    zoom : float
        Enlarged or shrunk by at most this share.
    shift : float
        Moved by at most this share of the sides, along either axis.
    share : float
        Probability of each of rotation, zoom and shift.
    flip : float
        Probability of a mirror image (left and right).
    brightness : float
        Brighter or darker by at most this share.
    fill : {"nearest", "reflect", "black"}
        What stands where a moved picture has no pixels.

    Raises
    ------
    DataError
        If a number is out of its range, or nothing is changed at all.
    """

    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    share: float = 1.0
    flip: float = 0.0
    brightness: float = 0.0
    fill: str = "nearest"

    def __post_init__(self) -> None:
        complaints = []
        for name, highest in _HIGHEST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
                complaints.append(f"{name} must be a number from 0 to {highest:g}, got {value!r}")
        if self.fill not in _BORDERS:
            complaints.append(f"fill must be {', '.join(_BORDERS)}, got {self.fill!r}")
        if not complaints and not (
            self.flip or self.brightness or (self.share and (self.rotation or self.zoom or self.shift))
        ):
            complaints.append(
                "nothing is changed: rotation, zoom, shift, flip and brightness are all 0, so copies would be equal"
            )
        if complaints:
            msg = f"Augmentation: {'; '.join(complaints)}."
            raise DataError(msg)

    def describe(self) -> dict[str, Any]:
        """Return all of it, as JSON knows it."""
        return asdict(self)


_NAMES = tuple(one.name for one in fields(Augmentation))


def as_augmentation(recipe: Any) -> Augmentation:
    """Return what a mapping, or anything with such attributes (a recipe of `fusionfer.training`), says of augmentation.

    Raises
    ------
    DataError
        If it says nothing of it, or values are out of range.
    UnknownNameError
        If a mapping has other keys.
    """
    if isinstance(recipe, Augmentation):
        return recipe
    if isinstance(recipe, Mapping):
        for key in recipe:
            if key not in _NAMES:
                raise unknown_name("key of an augmentation", str(key), _NAMES, plural="keys")
        return Augmentation(**recipe)
    found = {name: getattr(recipe, name) for name in _NAMES if hasattr(recipe, name)}
    if not found:
        msg = (
            f"An augmentation is a mapping such as {{'rotation': 10, 'flip': 0.5}}, or a recipe; got {recipe!r}. A "
            "recipe with a name is read by fusionfer.training.read_recipe."
        )
        raise DataError(msg)
    return Augmentation(**found)


@dataclass(frozen=True)
class AugmentedSource:
    """The pictures of another source, and changed copies of them, made when they are asked for.

    Keys are (key in the other source, id, number of the copy); number 0 is the picture itself, as it is stored there.
    """

    source: Source
    augmentation: Augmentation
    seed: int
    max_pixels: int

    def read(self, key: Hashable) -> bytes | np.ndarray:
        """Return a picture as it is stored, or the pixels of a copy: uint8, shape (height, width[, 3])."""
        inner, name, k = cast(tuple[Hashable, str, int], key)
        stored = self.source.read(inner)
        if k == 0:
            return stored
        pixels = decode_image(stored, max_pixels=self.max_pixels)
        return change_picture(pixels, copy_draws(self.seed, name, k), self.augmentation)


def copy_draws(seed: int, name: str, k: int) -> np.ndarray:
    """Return the uniform numbers in [0, 1) of copy `k` of the sample `name`; float64, shape (16,)."""
    mixed = hashlib.sha256(f"{seed}\0{k}\0{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(mixed[:16], "little")).random(_DRAWS)


def change_picture(pixels: np.ndarray, draws: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Turn, zoom, move and mirror a picture by one affine map, and brighten it.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
    draws : ndarray of float, shape (16,)
        Uniform numbers in [0, 1); the same numbers give the same change in `fusionfer.training`, but for rounding.
    augmentation : Augmentation

    Returns
    -------
    ndarray of uint8, of the shape of `pixels`
    """
    spread = 2.0 * draws - 1.0
    share = augmentation.share
    angle = math.radians(augmentation.rotation) * spread[0] * (draws[1] < share)
    scale = 1.0 / (1.0 + augmentation.zoom * spread[2] * (draws[3] < share))
    height, width = pixels.shape[:2]
    move = augmentation.shift * spread[4:6] * np.array([width, height]) * (draws[6] < share)
    mirror = -1.0 if draws[7] < augmentation.flip else 1.0
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    # Where each pixel comes from: turn (mirror (out - centre) + move) + centre.
    linear = turn @ np.diag([mirror, 1.0])
    offset = turn @ move + centre - linear @ centre
    if not np.array_equal(np.column_stack([linear, offset]), np.eye(2, 3)):
        pixels = cv2.warpAffine(
            pixels,
            np.column_stack([linear, offset]),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=_BORDERS[augmentation.fill],
        )
    if augmentation.brightness:
        factor = 1.0 + augmentation.brightness * spread[10]
        pixels = np.clip(np.rint(pixels * factor), 0, 255).astype(np.uint8)
    return pixels
