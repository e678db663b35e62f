"""Which samples of which cache files are damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusionfer.cache import CacheFolder, Examination, block_name, examine
from fusionfer.exceptions import DataError

__all__ = ["Verdict", "cache_files", "verify"]


@dataclass(frozen=True)
class Verdict:
    """What `verify` says of one file.

    Attributes
    ----------
    path : Path
    block : str
        ``backbone:level``; empty where nothing in the file can be believed.
    rows, missing : int
        Rows in all, and those that an unfinished file does not have yet.
    finished : bool
        Whether the file claims to have all rows.
    why : str
        What is wrong; empty for a sound file.
    damaged : tuple of str
        Ids of the samples whose features cannot be used.
    named_by : Path or None
        Where nothing in the file can be believed: the file of the same data set that gave the ids. All of them.
    """

    path: Path
    block: str
    rows: int
    missing: int
    finished: bool
    why: str
    damaged: tuple[str, ...]
    named_by: Path | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.why


def verify(paths: Sequence[str | Path]) -> list[Verdict]:
    """Compare every checksum, and name the samples that are damaged.

    Parameters
    ----------
    paths : sequence of path-like
        Cache files, and folders of them.

    Raises
    ------
    DataError
        If a path does not exist, or a folder holds no cache.
    """
    verdicts = []
    for path in map(Path, paths):
        files = cache_files(path)
        found = {file: examine(file) for file in files}
        folder = CacheFolder(path if path.is_dir() else path.parent)
        verdicts += [_verdict(one, folder, found) for one in found.values()]
    return verdicts


def cache_files(path: Path) -> list[Path]:
    """Return the caches at `path`, finished or not."""
    if path.is_file():
        return [path]
    folder = CacheFolder(path)
    files = [*folder.files(), *folder.parts()]
    if not files:
        what = "holds no cache" if path.is_dir() else "does not exist"
        msg = f"{path} {what}. Give a cache file, or a folder of caches."
        raise DataError(msg)
    return files


def _verdict(one: Examination, folder: CacheFolder, found: Mapping[Path, Examination]) -> Verdict:
    stored = one.stored
    if stored is not None and (one.sound or one.damaged.any()):
        block = block_name(stored.backbone, stored.level)
        missing = 0 if one.finished else int(np.sum((one.state == 0) & ~one.damaged))
        return Verdict(one.path, block, len(one.state), missing, one.finished, one.why, tuple(one.samples))
    # One folder holds one data set, so another file of it knows which samples these were.
    siblings = [found.get(path) or examine(path) for path in folder.files() if path != one.path]
    sibling = next((other for other in siblings if other.stored is not None), None)
    if sibling is None or sibling.stored is None:
        return Verdict(one.path, "", 0, 0, one.finished, one.why, ())
    ids = tuple(sibling.stored.rows.ids.tolist())
    return Verdict(one.path, "", len(ids), 0, one.finished, one.why, ids, sibling.path)
