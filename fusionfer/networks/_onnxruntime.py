"""Networks on ONNX Runtime: exported by torch, in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from fusionfer.networks._onnx_graph import BATCH, PICTURES, onnx_graph

__all__ = ["compile_module"]


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

    options = onnxruntime.SessionOptions()
    options.add_free_dimension_override_by_name(BATCH, shape[0])
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_graph(module, shape), options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {PICTURES: batch})
