"""What is done to a picture before any network sees it: faces found, cut out, brought to one light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusionfer.exceptions import DataError, ModelError, unknown_name
from fusionfer.faces._aligning import FRAME, align, check_margin, check_size, crop
from fusionfer.faces._detecting import Detector, get_detector
from fusionfer.faces._face import Face, checked_pixels
from fusionfer.faces._light import check_photometric, describe_photometric, normalise

__all__ = ["MODES", "FacePreparation"]

MODES = ("none", "detect", "align")
#: Version of what is done to a picture beyond the parameters; part of a cache's key.
RULES = 1


@dataclass(frozen=True)
class FacePreparation:
    """What is done to a picture before any network sees it.

    Parameters
    ----------
    mode : {"align", "detect", "none"}
        Cut faces out by the eyes, by the upright box, or take the whole picture.
    photometric : str
        As in `normalise`; done to the face after it was cut out.
    detector : str, Path or callable
        As in `get_detector`; used with "align" and "detect" only.
    margin : float
        As in `align`.
    size : int
        Side of the faces that are cut out, in pixels; backbones resize them to their own.

    Raises
    ------
    UnknownNameError, WeightsError, DataError
        If a name is not known, a number is out of range, or the detector cannot be had.

    Examples
    --------
    >>> FacePreparation("align").changes, FacePreparation("none").changes
    (True, False)
    """

    mode: str = "align"
    photometric: str = "none"
    detector: Any = field(default="haar", compare=False)
    margin: float = 0.0
    size: int = 96
    find: Detector | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown_name("mode of faces", self.mode, MODES, plural="modes")
        check_photometric(self.photometric)
        check_margin(self.margin)
        check_size(self.size)
        object.__setattr__(self, "find", None if self.mode == "none" else get_detector(self.detector))

    @property
    def changes(self) -> bool:
        """Whether anything is done at all."""
        return self.mode != "none" or self.photometric != "none"

    def cut(self, pixels: np.ndarray, face: Face | None) -> np.ndarray:
        """Return one prepared picture.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
        face : Face or None
            A face of it; not used with "none".

        Returns
        -------
        ndarray of uint8
            Square with side `size`; with "none" of the picture's own shape.
        """
        if self.mode != "none":
            if face is None:
                msg = f"With {self.mode!r} a face is needed to be cut out."
                raise DataError(msg)
            pixels = (align if self.mode == "align" else crop)(pixels, face, self.size, self.margin)
        return normalise(pixels, self.photometric)

    def __call__(self, pixels: np.ndarray) -> list[tuple[Face, np.ndarray]]:
        """Return the faces of a picture and each prepared, largest first; none where none is found.

        With "none" that is the whole picture, as a face with score 0.
        """
        pixels = checked_pixels(pixels)
        whole = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
        faces = (Face(whole),) if self.find is None else self.find(pixels)
        return [(face, self.cut(pixels, face)) for face in faces]

    def describe(self) -> dict[str, Any]:
        """Return what decides the prepared pictures, as JSON knows it; what is not done is not mentioned.

        Raises
        ------
        DataError
            If the detector is a callable without a description.
        """
        described: dict[str, Any] = {"rules": RULES, "mode": self.mode}
        if self.find is not None:
            described |= {"detector": self.find.describe(), "margin": float(self.margin), "size": int(self.size)}
        if self.mode == "align":
            described["frame"] = [list(eye) for eye in FRAME]
        if self.photometric != "none":
            described["photometric"] = describe_photometric(self.photometric)
        return described

    @classmethod
    def from_description(cls, described: Mapping[str, Any] | None, detector: Any = None) -> FacePreparation:
        """Return the preparation that `describe` described; of None, the one that does nothing.

        Parameters
        ----------
        described : mapping or None
        detector : str, Path or callable, optional
            The detector where it was not Haar: descriptions hold hashes, no paths.

        Raises
        ------
        ModelError
            If it is no description, one of other rules, or the detector is another one or is not given.
        """
        if described is None:
            return cls("none")
        try:
            found = _parse(described, detector)
        except (KeyError, TypeError, ValueError, AttributeError, LookupError) as error:
            msg = f"The record of how faces were prepared cannot be followed: {error}"
            raise ModelError(msg) from error
        return found


def _parse(described: Mapping[str, Any], given: Any) -> FacePreparation:
    mode = described["mode"]
    values: dict[str, Any] = {"mode": mode}
    if "photometric" in described:
        values["photometric"] = described["photometric"]["name"]
    if mode != "none":
        recorded = dict(described["detector"])
        options = {name: value for name, value in recorded.items() if name not in _OF_THE_DETECTOR}
        name = recorded.get("name")
        if given is None and name != "haar":
            msg = f"it names the detector {name!r}, which must be given (--detector yunet=PATH)"
            raise ValueError(msg)
        detector = get_detector("haar", **options) if name == "haar" else get_detector(given)
        values |= {"detector": detector, "margin": described["margin"], "size": described["size"]}
    found = FacePreparation(**values)
    ours = found.describe()
    differ = [
        k for k in sorted({*ours, *described}) if without_versions(ours.get(k)) != without_versions(described.get(k))
    ]
    if differ:
        told = "; ".join(f"{k}: recorded {described.get(k)!r}, here {ours.get(k)!r}" for k in differ)
        raise ValueError(told)
    return found


_OF_THE_DETECTOR = {"name", "cascade", "opencv", "sha256"}


def without_versions(value: Any) -> Any:
    """Return a description of a detector without the version of OpenCV, which moves last digits at most."""
    return {k: v for k, v in value.items() if k != "opencv"} if isinstance(value, Mapping) else value
