"""Frozen parts: which weights, and what training leaves as it is."""

import torch

from fusionfer.networks import build_network, train_mode


def test_a_frozen_part_is_untouched_by_training():
    """After a step neither its weights nor its means and variances have changed; those of the rest have."""
    network = build_network("densenet121-gru", 3, size=32, freeze="backbone")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train_mode(network)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    torch.nn.functional.cross_entropy(network(torch.rand(2, 3, 32, 32)), torch.tensor([0, 2])).backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert {name.partition(".")[0] for name in changed} == {"head"}


def test_the_backbone_of_a_plain_network_is_all_but_its_last_layer():
    """Only the new layer is trained; dropout before it stays on in training, normalisation is off."""
    network = build_network("mobilenet_v2", 3, size=32, freeze="backbone")
    assert [n for n, p in network.named_parameters() if p.requires_grad] == ["classifier.1.weight", "classifier.1.bias"]
    train_mode(network)
    modes = {type(module).__name__: module.training for module in network.modules()}
    assert modes["Dropout"]
    assert not modes["BatchNorm2d"]


def test_named_parts_and_only_they_are_frozen():
    """Names of submodules; normalisation of other parts goes on learning, also after eval and train."""
    network = build_network("resnet34", 3, size=32, freeze=("conv1", "bn1", "layer1"))
    frozen = {name.partition(".")[0] for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "bn1", "layer1"}
    train_mode(network.eval())
    assert not network.bn1.training
    assert not network.layer1[0].bn1.training
    assert network.layer2[0].bn1.training
