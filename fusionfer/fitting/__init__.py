"""From cached features to a selected, saved model: trains A, B and A+B, and keeps the hybrid only if it is better."""

from __future__ import annotations

from fusionfer.fitting._bundling import weight_paths
from fusionfer.fitting._fit import SCORINGS, FitResult, fit
from fusionfer.fitting._heads import HeadsResult, fit_heads
from fusionfer.fitting._on_cluster import folds_side_by_side, read_on_cluster
from fusionfer.fitting._planning import estimate_fit
from fusionfer.fitting._rows import find_leaks

__all__ = [
    "SCORINGS",
    "FitResult",
    "HeadsResult",
    "estimate_fit",
    "find_leaks",
    "fit",
    "fit_heads",
    "folds_side_by_side",
    "read_on_cluster",
    "weight_paths",
]
