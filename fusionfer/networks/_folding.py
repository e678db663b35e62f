"""Fold batch normalisations into the convolutions before them: fewer passes over memory, other rounding."""

from __future__ import annotations

from collections import Counter

import torch.fx
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_batch_norm", "foldable_pairs"]


def foldable_pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of each convolution, and of the batch normalisation that alone follows it directly.

    Layers that are called more than once are left out, as one fold cannot serve two places; so is everything where the
    module cannot be traced.
    """
    try:
        graph = torch.fx.symbolic_trace(module).graph
    except Exception:  # tracing runs the module's own code, which may raise anything
        return []
    submodules = dict(module.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    pairs = []
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(submodules.get(node.target), nn.BatchNorm2d) or not node.args:
            continue
        source = node.args[0]
        if (
            source.op == "call_module"
            and isinstance(submodules.get(source.target), nn.Conv2d)
            and len(source.users) == calls[source.target] == calls[node.target] == 1
        ):
            pairs.append((source.target, node.target))
    return pairs


def fold_batch_norm(module: nn.Module) -> int:
    """Fold each batch normalisation that follows a convolution directly into it; return how many.

    The names of all submodules stay: a folded normalisation becomes an identity, so that nodes keep their names. What a
    folded convolution returns is what its normalisation returned before.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place; must be in eval mode.

    Returns
    -------
    int
        Number of folded layers.

    References
    ----------
    .. [1] Jacob et al. (2018), Quantization and training of neural networks, CVPR, eq. 14.
    """
    pairs = foldable_pairs(module)
    submodules = dict(module.named_modules())
    for conv, norm in pairs:
        fused = fuse_conv_bn_eval(submodules[conv], submodules[norm])
        for target, new in [(conv, fused), (norm, nn.Identity())]:
            parent, _, child = target.rpartition(".")
            setattr(module.get_submodule(parent), child, new)
    return len(pairs)
