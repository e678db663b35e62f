"""Ctrl-C and SIGTERM: finish and commit the batch, then stop; a second signal stops at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import click

from fusionfer.exceptions import ExtractionInterrupted

__all__ = ["stopping"]


@contextlib.contextmanager
def stopping() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; the exit code becomes 130 or 143."""
    stop, code = threading.Event(), {"value": 130}

    def ask(number: int, frame: FrameType | None) -> None:
        code["value"] = 128 + number
        if stop.is_set():
            click.echo("fusionfer: stopped at once; what was committed is kept.", err=True)
            raise SystemExit(128 + number)
        stop.set()
        click.echo("fusionfer: stopping after this batch; once more to stop at once.", err=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except ExtractionInterrupted as error:
        error.exit_code = code["value"]
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
