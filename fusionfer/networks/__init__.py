"""Builds backbones: the torch room beside `fusionfer.extraction`."""

from fusionfer.networks._building import LoadedBackbone, build_module, load_backbone
from fusionfer.networks._download import fetch, published_path
from fusionfer.networks._engines import ENGINE_BOUND, ENGINES, engine_versions, find_engine, run_on
from fusionfer.networks._folding import fold_batch_norm
from fusionfer.networks._levels import LevelNetwork
from fusionfer.networks._vision import import_torchvision
from fusionfer.networks._weights import StateDict, load_into, read_state_dict, state_hash

__all__ = [
    "ENGINES",
    "ENGINE_BOUND",
    "LevelNetwork",
    "LoadedBackbone",
    "StateDict",
    "build_module",
    "engine_versions",
    "fetch",
    "find_engine",
    "fold_batch_norm",
    "import_torchvision",
    "load_backbone",
    "load_into",
    "published_path",
    "read_state_dict",
    "run_on",
    "state_hash",
]
