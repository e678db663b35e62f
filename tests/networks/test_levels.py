"""Taps: levels against a forward pass written out by hand; and given back."""

import pytest
import torch

from fusionfer.backbones import BACKBONES, Level, get_backbone
from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.networks import LevelNetwork, build_module, load_backbone


@pytest.fixture(scope="module")
def batch():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_resnet_levels_equal_a_forward_pass_by_hand(batch):
    """multi is the pooled output of each stage side by side, penultimate the last of them, logits fc of that."""
    module = build_module("resnet34", seed=3).eval()
    levels = BACKBONES["resnet34"].levels
    with torch.inference_mode():
        x = module.maxpool(module.relu(module.bn1(module.conv1(batch))))
        pooled = []
        for stage in (module.layer1, module.layer2, module.layer3, module.layer4):
            x = stage(x)
            pooled.append(x.mean(dim=(2, 3)))
        logits = module.fc(pooled[-1])
    found = LevelNetwork(module, levels, name="resnet34")(batch)
    torch.testing.assert_close(found["multi"], torch.cat(pooled, dim=1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["penultimate"], pooled[-1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["logits"], logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_the_dimensions_of_its_record(name):
    """A new backbone joins by being listed: it builds, runs at 48 pixels, and its levels are as long as recorded."""
    loaded = load_backbone(get_backbone(name).sized(48), ["penultimate", "multi", "logits"], weights="none")
    assert loaded.dims == loaded.network.dims((3, 48, 48), torch.device("cpu"))
    for level in ("penultimate", "multi"):
        assert loaded.dims[level] == BACKBONES[name].level(level).dim
    assert loaded.dims["logits"] == 1000


def test_in_place_layers_after_a_node_do_not_change_what_was_taken():
    """The tap keeps a copy: an inplace ReLU behind the node does not zero its negative values."""
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU(inplace=True))
    x = -torch.ones(2, 3, 2, 2)
    found = LevelNetwork(module, {"flat": Level(("0",))}, name="tiny")(x)["flat"]
    assert torch.equal(found, -torch.ones(2, 12))


def test_tokens_are_averaged():
    """A node that returns (n, tokens, channels) gives (n, channels)."""

    class Tokens(torch.nn.Module):
        def forward(self, x):
            return x.flatten(2).transpose(1, 2)

    module = torch.nn.Sequential(Tokens())
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = LevelNetwork(module, {"t": Level(("0",))}, name="tiny")(x)["t"]
    torch.testing.assert_close(found, x.mean(dim=(2, 3)))


def test_unknown_nodes_and_nodes_never_reached():
    """A name that is no submodule lists close ones; a submodule that never runs is said to be so."""
    with pytest.raises(UnknownNameError, match=r"Unknown level or node 'layer9' of resnet34.*Close: .*layer4"):
        LevelNetwork(build_module("resnet34"), {"x": Level(("layer9",))}, name="resnet34")

    class Unused(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = torch.nn.Flatten(), torch.nn.Flatten()

        def forward(self, x):
            return self.used(x)

    with pytest.raises(UnknownNameError, match="never reaches unused"):
        LevelNetwork(Unused(), {"x": Level(("unused",))}, name="tiny")(torch.zeros(1, 3, 4, 4))


def test_closing_gives_the_module_back_as_it_came():
    """After close no hook is left, and a module in train mode is in train mode again."""
    module = torch.nn.Sequential(torch.nn.Flatten()).train()
    network = LevelNetwork(module, {"flat": Level(("0",))}, name="tiny")
    assert not module.training
    network.close()
    assert module.training
    assert not module[0]._forward_hooks


def test_a_network_that_refuses_the_size_is_named():
    """What the module raises becomes one error with its name and the shape."""
    network = LevelNetwork(torch.nn.Sequential(torch.nn.Linear(5, 2)), {"x": Level(("0",))}, name="tiny")
    with pytest.raises(DataError, match=r"tiny cannot take pictures of \(3, 4, 4\): .*Give another --size"):
        network(torch.zeros(1, 3, 4, 4))
