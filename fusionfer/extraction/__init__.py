"""One pass over the images feeds every backbone (torch)."""

from fusionfer.extraction._arrays import ArrayForward
from fusionfer.extraction._batch_size import AUTO, BATCH_SIZE
from fusionfer.extraction._extract import ExtractionReport, extract, extract_to_cache
from fusionfer.extraction._forward import compute_features, find_device
from fusionfer.extraction._mending import RecordedNetwork, key_of_same_run
from fusionfer.extraction._ranks import Rank, Team, find_rank
from fusionfer.extraction._request import block_key
from fusionfer.extraction._sharding import Shard

__all__ = [
    "AUTO",
    "BATCH_SIZE",
    "ArrayForward",
    "ExtractionReport",
    "Rank",
    "RecordedNetwork",
    "Shard",
    "Team",
    "block_key",
    "compute_features",
    "extract",
    "extract_to_cache",
    "find_device",
    "find_rank",
    "key_of_same_run",
]
