"""One pass over the images feeds every backbone (torch)."""

from fusionfer.extraction._extract import BATCH_SIZE, ExtractionReport, extract, extract_to_cache
from fusionfer.extraction._forward import compute_features, find_device
from fusionfer.extraction._mending import RecordedNetwork, key_of_same_run
from fusionfer.extraction._request import block_key

__all__ = [
    "BATCH_SIZE",
    "ExtractionReport",
    "RecordedNetwork",
    "block_key",
    "compute_features",
    "extract",
    "extract_to_cache",
    "find_device",
    "key_of_same_run",
]
