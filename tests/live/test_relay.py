"""Relay: everything in order, or the newest; errors and ends arrive; nobody waits for ever."""

import threading
import time

import pytest

from fusionfer.live._relay import Relay


def test_everything_arrives_in_order():
    """A slow taker gets all, and the maker runs in another thread."""
    made_in = set()

    def things():
        for i in range(50):
            made_in.add(threading.get_ident())
            yield i

    with Relay(things()) as relay:
        found = []
        for i in relay.take():
            found.append(i)
            time.sleep(0.0005)
    assert found == list(range(50))
    assert relay.dropped == 0
    assert made_in.isdisjoint({threading.get_ident()})


def test_only_the_newest_waits():
    """What nobody takes makes way, and is counted; the last one is never lost."""
    all_made = threading.Event()

    def things():
        yield from range(20)
        all_made.set()

    with Relay(things(), newest=True) as relay:
        assert all_made.wait(5)
        assert list(relay.take()) == [19]
    assert relay.dropped == 19


def test_an_error_arrives_after_what_came_before():
    """The taker sees the things, then the error."""

    def things():
        yield 1
        raise OSError("torn cable")

    with Relay(things()) as relay:
        taken = relay.take()
        assert next(taken) == 1
        with pytest.raises(OSError, match="torn cable"):
            next(taken)


def test_leaving_ends_the_maker():
    """A maker that waits to hand over is woken, and its generator is closed in its thread."""
    closed = threading.Event()

    def things():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with Relay(things()) as relay:
        next(relay.take())
    assert closed.wait(5)
    assert not relay._thread.is_alive()


def test_the_idle_taker_can_give_up():
    """A source that hangs does not hold who asks `idle`."""
    gate = threading.Event()

    def things():
        gate.wait(10)
        yield 1

    asked = []
    with Relay(things()) as relay:
        assert list(relay.take(idle=lambda: asked.append(1) or len(asked) == 3, every=0.01)) == []
        gate.set()
    assert len(asked) == 3
