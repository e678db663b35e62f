"""Which detectors there are, how they are named, and one that wraps any callable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fusionfer.exceptions import DataError, unknown_name
from fusionfer.faces._face import Face, checked_pixels, largest_first
from fusionfer.faces._haar import HaarDetector
from fusionfer.faces._yunet import YuNetDetector

__all__ = ["DETECTORS", "Detector", "detect", "get_detector"]

#: Name and what it is.
DETECTORS = {
    "haar": "Haar cascades for frontal faces and eyes, as OpenCV ships them",
    "yunet=PATH": "YuNet, with the network's ONNX file",
}


class Detector(Protocol):
    """Finds faces; `describe` says all that decides where, so that a cache can record it."""

    def __call__(self, pixels: np.ndarray) -> tuple[Face, ...]:
        """Return the faces of a picture, uint8 (height, width) or (height, width, 3) RGB, largest first."""

    def describe(self) -> dict[str, Any]:
        """Return a stable description that JSON knows."""


@dataclass(frozen=True)
class CallableDetector:
    """Any callable that takes pixels and returns faces, or boxes."""

    function: Callable[[np.ndarray], Iterable[Any]]

    def __call__(self, pixels: np.ndarray) -> tuple[Face, ...]:
        found = self.function(checked_pixels(pixels))
        try:
            return largest_first([one if isinstance(one, Face) else Face(one) for one in found])
        except (TypeError, DataError) as error:
            msg = f"A detector must return faces, or boxes (x, y, width, height). {self.function!r}: {error}"
            raise DataError(msg) from error

    def describe(self) -> dict[str, Any]:
        describe = getattr(self.function, "describe", None)
        if not callable(describe):
            msg = (
                f"The cache needs a stable description of the detector. Give {self.function!r} a method describe() "
                "that returns a JSON-able dict of all that decides where it finds faces, or use 'haar' or 'yunet=PATH'."
            )
            raise DataError(msg)
        return dict(describe())


def get_detector(spec: Any = "haar", **options: Any) -> Detector:
    """Return a detector that can be used again and again, from several threads too.

    Parameters
    ----------
    spec : str, Path or callable
        ``"haar"``; ``"yunet=PATH"``, or the Path alone, with the ONNX file of YuNet; or any callable that takes pixels
        (uint8, grey or RGB) and returns `Face` objects or boxes ``(x, y, width, height)``. A callable must itself allow
        for several threads.
    **options
        Parameters of `HaarDetector` or `YuNetDetector`.

    Returns
    -------
    Detector
        A callable from pixels to a tuple of `Face`, largest first.

    Raises
    ------
    UnknownNameError
        If there is no such detector, or option.
    WeightsError
        If the file of YuNet is missing or no such network.
    DataError
        If an option is out of range.
    """
    kind: type[HaarDetector | YuNetDetector]
    arguments: tuple[Any, ...] = ()
    if isinstance(spec, Path):
        kind, name, arguments = YuNetDetector, "yunet", (spec,)
    elif isinstance(spec, str):
        name, separator, path = spec.partition("=")
        if name == "haar" and not separator:
            kind = HaarDetector
        elif name == "yunet" and path:
            kind, arguments = YuNetDetector, (Path(path),)
        else:
            raise unknown_name("detector", spec, DETECTORS)
    elif callable(spec):
        if options:
            msg = f"A detector that is a callable takes no options, got {', '.join(sorted(options))}."
            raise DataError(msg)
        return spec if isinstance(spec, HaarDetector | YuNetDetector | CallableDetector) else CallableDetector(spec)
    else:
        msg = f"A detector is 'haar', 'yunet=PATH', a Path or a callable; got {spec!r}."
        raise DataError(msg)
    known = [option for option in kind.__dataclass_fields__ if option not in {"path", "sha256"} and option[0] != "_"]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {name}", option, known, plural=f"options of {name}")
    return kind(*arguments, **options)


def detect(pixels: np.ndarray, detector: Any = "haar") -> tuple[Face, ...]:
    """Return the faces of a picture, largest first.

    For many pictures, get a detector once with `get_detector` and call that.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
        Grey, or RGB.
    detector : str, Path or callable
        As in `get_detector`.

    Returns
    -------
    tuple of Face

    Raises
    ------
    ImageError
        If the pixels are no picture.
    UnknownNameError, WeightsError, DataError
        As in `get_detector`.

    Examples
    --------
    >>> detect(np.zeros((100, 100), np.uint8))
    ()
    """
    return get_detector(detector)(pixels)
