"""Keep the hybrid only if it beats the single backbones, judged on the same folds."""

from __future__ import annotations

from fusionfer.selection._deciding import params_text
from fusionfer.selection._selector import RULES, TESTS, HybridSelector
from fusionfer.selection._winners import compare_winners

__all__ = ["RULES", "TESTS", "HybridSelector", "compare_winners", "params_text"]
