"""Last layers: replaced by others, or taken off."""

import pytest
import torch

from fusionfer.exceptions import ModelError
from fusionfer.networks import build_module
from fusionfer.networks._last_layers import set_last_layer, without_last_layers


@pytest.mark.parametrize(
    ("name", "last"), [("mobilenet_v2", "classifier.1"), ("timm:resnetv2_50", "head.fc"), ("timm:resnet18", "fc")]
)
def test_a_new_last_layer_has_its_own_number_of_classes(name, last):
    """The layer of that name gives n logits; all other weights are as they were."""
    module = build_module(name, seed=1)
    before = {key: value.clone() for key, value in module.state_dict().items() if not key.startswith(last)}
    assert set_last_layer(module, last, 4, name=name) == last
    assert module.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 4)
    after = module.state_dict()
    assert set(after) - set(before) == {f"{last}.weight", f"{last}.bias"}
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_a_network_without_last_layer_is_refused():
    """There is nothing that could give classes."""
    with pytest.raises(ModelError, match="mine has no classifying layer that could be replaced by one of 7 classes"):
        set_last_layer(torch.nn.Identity(), None, 7, name="mine")


@pytest.mark.parametrize(("name", "gone"), [("densenet121", "classifier"), ("timm:legacy_xception", "fc")])
def test_without_last_layers_no_weight_of_theirs_is_left(name, gone):
    """The place of the layer stays, so that it can be tapped, and gives what it is given."""
    module = without_last_layers(build_module(name))
    assert not [key for key in module.state_dict() if key.startswith(f"{gone}.")]
    x = torch.rand(1, 4)
    assert torch.equal(module.get_submodule(gone)(x), x)
