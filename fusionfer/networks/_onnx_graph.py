"""A tapped network as an ONNX graph, by torch's exporter: for ONNX Runtime here, and for files that leave fusionfer."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator, Sequence

import torch
from torch import nn

__all__ = ["BATCH", "PICTURES", "onnx_graph"]

#: Name of the input, and of its first dimension.
PICTURES, BATCH = "pictures", "batch"

_OPSET = 17


def onnx_graph(module: nn.Module, shape: tuple[int, ...], outputs: Sequence[str] | None = None) -> bytes:
    """Return an ONNX model of `module` whose batches may have any length, in float32.

    Parameters
    ----------
    module : torch.nn.Module
        Returns a tuple of tensors.
    shape : tuple of int
        Of its one input, ``pictures``; the first number makes no difference.
    outputs : sequence of str, optional
        Names of what it returns.
    """
    exported = io.BytesIO()
    # Where it fails, torch prints its graph.
    with _pooling_as_products(module), contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            module,
            (torch.zeros((2, *shape[1:])),),
            exported,  # type: ignore[arg-type]
            dynamo=False,  # the other exporter needs one more package, and takes several times as long
            opset_version=_OPSET,
            input_names=[PICTURES],
            output_names=outputs,
            dynamic_axes={PICTURES: {0: BATCH}, **{name: {0: BATCH} for name in outputs or ()}},
        )
    return exported.getvalue()


@contextlib.contextmanager
def _pooling_as_products(module: nn.Module) -> Iterator[None]:
    """Let torch export adaptive average pooling to any size; by itself it can where the sizes divide the input's."""
    pools = [child for child in module.modules() if isinstance(child, nn.AdaptiveAvgPool2d)]
    pools = [pool for pool in pools if pool.output_size not in {1, (1, 1)}]
    for pool in pools:
        pool.forward = functools.partial(_pool, pool)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for pool in pools:
            del pool.forward  # what the class says counts again


def _pool(pool: nn.AdaptiveAvgPool2d, x: torch.Tensor) -> torch.Tensor:
    """Return the averages as a product with a constant matrix for each axis."""
    size = pool.output_size
    rows, columns = size if isinstance(size, tuple) else (size, size)
    height, width = int(x.shape[2]), int(x.shape[3])
    return _means(height, rows or height) @ x @ _means(width, columns or width).T


def _means(n: int, m: int) -> torch.Tensor:
    """Return the matrix, (n, m): row i averages positions floor(i n / m) to ceil((i + 1) n / m), as torch does."""
    matrix = torch.zeros((m, n))
    for i in range(m):
        start, stop = i * n // m, -(-(i + 1) * n // m)
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix
