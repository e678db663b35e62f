"""What a killed extraction may leave, and what a finished one must hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fusionfer.cache import CacheFolder, describe, read_feature_file
from fusionfer.exceptions import IncompleteCacheError

__all__ = ["Reference", "Wrong", "check_equal", "check_killed", "contents", "marks", "phase"]


class Wrong(AssertionError):  # noqa: N818  (what it says of the cache is the point)
    """A cache is not what it must be."""


@dataclass(frozen=True)
class Reference:
    """What undisturbed runs leave and take.

    Attributes
    ----------
    files : dict of str to dict
        Name of a file -> its `contents`.
    older : dict of str to dict
        The same of the files that were there before, if there were any.
    seconds : float
        How long a run takes.
    steps : dict of str to int
        Function of the cache -> steps in it during a run: before and after each call that changes files.
    """

    files: dict[str, dict[str, Any]]
    older: dict[str, dict[str, Any]]
    seconds: float
    steps: dict[str, int]


def contents(path: Path) -> dict[str, Any]:
    """Return all that a file holds, by h5py alone, apart from the time at which it was made."""
    with h5py.File(path, "r") as file:
        arrays = {name: (item.shape, item.dtype.str, item[...].tobytes()) for name, item in file.items()}
        return {**arrays, **{f"@{name}": value for name, value in file.attrs.items() if name != "created"}}


def marks(cache: Path) -> dict[str, int]:
    """Return name -> number of rows that are marked, for all that lies in the folder."""
    folder = CacheFolder(cache)
    return {path.name: int(np.count_nonzero(_rows(path)[0])) for path in [*folder.files(), *folder.parts()]}


def check_killed(cache: Path, reference: Reference, *, torn: bool = False) -> None:
    """Raise Wrong unless all that a killed process left is whole and true.

    With `torn` writes may have been cut short, which a kill does not do to those of a few bytes: the states of the
    block under way may then stand beside another checksum, by which its rows are known not to be believed.
    """
    folder = CacheFolder(cache)
    for path in folder.files():
        if contents(path) not in (reference.files[path.name], reference.older.get(path.name)):
            msg = f"{path} was finished, and differs."
            raise Wrong(msg)
    for path in folder.parts():
        damages = describe(path).damages
        # Where images are added, the block under way may hold older rows too; its checksum is then that of before.
        if len(damages) > (torn or bool(reference.older)):
            msg = f"{path}: {damages}"
            raise Wrong(msg)
        whole = reference.files[path.name.removesuffix(".part")]
        state, features = _rows(path)
        marked = state != 0
        true_state, true_features = (
            np.frombuffer(whole[name][2], whole[name][1]).reshape(whole[name][0]) for name in ("state", "features")
        )
        for what, is_, must in (("state", state, true_state), ("features", features, true_features)):
            if is_[marked].tobytes() != must[marked].tobytes():
                msg = f"{path}: {what} of rows that are marked differ."
                raise Wrong(msg)
        try:
            read_feature_file(path)
        except IncompleteCacheError:
            continue
        msg = f"{path} is unfinished and was read."
        raise Wrong(msg)


def check_equal(cache: Path, reference: Reference) -> None:
    """Raise Wrong unless the cache is finished and holds just what the reference does."""
    folder = CacheFolder(cache)
    if folder.parts() or [path.name for path in folder.files()] != sorted(reference.files):
        msg = f"{cache} holds {sorted(path.name for path in cache.iterdir())} instead of {sorted(reference.files)}."
        raise Wrong(msg)
    for path in folder.files():
        found, wanted = contents(path), reference.files[path.name]
        differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        if differing:
            msg = f"{path} differs from the undisturbed one in {', '.join(differing)}."
            raise Wrong(msg)


def phase(before: dict[str, int], cache: Path, reference: Reference) -> str:
    """Say how far a killed process had come, from what it left."""
    after = marks(cache)
    rows = next(iter(reference.files.values()))["state"][0][0]
    renamed = [name for name in after if name in reference.files and after[name] == rows]
    if list(cache.glob("*.new")):
        return "while a file was made"
    if after == before:
        return "before it had written anything"
    if len(renamed) == len(reference.files):
        return "after the last rename"
    if renamed and renamed != [name for name in before if name in renamed]:
        return "between two renames"
    if all(after.get(f"{name}.part") == rows for name in reference.files if name not in renamed):
        return "between the last row and a rename"
    return "among the rows" if sum(after.values()) > sum(before.values()) else "after a file was made"


def _rows(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with h5py.File(path, "r") as file:
        return file["state"][...], file["features"][...]
