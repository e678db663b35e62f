"""One command as one of several processes: ``--shard I/N``, or as torchrun and srun say in the environment."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fusionfer.exceptions import FusionferError

if TYPE_CHECKING:
    from fusionfer.extraction import Team

__all__ = ["one_of_several", "print_next_step"]

SECONDS_UNTIL_SAID = 5.0


def one_of_several(command: Callable[..., int]) -> Callable[..., int]:
    """Give `command` the option --shard, and a parameter `team`: who it is among several, None if it is alone."""

    @click.option(
        "--shard",
        metavar="I/N",
        help="Only this of N shards, 0/N to (N-1)/N; fusionfer cache merge joins them. Under torchrun and srun each "
        "process takes its own.",
    )
    @functools.wraps(command)
    def run(*arguments: Any, shard: str | None, quiet: bool, **options: Any) -> int:
        from fusionfer.extraction import Team, find_rank

        rank = find_rank(shard)
        if rank is None:
            return command(*arguments, quiet=quiet, team=None, **options)
        team = Team(rank)
        try:
            with contextlib.ExitStack() as stack, team:
                try:
                    return command(*arguments, quiet=quiet or not team.first, team=team, **options)
                except FusionferError as error:
                    if team.open:  # it now waits for the others, perhaps for hours
                        stack.callback(_say_later(f"Rank {rank.index} of {rank.count} waits for the others: {error}"))
                    raise
        except FusionferError as error:
            if team.told:  # by rank 0, and once is enough
                raise click.exceptions.Exit(1) from error
            raise

    return run


def _say_later(text: str) -> Callable[[], None]:
    """Say `text` on stderr in a while; return what prevents it."""
    timer = threading.Timer(SECONDS_UNTIL_SAID, click.echo, (f"fusionfer: {text}",), {"err": True})
    timer.daemon = True
    timer.start()
    return timer.cancel


def print_next_step(team: Team) -> None:
    """Say how shards become one cache, where nobody joins them; the first process says it for all."""
    if not team.first:
        return
    _, _, count = team.shards[0].name.rpartition("-of-")
    plan = team.shards[0].name.split("-")[0]
    folder = team.shards[0].parent
    click.echo(
        f"Next, when all {count} shards are there: "
        f"fusionfer cache merge {folder / f'{plan}-*-of-{count}'} --out {folder.parent}"
    )
