"""The numbers in which a network computes: float32, or numbers of 16 bits where the device is faster with them."""

from __future__ import annotations

import contextlib

import torch

from fusionfer.exceptions import DataError, unknown_name

__all__ = ["PRECISIONS", "PRECISION_BOUND", "computing_in", "find_precision"]

#: Precision -> what products are computed in, with `torch.autocast`; weights and features stay float32.
PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}

#: Largest distance of a feature vector from that of float32, divided by its length. For bf16 twice what was seen on
#: 7,151 real faces at most (docs/engines.md), for fp16 four times what was seen on 128 by hand.
PRECISION_BOUND = {"float32": 0.0, "bf16": 0.1, "fp16": 0.02}


def find_precision(name: str, device: torch.device | str = "cpu") -> str:
    """Return the precision `name`, if networks can compute in it on the device.

    Parameters
    ----------
    name : {"float32", "bf16", "fp16"}
        With 16 bits, vectors are within ``PRECISION_BOUND`` of those of float32.
    device : torch.device or str
        Where the networks are to run.

    Raises
    ------
    UnknownNameError
        If there is no such precision.
    DataError
        If the device cannot compute in it, or not at a useful speed.

    Examples
    --------
    >>> find_precision("bf16", "cpu")
    'bf16'
    """
    if name not in PRECISIONS:
        raise unknown_name("precision", name, PRECISIONS)
    if name == "fp16" and torch.device(device).type == "cpu":
        msg = "The precision fp16 is for GPUs; the device cpu computes in float32 or bf16. Give --precision bf16."
        raise DataError(msg)
    return name


def computing_in(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return a context in which a module of float32 weights computes in `precision`."""
    dtype = PRECISIONS[precision]
    return contextlib.nullcontext() if dtype is None else torch.autocast(device.type, dtype)
