"""Gradient-boosted trees of XGBoost: weight-normalised (``xgb-wn``) and plain (``xgb``), both finished as stock models.

- ``_losses``: log-loss of margins, its gradient and Hessian
- ``_norm``: the size of a tree, and the step in which it enters
- ``_binning``: columns as small whole numbers, and the way back
- ``_slices``: columns divided at random, each block with its share
- ``_boosters``: XGBoost's boosters of one slice each, with bins in memory or in files
- ``_rounds``: one round after the other, each on one slice
- ``_size``, ``_scratch``: what a fit takes, and files for what memory has no room for
- ``_collective``: several processes that grow one forest
- ``_model``: trees of several boosters put together as one stock model
- ``_checking``: models that may come from anywhere, checked before XGBoost sees them
- ``_classifier``: what both heads share; ``_weight_normalised`` and ``_plain`` are the heads
"""

from fusionfer.heads.boosting._checking import load_booster
from fusionfer.heads.boosting._plain import PlainXGBClassifier
from fusionfer.heads.boosting._size import fits_in_memory, plain_size, sliced_size
from fusionfer.heads.boosting._weight_normalised import WeightNormalisedXGBClassifier

__all__ = [
    "PlainXGBClassifier",
    "WeightNormalisedXGBClassifier",
    "fits_in_memory",
    "load_booster",
    "plain_size",
    "sliced_size",
]
