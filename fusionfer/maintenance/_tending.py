"""What lies in folders of caches; shards into one cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusionfer.cache import CacheEntry, CacheFolder, list_entries, merge_shards
from fusionfer.exceptions import CacheError, DataError

__all__ = ["Listing", "Merged", "list_caches", "merge"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Listing:
    """What lies in one folder of caches.

    Attributes
    ----------
    folder : Path
    entries : tuple of CacheEntry
        One per file.
    """

    folder: Path
    entries: tuple[CacheEntry, ...]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(entry.bytes for entry in self.entries)


@dataclass(frozen=True)
class Merged:
    """One file that `merge` made, or found as it would have made it.

    Attributes
    ----------
    path : Path
    shards : tuple of Path
    new : bool
    """

    path: Path
    shards: tuple[Path, ...]
    new: bool


def list_caches(path: str | Path) -> list[Listing]:
    """Say what is there: in a folder of caches, or in each such folder below; and in shards that are not joined yet.

    Raises
    ------
    DataError
        If there is no cache.
    """
    path = Path(path)
    folders = [path, *sorted(child for child in path.iterdir() if child.is_dir())] if path.is_dir() else []
    caches = [cache for folder in map(CacheFolder, folders) for cache in (folder, *folder.shards())]
    listings = [Listing(cache.path, tuple(list_entries(cache))) for cache in caches]
    found = [one for one in listings if any(entry.kind != "other" for entry in one.entries)]
    if not found:
        msg = f"{path} holds no cache, nor does any folder in it. `fusionfer extract DATA --cache {path}` makes one."
        raise DataError(msg)
    return found


def merge(
    shards: Sequence[str | Path],
    out: str | Path,
    *,
    wait: float = 0.0,
    lock: bool = True,
    progress: Progress | None = None,
) -> list[Merged]:
    """Join the caches of several processes, each of which extracted its own rows, into the cache of one.

    Parameters
    ----------
    shards : sequence of path-like
        Folders of complete caches, in the order of their rows; where the files record which shard they are, that
        counts. Each must hold the same blocks.
    out : str or Path
        Folder of the merged cache; none of the shards.
    wait, lock, progress
        As in `fusionfer.extraction.extract_to_cache`.

    Returns
    -------
    list of Merged
        One per block.

    Raises
    ------
    CacheError
        If the shards do not belong together; both sides are shown.
    CacheFormatError, IncompleteCacheError, StoreFullError
        If a shard is damaged or unfinished, or there is no room. Nothing is changed then.
    """
    folders = [CacheFolder(shard) for shard in shards]
    target = CacheFolder(out)
    if len(folders) < 2:
        msg = f"Give at least two shards to merge; got {len(folders)}."
        raise DataError(msg)
    if target.path.resolve() in {folder.path.resolve() for folder in folders}:
        msg = f"{target.path} is one of the shards. Merge into a folder of its own."
        raise DataError(msg)
    for folder in folders:
        if folder.parts() or not folder.files():
            there = f"unfinished: {folder.parts()[0].name}" if folder.parts() else "no complete cache in it"
            msg = f"{folder.path} is no finished shard ({there}). Run its extraction again first."
            raise CacheError(msg)
    groups = _same_blocks(folders)
    with target.lock(wait, required=lock):
        merged = [(paths, merge_shards(target, paths, progress=progress)) for paths in groups]
    return [Merged(path, tuple(paths), new) for paths, (path, new) in merged]


def _same_blocks(folders: Sequence[CacheFolder]) -> list[list[Path]]:
    """Return for each block its file in every folder; by key too, where a folder has two files of one block."""
    entries = [[entry for entry in list_entries(folder) if entry.kind == "complete"] for folder in folders]
    twice = any(len({entry.block for entry in own}) < len(own) for own in entries)
    named = [{f"{e.block}@{e.key8}" if twice else e.block: Path(e.path) for e in own} for own in entries]
    names = sorted({name for own in named for name in own})
    lacking = [
        f"{folder.path} has no {name}"
        for name in names
        for folder, own in zip(folders, named, strict=True)
        if name not in own
    ]
    if lacking:
        msg = f"Shards hold the same blocks, but {'; '.join(lacking)}."
        raise CacheError(msg)
    return [[own[name] for own in named] for name in names]
