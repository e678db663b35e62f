"""Build a backbone with its weights, and say exactly which weights these are."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from fusionfer.backbones import Backbone, Level, Preprocess
from fusionfer.exceptions import WeightsUnavailableError, unknown_name
from fusionfer.networks._download import fetch
from fusionfer.networks._folding import fold_batch_norm, foldable_pairs
from fusionfer.networks._levels import JoinedNetworks, LevelNetwork
from fusionfer.networks._packing import can_pack, pack_convolutions
from fusionfer.networks._vision import import_torchvision
from fusionfer.networks._weights import load_into, read_state_dict, state_hash

__all__ = ["LoadedBackbone", "build_module", "load_backbone"]


class Network(Protocol):
    """What a loaded backbone runs: `LevelNetwork`, several joined, or one that was converted for another engine."""

    def __call__(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return level name -> float32 tensor of shape (n, dim) for a batch of shape (n, 3, height, width)."""

    def dims(self, shape: tuple[int, ...], device: torch.device) -> dict[str, int]:
        """Return the length of each level's vector for pictures of `shape` (3, height, width)."""

    def close(self) -> None:
        """Take the taps off."""


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone ready to run: its network with taps, and the provenance of its weights.

    Attributes
    ----------
    backbone : Backbone
        The record, with the preprocessing that is used.
    network : Network
        Maps batches to level vectors.
    weights : dict
        ``name``, ``path`` (or None), ``sha256`` (of the file; of the state where there is none), ``seed`` (or None)
        and ``metadata`` of the file.
    dims : dict of str to int
        Length of each level's vector.
    engine : str
        What runs the network.
    """

    backbone: Backbone
    network: Network = field(repr=False)
    weights: dict[str, Any]
    dims: dict[str, int]
    engine: str = "torch"

    def close(self) -> None:
        """Take the taps off; a module of the user's own is then as it came."""
        self.network.close()


def load_backbone(
    backbone: Backbone,
    levels: Sequence[str],
    *,
    weights: str | Path = "imagenet",
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int, str], None] | None = None,
    timeout: float = 30.0,
) -> LoadedBackbone:
    """Build `backbone`, load its weights and tap the levels.

    Parameters
    ----------
    backbone : Backbone
        A record, or a Backbone with a module of your own (whose weights are then used as they are).
    levels : sequence of str
        Level names or node names.
    weights : str or Path
        ``imagenet``, the name of a published set, ``none`` (random, from `seed`), or the path of a state dict.
    seed : int
        For ``none``: the weights are rebuilt from it.
    device : torch.device or str
        Where it runs.
    progress : callable, optional
        Called while weights are downloaded.
    timeout : float
        Seconds to wait for the server of published weights.

    Raises
    ------
    WeightsError, WeightsUnavailableError, UnknownNameError
        If the weights do not fit or are not to be had, or a level does not exist.
    """
    if backbone.module is not None:
        module = backbone.module
        provenance = _provenance("own module", None, state_hash(module))
    else:
        backbone, module, provenance = _with_weights(backbone, str(weights), seed, progress, timeout)
    chosen = {name: backbone.level(name) for name in levels}
    network = _tapped(module, chosen, backbone, torch.device(device))
    known = {name: level.dim or _outputs(module, level) for name, level in chosen.items()}
    dims = {name: dim for name, dim in known.items() if dim is not None}
    if len(dims) < len(known):  # only the network itself can tell: one forward pass of a black picture
        probe = backbone.preprocess(np.zeros((64, 64), np.uint8))
        found = network.dims(probe.shape, torch.device(device))
        dims = {name: dims.get(name, found[name]) for name in known}
    return LoadedBackbone(backbone, network, provenance, dims)


def build_module(name: str, *, seed: int = 0, pretrained: bool = False) -> nn.Module:
    """Return the bare network of a record, with the default initialisation drawn from `seed`.

    Parameters
    ----------
    name : str
        A torchvision model, or ``timm:<model>``.
    seed : int
        The caller's own random state is left as it was.
    pretrained : bool
        For timm only: with its published weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name.startswith("timm:"):
            return _timm_model(name.removeprefix("timm:"), pretrained)
        return import_torchvision().models.get_model(name, weights=None)


def _tapped(
    module: nn.Module, levels: Mapping[str, Level], backbone: Backbone, device: torch.device
) -> LevelNetwork | JoinedNetworks:
    """Fold, move, pack and tap the network.

    Levels that look at a convolution or normalisation that folding changes are taken from a copy that is not folded, so
    that no level's bits depend on which others are asked for.
    """
    if backbone.module is not None:  # the user's own stays as it is, and is copied where it must be converted
        fits = all(p.device == device and p.dtype == torch.float32 for p in module.parameters())
        own = module if fits else copy.deepcopy(module).to(device=device, dtype=torch.float32)
        return LevelNetwork(own, levels, name=backbone.name)
    module.eval()
    changed = {name for pair in foldable_pairs(module) for name in pair}
    plain = {
        name: level for name, level in levels.items() if changed & {node.removesuffix(":in") for node in level.nodes}
    }
    folded = {name: level for name, level in levels.items() if name not in plain}
    networks = []
    for some, fold in [(plain, False), (folded, True)]:
        if some:
            one = copy.deepcopy(module) if plain and folded else module
            if fold:
                fold_batch_norm(one)
            one.to(device=device, dtype=torch.float32)
            one.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if device.type == "cpu" and can_pack():
                pack_convolutions(one)
            networks.append(LevelNetwork(one, some, name=backbone.name))
    return networks[0] if len(networks) == 1 else JoinedNetworks(networks)


def _outputs(module: nn.Module, level: Level) -> int | None:
    """Return the length of a level that is what one linear layer returns, else None."""
    if len(level.nodes) > 1 or level.nodes[0].endswith(":in"):
        return None
    node = dict(module.named_modules()).get(level.nodes[0])
    return node.out_features if isinstance(node, nn.Linear) else None


def _with_weights(
    backbone: Backbone, weights: str, seed: int, progress: Any, timeout: float
) -> tuple[Backbone, nn.Module, dict[str, Any]]:
    is_timm = backbone.name.startswith("timm:")
    published = is_timm and weights == "imagenet"
    module = build_module(backbone.name, seed=seed, pretrained=published)
    if is_timm:
        backbone = _timm_record(backbone, module)
    if published:
        name = f"timm {module.pretrained_cfg.get('tag') or 'pretrained'}"  # type: ignore[union-attr, operator]
        return backbone, module, _provenance(name, None, state_hash(module))
    if weights == "none":
        return backbone, module, _provenance("none", None, state_hash(module), seed=seed)
    is_path = "/" in weights or Path(weights).suffix in {".pth", ".pt", ".bin", ".tar", ".safetensors"}
    pinned = None if is_path else backbone.pinned(weights)
    state = read_state_dict(fetch(pinned, timeout=timeout, progress=progress) if pinned else weights)
    load_into(module, state, name=backbone.name, last_layer=backbone.last_layer)
    name = pinned.name if pinned else state.path.name
    return backbone, module, _provenance(name, state.path.resolve(), state.sha256, metadata=state.metadata)


def _provenance(
    name: str, path: Path | None, sha256: str, *, seed: int | None = None, metadata: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "path": str(path) if path else None,
        "sha256": sha256,
        "seed": seed,
        "metadata": dict(metadata or {}),
    }


def _timm_model(name: str, pretrained: bool) -> nn.Module:
    try:
        import_torchvision()
        import timm
    except ImportError as error:
        msg = f"timm:{name} needs timm: pip install 'fusionfer[timm]'."
        raise WeightsUnavailableError(msg) from error
    if not timm.is_model(name):
        known = timm.list_models()
        raise unknown_name("timm model", name, difflib.get_close_matches(name, known, n=5, cutoff=0.5) or ["resnet18"])
    try:
        return timm.create_model(name, pretrained=pretrained)
    except Exception as error:
        if not pretrained:
            raise
        msg = (
            f"The published weights of timm:{name} could not be loaded ({type(error).__name__}). "
            "Without a network give --weights PATH or --weights none."
        )
        raise WeightsUnavailableError(msg) from error


def _timm_record(backbone: Backbone, module: Any) -> Backbone:
    """Fill a timm record from what timm knows of the model: last layer, stages, mean and deviation."""
    config = module.pretrained_cfg
    last = config.get("classifier")
    last = last[0] if isinstance(last, (tuple, list)) else last
    stages = tuple(info["module"] for info in getattr(module, "feature_info", []) or [])
    levels = {"penultimate": Level((f"{last}:in",)), "logits": Level((last,))} if last else {}
    if stages:
        levels["multi"] = Level(stages)
    preprocess = backbone.preprocess
    if isinstance(preprocess, Preprocess):
        preprocess = replace(preprocess, mean=tuple(config["mean"]), std=tuple(config["std"]))
    return replace(backbone, levels=levels, last_layer=last, preprocess=preprocess)
