"""A device that is full: told apart from other errors, named, and what there was no room for is let go."""

import weakref

import pytest
import torch

from fusionfer.backbones import Backbone, Preprocess
from fusionfer.exceptions import DataError, DeviceMemoryError
from fusionfer.networks import load_backbone, memory_of
from fusionfer.networks._memory import lacks_memory

CUDA = torch.device("cuda:0")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_every_way_to_say_it(error):
    """torch's own error, and those of the libraries that have none for it, are one error with a name."""
    assert lacks_memory(error)
    said = r"^No room for 8 in the memory of cuda:0\.$"
    with pytest.raises(DeviceMemoryError, match=said) as caught, memory_of(CUDA, "No room for 8"):
        raise error
    assert isinstance(caught.value, MemoryError)
    assert caught.value.__cause__ is error


def test_other_errors_stay_as_they_are():
    """What is not about memory is not taken for it."""
    assert not lacks_memory(RuntimeError("sizes do not match"))
    assert not lacks_memory(ValueError("out of memory"))
    with pytest.raises(RuntimeError, match="sizes do not match"), memory_of(CUDA, "No room"):
        raise RuntimeError("sizes do not match")


def test_what_failed_holds_no_memory():
    """The error does not keep alive, by the frames of its traceback, what must be freed before a smaller try."""
    seen = []

    def fill():
        tensor = torch.zeros(8)
        seen.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(DeviceMemoryError) as caught, memory_of(CUDA, "No room"):
        fill()
    assert caught.value.__cause__ is not None
    assert seen[0]() is None


def test_a_network_tells_a_lack_of_memory_from_a_size_it_cannot_take():
    """Out of memory in a layer goes through as it is, while other failures blame the size of the pictures."""

    class Fails(torch.nn.Module):
        def __init__(self, error):
            super().__init__()
            self.flat, self.error = torch.nn.Flatten(), error

        def forward(self, x):
            if len(x) > 1:
                raise self.error
            return self.flat(x)

    def network(error):
        return load_backbone(Backbone("tiny", Fails(error), Preprocess(size=32), {"out": "flat"}), ["out"]).network

    with pytest.raises(torch.OutOfMemoryError):
        network(torch.OutOfMemoryError("CUDA out of memory."))(torch.zeros(2, 3, 32, 32))
    with pytest.raises(DataError, match="tiny cannot take pictures"):
        network(RuntimeError("sizes do not match"))(torch.zeros(2, 3, 32, 32))
