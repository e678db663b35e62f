"""What a verb will take, said before it starts; and refused where it is more than --memory allows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fusionfer.memory import Estimate, PeakMemory, available_bytes, memory_limit, size

__all__ = [
    "VIEWS",
    "Announce",
    "Stored",
    "is_grey",
    "networks_of",
    "pixels_of",
    "planned",
    "refuse_tables",
    "runs_on_cpu",
    "size_of",
    "stored_in",
]

#: Test-time augmentations, and how many views of a picture each shows the network.
VIEWS = {"none": 1, "flip": 2, "ten-crop": 10}

_TABLES = 300  # bytes at least of a row's id, label, split, group and digest, once they are read

Progress = Callable[[int, int, str], None]
Announce = Callable[[Progress | None], Progress | None]


@contextlib.contextmanager
def planned(
    estimate: Estimate, memory: int | None, quiet: bool, *, remedy: str = "", note: str = "", later: bool = False
) -> Iterator[Announce]:
    """Say what a step will take, refuse it if that is too much, and hold it to --memory while it runs.

    Parameters
    ----------
    estimate : Estimate
    memory : int or None
        Bytes that --memory allows.
    quiet : bool
    remedy : str
        What to do where it is too much.
    note : str
        A sentence that belongs to the estimate.
    later : bool
        Say it when the step first tells of its progress, not at once: where its arguments are checked only then, a
        command that is refused says nothing but why. For steps that tell of it right after that; one that is done
        without a word says it at its end.

    Yields
    ------
    callable
        Takes what `progress_bar` yields, and returns the progress to hand on.

    Raises
    ------
    MemoryLimitError
        Before anything is done, with the figure.
    """
    estimate.require(memory, remedy)
    said = quiet

    def say() -> None:
        nonlocal said
        if not said:
            said = True
            click.echo(" ".join(["fusionfer:", _sentence(estimate, memory), *([note] if note else [])]), err=True)

    def announce(progress: Progress | None) -> Progress | None:
        if progress is None or said:
            return progress

        def told(done: int, total: int, what: str) -> None:
            say()
            progress(done, total, what)

        return told

    if not later:
        say()
    with memory_limit(memory):
        if memory is None:
            yield announce
            say()
            return
        with PeakMemory() as peak:
            yield announce
    say()
    if peak.bytes > memory:
        click.echo(
            f"fusionfer: {estimate.what} took {size(peak.bytes)} of memory, more than --memory allows: the "
            "estimate was too low.",
            err=True,
        )
    elif not quiet:
        click.echo(f"fusionfer: {estimate.what} took {size(peak.bytes)} of memory at its peak.", err=True)


def _sentence(estimate: Estimate, memory: int | None) -> str:
    free = available_bytes() if memory is None else memory
    if estimate.bytes <= free:
        return estimate.describe()
    return f"{estimate.describe()[:-1]}; only {size(free)} are free."


def pixels_of(faces: Any, looks: int = 3) -> int:
    """How many pixels the pictures of a set have: the most of a few of them; those of FER-2013 if none can be read."""
    return max((shape[0] * shape[1] for shape in _shapes(faces, looks)), default=48 * 48)


def is_grey(faces: Any, looks: int = 3) -> bool:
    """Whether the pictures of a set have one channel, as far as a few of them tell."""
    shapes = _shapes(faces, looks)
    return bool(shapes) and all(len(shape) == 2 for shape in shapes)


def _shapes(faces: Any, looks: int) -> list[tuple[int, ...]]:
    """Shapes of a few pictures, from first to last; those that cannot be read are left out."""
    from fusionfer.exceptions import ImageError

    found = []
    for k in range(min(looks, len(faces))):
        with contextlib.suppress(ImageError):
            found.append(faces.load(k * (len(faces) - 1) // max(looks - 1, 1))[0].shape)
    return found


@dataclass(frozen=True)
class Stored:
    """What lies in folders of caches: bytes of all files, rows of the longest, columns of all finished blocks."""

    bytes: int = 0
    rows: int = 0
    columns: int = 0
    blocks: tuple[str, ...] = ()


def stored_in(paths: Sequence[Path]) -> Stored:
    """Say how large caches are; of what cannot be read nothing is said here, as the step itself will say it."""
    from fusionfer.exceptions import FusionferError
    from fusionfer.maintenance import list_caches

    entries = []
    for path in paths:
        with contextlib.suppress(FusionferError, OSError):
            folders = list_caches(path if path.is_dir() else path.parent)
            entries += [one for folder in folders for one in folder.entries if path.is_dir() or Path(one.path) == path]
    finished = {one.block: one.dim for one in entries if one.kind == "complete"}
    return Stored(
        sum(one.bytes for one in entries), max((one.rows for one in entries), default=0), sum(finished.values()),
        tuple(finished),
    )  # fmt: skip


def refuse_tables(what: str, cache: Path, memory: int | None) -> None:
    """Refuse a step before it reads a cache whose tables of rows alone are more than --memory allows.

    Raises
    ------
    MemoryLimitError
        With the figure, which is the least that it would take.
    """
    if memory is None:
        return
    Estimate.of(what, [("tables of rows alone", _TABLES * stored_in([cache]).rows)], float("nan")).require(memory)


def networks_of(model: Any) -> list[tuple[str, int]]:
    """Name and input side of each network that a model needs; those that it does not describe are left out."""
    found = {}
    for block in model.blocks.values():
        side = block["key"].get("preprocess", {}).get("size") if isinstance(block.get("key"), dict) else None
        if side:
            found[str(block["backbone"]), int(side), str(block["key"].get("weights_sha256"))] = None
    return [(name, side) for name, side, _ in found]


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0


def runs_on_cpu(device: str) -> bool:
    """Whether networks run in this memory; a device that is not there is refused."""
    from fusionfer.extraction import find_device

    return find_device(device).type == "cpu"
