"""Features: arrays with ids, labels, splits, groups, named blocks, and the knowledge of what computed them."""

from __future__ import annotations

from fusionfer.features._features import Features

__all__ = ["Features"]
