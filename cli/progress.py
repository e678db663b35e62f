"""A bar on stderr, with rate and time left, when stderr is a terminal; a line now and then when it is not."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import click

__all__ = ["progress_bar"]

SECONDS_BETWEEN_LINES = 15.0


@contextlib.contextmanager
def progress_bar(quiet: bool = False) -> Iterator[Callable[[int, int, str], None] | None]:
    """Yield what library functions take as ``progress``: a callable ``progress(done, total, what)``."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield _lines()


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int, str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, tuple[int, float]] = {}
    with bar:

        def progress(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = (bar.add_task(what, total=total or None, rate=""), time.monotonic())
            task, begin = tasks[what]
            rate = done / max(time.monotonic() - begin, 1e-9)
            bar.update(task, completed=done, total=total or None, rate=f"{rate:,.0f}/s" if rate >= 1 else "")

        yield progress


def _lines() -> Callable[[int, int, str], None]:
    began: dict[str, float] = {}
    said: dict[str, float] = {}

    def progress(done: int, total: int, what: str) -> None:
        now = time.monotonic()
        begin = began.setdefault(what, now)
        last = said.setdefault(what, now)
        if now - last < SECONDS_BETWEEN_LINES:
            return
        said[what] = now
        rate = done / max(now - begin, 1e-9)
        left = f", {(total - done) / rate:,.0f} s left" if rate > 0 and total else ""
        click.echo(f"{what}: {done:,} of {total:,}, {rate:,.1f}/s{left}", err=True)

    return progress
