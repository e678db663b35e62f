"""Matrices that stay in files: memory maps side by side, and scratch files for what is made of them."""

from __future__ import annotations

from fusionfer.matrices._mapped import (
    PIECE_BYTES,
    MappedMatrix,
    in_pieces,
    is_mapped,
    is_read_here,
    moments,
    read_rows,
    row_pieces,
    take_rows,
)
from fusionfer.matrices._piecewise import piecewise
from fusionfer.matrices._room import scratch_folder
from fusionfer.matrices._scratch import scratch_array

__all__ = [
    "PIECE_BYTES",
    "MappedMatrix",
    "in_pieces",
    "is_mapped",
    "is_read_here",
    "moments",
    "piecewise",
    "read_rows",
    "row_pieces",
    "scratch_array",
    "scratch_folder",
    "take_rows",
]
