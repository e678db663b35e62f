"""What is wrong with a data set, found before anyone trains on it."""

from fusionfer.audit._auditing import Audit, Copies, audit
from fusionfer.audit._cleaning import clean_splits
from fusionfer.audit._copies_file import read_copies
from fusionfer.audit._noise import LabelNoise, confident_joint, features_of, find_label_noise
from fusionfer.audit._noise_sheet import write_noise_sheet
from fusionfer.audit._sheet import worst_copies, write_copies_sheet
from fusionfer.audit._votes import Disagreement, find_disagreement

__all__ = [
    "Audit",
    "Copies",
    "Disagreement",
    "LabelNoise",
    "audit",
    "clean_splits",
    "confident_joint",
    "features_of",
    "find_disagreement",
    "find_label_noise",
    "read_copies",
    "worst_copies",
    "write_copies_sheet",
    "write_noise_sheet",
]
