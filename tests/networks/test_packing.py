"""Packed convolutions give the bits of plain ones, for every shape, in any order and from several threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from fusionfer.backbones import Backbone, Preprocess, get_backbone
from fusionfer.networks import build_module, load_backbone
from fusionfer.networks._packing import PackedConv2d, can_pack, pack_convolutions

pytestmark = pytest.mark.skipif(not can_pack(), reason="this torch has no oneDNN for this processor")


def tensor(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 7, "stride": 2, "padding": 3, "bias": False},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": 3, "padding": 2, "dilation": 2},
        {"kernel_size": 3, "groups": 16},
        {"kernel_size": (1, 3), "padding": (0, 1)},
    ],
    ids=str,
)
def test_the_same_bits(settings):
    """Padding, strides, dilation, groups, with and without bias; pictures and batches of changing size."""
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 32, **settings).eval().to(memory_format=torch.channels_last)
    packed = PackedConv2d(conv)
    with torch.inference_mode():
        for shape in [(4, 16, 12, 12), (1, 16, 12, 12), (4, 16, 30, 20), (4, 16, 12, 12)]:
            x = tensor(*shape)
            assert torch.equal(packed(x), conv(x)), shape


@pytest.mark.parametrize(("name", "rtol"), [("resnet34", 0), ("mobilenet_v2", 1e-5), ("densenet121", 1e-5)])
def test_whole_networks(name, rtol):
    """A network with all its convolutions packed returns what it returned: to the bit where torch takes oneDNN too."""
    plain = build_module(name).eval().to(memory_format=torch.channels_last)
    packed = build_module(name).eval().to(memory_format=torch.channels_last)
    n = sum(isinstance(child, nn.Conv2d) for child in plain.modules())
    assert pack_convolutions(packed) == n > 30
    x = tensor(3, 3, 64, 64)
    with torch.inference_mode():
        a, b = packed(x), plain(x)
        assert float((a - b).abs().max() / b.abs().max()) <= rtol
        packed(tensor(1, 3, 40, 40))  # other shapes in between leave no trace
        assert torch.equal(packed(x), a)


def test_two_threads_with_two_shapes():
    """Threads that disagree about the shape slow each other down and change nothing."""
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 8, 3).eval().to(memory_format=torch.channels_last)
    packed = PackedConv2d(conv)

    def run(n):
        x = tensor(n, 8, 9, 9, seed=n)
        with torch.inference_mode():
            return all(torch.equal(packed(x), conv(x)) for _ in range(50))

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(run, [2, 5, 2, 5]))


def test_what_is_left_as_it_is():
    """Other paddings, and subclasses that may do something else, are not replaced."""

    class Own(nn.Conv2d):
        pass

    module = nn.Sequential(nn.Conv2d(3, 3, 3, padding="same"), nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"))
    module.append(Own(3, 3, 3))
    assert pack_convolutions(module) == 0


def test_listed_backbones_are_packed_and_own_modules_are_not():
    """What the user brings is never changed."""
    loaded = load_backbone(get_backbone("resnet34"), ["penultimate"], weights="none")
    assert isinstance(loaded.network.module.conv1, PackedConv2d)
    module = build_module("resnet34")
    own = load_backbone(Backbone("mine", module, Preprocess(size=32), {"out": "avgpool"}), ["out"])
    assert type(own.network.module.conv1) is nn.Conv2d
