"""Activations in HDF5, with proof of what they came from: the waist of the project.

One folder holds one data set, one file holds one backbone and level (`docs/cache_format.md`). A hit is proven by key,
by image hashes and by checksums, never assumed; a writer that is killed loses its open block and nothing else.
"""

from fusionfer.cache._describing import FileDescription, describe
from fusionfer.cache._examining import Examination, examine
from fusionfer.cache._file import FeatureFile
from fusionfer.cache._folder import CacheFolder
from fusionfer.cache._format import FORMAT, SHARDS, VERSION, block_name, file_name, key8, key_differences
from fusionfer.cache._listing import CacheEntry, list_entries
from fusionfer.cache._mending import damaged_blocks, start_anew, start_mending
from fusionfer.cache._merging import SHARD, merge_shards
from fusionfer.cache._planning import refuse_other_data_set
from fusionfer.cache._pruning import Prunable, find_prunable, remove_empty
from fusionfer.cache._reading import Damage, StoredFeatures, read_feature_file, refuse_damaged
from fusionfer.cache._rows import RowTable

__all__ = [
    "FORMAT",
    "SHARD",
    "SHARDS",
    "VERSION",
    "CacheEntry",
    "CacheFolder",
    "Damage",
    "Examination",
    "FeatureFile",
    "FileDescription",
    "Prunable",
    "RowTable",
    "StoredFeatures",
    "block_name",
    "damaged_blocks",
    "describe",
    "examine",
    "file_name",
    "find_prunable",
    "key8",
    "key_differences",
    "list_entries",
    "merge_shards",
    "read_feature_file",
    "refuse_damaged",
    "refuse_other_data_set",
    "remove_empty",
    "start_anew",
    "start_mending",
]
