"""The cache's part in a repair: a new part with all rows that can be believed, and what became of the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfer.cache._examining import Examination, examine
from fusionfer.cache._file import FeatureFile
from fusionfer.cache._format import PART, canonical_json, file_name
from fusionfer.cache._planning import build_part
from fusionfer.cache._reading import StoredFeatures, open_stored
from fusionfer.exceptions import CacheError

if TYPE_CHECKING:
    from fusionfer.cache._folder import CacheFolder

__all__ = ["damaged_blocks", "start_anew", "start_mending"]


def start_mending(folder: CacheFolder, found: Examination, record: dict[str, Any]) -> FeatureFile:
    """Make the part of a damaged file, with its sound rows; call it inside the folder's lock.

    Parameters
    ----------
    folder : CacheFolder
        Where the file lies.
    found : Examination
        Of a finished file. It stays as it is until the part is finished and takes its name.
    record : dict
        Under which the damaged rows will be computed.

    Returns
    -------
    FeatureFile
        Whose `todo` are the damaged rows, fewer where a repair was interrupted.

    Raises
    ------
    CacheError
        If an extraction of other rows is unfinished, as it would be lost.
    StoreFullError
        If there is no room for the part.
    """
    folder.require_lock()
    stored = found.stored
    if stored is None or not found.finished:
        msg = f"{found.path} cannot be mended: {found.why or 'it is unfinished'}."
        raise CacheError(msg)
    part = found.path.with_name(found.path.name + PART)
    sources = [(stored, found.state)]
    if part.exists():
        begun = examine(part)
        if begun.stored is not None:
            same_key = canonical_json(begun.stored.key) == canonical_json(stored.key)
            if not (same_key and begun.stored.rows.same_as(stored.rows)):
                msg = (
                    f"{part} is an unfinished extraction of other images. Finish it with the same `fusionfer extract`, "
                    "which computes damaged rows anew too."
                )
                raise CacheError(msg)
            sources.insert(0, (begun.stored, begun.state))
    build_part(part, sources, key=stored.key, record=record, rows=stored.rows, block_rows=stored.layout.block_rows)
    made = open_stored(part)
    return FeatureFile(found.path, part, made.layout, made.state, "extend", found.why)


def start_anew(
    folder: CacheFolder, path: Path, key: dict[str, Any], record: dict[str, Any], like: StoredFeatures
) -> FeatureFile:
    """Make the part that is to replace a file of which nothing can be read; call it inside the folder's lock.

    Parameters
    ----------
    folder : CacheFolder
        Where the file lies.
    path : Path
        The file. Its name must be that of the key, which is all that is still known of it.
    key, record : dict
        What it is to hold.
    like : StoredFeatures
        A sound file of the same folder, whose rows and batches it shares.

    Raises
    ------
    CacheError
        If the name is another, or there is a part already.
    StoreFullError
        If there is no room.
    """
    folder.require_lock()
    part = path.with_name(path.name + PART)
    if path.name != file_name(key["backbone"], key["level"], key) or part.exists():
        msg = f"{path} cannot be made anew: {'there is a part of it' if part.exists() else 'its key is another'}."
        raise CacheError(msg)
    build_part(part, [], key=key, record=record, rows=like.rows, block_rows=like.layout.block_rows)
    made = open_stored(part)
    return FeatureFile(path, part, made.layout, made.state, "new", "nothing of it could be read")


def damaged_blocks(found: Examination) -> dict[int, int]:
    """Return block -> the checksum that the damaged file still has for it, for each block with damaged rows."""
    if found.stored is None:
        return {}
    layout = found.stored.layout
    crcs = layout.map("crc32")
    return {int(b): int(crcs[b]) for b in np.unique(np.flatnonzero(found.damaged) // layout.block_rows)}
