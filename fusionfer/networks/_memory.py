"""A device's lack of memory, told apart from all other errors, whichever library complains of it."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

import torch

from fusionfer.exceptions import DeviceMemoryError

__all__ = ["lacks_memory", "memory_of"]

#: What libraries say that have no exception of their own for it: MPS, the CPU's allocator, cuBLAS and cuDNN.
_SAID = ("out of memory", "can't allocate memory", "not enough memory", "_STATUS_ALLOC_FAILED")


def lacks_memory(error: BaseException) -> bool:
    """Whether an error of torch means that there was no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID)
    )


@contextlib.contextmanager
def memory_of(device: torch.device, what: str) -> Iterator[None]:
    """Return a context in which a lack of memory is an error that says where, and for what.

    Raises
    ------
    DeviceMemoryError
    """
    try:
        yield
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # which hold on to what there was no room for
        msg = f"{what} in the memory of {device}."
        raise DeviceMemoryError(msg) from error
