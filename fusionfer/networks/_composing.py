"""Build a network of `NETWORKS`: a backbone with a last layer, or a head, for so many classes; or a trained one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fusionfer.backbones import MAX_SIZE, MIN_SIZE, Preprocess, get_backbone
from fusionfer.exceptions import ModelError, WeightsError
from fusionfer.networks._architectures import Architecture, get_architecture
from fusionfer.networks._building import build_module, with_weights
from fusionfer.networks._checkpoint import CheckpointInfo, read_checkpoint
from fusionfer.networks._freezing import freeze_parts
from fusionfer.networks._last_layers import set_last_layer, without_last_layers
from fusionfer.networks._map_heads import FlattenHead, GRUHead
from fusionfer.networks._timm import last_layer_of, timm_config
from fusionfer.networks._vision import import_torchvision
from fusionfer.networks._weights import load_into

__all__ = ["ComposedNetwork", "build_network", "load_network", "network_preprocess"]


class ComposedNetwork(nn.Module):
    """A backbone without its own last layers, and a head that reads its last map.

    Parameters
    ----------
    backbone : torch.nn.Module
        From torchvision or timm; its classifying layers are taken off.
    head : {"flatten", "gru"}
        Which of the heads.
    n_classes, size : int
        Number of logits; side of the input in pixels, which some heads are built for.
    options : dict
        The head's.
    """

    def __init__(self, backbone: nn.Module, head: str, n_classes: int, size: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.backbone = without_last_layers(backbone)
        # torchvision applies a DenseNet's last activation outside of its `features`.
        self._relu = isinstance(backbone, import_torchvision().models.DenseNet)
        self.size = size
        was_training = self.backbone.training
        self.backbone.eval()
        with torch.no_grad():
            shape = tuple(self.feature_map(torch.zeros(1, 3, size, size)).shape[1:])
        self.backbone.train(was_training)
        heads: dict[str, Any] = {"flatten": FlattenHead, "gru": GRUHead}
        self.head = heads[head](shape, n_classes, **options)

    def feature_map(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last map (n, channels, height, width) of the backbone."""
        forward = getattr(self.backbone, "forward_features", None)  # timm
        if forward is not None:
            return forward(x)
        features = self.backbone.features(x)  # type: ignore[operator]
        return torch.relu(features) if self._relu else features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, n_classes) of normalised pictures (n, 3, size, size)."""
        if x.shape[-2:] != (self.size, self.size):
            msg = f"This network was built for pictures of {self.size} x {self.size} pixels, got {tuple(x.shape[-2:])}."
            raise ModelError(msg)
        return self.head(self.feature_map(x))


def build_network(
    name: str,
    n_classes: int,
    *,
    size: int | None = None,
    stem: str = "standard",
    weights: str | Path = "none",
    seed: int = 0,
    freeze: str | tuple[str, ...] = (),
    **options: Any,
) -> nn.Module:
    """Return a network that maps pictures to the logits of `n_classes` classes.

    Parameters
    ----------
    name : str
        One of `NETWORKS`, or ``timm:<model>``.
    n_classes : int
        2 or more.
    size : int, optional
        Side of the input in pixels, 32 or more; by default that of the record. Networks without a head of their own
        take other sizes, too.
    stem : {"standard", "small"}
        "small", for resnet34 and resnet50: first convolution 3 x 3 with stride 1, no max pooling.
    weights : str or Path
        Of the backbone: ``none`` (random, from `seed`), ``imagenet``, a published name, or the path of a state dict
        or checkpoint. The last layer, or the head, is new in any case.
    seed : int
        What is new is drawn from it; the caller's random state is left as it was.
    freeze : str or tuple of str
        Parts whose weights are not trained: names of submodules; "backbone" is all but what is new, "paper" what the
        record says was frozen. See `train_mode`.
    **options
        Those of the network's record.

    Returns
    -------
    torch.nn.Module
        In train mode. Maps float32 (n, 3, size, size) to logits (n, n_classes).

    Raises
    ------
    UnknownNameError, ModelError
        If there is no such network, option or part, or a number is not allowed.
    WeightsError, WeightsUnavailableError
        If the weights do not fit, or are not to be had.

    Examples
    --------
    >>> network = build_network("resnet34", 7, size=48, stem="small")
    >>> network.eval()(torch.zeros(2, 3, 48, 48)).shape
    torch.Size([2, 7])
    """
    record = get_architecture(name)
    resolved = record.resolve(options)
    size = record.size if size is None else size
    for value, what, low, high in [(n_classes, "n_classes", 2, 100_000), (size, "size", MIN_SIZE, MAX_SIZE)]:
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not low <= value <= high:
            msg = f"{name}: {what} must be a whole number from {low} to {high:,}, got {value!r}."
            raise ModelError(msg)
    backbone = replace(get_backbone(record.backbone), stem=stem)
    if str(weights) == "none":
        module = build_module(record.backbone, seed=seed, stem=stem)
    else:
        found, module, _ = with_weights(backbone, str(weights), seed)
        if found.stem != stem:
            msg = f"{weights} belong to a {record.backbone} of stem={found.stem!r}, got stem={stem!r}. Set the same."
            raise WeightsError(msg)
        if found.last_layer is None and not record.composed:
            msg = f"{weights} belong to a network with a head of its own and lack the last layers of {name}."
            raise WeightsError(msg)
    with torch.random.fork_rng(devices=[]):
        # Another stream than that of the backbone's weights, which begins with the plain seed.
        torch.manual_seed(int(np.random.SeedSequence([seed, 1]).generate_state(1)[0]))
        network, new = _with_head(module, record, n_classes, size, resolved)
    freeze_parts(network, _parts(record, freeze), new=new, name=name)
    return network.train()


def _parts(record: Architecture, freeze: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the parts to freeze, with those of the paper in the place of its name."""
    parts = (freeze,) if isinstance(freeze, str) else tuple(freeze)
    if "paper" in parts and not record.frozen:
        msg = f"{record.name}: it is not known which parts the paper froze; name them, or 'backbone', got {freeze!r}."
        raise ModelError(msg)
    return tuple(part for one in parts for part in (record.frozen if one == "paper" else (one,)))


def _with_head(
    module: nn.Module, record: Architecture, n_classes: int, size: int, options: dict[str, Any]
) -> tuple[nn.Module, str]:
    """Return the network, and the name of the part of it that is new."""
    if record.composed:
        return ComposedNetwork(module, record.head, n_classes, size, options), "head"
    if record.backbone.startswith("timm:"):
        last_layer = last_layer_of(module.pretrained_cfg)  # type: ignore[arg-type]
    else:
        last_layer = get_backbone(record.backbone).last_layer
    return module, set_last_layer(module, last_layer, n_classes, name=record.name)


def load_network(path: str | Path) -> tuple[nn.Module, CheckpointInfo]:
    """Return a trained network, ready to predict, and what its checkpoint says.

    Parameters
    ----------
    path : str or Path
        A file that `save_checkpoint` wrote.

    Returns
    -------
    module : torch.nn.Module
        In eval mode, on the CPU.
    info : CheckpointInfo

    Raises
    ------
    WeightsError
        If the file is no checkpoint, is damaged, or its weights do not fit the network that it names.
    """
    info, state = read_checkpoint(path)
    n_classes = len(info.classes)
    settings: dict[str, Any] = {"size": info.preprocess.size, "stem": info.stem, **info.options}
    if info.network.startswith("timm:"):
        module = build_network(info.network, n_classes, **settings)
    else:  # without memory: a file that claims too much is refused before anything is allocated
        with torch.device("meta"):
            module = build_network(info.network, n_classes, **settings)
    load_into(module, state, name=info.network, last_layer=None, assign=True)
    return module.eval(), info


def network_preprocess(name: str, size: int | None = None) -> Preprocess:
    """Return how pictures become the input of a network.

    Parameters
    ----------
    name : str
        As for `build_network`.
    size : int, optional
        Side in pixels; by default that of the record.

    Returns
    -------
    Preprocess
        With the mean and deviation that the backbone's published weights were trained with.

    Examples
    --------
    >>> network_preprocess("xception-gru").size
    299
    """
    record = get_architecture(name)
    size = record.size if size is None else size
    backbone = get_backbone(record.backbone).sized(size)
    if not record.backbone.startswith("timm:"):
        return backbone.preprocess  # type: ignore[return-value]
    config = timm_config(record.backbone)
    return Preprocess(size, tuple(config["mean"]), tuple(config["std"]))
