"""Networks on OpenVINO: converted from torch directly, in float32."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from torch import nn

__all__ = ["compile_module"]


def compile_module(
    module: nn.Module, shape: tuple[int, ...], *, workers: int, threads: int
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return what computes the outputs of `module` for float32 arrays of `shape`, from `workers` threads at once.

    Parameters
    ----------
    module : torch.nn.Module
        Returns a tuple of tensors.
    shape : tuple of int
        Of its one input; the first is the number of pictures.
    workers : int
        Threads that call at the same time; each has a request of its own, and the processor's threads are divided.
    threads : int
        Threads for each call.
    """
    openvino = _import()
    model = openvino.convert_model(module, example_input=torch.zeros((2, *shape[1:])), input=[list(shape)])
    compiled = openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it
            "NUM_STREAMS": workers,
            "INFERENCE_NUM_THREADS": workers * threads,
            # Networks run at the same time, one in each worker: pinned, they could all sit on the first core.
            "ENABLE_CPU_PINNING": False,
        },
    )
    of_thread = threading.local()

    def run(batch: np.ndarray) -> list[np.ndarray]:
        if not hasattr(of_thread, "request"):
            of_thread.request = compiled.create_infer_request()
        request = of_thread.request
        request.infer([openvino.Tensor(batch, shared_memory=True)])
        # Copies, because the request writes its next answers to the same place.
        return [np.array(request.get_output_tensor(i).data) for i in range(len(compiled.outputs))]

    return run


def _import() -> ModuleType:
    """Import OpenVINO without its telemetry, which reports each import unless it is told not to, or is not there."""
    name = "openvino_telemetry"
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if absent:
            del sys.modules[name]
    return openvino
