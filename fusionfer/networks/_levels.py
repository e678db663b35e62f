"""A network that returns the asked levels as vectors, whatever the module is."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from fusionfer.backbones import Level
from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.networks._memory import lacks_memory
from fusionfer.networks._precision import computing_in

__all__ = ["JoinedNetworks", "LevelNetwork"]


class _Seen(threading.local):
    """What the taps saw in this thread's forward pass, by node."""

    def __init__(self) -> None:
        self.vectors: dict[str, torch.Tensor] = {}


class LevelNetwork:
    """Taps a module at named nodes and returns one vector per picture and level.

    Hooks are used rather than a traced copy of the graph, so that any module works. Several threads may call it at the
    same time, if the module itself allows that.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode from here on.
    levels : mapping of str to Level
        Which levels, and the nodes of each.
    name : str
        The backbone's name, for messages.
    precision : {"float32", "bf16", "fp16"}
        What the module computes in; vectors are averaged and returned in float32.

    Raises
    ------
    UnknownNameError
        If a node is no submodule of the module.
    """

    def __init__(
        self, module: nn.Module, levels: Mapping[str, Level], *, name: str, precision: str = "float32"
    ) -> None:
        self._was_training = module.training
        self.module = module.eval()
        self.levels = dict(levels)
        self.name = name
        self.precision = precision
        self._seen = _Seen()
        self._hooks: list[Any] = []
        submodules = dict(module.named_modules())
        for node in sorted({node for level in self.levels.values() for node in level.nodes}):
            target, is_input = node.removesuffix(":in"), node.endswith(":in")
            if target not in submodules or not target:
                raise _unknown_node(name, target, submodules)
            self._hooks.append(
                submodules[target].register_forward_pre_hook(_keep_input(self._seen, node))
                if is_input
                else submodules[target].register_forward_hook(_keep_output(self._seen, node))
            )

    @torch.inference_mode()
    def __call__(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return level name -> float32 tensor of shape (n, dim) for a batch of shape (n, 3, height, width)."""
        seen = self._seen.vectors
        seen.clear()
        try:
            with computing_in(self.precision, batch.device):
                self.module(batch)
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            if lacks_memory(error):  # which the caller can tell more of
                raise
            reason = " ".join(str(error).split())[:200]
            msg = f"{self.name} cannot take pictures of {tuple(batch.shape[1:])}: {reason}. Give another --size."
            raise DataError(msg) from error
        unseen = {node for level in self.levels.values() for node in level.nodes} - seen.keys()
        if unseen:
            msg = f"{self.name}: the forward pass never reaches {', '.join(sorted(unseen))}; name other nodes."
            raise UnknownNameError(msg)
        return {name: torch.cat([seen[node] for node in level.nodes], dim=1) for name, level in self.levels.items()}

    def close(self) -> None:
        """Take the taps off and give the module back as it came."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self.module.train(self._was_training)

    def dims(self, shape: tuple[int, ...], device: torch.device) -> dict[str, int]:
        """Return the length of each level's vector for pictures of `shape` (3, height, width)."""
        return {name: int(x.shape[1]) for name, x in self(torch.zeros((1, *shape), device=device)).items()}


class JoinedNetworks:
    """Several level networks over one picture, as one."""

    def __init__(self, networks: Sequence[LevelNetwork]) -> None:
        self.networks = list(networks)

    def __call__(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return level name -> float32 tensor of shape (n, dim) of all of them."""
        return {name: vector for network in self.networks for name, vector in network(batch).items()}

    def dims(self, shape: tuple[int, ...], device: torch.device) -> dict[str, int]:
        """Return the length of each level's vector for pictures of `shape` (3, height, width)."""
        return {name: dim for network in self.networks for name, dim in network.dims(shape, device).items()}

    def close(self) -> None:
        """Take all taps off."""
        for network in self.networks:
            network.close()


def _pooled(x: Any) -> torch.Tensor:
    if isinstance(x, (tuple, list)):
        x = x[0]
    if x.ndim == 4:
        x = x.mean(dim=(2, 3), dtype=torch.float32)
    elif x.ndim == 3:
        x = x.mean(dim=1, dtype=torch.float32)
    # A copy, because later layers may change the tensor in place (an inplace ReLU after it).
    return x.flatten(1).float().clone()


def _keep_output(seen: _Seen, node: str) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        seen.vectors[node] = _pooled(output)

    return hook


def _keep_input(seen: _Seen, node: str) -> Any:
    def hook(module: nn.Module, args: Any) -> None:
        seen.vectors[node] = _pooled(args)

    return hook


def _unknown_node(name: str, node: str, submodules: Mapping[str, Any]) -> UnknownNameError:
    close = difflib.get_close_matches(node, submodules, n=4, cutoff=0.5)
    top = [child for child in submodules if child and "." not in child]
    return UnknownNameError(
        f"Unknown level or node {node!r} of {name}. Levels: penultimate, multi, logits, or any submodule "
        f"(at the top: {', '.join(top)}). " + (f"Close: {', '.join(close)}." if close else "")
    )
