"""What an exported file says of itself, in ONNX's ``metadata_props``: text by name, lists and tables as JSON."""

from __future__ import annotations

import json
from typing import Any

from fusionfer import __version__
from fusionfer.export._pictures import Inputs
from fusionfer.persistence import Model, file_sha256

__all__ = ["describe"]


def describe(model: Model, inputs: Inputs, head: Any) -> dict[str, str]:
    """Return the metadata of the file of a model; equal models give equal metadata.

    Parameters
    ----------
    model : Model
    inputs : Inputs
        Of the model.
    head : classifier
        What decides at the end.

    Returns
    -------
    dict of str to str
        ``fusionfer`` (version), ``classes``, ``inputs``, ``outputs``, ``blocks``, ``head`` and ``model``.
    """
    given = {name: _input(model, side) for name, side in inputs.sides.items()}
    blocks = []
    for name, block in model.blocks.items():
        preprocess = block["key"]["preprocess"]
        weights = block["record"].get("weights") or {}
        blocks.append(
            {
                "name": name,
                "backbone": block["backbone"],
                "level": block["level"],
                "columns": block["dim"],
                "input": next(one for one, side in inputs.sides.items() if side == preprocess["size"]),
                "mean": preprocess["mean"],
                "std": preprocess["std"],
                # Where the file lay is nobody's business.
                "weights": {
                    "name": weights.get("name"),
                    "sha256": block["key"].get("weights_sha256"),
                    "seed": weights.get("seed"),
                    "metadata": weights.get("metadata") or {},
                },
            }
        )
    outputs = {
        "label": "the class that the head decides for",
        "probabilities": "of the classes, in their order; absent where the head gives none",
        "features": "what the head was given: the blocks side by side",
    }
    origin = {
        "created": model.created,
        "sha256": file_sha256(model.path) if model.path is not None and model.path.is_file() else None,
        "versions": model.versions,
        "selected": model.selection.get("selected"),
        "trained_on": {name: model.training.get(name) for name in ("n", "split", "head")},
    }
    return {
        "fusionfer": __version__,
        "classes": json.dumps(list(model.classes), ensure_ascii=False),
        "inputs": json.dumps(given),
        "outputs": json.dumps(outputs),
        "blocks": json.dumps(blocks, ensure_ascii=False),
        "head": type(head).__name__,
        "model": json.dumps(origin, ensure_ascii=False),
    }


def _input(model: Model, side: int) -> dict[str, Any]:
    """Say what one input takes, by the blocks that look at pictures of this side."""
    keys = [block["key"] for block in model.blocks.values() if block["key"]["preprocess"]["size"] == side]
    return {
        "dtype": "uint8",
        "shape": ["n", side, side, 3],
        "colour": "RGB; grey pictures with three equal channels",
        "faces": keys[0].get("faces"),  # how they were cut out and normalised; None: pictures as they are
        "resize": keys[0]["preprocess"]["resize"],
        "normalisation": "in the graph",
    }
