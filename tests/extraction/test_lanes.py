"""Lanes: the order in which copies and networks wait for each other, and arrays that are whole when they are read."""

import contextlib

import numpy as np
import pytest
import torch

from fusionfer.extraction._lanes import Lane


class Coming:
    """A vector on its way from the device: whole only when its event has been waited for."""

    def __init__(self, done):
        self.done, self.value = done, np.zeros(2, np.float32)

    def to(self, where, *, non_blocking):
        assert (where, non_blocking) == ("cpu", True)
        self.done.append("copy")
        return self

    def numpy(self):
        self.done.append("read")
        return self.value


@pytest.fixture
def cuda(monkeypatch):
    """What torch.cuda does, as a list of what was done, since there is no such device here."""
    done = []

    class Stream:
        def __init__(self, device=None):
            self.name = "copies" if device is not None else "networks"

        def wait_stream(self, other):
            done.append(f"{self.name} wait for {other.name}")

    class Event:
        def record(self, stream):
            done.append(f"event on {stream.name}")

        def synchronize(self):
            done.append("wait for event")

    @contextlib.contextmanager
    def stream(which):
        done.append(f"begin {which.name}")
        yield
        done.append(f"end {which.name}")

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    return done


def test_on_cuda_networks_wait_for_copies_and_readers_for_networks(cuda):
    """Nothing is computed before its copies, and nothing read before it has arrived; launching waits for neither."""
    lane = Lane(torch.device("cuda:1"))
    with lane.copying():
        cuda.append("to the device")
    lane.join()
    cuda.append("networks")
    fetched = lane.fetch({"a": Coming(cuda)})
    cuda.append("next worker")
    assert list(fetched()) == ["a"]
    assert cuda == [
        "begin copies", "to the device", "end copies", "networks wait for copies", "networks", "copy",
        "event on networks", "next worker", "wait for event", "read",
    ]  # fmt: skip


def test_on_the_cpu_all_happens_in_its_order():
    """There is nothing to wait for: the arrays are the memory of the tensors."""
    lane = Lane(torch.device("cpu"))
    vector = torch.arange(3.0)
    with lane.copying():
        lane.join()
    found = lane.fetch({("a", 0): vector})()
    assert found["a", 0].tolist() == [0.0, 1.0, 2.0]
    assert np.shares_memory(found["a", 0], vector.numpy())
