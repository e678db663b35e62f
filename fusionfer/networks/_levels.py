"""A network that returns the asked levels as vectors, whatever the module is."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Set
from typing import Any

import torch
import torch.fx
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fusionfer.backbones import Level
from fusionfer.exceptions import UnknownNameError

__all__ = ["LevelNetwork", "fold_batch_norm"]


class LevelNetwork:
    """Taps a module at named nodes and returns one vector per picture and level.

    Hooks are used rather than a traced copy of the graph, so that any module works.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode from here on.
    levels : mapping of str to Level
        Which levels, and the nodes of each.
    name : str
        The backbone's name, for messages.

    Raises
    ------
    UnknownNameError
        If a node is no submodule of the module.
    """

    def __init__(self, module: nn.Module, levels: Mapping[str, Level], *, name: str) -> None:
        self.module = module.eval()
        self.levels = dict(levels)
        self.name = name
        self._seen: dict[str, torch.Tensor] = {}
        submodules = dict(module.named_modules())
        for node in sorted({node for level in self.levels.values() for node in level.nodes}):
            target, is_input = node.removesuffix(":in"), node.endswith(":in")
            if target not in submodules or not target:
                raise _unknown_node(name, target, submodules)
            hook = _keep_input if is_input else _keep_output
            if is_input:
                submodules[target].register_forward_pre_hook(hook(self._seen, node))
            else:
                submodules[target].register_forward_hook(hook(self._seen, node))

    @torch.inference_mode()
    def __call__(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return level name -> float32 tensor of shape (n, dim) for a batch of shape (n, 3, height, width)."""
        self._seen.clear()
        self.module(batch)
        unseen = {node for level in self.levels.values() for node in level.nodes} - self._seen.keys()
        if unseen:
            msg = f"{self.name}: the forward pass never reaches {', '.join(sorted(unseen))}; name other nodes."
            raise UnknownNameError(msg)
        return {
            name: torch.cat([self._seen[node] for node in level.nodes], dim=1) for name, level in self.levels.items()
        }

    def dims(self, shape: tuple[int, ...], device: torch.device) -> dict[str, int]:
        """Return the length of each level's vector for pictures of `shape` (3, height, width)."""
        return {name: int(x.shape[1]) for name, x in self(torch.zeros((1, *shape), device=device)).items()}


def _pooled(x: Any) -> torch.Tensor:
    if isinstance(x, (tuple, list)):
        x = x[0]
    if x.ndim == 4:
        x = x.mean(dim=(2, 3))
    elif x.ndim == 3:
        x = x.mean(dim=1)
    # A copy, because later layers may change the tensor in place (an inplace ReLU after it).
    return x.flatten(1).float().clone()


def _keep_output(seen: dict[str, torch.Tensor], node: str) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        seen[node] = _pooled(output)

    return hook


def _keep_input(seen: dict[str, torch.Tensor], node: str) -> Any:
    def hook(module: nn.Module, args: Any) -> None:
        seen[node] = _pooled(args)

    return hook


def _unknown_node(name: str, node: str, submodules: Mapping[str, Any]) -> UnknownNameError:
    close = difflib.get_close_matches(node, submodules, n=4, cutoff=0.5)
    top = [child for child in submodules if child and "." not in child]
    return UnknownNameError(
        f"Unknown level or node {node!r} of {name}. Levels: penultimate, multi, logits, or any submodule "
        f"(at the top: {', '.join(top)}). " + (f"Close: {', '.join(close)}." if close else "")
    )


def fold_batch_norm(module: nn.Module, keep: Set[str] = frozenset()) -> int:
    """Fold each batch normalisation that follows a convolution directly into it; return how many.

    The names of all submodules stay: a folded normalisation becomes an identity, so that nodes keep their names.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place; must be in eval mode and be traceable, else nothing is folded.
    keep : set of str
        Submodules whose output must stay what it was.

    Returns
    -------
    int
        Number of folded layers.

    References
    ----------
    .. [1] Jacob et al. (2018), Quantization and training of neural networks, CVPR, eq. 14.
    """
    try:
        graph = torch.fx.symbolic_trace(module).graph
    except Exception:  # tracing runs the module's own code, which may raise anything; then it stays as it is
        return 0
    submodules, folded = dict(module.named_modules()), 0
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(submodules.get(node.target), nn.BatchNorm2d):
            continue
        source = node.args[0]
        conv = submodules.get(source.target) if source.op == "call_module" else None
        if not isinstance(conv, nn.Conv2d) or len(source.users) != 1 or {source.target, node.target} & keep:
            continue
        for target, new in [
            (source.target, fuse_conv_bn_eval(conv, submodules[node.target])),
            (node.target, nn.Identity()),
        ]:
            parent, _, child = target.rpartition(".")
            setattr(module.get_submodule(parent), child, new)
        folded += 1
    return folded
