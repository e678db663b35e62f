"""Networks on ONNX Runtime: exported by torch, in float32."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

__all__ = ["compile_module"]

_OPSET = 17
_BATCH = "batch"


def compile_module(
    module: nn.Module, shape: tuple[int, ...], *, workers: int, threads: int
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return what computes the outputs of `module` for float32 arrays of `shape`, from several threads at once.

    Parameters
    ----------
    module : torch.nn.Module
        Returns a tuple of tensors.
    shape : tuple of int
        Of its one input; the first is the number of pictures.
    workers : int
        Makes no difference: a call runs in the thread that makes it.
    threads : int
        Threads for each call.
    """
    import onnxruntime

    exported = io.BytesIO()
    # Where it fails, torch prints its graph.
    with _pooling_as_products(module), contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            module,
            (torch.zeros((2, *shape[1:])),),
            exported,  # type: ignore[arg-type]
            dynamo=False,  # the other exporter needs one more package, and takes several times as long
            opset_version=_OPSET,
            input_names=["pictures"],
            dynamic_axes={"pictures": {0: _BATCH}},
        )
    options = onnxruntime.SessionOptions()
    options.add_free_dimension_override_by_name(_BATCH, shape[0])
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"pictures": batch})


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
    """Return the matrix, (m, n): row i averages positions floor(i n / m) to ceil((i + 1) n / m), as torch does."""
    matrix = torch.zeros((m, n))
    for i in range(m):
        start, stop = i * n // m, -(-(i + 1) * n // m)
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix
