"""The small stem: shapes, counts, and where there is none."""

import pytest
import torch

from fusionfer.exceptions import UnknownNameError, WeightsError
from fusionfer.networks import build_module


@pytest.fixture(scope="module")
def small():
    return build_module("resnet34", stem="small").eval()


def test_a_small_stem_halves_nothing(small):
    """A face of 48 pixels enters the first stage with 48 x 48 places, and leaves the last with 6 x 6."""
    with torch.inference_mode():
        x = small.maxpool(small.relu(small.bn1(small.conv1(torch.zeros(1, 3, 48, 48)))))
        assert x.shape == (1, 64, 48, 48)
        assert small.layer4(small.layer3(small.layer2(small.layer1(x)))).shape == (1, 512, 6, 6)


def test_only_the_first_convolution_is_another(small):
    """Its parameters are 3 x 3 x 3 x 64 instead of 7 x 7 x 3 x 64; names of all weights are torchvision's."""
    standard = build_module("resnet34")
    assert set(small.state_dict()) == set(standard.state_dict())
    count = [sum(p.numel() for p in module.parameters()) for module in (standard, small)]
    assert count[0] - count[1] == (49 - 9) * 3 * 64


def test_the_first_convolution_is_drawn_from_the_seed(small):
    """Same seed, same weights, with the spread that torchvision gives ResNets: variance 2 / (9 * 64)."""
    assert torch.equal(build_module("resnet34", stem="small").conv1.weight, small.conv1.weight)
    assert not torch.equal(build_module("resnet34", stem="small", seed=1).conv1.weight, small.conv1.weight)
    assert small.conv1.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)


def test_networks_without_such_a_stem_say_so():
    """Only ResNets have it; an unknown stem names the known ones."""
    with pytest.raises(WeightsError, match=r"mobilenet_v2: only resnet34 and resnet50 have the stem 'small'"):
        build_module("mobilenet_v2", stem="small")
    with pytest.raises(UnknownNameError, match=r"Unknown stem 'tiny'\. Known stems: small, standard"):
        build_module("resnet34", stem="tiny")
