"""CacheFolder: the cache files of one data set; finds them, explains hits and misses, and starts new ones."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from fusionfer.cache._file import FeatureFile
from fusionfer.cache._format import ABSENT, PART, SHARDS, SUFFIX, file_name
from fusionfer.cache._layout import read_layout
from fusionfer.cache._lock import folder_lock
from fusionfer.cache._naming import block_names, match_block, refuse_two_of_one_backbone
from fusionfer.cache._planning import build_part, differing_key, find_key, refuse_other_data_set, trusted_state
from fusionfer.cache._reading import open_stored
from fusionfer.cache._rows import RowTable
from fusionfer.exceptions import CacheError

__all__ = ["CacheFolder"]

_SHARD = re.compile(r"[0-9a-f]{8}-[0-9]+-of-[0-9]+")  # data by their hash, which shard, of how many


class CacheFolder:
    """Folder with the caches of one data set: one HDF5 file per backbone and level, and per key.

    Nothing is touched, nor looked at, until a method is called.

    Parameters
    ----------
    path : str or path-like
        The folder; `lock` makes it if need be.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> texts = np.array(["", ""])
    >>> rows = RowTable(np.array(["a.png", "b.png"]), texts, texts, texts, np.array(["0" * 64, "1" * 64]))
    >>> with tempfile.TemporaryDirectory() as path:
    ...     folder = CacheFolder(path)
    ...     with folder.lock():
    ...         job = folder.prepare("resnet34", "logits", 3, key={"size": 48}, record={}, rows=rows)
    ...         job.commit(0, np.ones((2, 3), np.float32), done=np.array([True, False]), failed={1: "no image"})
    ...         job.finish()
    ...     list(folder.blocks()), job.status
    (['resnet34:logits'], 'new')
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._locked = False

    def __repr__(self) -> str:
        return f"CacheFolder({str(self.path)!r})"

    @contextmanager
    def lock(self, timeout: float = 0, *, required: bool = True, stop: threading.Event | None = None) -> Iterator[None]:
        """Return a context in which this process is the folder's only writer.

        Parameters
        ----------
        timeout : float, default=0
            Seconds to wait for another writer; 0 does not wait, a negative number waits for ever.
        required : bool, default=True
            False goes on where the file system has no locks; the caller then sees to it that nobody else writes.
        stop : threading.Event, optional
            Waiting ends when it is set.

        Raises
        ------
        CacheLockedError
            If another one writes there; process, host and time are named.
        ExtractionInterrupted
            If `stop` was set while it waited; nothing was done.
        CacheError
            If nothing can be written there, or the file system has no locks.
        """
        with folder_lock(self.path, timeout, required=required, stop=stop):
            self._locked = True
            try:
                yield
            finally:
                self._locked = False

    def files(self) -> list[Path]:
        """Return the complete caches, sorted by name."""
        return sorted(path for path in self.listing() if path.suffix == SUFFIX)

    def parts(self) -> list[Path]:
        """Return the unfinished caches, sorted by name; they are never read as features."""
        return sorted(path for path in self.listing() if path.name.endswith(SUFFIX + PART))

    def block_keys(self) -> list[dict[str, Any]]:
        """Return the key of each cache, finished or not, that can be read; no feature is read, and none verified."""
        found = []
        for path in self.listing():
            with suppress(CacheError):
                found.append(read_layout(path, cut_off=True).key)
        return found

    def shards(self) -> list[CacheFolder]:
        """Return the caches of processes that extract together and are not joined yet, sorted by name.

        Folders of other names, and links to folders, are somebody else's.
        """
        folder = self.path / SHARDS
        if folder.is_symlink() or not folder.is_dir():
            return []
        found = [path for path in folder.iterdir() if _SHARD.fullmatch(path.name)]
        return [CacheFolder(path) for path in sorted(found) if path.is_dir() and not path.is_symlink()]

    def blocks(self) -> dict[str, Path]:
        """Return block name -> file for the complete caches, each name the shortest that is unambiguous here.

        Names read ``backbone:level``; where two files have that one, ``backbone:level@weights`` or, if the weights have
        one name too, ``backbone:level@<first 8 hex of the key>``.
        """
        return block_names([read_layout(path) for path in self.files()])

    def resolve(self, spec: str) -> Path:
        """Return the one complete cache that `spec` names.

        Parameters
        ----------
        spec : str
            ``backbone:level`` or ``backbone:level@weights``; weights are their recorded name, or the beginning (4
            digits or more) of their SHA-256 or of the file's key.

        Raises
        ------
        UnknownNameError
            If no file, or more than one, is meant; with the names to type.
        """
        return match_block(spec, [read_layout(path) for path in self._required()])

    def default_blocks(self) -> dict[str, Path]:
        """Return block name -> file for every complete cache.

        Raises
        ------
        UnknownNameError
            If two files are of one backbone, as then only the user knows which is meant.
        """
        layouts = [read_layout(path) for path in self._required()]
        refuse_two_of_one_backbone(self.path, layouts)
        return block_names(layouts)

    def prepare(
        self,
        backbone: str,
        level: str,
        dim: int,
        *,
        key: dict[str, Any],
        record: dict[str, Any],
        rows: RowTable,
        block_rows: int = 32,
        retry_failed: bool = False,
    ) -> FeatureFile:
        """Find out what there is to do, and make the file ready for it. Call it inside `lock`.

        Parameters
        ----------
        backbone, level : str
            What computes the features; part of the key.
        dim : int
            Number of columns; part of the key.
        key : dict
            All else that decides whether stored features are the wanted ones; flat, of JSON types.
            ``weights_sha256`` is what ``@weights`` in block names is compared with.
        record : dict
            What is recorded besides, of JSON types; ``record["weights"]["name"]`` is the weights' name in block names.
            It is written when the file is made; a run that goes on in place leaves it as it is.
        rows : RowTable
            The rows of the data set as it is now.
        block_rows : int, default=32
            Rows of one commit; an interrupted run goes on with its own number.
        retry_failed : bool, default=False
            Whether rows that are recorded as failed are to be tried again.

        Returns
        -------
        FeatureFile
            Whose `todo` says which rows are to be computed.

        Raises
        ------
        CacheError
            If the folder holds another data set.
        CacheFormatError
            If a file in the folder is damaged so that it cannot be opened.
        StoreFullError
            If there is no room for a new file.
        """
        if dim < 1 or block_rows < 1:
            msg = f"A cache has at least one column and one row a block; got dim={dim}, block_rows={block_rows}."
            raise CacheError(msg)
        key = {**key, "backbone": backbone, "level": level, "dim": dim}
        path = self.path / file_name(backbone, level, key)
        part = path.with_name(path.name + PART)
        here = [open_stored(file) for file in [*self.files(), *self.parts()]]
        refuse_other_data_set(self.path, here, rows)
        whole, begun = (find_key(here, name, key) for name in (path, part))
        sources, why = [], differing_key(key, here)

        if whole:
            state, lost = trusted_state(whole, retry_failed=retry_failed)
            why = "; ".join(filter(None, [whole.rows.difference(rows), lost]))
            if not why:
                failed = f", {len(whole.reasons)} of them known to fail" if whole.reasons else ""
                why = f"{path.name} has all {len(rows)} rows{failed}."
                if begun and self._locked:  # of an extension that is no longer wanted
                    part.unlink(missing_ok=True)
                return FeatureFile(path, None, whole.layout, state, "hit", why)
            sources.append((whole, state))
        self.require_lock()
        if begun:
            state, lost = trusted_state(begun, retry_failed=retry_failed)
            damaged = bool(begun.verify())
            # A kill between two writes of a block that also holds rows taken over can leave it damaged: these rows are
            # then taken again from the complete file, which still has them.
            if begun.rows.same_as(rows) and not (damaged and whole):
                why = f"{part.name} is continued: {int(np.sum(state != ABSENT))} of {len(rows)} rows are there."
                return FeatureFile(path, part, begun.layout, state, "resume", why)
            why = why if whole else "; ".join(filter(None, [begun.rows.difference(rows), lost]))
            sources.insert(0, (begun, state))

        copied = build_part(part, sources, key=key, record=record, rows=rows, block_rows=block_rows)
        made = open_stored(part)
        if sources:
            why = f"{sources[-1][0].path.name} does not fit ({why}): {copied} of {len(rows)} rows are taken over."
        return FeatureFile(path, part, made.layout, made.state, "extend" if copied else "new", why)

    def require_lock(self) -> None:
        """Raise CacheError unless this is called inside `lock`."""
        if not self._locked:
            msg = f"{self.path} is to be written without its lock; prepare it inside `with folder.lock():`."
            raise CacheError(msg)

    def listing(self) -> list[Path]:
        """Return all that lies in the folder, cache or not; nothing if there is no such folder."""
        return list(self.path.iterdir()) if self.path.is_dir() else []

    def _required(self) -> list[Path]:
        """Return the complete caches, or say that there are none."""
        files = self.files()
        if not files:
            there = "no such folder" if not self.path.is_dir() else "no complete cache in it"
            if self.parts():
                there += f", but unfinished ones ({', '.join(part.name for part in self.parts())})"
            msg = f"{self.path}: {there}. Run `fusionfer extract DATA --cache {self.path}` first, or again."
            raise CacheError(msg)
        return files
