"""Networks of timm: made, refused with a reason, and what timm knows of them."""

from __future__ import annotations

import difflib
from dataclasses import replace
from types import ModuleType
from typing import Any

from torch import nn

from fusionfer.backbones import Backbone, Level, Preprocess
from fusionfer.exceptions import WeightsUnavailableError, unknown_name
from fusionfer.networks._vision import import_torchvision

__all__ = ["last_layer_of", "timm_config", "timm_model", "timm_record"]


def timm_model(name: str, pretrained: bool) -> nn.Module:
    """Return timm's model ``timm:<model>``, randomly drawn or with its published weights.

    Raises
    ------
    WeightsUnavailableError
        If timm is not installed, or its weights are not to be had.
    UnknownNameError
        If timm has no such model.
    """
    timm, model = _known_to_timm(name)
    try:
        return timm.create_model(model, pretrained=pretrained)
    except Exception as error:
        if not pretrained:
            raise
        msg = (
            f"The published weights of {name} could not be loaded ({type(error).__name__}). "
            "Without a network give --weights PATH or --weights none."
        )
        raise WeightsUnavailableError(msg) from error


def timm_config(name: str) -> dict[str, Any]:
    """Return what timm says of the published weights of ``timm:<model>``: mean, deviation, last layer, size."""
    timm, model = _known_to_timm(name)
    found = timm.get_pretrained_cfg(model, allow_unregistered=True)
    return found.to_dict()


def timm_record(backbone: Backbone, module: Any) -> Backbone:
    """Fill a timm record from what timm knows of the model: last layer, stages, mean and deviation."""
    config = module.pretrained_cfg
    last = last_layer_of(config)
    stages = tuple(info["module"] for info in getattr(module, "feature_info", []) or [])
    levels = {"penultimate": Level((f"{last}:in",)), "logits": Level((last,))} if last else {}
    if stages:
        levels["multi"] = Level(stages)
    preprocess = backbone.preprocess
    if isinstance(preprocess, Preprocess):
        preprocess = replace(preprocess, mean=tuple(config["mean"]), std=tuple(config["std"]))
    return replace(backbone, levels=levels, last_layer=last, preprocess=preprocess)


def last_layer_of(config: dict[str, Any]) -> str | None:
    """Return the name of the classifying layer, of which distilled models have two."""
    last = config.get("classifier")
    return last[0] if isinstance(last, (tuple, list)) else last


def _known_to_timm(name: str) -> tuple[ModuleType, str]:
    model = name.removeprefix("timm:")
    try:
        import_torchvision()
        import timm
    except ImportError as error:
        msg = f"{name} needs timm: pip install 'fusionfer[timm]'."
        raise WeightsUnavailableError(msg) from error
    if not timm.is_model(model):
        known = timm.list_models()
        close = difflib.get_close_matches(model, known, n=5, cutoff=0.5)
        raise unknown_name("timm model", model, close or ["resnet18"])
    return timm, model
