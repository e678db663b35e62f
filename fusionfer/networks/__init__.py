"""Builds backbones and the networks of the papers: the torch room beside `fusionfer.extraction`."""

from fusionfer.networks._architectures import NETWORKS, Architecture, Option, get_architecture
from fusionfer.networks._building import LoadedBackbone, build_module, load_backbone
from fusionfer.networks._checkpoint import CheckpointInfo, read_checkpoint, save_checkpoint
from fusionfer.networks._composing import build_network, load_network, network_preprocess
from fusionfer.networks._download import fetch, published_path
from fusionfer.networks._engines import ENGINE_BOUND, ENGINES, engine_versions, find_engine, run_on, to_onnx
from fusionfer.networks._folding import fold_batch_norm
from fusionfer.networks._freezing import train_mode
from fusionfer.networks._levels import LevelNetwork
from fusionfer.networks._memory import memory_of
from fusionfer.networks._precision import PRECISION_BOUND, PRECISIONS, find_precision
from fusionfer.networks._vision import import_torchvision
from fusionfer.networks._weights import StateDict, load_into, read_state_dict, state_hash

__all__ = [
    "ENGINES",
    "ENGINE_BOUND",
    "NETWORKS",
    "PRECISIONS",
    "PRECISION_BOUND",
    "Architecture",
    "CheckpointInfo",
    "LevelNetwork",
    "LoadedBackbone",
    "Option",
    "StateDict",
    "build_module",
    "build_network",
    "engine_versions",
    "fetch",
    "find_engine",
    "find_precision",
    "fold_batch_norm",
    "get_architecture",
    "import_torchvision",
    "load_backbone",
    "load_into",
    "load_network",
    "memory_of",
    "network_preprocess",
    "published_path",
    "read_checkpoint",
    "read_state_dict",
    "run_on",
    "save_checkpoint",
    "state_hash",
    "to_onnx",
    "train_mode",
]
