"""Error-correcting output codes: codings, decoding, coupled posteriors, and the classifier that puts them together."""

from __future__ import annotations

from fusionfer.heads.ecoc._checking import check_coding
from fusionfer.heads.ecoc._classifier import ECOCClassifier
from fusionfer.heads.ecoc._coding import CODINGS, coding_matrix, count_learners
from fusionfer.heads.ecoc._coupling import couple
from fusionfer.heads.ecoc._decoding import DECODINGS, average_losses
from fusionfer.heads.ecoc._losses import BINARY_LOSSES, binary_loss
from fusionfer.heads.ecoc._random_codes import row_distances, search_random_code

__all__ = [
    "BINARY_LOSSES",
    "CODINGS",
    "DECODINGS",
    "ECOCClassifier",
    "average_losses",
    "binary_loss",
    "check_coding",
    "coding_matrix",
    "count_learners",
    "couple",
    "row_distances",
    "search_random_code",
]
