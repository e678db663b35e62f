"""Features of which a cluster's workers read the rows: from a cache that all share, or from shards never joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fusionfer.cache import SHARDS, CacheFolder
from fusionfer.cluster import ClusterMatrix, find_shards
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
        Blocks, as `Features.read` takes them; shards are taken as they are.

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
    if not folder.blocks() and features is None and (Path(cache) / SHARDS).is_dir():
        found = find_shards(cache, team)
        rows = found.rows
        known = {name: {"key": key, "record": found.records[name]} for name, key in found.keys.items()}
        note = f"The rows are read from {found.count} shards that were not joined."
        return Features(
            rows.ids, found.X, rows.labels, rows.splits, rows.groups, found.blocks, known, rows.digests, (note,)
        )
    read = Features.read(folder, features, mapped=True)
    return replace(read, X=ClusterMatrix.over(read.X, team))


def folds_side_by_side(team: Team, n: int, d: int, n_classes: int) -> int:
    """How many fits of ``xgb-wn`` a team has room for at a time: a thread on every worker for each, and memory.

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
    each = sliced_size(-(-n // len(team.workers)), d, n_classes).in_memory
    known = [memory for memory in (team.memory, *(worker.memory for worker in team.workers)) if memory]
    room = min(known) // (2 * each) if known else team.side_by_side
    return max(1, min(team.side_by_side, int(room)))
