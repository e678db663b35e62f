"""Where the weights of a model's backbones are, for a model that brings them along."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionfer.exceptions import ModelError

__all__ = ["weight_paths"]


def weight_paths(blocks: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Return where the weights of backbones are, for `fusionfer.persistence.save_model` to bring along.

    Parameters
    ----------
    blocks : mapping of str to dict
        ``Model.blocks``, or what `Features.block_record` gives of each block.

    Returns
    -------
    dict of str to str
        Backbone -> file. Backbones whose weights come from a seed have no file and need none.

    Raises
    ------
    ModelError
        If a file is not where it was when the features were extracted, or blocks of one backbone have different
        weights: a model can bring along one file for each backbone.
    """
    paths: dict[str, str] = {}
    first: dict[str, tuple[str, Any]] = {}  # backbone -> its first block, and what tells its weights from others
    for name, block in blocks.items():
        weights = block["record"].get("weights") or {}
        backbone, which = str(block["backbone"]), block["key"].get("weights_sha256") or weights
        other, others_which = first.setdefault(backbone, (name, which))
        if others_which != which:
            msg = (
                f"{other} and {name} are of one backbone, {backbone}, with different weights: a model can bring along "
                "one weight file for each backbone. Fit without --bundle, or to one of the two (--features)."
            )
            raise ModelError(msg)
        if not isinstance(weights, dict) or weights.get("seed") is not None:
            continue
        path = weights.get("path")
        if not path or not Path(path).is_file():
            msg = f"The weights of {name} cannot be bundled: {path or 'their file'} is not there. Fit without --bundle."
            raise ModelError(msg)
        paths[backbone] = path
    return paths
