"""Records of the networks: names, options and what is said of wrong ones."""

import pytest

from fusionfer.backbones import get_backbone
from fusionfer.exceptions import ModelError, UnknownNameError
from fusionfer.networks import NETWORKS, Option, get_architecture


@pytest.mark.parametrize("name", NETWORKS)
def test_every_record_extends_a_backbone_and_allows_its_defaults(name):
    """The backbone exists, defaults are allowed values, and every option says what it is."""
    record = NETWORKS[name]
    assert record.name == name
    assert get_backbone(record.backbone).name == record.backbone
    assert record.resolve({}) == {key: option.default for key, option in record.options.items()}
    assert [option.check(option.default) for option in record.options.values()] == [None] * len(record.options)
    assert all(option.what for option in record.options.values())
    assert bool(record.options) == record.composed
    assert record.paper


def test_given_options_replace_defaults():
    """What is given is taken over, the rest is as in the record."""
    assert get_architecture("vgg16-gru").resolve({"gru": 64})["gru"] == 64
    assert get_architecture("resnet50v2").resolve({"dense": 8}) == {"dropout_map": 0.25, "dense": 8, "dropout": 0.5}


def test_wrong_options_are_named_together():
    """Names get a suggestion; values are complained of all at once, with what is allowed."""
    record = get_architecture("xception-gru")
    with pytest.raises(UnknownNameError, match=r"Unknown option of xception-gru 'step'\. Known .* mean 'steps'"):
        record.resolve({"step": "rows"})
    message = r"gru must be a whole number from 1 to 65536, got 0; steps must be 'positions' or 'rows' or 'one', got 7"
    with pytest.raises(ModelError, match=message):
        record.resolve({"gru": 0, "steps": 7})


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        (Option(2, "", (1, 4)), 4, True),
        (Option(2, "", (1, 4)), 5, False),
        (Option(2, "", (1, 4)), 2.0, False),
        (Option(2, "", (1, 4)), True, False),
        (Option(0.5, "", (0.0, 0.9)), 0, True),
        (Option(0.5, "", (0.0, 0.9)), float("nan"), False),
        (Option("a", "", ("a", "b")), "b", True),
        (Option("a", "", ("a", "b")), ["b"], False),
    ],
)
def test_what_an_option_allows(option, value, allowed):
    """Whole numbers stay whole, ranges include their ends, texts are from the list."""
    assert (option.check(value) is None) == allowed


def test_unknown_networks_name_the_closest():
    """A misspelt name gets the list and a suggestion; timm's models are known by their prefix."""
    with pytest.raises(UnknownNameError, match=r"Unknown network 'resnet50v3'\. Known .* Did you mean 'resnet50v2'\?"):
        get_architecture("resnet50v3")
    assert get_architecture("timm:resnet18").backbone == "timm:resnet18"
    assert not get_architecture("timm:resnet18").composed
    with pytest.raises(UnknownNameError, match="Unknown network 'timm:'"):
        get_architecture("timm:")
