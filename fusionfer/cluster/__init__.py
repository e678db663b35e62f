"""A Dask cluster: who works there, and which rows of the features each of them reads."""

from __future__ import annotations

from fusionfer.cluster._matrix import ClusterMatrix
from fusionfer.cluster._shards import ShardedFeatures, find_shards
from fusionfer.cluster._team import Team, Worker, connect

__all__ = ["ClusterMatrix", "ShardedFeatures", "Team", "Worker", "connect", "find_shards"]
