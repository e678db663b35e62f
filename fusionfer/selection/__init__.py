"""Keep the hybrid only if it beats the single backbones, judged on the same folds."""

from __future__ import annotations

from fusionfer.selection._deciding import params_text
from fusionfer.selection._selector import HybridSelector

__all__ = ["HybridSelector", "params_text"]
