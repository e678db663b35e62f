"""Faces in pictures: where they are, cut out as networks know them, and brought to one light."""

from fusionfer.faces._aligning import FRAME, align, crop
from fusionfer.faces._detecting import DETECTORS, Detector, detect, get_detector
from fusionfer.faces._face import Face
from fusionfer.faces._haar import HaarDetector
from fusionfer.faces._light import PHOTOMETRIC, normalise
from fusionfer.faces._prepared import SEVERAL, faces_of, find_faceless, find_photographs, prepare_faces
from fusionfer.faces._preparing import MODES, FacePreparation
from fusionfer.faces._yunet import YuNetDetector

__all__ = [
    "DETECTORS",
    "FRAME",
    "MODES",
    "PHOTOMETRIC",
    "SEVERAL",
    "Detector",
    "Face",
    "FacePreparation",
    "HaarDetector",
    "YuNetDetector",
    "align",
    "crop",
    "detect",
    "faces_of",
    "find_faceless",
    "find_photographs",
    "get_detector",
    "normalise",
    "prepare_faces",
]
