"""How faces of frames are found and prepared, so that they look like those that a model learned from."""

from __future__ import annotations

from typing import Any

from fusionfer.faces import FacePreparation, HaarDetector
from fusionfer.persistence import Model
from fusionfer.prediction import find_preparation

__all__ = ["DETECTION_SIDE", "prepare_for"]

#: Longer side in pixels to which frames are shrunk before Haar cascades look for faces.
DETECTION_SIDE = 320


def prepare_for(
    model: Model,
    faces: str = "align",
    *,
    photometric: str | None = None,
    detector: Any = "haar",
    margin: float | None = None,
    detection_side: int = DETECTION_SIDE,
) -> FacePreparation:
    """Return how faces of frames are found, cut out and lit for a model: as it records, but with a detector in a hurry.

    Parameters
    ----------
    model : Model
    faces : {"align", "detect", "none"}
        By the eyes, by the upright box, or the whole frame. Frames are photographs, so that faces are cut out of them
        also for a model whose pictures were taken whole, as the tight crops of FER-2013.
    photometric, margin
        As in `fusionfer.prediction.find_preparation`: by default what the model records.
    detector : str, Path or callable
        As in `fusionfer.faces.get_detector`. "haar" does not try turned frames here, which would take three times as
        long whenever nobody is there.
    detection_side : int
        Haar cascades look at frames that are shrunk to this longer side, from 64; faces that have less than 20 pixels
        there are not found.

    Returns
    -------
    FacePreparation

    Raises
    ------
    ModelError, UnknownNameError, DataError, WeightsError
        As of `find_preparation`.
    """
    if isinstance(detector, str) and detector == "haar":
        detector = HaarDetector(max_side=detection_side, turn=0.0)
    return find_preparation(model, faces, photometric=photometric, detector=detector, margin=margin)
