"""Convolutions whose weights are laid out once as the processor's kernels want them, instead of in every call."""

from __future__ import annotations

import contextlib
import platform
import threading
from collections.abc import Iterable, Iterator

import torch
from torch import nn
from torch.nn import functional

__all__ = ["PackedConv2d", "can_pack", "pack_convolutions", "unpacked"]


def can_pack() -> bool:
    """Whether this build of torch has what packing needs: oneDNN on an x86 processor, and its operators."""
    return (
        platform.machine().lower() in {"x86_64", "amd64"}
        and torch.backends.mkldnn.is_available()
        and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


class PackedConv2d(nn.Module):
    """A convolution in eval mode, on the CPU in float32, that returns the same sooner.

    The same to the bit where torch takes oneDNN anyway; the last digits differ where it does not, which is for small
    inputs and, on one thread, for 1 x 1 convolutions of batches below 16. What comes out depends on the shape of the
    input, not on the shapes that came before.

    oneDNN chooses a layout of the weights for each shape of input. A plain convolution brings its weights into that
    layout in every call; here it is done when the shape changes. In batches of 32, networks gain 8 to 18 % by that at
    48 pixels, and at most 1 % at 224, where there is more to compute with each weight
    (``python -m benchmarks.speed packing``).

    Parameters
    ----------
    conv : torch.nn.Conv2d
        Its weights are taken over. With zero padding.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = conv.weight.detach()
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.stride, self.padding, self.dilation, self.groups = (
            list(conv.stride), [int(p) for p in conv.padding], list(conv.dilation), conv.groups,
        )  # fmt: skip
        self.packs = True
        self._packed_for: torch.Size | None = None
        self._lock = threading.Lock()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the convolution of `x`, (n, channels, height, width)."""
        with self._lock:
            if self.packs and self._packed_for != x.shape:
                self._pack(x)
            weight = self.weight
        if weight.is_mkldnn:
            return torch.ops.mkldnn._convolution_pointwise(
                x, weight, self.bias, self.padding, self.stride, self.dilation, self.groups, "none", [], ""
            )
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def unpack(self) -> None:
        """Bring the weights back into the common layout, exactly as they came."""
        with self._lock:
            self.weight = self.weight.to_dense() if self.weight.is_mkldnn else self.weight
            self._packed_for = None

    def _pack(self, x: torch.Tensor) -> None:
        plain = self.weight.to_dense() if self.weight.is_mkldnn else self.weight
        try:
            self.weight = torch._C._nn.mkldnn_reorder_conv2d_weight(
                plain.to_mkldnn(),
                self.padding,
                self.stride,
                self.dilation,
                self.groups,
                list(x.shape),  # type: ignore[call-arg]
            )
        except RuntimeError:  # a shape that oneDNN has no layout for: as it was, only slower
            self.weight = plain
        self._packed_for = x.shape


def pack_convolutions(module: nn.Module) -> int:
    """Replace the convolutions of a module by packed ones, in place; return how many.

    Names of submodules stay. The module must be in eval mode, in float32, on the CPU, and is good for inference only
    afterwards. Convolutions that pad with something else than zeros, or by name, stay as they are.
    """
    count = 0
    for name, child in list(module.named_modules()):
        if type(child) is nn.Conv2d and child.padding_mode == "zeros" and not isinstance(child.padding, str):
            parent, _, last = name.rpartition(".")
            setattr(module.get_submodule(parent), last, PackedConv2d(child))
            count += 1
    return count


@contextlib.contextmanager
def unpacked(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Return a context in which packed convolutions are plain ones, for what reads or traces them.

    Nobody else may run the modules meanwhile.
    """
    packed = [child for module in modules for child in module.modules() if isinstance(child, PackedConv2d)]
    for conv in packed:
        conv.packs = False
        conv.unpack()
    try:
        yield
    finally:
        for conv in packed:
            conv.packs = True
