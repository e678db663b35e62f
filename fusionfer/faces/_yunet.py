"""Faces by YuNet, a small network that OpenCV runs; its file is the user's."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusionfer.exceptions import DataError, WeightsError
from fusionfer.faces._face import Face, checked_pixels, largest_first

__all__ = ["YuNetDetector"]

_networks = threading.local()  # OpenCV's object holds buffers, so each thread has its own


@dataclass(frozen=True)
class YuNetDetector:
    """Faces and eyes by YuNet (Wu, Peng and Yu 2023), run by ``cv2.FaceDetectorYN``.

    OpenCV ships the program but not the network: ``face_detection_yunet_2023mar.onnx`` comes from OpenCV's model zoo.
    One detector may be used from several threads at once; each loads the file for itself.

    Parameters
    ----------
    path : str or Path
        The ONNX file of the network.
    threshold : float
        Faces with a smaller score are left out; in (0, 1).
    max_side : int
        Pictures whose longer side is longer are shrunk to it first.

    Raises
    ------
    WeightsError
        If there is no such file, or OpenCV cannot load it.
    DataError
        If a number is out of range.
    """

    path: Path
    threshold: float = 0.6
    max_side: int = 1024
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        path = Path(self.path)
        object.__setattr__(self, "path", path)
        if not isinstance(self.threshold, int | float) or not 0 < self.threshold < 1:
            msg = f"yunet: threshold must be a number between 0 and 1, got {self.threshold!r}."
            raise DataError(msg)
        if isinstance(self.max_side, bool) or not isinstance(self.max_side, int) or not 64 <= self.max_side <= 16384:
            msg = f"yunet: max_side must be a whole number from 64 to 16384, got {self.max_side!r}."
            raise DataError(msg)
        if not path.is_file():
            msg = (
                f"yunet: there is no file {path}. Give the network's ONNX file, face_detection_yunet_2023mar.onnx of "
                "OpenCV's model zoo, as yunet=PATH; or use haar, which needs no file."
            )
            raise WeightsError(msg)
        object.__setattr__(self, "sha256", hashlib.sha256(path.read_bytes()).hexdigest())
        self._network()

    def _network(self) -> Any:
        """Return the network of this thread."""
        loaded = _networks.__dict__.setdefault("loaded", {})
        which = str(self.path), self.sha256, self.threshold
        if which not in loaded:
            try:
                loaded[which] = cv2.FaceDetectorYN.create(str(self.path), "", (320, 320), self.threshold)
            except cv2.error as error:
                msg = (
                    f"yunet: OpenCV {cv2.__version__} cannot load {self.path} as a YuNet network: "
                    f"{str(error).strip()}. Give face_detection_yunet_2023mar.onnx of OpenCV's model zoo."
                )
                raise WeightsError(msg) from error
        return loaded[which]

    def __call__(self, pixels: np.ndarray) -> tuple[Face, ...]:
        """Return the faces of a picture, largest first.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
            Grey, or RGB.

        Returns
        -------
        tuple of Face
            `score` is a probability in (0, 1).
        """
        pixels = checked_pixels(pixels)
        colour = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR if pixels.ndim == 2 else cv2.COLOR_RGB2BGR)
        height, width = colour.shape[:2]
        scale = min(1.0, self.max_side / max(height, width))
        if scale < 1.0:
            small = (max(round(width * scale), 1), max(round(height * scale), 1))
            colour = cv2.resize(colour, small, interpolation=cv2.INTER_AREA)
        network = self._network()
        network.setInputSize((colour.shape[1], colour.shape[0]))
        try:
            _, rows = network.detect(colour)
        except cv2.error as error:
            msg = f"yunet: {self.path} cannot be run on a picture of {width} x {height} pixels: {str(error).strip()}."
            raise WeightsError(msg) from error
        faces = []
        # A row is the box, five points (eyes, nose, corners of the mouth) and the score.
        for row in np.zeros((0, 15)) if rows is None else np.asarray(rows, dtype=float):
            points = sorted((tuple((row[4:6] / scale).tolist()), tuple((row[6:8] / scale).tolist())))
            if row[2] > 0 and row[3] > 0:
                faces.append(Face(tuple(row[:4] / scale), row[14], (points[0], points[1])))
        return largest_first(faces)

    def describe(self) -> dict[str, Any]:
        """Return what decides where faces are found, as JSON knows it; the file by its hash, wherever it lies."""
        return {
            "name": "yunet",
            "sha256": self.sha256,
            "opencv": cv2.__version__,
            "threshold": float(self.threshold),
            "max_side": self.max_side,
        }
