"""Activations in HDF5, with proof of what they came from: the waist of the project.

One folder holds one data set, one file holds one backbone and level (`docs/cache_format.md`). A hit is proven by key,
by image hashes and by checksums, never assumed; a writer that is killed loses its open block and nothing else.
"""

from fusionfer.cache._file import FeatureFile
from fusionfer.cache._folder import CacheFolder
from fusionfer.cache._format import FORMAT, VERSION, block_name, key8
from fusionfer.cache._reading import (
    Damage,
    FileDescription,
    StoredFeatures,
    describe,
    read_feature_file,
    refuse_damaged,
)
from fusionfer.cache._rows import RowTable

__all__ = [
    "FORMAT",
    "VERSION",
    "CacheFolder",
    "Damage",
    "FeatureFile",
    "FileDescription",
    "RowTable",
    "StoredFeatures",
    "block_name",
    "describe",
    "key8",
    "read_feature_file",
    "refuse_damaged",
]
