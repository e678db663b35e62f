"""What workers hold between calls: each call once, and made again where it was lost."""

import gc
import os
import time

import numpy as np
import pytest

from fusionfer.cluster import _blocks
from fusionfer.cluster._blocks import Blocks, Held
from fusionfer.exceptions import ClusterError, DataError


class Counter(Held):
    """Adds up what it is told, and knows where it is."""

    def __init__(self, start):
        self.total = start

    def add(self, amount):
        self.total += amount
        return np.array([self.total, 1])

    def where(self):
        return os.getpid()

    def complain(self):
        msg = "this is wrong"
        raise DataError(msg)


def make_counter(start):
    """Import the class by name where it is made, as tests are no package on workers."""
    return Counter(start)


@pytest.fixture
def counters(team):
    """Blocks of 3 and 4 rows that count from how many they are."""

    def data(rows):
        return (rows.stop - rows.start,)

    shares = [(worker.address, rows, None) for worker, rows in team.shares(7)]
    with Blocks(team, shares, make_counter, data, "count") as blocks:
        yield blocks


def test_blocks_keep_what_they_hold(counters):
    """Calls go on from where the last one left off, and their answers come in the order of the rows, or added up."""
    assert [found.tolist() for found in counters.call("add", 1)] == [[4, 1], [5, 1]]
    assert counters.total("add", 1).tolist() == [11, 2]
    assert [found[0] for found in counters.call("add", each=lambda rows: (rows.start,))] == [5, 9]
    assert len(set(counters.call("where"))) == 2


def test_what_is_raised_on_a_worker_is_raised_here(counters):
    """An error of the work itself is no lost worker."""
    with pytest.raises(DataError, match="this is wrong"):
        counters.call("complain")
    assert counters.recovered == 0


def test_a_call_that_comes_twice_is_not_made_twice():
    """A call out of turn finds the block lost, instead of moving it again."""
    held = _blocks._begin("key", 0, None, Counter, (5,))
    assert _blocks._call("key", 1, None, 1, [("add", (1,))]).tolist() == [6, 1]
    assert _blocks._call("key", 1, None, 1, [("add", (1,))]) == "lost"
    assert _blocks._call("key", 3, None, 1, [("add", (1,))]) == "lost"
    assert held.total == 6
    del held
    assert _blocks._call("key", 2, None, 1, [("add", (1,))]) == "lost"


def test_workers_forget_what_nobody_needs(team, counters):
    """When the blocks are let go, the workers hold nothing of them."""
    counters.call("add", 1)

    def held():
        gc.collect()  # the error of another test may still hold what it came from
        return len(_blocks._held)

    def comes_to(count):
        for _ in range(100):
            if sum(team.client.run(held).values()) == count:
                return True
            time.sleep(0.05)
        return False

    gc.collect()
    assert comes_to(2)
    counters.__exit__()
    assert comes_to(0)


def test_a_lost_block_goes_to_a_worker_that_sees_its_files(mortals):
    """A killed worker's block is made again from what is replayed; where no worker may take it, that is said."""
    first, second = (worker.address for worker in mortals.workers)
    shares = [(first, slice(0, 3), None), (second, slice(3, 7), frozenset([second]))]

    def data(rows):
        return (rows.stop - rows.start,)

    with Blocks(mortals, shares, make_counter, data, "count", lambda: [("add", (10,))]) as blocks:
        assert blocks.total("add", 1).tolist() == [9, 2]
        mortals.client.run(os._exit, 1, workers=[first], on_error="ignore")
        assert [found[0] for found in blocks.call("add", 1)] == [3 + 10 + 1, 4 + 1 + 1]
        assert blocks.recovered == 1
        assert blocks.blocks[0].worker != first
        mortals.client.run(os._exit, 1, workers=[second], on_error="ignore")
        with pytest.raises(ClusterError, match="4 rows has no worker left that sees its files"):
            blocks.call("add", 1)
