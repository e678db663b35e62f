"""Labelled faces from folders, zips, CSV files or drawn ones; decoded only when asked for."""

from fusionfer.images._decoding import MAX_PIXELS, decode_image
from fusionfer.images._faceset import SPLITS, FaceSet
from fusionfer.images._ferplus import FerPlus, read_ferplus, relabel_ferplus
from fusionfer.images._generated import generate_faces
from fusionfer.images._names import parse_classes
from fusionfer.images._pictures import read_pictures
from fusionfer.images._reading import read_faces
from fusionfer.images._splitting import split_faces

__all__ = [
    "MAX_PIXELS",
    "SPLITS",
    "FaceSet",
    "FerPlus",
    "decode_image",
    "generate_faces",
    "parse_classes",
    "read_faces",
    "read_ferplus",
    "read_pictures",
    "relabel_ferplus",
    "split_faces",
]
