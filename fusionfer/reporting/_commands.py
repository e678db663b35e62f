"""The command lines that caches and models record, so that a result can be made again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from fusionfer.exceptions import UnknownNameError
from fusionfer.heads import make_head

__all__ = ["extract_command", "fit_command"]


def extract_command(blocks: Mapping[str, Mapping[str, Any]], cache: str) -> str:
    """Return the ``fusionfer extract`` that computes blocks.

    Parameters
    ----------
    blocks : mapping of str to mapping
        As `fusionfer.persistence.Model` holds them.
    cache : str
        Folder.

    Returns
    -------
    str
        Empty where the blocks do not record what they were computed from, such as those made from arrays. Options that
        a cache does not record (how labels were mapped, how splits were drawn) are not in it.
    """
    computed = [block for block in blocks.values() if block.get("record", {}).get("data")]
    if not computed:
        return ""
    words = ["fusionfer", "extract", str(computed[0]["record"]["data"])]
    for backbone in dict.fromkeys(block["backbone"] for block in computed):
        words += ["--backbone", backbone]
    levels = {(block["backbone"], block["level"]) for block in computed}
    words += [word for pair in sorted(levels) if pair[1] != "penultimate" for word in ("--level", "=".join(pair))]
    weights = {}
    for block in computed:
        found = block["record"].get("weights") or {}
        weights[block["backbone"]] = str(found.get("path") or found.get("name") or "imagenet")
    words += [word for backbone, name in weights.items() for word in ("--weights", f"{backbone}={name}")]
    size = (computed[0]["key"].get("preprocess") or {}).get("size")
    words += ["--size", str(size)] if isinstance(size, int) else []
    return shlex.join([*words, "--cache", cache])


def fit_command(selection: Mapping[str, Any], training: Mapping[str, Any], cache: str, out: str) -> str:
    """Return the ``fusionfer fit`` that chose and trained a model.

    Parameters
    ----------
    selection, training : mapping
        Of a `fusionfer.persistence.Model`.
    cache, out : str
        Folder of the features, and file of the model.

    Returns
    -------
    str
        Empty where the head is none of ``fusionfer heads``, as it was given in Python.
    """
    heads = list(selection.get("heads") or [training.get("head")])
    try:
        defaults = {head: make_head(head).get_params(deep=False) for head in heads}
    except (UnknownNameError, TypeError):
        return ""
    words = ["fusionfer", "fit", cache]
    for head in heads:
        words += ["--head", str(head)]
    singles = [name for name in selection.get("scores", {}) if " + " not in name]
    words += ["--features", ",".join(singles)] if singles else []
    searched = set((selection.get("best_params") or {}).get(selection.get("selected"), {}))
    own = defaults.get(training.get("head"), {})
    for name, value in (training.get("params") or {}).items():
        if name in own and value != repr(own[name]) and name not in {"random_state", *searched}:
            words += ["--set", f"{training['head']}.{name}={value.strip(chr(39))}"]
    words += ["--search"] if "search" in selection else []
    words += ["--split", str(training.get("split", "train"))]
    if not selection.get("held_out") and selection.get("folds"):
        words += ["--folds", str(selection["folds"])]
    words += ["--scale", str(training.get("scale") or "none"), "--scoring", str(selection.get("scoring", "accuracy"))]
    evidence = selection.get("evidence") or {}
    if evidence.get("rule", "greater") != "greater":
        words += ["--rule", str(evidence["rule"]), "--alpha", str(evidence.get("alpha", 0.05))]
    if any("5x2 cv combined F" in pair["tests"] for pair in evidence.get("pairs", ())):
        words += ["--test", "5x2"]
    words += ["--min-gain", str(selection["min_gain"])] if selection.get("min_gain") else []
    words += ["--seed", str(training.get("random_state", 0)), "--out", out]
    return shlex.join(words)
