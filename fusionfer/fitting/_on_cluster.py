"""Features of which a cluster's workers read the rows: from a cache that all share, or from shards never joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fusionfer.cache import SHARDS, CacheFolder
from fusionfer.cluster import ClusterMatrix, ShardedFeatures, find_shards
from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.heads.boosting import sliced_size

if TYPE_CHECKING:
    from fusionfer.cluster import Team

__all__ = ["folds_side_by_side", "read_on_cluster"]


def read_on_cluster(
    cache: str | Path, team: Team, features: Sequence[str] | Mapping[str, str] | None = None
) -> Features:
    """Read what there is about the rows here, and leave the rows themselves to the workers.

    Parameters
    ----------
    cache : path-like
        The caches of one data set, at the same path for all; or a folder of shards (``CACHE/shards``) that were not
        joined, each on the machine of a worker, or all on a file system that is shared.
    team : Team
        From `fusionfer.cluster.connect`.
    features : sequence of str, or mapping, optional
        Blocks, as `Features.read` takes them; of shards as ``backbone:level``, without weights.

    Returns
    -------
    Features
        Whose `X` is a `fusionfer.cluster.ClusterMatrix`.

    Raises
    ------
    CacheError
        If neither is there, or shards are missing.
    """
    folder = CacheFolder(cache)
    # What lies only where the workers are cannot be looked for here.
    if not folder.files() and not (folder.parts() and not (folder.path / SHARDS).is_dir()):
        names = [features] if isinstance(features, str) else None if features is None else list(features)
        wanted = list(features.values()) if isinstance(features, Mapping) else names
        for one in wanted or ():
            if "@" in one:
                msg = (
                    f"Blocks of shards that were not joined are named backbone:level, got {one!r}. Leave "
                    f"{one[one.index('@') :]} out; the shards of one extraction are of one kind of weights."
                )
                raise DataError(msg)
        found = find_shards(cache, team, wanted)
        if isinstance(features, Mapping):
            found = _renamed(found, features)
        rows = found.rows
        known = {name: {"key": key, "record": found.records[name]} for name, key in found.keys.items()}
        note = f"The rows are read from {found.count} shards that were not joined."
        return Features(
            rows.ids, found.X, rows.labels, rows.splits, rows.groups, found.blocks, known, rows.digests, (note,)
        )
    read = Features.read(folder, features, mapped=True)
    return replace(read, X=ClusterMatrix.over(read.X, team))


def _renamed(found: ShardedFeatures, features: Mapping[str, str]) -> ShardedFeatures:
    """Blocks under the names that they were given."""
    return replace(
        found,
        blocks={name: found.blocks[block] for name, block in features.items()},
        keys={name: found.keys[block] for name, block in features.items()},
        records={name: found.records[block] for name, block in features.items()},
    )


def folds_side_by_side(team: Team, n: int, d: int, n_classes: int) -> int:
    """How many fits of ``xgb-wn`` a team has room for at a time: a thread on every worker for each, and memory.

    From then on the team lets each fit plan with as small a part of a worker's memory.

    Parameters
    ----------
    team : Team
    n, d, n_classes : int
        Rows, which the workers share, columns and classes of a fit.

    Returns
    -------
    int
        At least 1.
    """
    room = team.room()
    counts = [
        room[worker.address] // (2 * sliced_size(rows.stop - rows.start, d, n_classes).in_memory)
        for worker, rows in team.shares(n)
    ]
    team.fits = max(1, min(team.side_by_side, *counts))
    return team.fits
