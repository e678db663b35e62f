"""Which difference is more than chance: paired tests, intervals, and the price of having chosen the best."""

from __future__ import annotations

from fusionfer.statistics._five_by_two import CombinedF, combined_f_5x2
from fusionfer.statistics._mcnemar import McNemar, mcnemar
from fusionfer.statistics._multiple import holm, intersection_union
from fusionfer.statistics._proportions import proportion_interval
from fusionfer.statistics._resampled import ResampledT, corrected_resampled_t
from fusionfer.statistics._resampling import (
    Resampled,
    mean_scores,
    percentile_interval,
    resample,
    table_scores,
)
from fusionfer.statistics._tables import TABLE_MEASURES, measure_tables

__all__ = [
    "TABLE_MEASURES",
    "CombinedF",
    "McNemar",
    "Resampled",
    "ResampledT",
    "combined_f_5x2",
    "corrected_resampled_t",
    "holm",
    "intersection_union",
    "mcnemar",
    "mean_scores",
    "measure_tables",
    "percentile_interval",
    "proportion_interval",
    "resample",
    "table_scores",
]
