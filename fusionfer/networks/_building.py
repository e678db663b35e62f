"""Build a backbone with its weights, and say exactly which weights these are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from fusionfer.backbones import Backbone, Level, Preprocess
from fusionfer.exceptions import UnknownNameError, WeightsError
from fusionfer.networks._architectures import get_architecture
from fusionfer.networks._checkpoint import CheckpointInfo, checkpoint_info
from fusionfer.networks._download import fetch
from fusionfer.networks._folding import fold_batch_norm, foldable_pairs
from fusionfer.networks._last_layers import without_last_layers
from fusionfer.networks._levels import JoinedNetworks, LevelNetwork
from fusionfer.networks._memory import memory_of
from fusionfer.networks._packing import can_pack, pack_convolutions
from fusionfer.networks._precision import find_precision
from fusionfer.networks._stems import set_stem
from fusionfer.networks._timm import timm_model, timm_record
from fusionfer.networks._vision import import_torchvision
from fusionfer.networks._weights import StateDict, load_into, read_state_dict, state_hash

__all__ = ["LoadedBackbone", "build_module", "load_backbone", "with_weights"]


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
    precision : str
        What it computes in.
    """

    backbone: Backbone
    network: Network = field(repr=False)
    weights: dict[str, Any]
    dims: dict[str, int]
    engine: str = "torch"
    precision: str = "float32"

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
    precision: str = "float32",
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
        ``imagenet``, the name of a published set, ``none`` (random, from `seed`), or the path of a state dict. A
        checkpoint of fusionfer also sets the stem, mean and deviation, and the input size where none was chosen
        (`Backbone.sized`); of a network with a head of its own it gives the backbone.
    seed : int
        For ``none``: the weights are rebuilt from it.
    device : torch.device or str
        Where it runs.
    precision : {"float32", "bf16", "fp16"}
        What it computes in; weights and vectors are float32.
    progress : callable, optional
        Called while weights are downloaded.
    timeout : float
        Seconds to wait for the server of published weights.

    Raises
    ------
    WeightsError, WeightsUnavailableError, UnknownNameError
        If the weights do not fit or are not to be had, or a level does not exist.
    DeviceMemoryError
        If the device has no memory for the network.
    """
    if backbone.module is not None:
        module = backbone.module
        provenance = _provenance("own module", None, state_hash(module))
    else:
        backbone, module, provenance = with_weights(backbone, str(weights), seed, progress, timeout)
        if "logits" in levels and "logits" not in backbone.levels and "penultimate" in backbone.levels:
            msg = (
                f"{weights}: the last layer of this network belongs to its head, not to its backbone {backbone.name}, "
                "so there is no level 'logits'. Take 'penultimate' or 'multi'."
            )
            raise UnknownNameError(msg)
    chosen = {name: backbone.level(name) for name in levels}
    precision, device = find_precision(precision, device), torch.device(device)
    with memory_of(device, f"There is no room for {backbone.name}"):
        network = _tapped(module, chosen, backbone, device, precision)
        known = {name: level.dim or _outputs(module, level) for name, level in chosen.items()}
        dims = {name: dim for name, dim in known.items() if dim is not None}
        if len(dims) < len(known):  # only the network itself can tell: one forward pass of a black picture
            probe = backbone.preprocess(np.zeros((64, 64), np.uint8))
            found = network.dims(probe.shape, device)
            dims = {name: dims.get(name, found[name]) for name in known}
    return LoadedBackbone(backbone, network, provenance, dims, precision=precision)


def build_module(name: str, *, seed: int = 0, pretrained: bool = False, stem: str = "standard") -> nn.Module:
    """Return the bare network of a record, with the default initialisation drawn from `seed`.

    Parameters
    ----------
    name : str
        A torchvision model, or ``timm:<model>``.
    seed : int
        The caller's own random state is left as it was.
    pretrained : bool
        For timm only: with its published weights.
    stem : {"standard", "small"}
        For ResNets: how it begins.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name.startswith("timm:"):
            module = timm_model(name, pretrained)
        else:
            module = import_torchvision().models.get_model(name, weights=None)
        return set_stem(module, stem, name=name)


def _tapped(
    module: nn.Module, levels: Mapping[str, Level], backbone: Backbone, device: torch.device, precision: str
) -> LevelNetwork | JoinedNetworks:
    """Fold, move, pack and tap the network.

    Levels that look at a convolution or normalisation that folding changes are taken from a copy that is not folded, so
    that no level's bits depend on which others are asked for.
    """
    if backbone.module is not None:  # the user's own stays as it is, and is copied where it must be converted
        fits = all(p.device == device and p.dtype == torch.float32 for p in module.parameters())
        own = module if fits else copy.deepcopy(module).to(device=device, dtype=torch.float32)
        return LevelNetwork(own, levels, name=backbone.name, precision=precision)
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
            if device.type == "cpu" and precision == "float32" and can_pack():
                pack_convolutions(one)
            networks.append(LevelNetwork(one, some, name=backbone.name, precision=precision))
    return networks[0] if len(networks) == 1 else JoinedNetworks(networks)


def _outputs(module: nn.Module, level: Level) -> int | None:
    """Return the length of a level that is what one linear layer returns, else None."""
    if len(level.nodes) > 1 or level.nodes[0].endswith(":in"):
        return None
    node = dict(module.named_modules()).get(level.nodes[0])
    return node.out_features if isinstance(node, nn.Linear) else None


def with_weights(
    backbone: Backbone, weights: str, seed: int, progress: Any = None, timeout: float = 30.0
) -> tuple[Backbone, nn.Module, dict[str, Any]]:
    """Build the module of a record and load its weights, as `load_backbone` does before it taps the levels.

    Returns
    -------
    backbone : Backbone
        The record, with what timm or a checkpoint says of it.
    module : torch.nn.Module
    provenance : dict
        As in `LoadedBackbone`.
    """
    is_timm = backbone.name.startswith("timm:")
    is_path = "/" in weights or Path(weights).suffix in {".pth", ".pt", ".bin", ".tar", ".safetensors"}
    published = not is_path and weights != "none"
    if published and backbone.stem != "standard":
        msg = (
            f"{backbone.name}: the weights {weights} were published for the standard stem, got stem={backbone.stem!r}. "
            "Give weights that were trained with it, or 'none'."
        )
        raise WeightsError(msg)
    pinned = backbone.pinned(weights) if published and not (is_timm and weights == "imagenet") else None
    state = info = None
    if is_path or pinned:
        state = read_state_dict(fetch(pinned, timeout=timeout, progress=progress) if pinned else weights)
        info = checkpoint_info(state.metadata, state.path)
        backbone = backbone if info is None else _as_trained(backbone, info, state.path)
    module = build_module(backbone.name, seed=seed, pretrained=published and pinned is None, stem=backbone.stem)
    if is_timm:
        asked = backbone.preprocess
        backbone = timm_record(backbone, module)
        if info is not None:  # whose mean and deviation are not those of timm's weights
            backbone = replace(backbone, preprocess=asked)
    stem = {} if backbone.stem == "standard" else {"stem": backbone.stem}  # by which it can be built again
    if state is None:
        if published:
            name = f"timm {module.pretrained_cfg.get('tag') or 'pretrained'}"  # type: ignore[union-attr, operator]
            return backbone, module, _provenance(name, None, state_hash(module))
        return backbone, module, _provenance("none", None, state_hash(module), seed=seed, metadata=stem)
    provenance = _provenance(
        pinned.name if pinned else state.path.name,
        state.path.resolve(),
        state.sha256,
        metadata={**state.metadata, **stem},
    )
    if info is not None and get_architecture(info.network).composed:
        backbone, module, state = _backbone_of_composed(backbone, module, state)
    load_into(module, state, name=backbone.name, last_layer=backbone.last_layer)
    return backbone, module, provenance


def _as_trained(backbone: Backbone, info: CheckpointInfo, path: Path) -> Backbone:
    """Return the record with the stem and the preprocessing of a checkpoint; what the user chose stays."""
    owner = get_architecture(info.network).backbone
    if owner != backbone.name:
        msg = (
            f"{path} is a checkpoint of {info.network} and so gives weights of {owner}, not of {backbone.name}. "
            f"Name the backbone {owner}."
        )
        raise WeightsError(msg)
    backbone, asked = replace(backbone, stem=info.stem), backbone.preprocess
    if not isinstance(asked, Preprocess) or asked != Preprocess(
        asked.size if backbone.size_is_set else Preprocess().size
    ):
        return backbone  # the user's own
    size = asked.size if backbone.size_is_set else info.preprocess.size
    return replace(backbone, preprocess=replace(info.preprocess, size=size))


def _backbone_of_composed(
    backbone: Backbone, module: nn.Module, state: StateDict
) -> tuple[Backbone, nn.Module, StateDict]:
    """Return record, module and weights of the backbone within a network that has a head of its own."""
    without_last_layers(module)
    levels = {name: level for name, level in backbone.levels.items() if name != "logits"}
    if backbone.last_layer not in dict(module.named_modules()):  # VGG16, whose dense layers are gone, too
        levels["penultimate"] = Level(("features",))
    prefix = "backbone."
    tensors = {name.removeprefix(prefix): x for name, x in state.tensors.items() if name.startswith(prefix)}
    return replace(backbone, levels=levels, last_layer=None), module, replace(state, tensors=tensors)


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
