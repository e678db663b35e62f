"""Batches in the hands of several workers: in order, bounded, the same bits, and torch's threads given back."""

import threading
import time

import numpy as np
import pytest
import torch

from fusionfer.backbones import get_backbone
from fusionfer.extraction._forward import crew_of, forward
from fusionfer.extraction._workers import Crew, crew_for, in_order, turns
from fusionfer.networks import load_backbone

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("threads", "workers", "each"),
    [(1, 1, 1), (2, 2, 1), (8, 8, 1), (11, 5, 2), (12, 6, 2), (16, 8, 2), (96, 8, 12)],
)
def test_a_cpu_is_divided_among_workers(monkeypatch, threads, workers, each):
    """Up to eight threads each worker has one; beyond, memory is bounded and the threads are shared out."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert crew_for(CPU, own_modules=False) == Crew(workers, each, alone=False)


@pytest.mark.parametrize(("device", "own"), [("cpu", True), ("cuda", False), ("mps", False)])
def test_one_at_a_time_on_devices_and_in_modules_of_the_users_own(device, own):
    """A module that may keep state, and a device that has one queue, see one batch at a time."""
    crew = crew_for(torch.device(device), own_modules=own)
    assert crew.alone
    assert crew.threads == torch.get_num_threads()


def test_results_come_in_order_and_few_are_ahead():
    """However long each takes, results come in the order asked for, and no more are begun than the crew can hold."""
    begun = []

    def work(start):
        begun.append(start)
        time.sleep(0.02 * (start % 3 == 0))
        return start

    taken = []
    for result in in_order(work, range(20), Crew(3, 1, alone=False)):
        taken.append(result)
        assert len(begun) - len(taken) <= 3 + 1
    assert taken == list(range(20))


def test_an_error_comes_in_its_turn_and_ends_the_work():
    """Fault 27: what came before a failing batch is delivered, then its error; what comes after is not begun."""
    begun = []

    def work(start):
        begun.append(start)
        if start == 2:
            raise ValueError("batch 2 is bad")
        return start

    results = in_order(work, range(100), Crew(2, 1, alone=False))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="batch 2 is bad"):
        next(results)
    assert len(begun) <= 6


def test_threads_of_torch_are_given_back():
    """Workers use their own number of threads; afterwards, and after an early end, torch has what it had."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        seen = list(in_order(lambda _: torch.get_num_threads(), range(4), Crew(2, 1, alone=False)))
        assert seen == [1] * 4
        assert torch.get_num_threads() == 3
        stopped = in_order(lambda start: start, range(9), Crew(2, 1, alone=False))
        next(stopped)
        stopped.close()
        assert torch.get_num_threads() == 3
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("extract")]
    finally:
        torch.set_num_threads(before)


def test_nothing_to_do():
    """No batch, no worker, no result."""
    assert list(in_order(str, [], Crew(2, 1, alone=False))) == []


def test_turns():
    """A crew that must be alone takes turns; others need not."""
    assert turns(Crew(2, 1, alone=True)).acquire()
    with turns(Crew(2, 1, alone=False)) as nothing:
        assert nothing is None


@pytest.mark.parametrize("crew", [Crew(2, 1, alone=False), Crew(4, 1, alone=False), Crew(3, 1, alone=True)])
def test_the_same_bits_from_every_crew(make_faces, crew):
    """One network in several threads at once gives each batch its own vectors, equal to those of a single worker."""
    faces = make_faces(30)
    networks = [load_backbone(get_backbone("resnet34").sized(32), ["penultimate", "layer1"], weights="none")]
    settings = {"batch_size": 4, "device": CPU}
    wanted = np.ones(30, dtype=bool)
    wanted[8:16] = False

    def run(crew):
        return list(forward(faces, networks, wanted, crew=crew, **settings))

    alone, together = run(Crew(1, 1, alone=False)), run(crew)
    assert [batch.start for batch in together] == [0, 4, 16, 20, 24, 28]
    for a, b in zip(alone, together, strict=True):
        assert a.values.keys() == b.values.keys()
        for name in a.values:
            np.testing.assert_array_equal(a.values[name], b.values[name])


def test_a_module_of_the_users_own_runs_alone(make_faces, make_backbone):
    """Two batches are never inside a module of the user's own at the same time."""
    inside, most = [], []
    backbone = make_backbone()

    def enter(*_):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)

    def leave(*_):
        inside.pop()

    backbone.module.register_forward_pre_hook(enter)
    backbone.module.register_forward_hook(leave)
    networks = [load_backbone(backbone, list(backbone.levels))]
    crew = crew_of(networks, CPU)
    assert crew.workers > 1
    most.clear()
    batches = list(forward(make_faces(12), networks, np.ones(12, bool), batch_size=2, device=CPU, crew=crew))
    assert len(batches) == len(most) == 6
    assert max(most) == 1
