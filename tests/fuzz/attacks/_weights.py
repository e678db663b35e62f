"""Weights: code, bombs, tensors that are not there."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile

from attacks._archives import zipped
from attacks._registry import Harm, attack


@attack("weights", "w.pth", "run code when it is unpickled (fault 23)", "was not executed")
def pickled_weights(path):
    path.write_bytes(pickle.dumps({"a": Harm(path)}))


@attack("weights", "w.pth", "run code from a file of torch's own form (fault 23)", "was not executed")
def torch_code(path):
    import torch

    torch.save({"a": Harm(path)}, path)


@attack("weights", "w.pth", "unpack to 100 MB", "compressed, or overlap")
def torch_bomb(path):
    import torch

    torch.save({"a": torch.zeros(25_000_000)}, path)
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    zipped(path, *members)


@attack("weights", "w.pth", "have a last layer of 2 TB made for it", "larger than the file")
def expanded_tensor(path):
    import torch

    torch.save({"fc.weight": torch.zeros(1).expand(10**9, 512)}, path)


@attack("weights", "w.pth", "declare a sparse tensor of 10^15 numbers", "not dense|was not executed")
def sparse_tensor(path):
    import torch

    torch.save({"a": torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.int64), [1.0], (10**8, 10**7))}, path)


@attack("weights", "w.safetensors", "declare a header of 10^18 bytes", "no intact safetensors")
def safetensors_header(path):
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")


@attack("weights", "w.safetensors", "declare numbers beyond the file", "no intact safetensors")
def safetensors_beyond(path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def claiming(path, **claims):
    """Write a checkpoint without its tensors, which claims to be of some network."""
    from fusionfer.backbones import Preprocess

    said = {
        "format": "fusionfer-checkpoint",
        "version": "1",
        "network": "densenet121-gru",
        "classes": '["a", "b"]',
        "preprocess": json.dumps(Preprocess(48).describe()),
        "stem": "standard",
        **dict.fromkeys(("options", "recipe", "metrics", "data"), "{}"),
        "trained_on": "",
        "selected_on": "",
        **claims,
    }
    header = {"__metadata__": said, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    written = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(written)) + written + bytes(4))


@attack("network", "n.safetensors", "have a network of 100 GB built for it", "737 missing")
def greedy_network(path):
    claiming(path, options=json.dumps({"gru": 65536, "gru_2": 65536}))


@attack("network", "n.safetensors", "have a layer of 10^9 units built for it", "gru must be")
def network_of_many_units(path):
    claiming(path, options=json.dumps({"gru": 10**9}))


@attack("network", "n.safetensors", "have a last layer of 100,000 classes built for it", "missing")
def network_of_many_classes(path):
    claiming(path, network="vgg16", classes=json.dumps([str(i) for i in range(100_000)]))


@attack("network", "n.safetensors", "be taken for a network that is not there", "Unknown")
def unknown_network(path):
    claiming(path, network="../../etc/passwd")
