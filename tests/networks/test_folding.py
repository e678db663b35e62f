"""Folding batch normalisation: rounding changes, meaning does not, and no level depends on its neighbours."""

import pytest
import torch

from fusionfer.backbones import BACKBONES, get_backbone
from fusionfer.networks import LevelNetwork, build_module, fold_batch_norm, load_backbone


@pytest.fixture(scope="module")
def batch():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["resnet34", "resnet50", "mobilenet_v2", "densenet121"])
def test_folding_changes_features_by_rounding_only(name):
    """With batch statistics that are not trivial, folded and unfolded networks agree within 1e-4 of the largest."""
    plain, folded = (build_module(name, seed=5).eval() for _ in range(2))
    for module in (plain, folded):
        generator = torch.Generator().manual_seed(7)
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1, generator=generator)
                layer.running_var.uniform_(0.5, 2.0, generator=generator)
    assert fold_batch_norm(folded) > 10
    batch = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    levels = {k: BACKBONES[name].level(k) for k in ("penultimate", "multi")}
    a, b = LevelNetwork(plain, levels, name=name)(batch), LevelNetwork(folded, levels, name=name)(batch)
    for level in levels:
        assert (a[level] - b[level]).abs().max() <= 1e-4 * a[level].abs().max()


def test_a_tapped_convolution_is_not_folded(batch):
    """Whoever names conv1 wants what conv1 returns, not what its batch normalisation makes of it."""
    module = build_module("resnet34", seed=3).eval()
    loaded = load_backbone(get_backbone("resnet34").sized(64), ["conv1", "layer1.0.bn2:in"], weights="none", seed=3)
    with torch.inference_mode():
        conv1 = module.conv1(batch)
        x = module.maxpool(module.relu(module.bn1(conv1)))
        block = module.layer1[0]
        conv2 = block.conv2(block.relu(block.bn1(block.conv1(x))))
    found = loaded.network(batch)
    torch.testing.assert_close(found["conv1"], conv1.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["layer1.0.bn2:in"], conv2.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)


def test_no_level_depends_on_which_others_are_asked_for(batch):
    """Beside a tapped convolution, penultimate has the very bits that it has alone: the key promises it."""
    backbone = get_backbone("resnet34").sized(64)
    alone = load_backbone(backbone, ["penultimate"], weights="none").network(batch)
    beside = load_backbone(backbone, ["conv1", "penultimate", "layer1.0.conv1"], weights="none").network(batch)
    assert torch.equal(alone["penultimate"], beside["penultimate"])


def test_a_module_that_cannot_be_traced_is_left_alone():
    """Data-dependent control flow stops the tracer; nothing is folded and nothing breaks."""

    class Branching(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    assert fold_batch_norm(Branching()) == 0


def test_a_convolution_that_serves_two_normalisations_is_left_alone():
    """One fold cannot serve two places: shared layers stay as they are, and the output with them."""

    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 1)
            self.a, self.b = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
            self.b.running_mean.fill_(3.0)

        def forward(self, x):
            return self.a(self.conv(x)) + self.b(self.conv(x))

    module = Shared().eval()
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = module(x)
    assert fold_batch_norm(module) == 0
    assert torch.equal(module(x), expected)
