"""Another last layer on a network, or none."""

from __future__ import annotations

from typing import Any

from torch import nn

from fusionfer.exceptions import ModelError

__all__ = ["set_last_layer", "without_last_layers"]


def set_last_layer(module: Any, last_layer: str | None, n_classes: int, *, name: str) -> str:
    """Give a network a new last layer of `n_classes` outputs, in place, and return that layer's name.

    Parameters
    ----------
    module : torch.nn.Module
        Of torchvision or timm.
    last_layer : str or None
        Name of its last layer.
    n_classes : int
        The new layer is drawn from torch's random state, as every `torch.nn.Linear`.
    name : str
        The network's name, for messages.

    Raises
    ------
    ModelError
        If it has no last layer.
    """
    if last_layer is None:
        msg = f"{name} has no classifying layer that could be replaced by one of {n_classes} classes."
        raise ModelError(msg)
    if hasattr(module, "reset_classifier"):  # timm, whose last layers are of several kinds
        module.reset_classifier(n_classes)
        return last_layer
    parent, _, child = last_layer.rpartition(".")
    old = module.get_submodule(last_layer)
    setattr(module.get_submodule(parent), child, nn.Linear(old.in_features, n_classes))
    return last_layer


def without_last_layers(module: Any) -> nn.Module:
    """Take off all that follows the last map, in place; the layer's place returns what it is given."""
    if hasattr(module, "reset_classifier"):
        module.reset_classifier(0, "")
    for child in ("fc", "classifier"):
        if not hasattr(module, "reset_classifier") and hasattr(module, child):
            setattr(module, child, nn.Identity())
    return module
