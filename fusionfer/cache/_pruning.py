"""What can go from a cache folder and its shards: remains of kills, and files of which another one holds every row."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusionfer.cache._examining import Examination, examine
from fusionfer.cache._format import ABSENT, DONE, PART, SHARDS, canonical_json, file_name
from fusionfer.cache._listing import is_draft
from fusionfer.cache._lock import LOCK, OWNER

if TYPE_CHECKING:
    from fusionfer.cache._folder import CacheFolder

__all__ = ["Prunable", "find_prunable", "remove_empty"]

#: Key fields that tell how a release computes. Where only these differ, the newer file is of the same pictures,
#: weights, levels and sizes; what another program or another weight file gave is nobody's successor.
_RELEASE = ("decoder", "rules", "nodes")


@dataclass(frozen=True)
class Prunable:
    """One file that may go, or the folder of an empty shard.

    Attributes
    ----------
    path : Path
        The file.
    bytes : int
        Its size.
    why : str
        Why nothing is lost by it.
    """

    path: Path
    bytes: int
    why: str


def find_prunable(
    folder: CacheFolder, *, superseded: bool = False, shards: Sequence[CacheFolder] | None = None
) -> list[Prunable]:
    """Return what may be removed without losing any feature.

    Never among them: a file that is the only one to hold a row (whatever its name), files that cannot be read, files
    that are no caches, and the file that the others are measured by. Of shards, what a join left behind: the files of
    which the joined one holds every row, and empty folders; a shard that is still to be joined is the only one to hold
    its rows.

    Parameters
    ----------
    folder : CacheFolder
        Of one data set.
    superseded : bool, default=False
        Whether files count that an older release of fusionfer wrote, where a newer file holds the same rows of the
        same weights, level and size.
    shards : sequence of CacheFolder, optional
        Those of `folder.shards()` that nobody writes to; by default all.
    """
    found = _drafts(folder)
    examined = _examined(folder)
    keepers = [one for one in examined if one.finished and one.sound]
    gone: set[Path] = set()
    for one in examined:
        # Nothing may rest on a file that goes itself.
        others = [other for other in keepers if other.path != one.path and other.path not in gone]
        why = _why(one, others, superseded)
        if why:
            gone.add(one.path)
            found.append(Prunable(one.path, one.path.stat().st_size, why))
    stay = [one for one in keepers if one.path not in gone]
    for shard in folder.shards() if shards is None else shards:
        found += _drafts(shard)
        if _is_empty(shard):
            found.append(Prunable(shard.path, 0, "an empty shard"))
        for one in _examined(shard):
            if why := _why_shard(one, stay):
                found.append(Prunable(one.path, one.path.stat().st_size, why))
    return sorted(found, key=lambda item: (item.path.parent != folder.path, item.path))


def remove_empty(folder: CacheFolder, shards: Sequence[CacheFolder]) -> None:
    """Remove the folders of empty shards, with their locks; call it inside them."""
    for shard in shards:
        if _is_empty(shard):
            for path in shard.listing():
                path.unlink(missing_ok=True)
            with suppress(OSError):  # something has come in between
                shard.path.rmdir()
    with suppress(OSError):  # others are left
        (folder.path / SHARDS).rmdir()


def _is_empty(shard: CacheFolder) -> bool:
    """Whether nothing but the lock is in the folder of a shard."""
    return {path.name for path in shard.listing()} <= {LOCK, OWNER}


def _drafts(folder: CacheFolder) -> list[Prunable]:
    drafts = [path for path in folder.listing() if is_draft(path)]
    return [Prunable(path, path.stat().st_size, "a kill left it amid the making of another file") for path in drafts]


def _examined(folder: CacheFolder) -> list[Examination]:
    """Return what was found in each cache of a folder that can be read."""
    return [one for one in (examine(path) for path in [*folder.files(), *folder.parts()]) if one.stored is not None]


def _why(one: Examination, others: list[Examination], superseded: bool) -> str:
    """Say in half a sentence why a file may go; empty if it may not."""
    assert one.stored is not None
    if not one.finished and not np.any(one.stored.state != ABSENT):
        return "an extraction that had not stored a row yet"
    for other in others:
        assert other.stored is not None
        if not _holds_all(other, one):
            continue
        if canonical_json(other.stored.key) == canonical_json(one.stored.key):
            if not one.finished:
                return f"unfinished, and {other.path.name} holds every row of it"
            if not _has_own_name(one) and _has_own_name(other):
                return f"a copy under another name; {other.path.name} holds every row of it"
        elif superseded and one.finished and _newer(other, one):
            return f"superseded by {other.path.name}, which a newer release computed from the same weights"
    return ""


def _why_shard(one: Examination, joined: list[Examination]) -> str:
    """Say in half a sentence why the file of a shard may go; empty if it may not."""
    assert one.stored is not None
    if not np.any(one.stored.state != ABSENT):
        return "a shard that had not stored a row yet"
    for other in joined:
        assert other.stored is not None
        if canonical_json(other.stored.key) == canonical_json(one.stored.key) and _holds_all(other, one):
            return f"a shard, and {other.path.name} holds every row of it"
    return ""


def _holds_all(other: Examination, one: Examination) -> bool:
    """Whether `other` has features of the same pictures for every row of which `one` has some, damaged or not."""
    assert one.stored is not None
    assert other.stored is not None
    has = one.stored.state != ABSENT
    place = other.stored.rows.find(one.stored.rows)[has]
    if np.any(place < 0) or np.any(other.stored.rows.digests[place] != one.stored.rows.digests[has]):
        return False
    return not np.any((one.stored.state[has] == DONE) & (other.state[place] != DONE))


def _has_own_name(one: Examination) -> bool:
    assert one.stored is not None
    return one.path.name.removesuffix(PART) == file_name(one.stored.backbone, one.stored.level, one.stored.key)


def _newer(other: Examination, one: Examination) -> bool:
    """Whether `other` is what a newer release makes of the same weights, level and preprocessing."""
    assert one.stored is not None
    assert other.stored is not None
    old, new = ({k: v for k, v in e.stored.key.items() if k not in _RELEASE} for e in (one, other) if e.stored)
    from_images = "weights_sha256" in old
    return from_images and canonical_json(old) == canonical_json(new) and _age(one) < _age(other)


def _age(one: Examination) -> str:
    assert one.stored is not None
    return one.stored.layout.created  # ISO 8601 in UTC sorts by time
