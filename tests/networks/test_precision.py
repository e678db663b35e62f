"""Precisions: what is computed in 16 bits stays within the stated bound, and what cannot be had is said."""

import numpy as np
import pytest
import torch

from fusionfer.backbones import BACKBONES, get_backbone
from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.images import generate_faces
from fusionfer.networks import PRECISION_BOUND, PRECISIONS, find_precision, load_backbone
from fusionfer.networks._precision import computing_in

CPU = torch.device("cpu")


def faces(backbone, n=6):
    """Return a batch of drawn faces as extraction makes them."""
    drawn = generate_faces(n_identities=2, takes=1, size=48)
    tensors = np.stack([backbone.preprocess(drawn.load(i)[0]) for i in range(n)])
    return torch.from_numpy(tensors).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", BACKBONES)
def test_bf16_is_within_its_bound_for_every_backbone_and_level(name):
    """A new backbone joins by being listed: vectors are float32, near those of float32, and not the same."""
    backbone = get_backbone(name).sized(40)
    batch = faces(backbone)
    levels = ["penultimate", "multi", "logits"]
    exact, short = (
        load_backbone(backbone, levels, weights="none", precision=precision) for precision in ("float32", "bf16")
    )
    assert (exact.precision, short.precision) == ("float32", "bf16")
    assert {parameter.dtype for parameter in short.network.module.parameters()} == {torch.float32}
    expected, found = exact.network(batch), short.network(batch)
    for level, vectors in expected.items():
        assert found[level].dtype == torch.float32
        off = float(((found[level] - vectors).norm(dim=1) / vectors.norm(dim=1)).max())
        assert 1e-4 < off <= PRECISION_BOUND["bf16"]


def test_float32_is_left_alone():
    """Nothing is cast in float32; in bf16 products are, only inside the context."""
    x = torch.ones(2, 2)
    with computing_in("float32", CPU):
        assert (x @ x).dtype == torch.float32
    with computing_in("bf16", CPU):
        assert (x @ x).dtype == torch.bfloat16
    assert (x @ x).dtype == torch.float32


def test_maps_are_averaged_in_float32():
    """Means over space of a bf16 map are not rounded to bf16 again."""
    loaded = load_backbone(get_backbone("resnet34").sized(32), ["layer1"], weights="none", precision="bf16")
    vectors = loaded.network(faces(loaded.backbone))["layer1"]
    assert not torch.equal(vectors, vectors.bfloat16().float())


def test_precisions_that_are_not_to_be_had():
    """Unknown names and fp16 on the CPU are refused, before any weights are loaded."""
    with pytest.raises(UnknownNameError, match=r"Unknown precision 'bfloat16'. Known precisions: bf16, float32, fp16"):
        find_precision("bfloat16")
    with pytest.raises(DataError, match=r"^The precision fp16 is for GPUs; .* Give --precision bf16\.$"):
        find_precision("fp16", "cpu")
    with pytest.raises(DataError, match="fp16 is for GPUs"):
        load_backbone(get_backbone("resnet34"), ["penultimate"], weights="none", precision="fp16")
    assert [find_precision(name, "cuda:1") for name in PRECISIONS] == list(PRECISIONS) == list(PRECISION_BOUND)
