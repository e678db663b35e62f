"""Labelled faces from folders, zips, CSV files or drawn ones; decoded only when asked for."""

from fusionfer.images._augmented import Augmentation
from fusionfer.images._ceiling import CopiesCeiling, VoteCeiling, copies_ceiling, label_ceiling
from fusionfer.images._decoding import DECODER, MAX_PIXELS, decode_image
from fusionfer.images._faceset import SPLITS, FaceSet
from fusionfer.images._ferplus import FerPlus, read_ferplus, relabel_ferplus
from fusionfer.images._generated import generate_faces
from fusionfer.images._header import read_header
from fusionfer.images._names import map_classes, parse_classes
from fusionfer.images._pictures import read_pictures
from fusionfer.images._reading import read_faces
from fusionfer.images._soft_labels import TARGETS, SoftLabels, vote_shares
from fusionfer.images._split_file import SplitFile, read_split_file, write_split_file
from fusionfer.images._splitting import split_faces

__all__ = [
    "DECODER",
    "MAX_PIXELS",
    "SPLITS",
    "TARGETS",
    "Augmentation",
    "CopiesCeiling",
    "FaceSet",
    "FerPlus",
    "SoftLabels",
    "SplitFile",
    "VoteCeiling",
    "copies_ceiling",
    "decode_image",
    "generate_faces",
    "label_ceiling",
    "map_classes",
    "parse_classes",
    "read_faces",
    "read_ferplus",
    "read_header",
    "read_pictures",
    "read_split_file",
    "relabel_ferplus",
    "split_faces",
    "vote_shares",
    "write_split_file",
]
