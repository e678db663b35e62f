"""A bar on stderr, with rate and time left, when stderr is a terminal; a line now and then when it is not."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

__all__ = ["progress_bar"]

SECONDS_BETWEEN_LINES = 15.0
BARS = 6  # what is on the screen at once; older ones leave when they are done


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
    tasks: dict[str, tuple[Any, float]] = {}
    counts: dict[str, int] = {}
    with bar:

        def progress(done: int, total: int, what: str) -> None:
            if done < counts.get(what, 0):  # once more, as the rounds of the next fold: with a clock of its own
                bar.remove_task(tasks.pop(what)[0])
            counts[what] = done
            if what not in tasks:
                ended = [name for name, (task, _) in tasks.items() if bar.tasks[bar.task_ids.index(task)].finished]
                for name in ended[: max(len(tasks) - BARS + 1, 0)]:
                    bar.remove_task(tasks.pop(name)[0])
                tasks[what] = (bar.add_task(what, total=total or None, rate=""), time.monotonic())
            task, begin = tasks[what]
            rate = done / max(time.monotonic() - begin, 1e-9)
            shown = f"{rate:,.0f}/s" if rate >= 1 and total != 1 else ""
            bar.update(task, completed=done, total=total or None, rate=shown)

        yield progress


def _lines() -> Callable[[int, int, str], None]:
    began: dict[str, float] = {}
    said: dict[str, float] = {}
    counts: dict[str, int] = {}

    def progress(done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if done < counts.get(what, 0):
            began[what] = now
        counts[what] = done
        begin = began.setdefault(what, now)
        last = said.setdefault(what, now)
        if now - last < SECONDS_BETWEEN_LINES:
            return
        said[what] = now
        rate = done / max(now - begin, 1e-9)
        left = f", {(total - done) / rate:,.0f} s left" if rate > 0 and total else ""
        click.echo(f"{what}: {done:,} of {total:,}, {rate:,.1f}/s{left}", err=True)

    return progress
