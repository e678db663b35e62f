"""timm's networks: what timm says of them, and what it does not have."""

import pytest

from fusionfer.backbones import get_backbone
from fusionfer.exceptions import UnknownNameError
from fusionfer.networks import build_module
from fusionfer.networks._timm import last_layer_of, timm_config, timm_record


def test_mean_deviation_and_last_layer_are_timms():
    """The configuration is that of the published weights, without making the model."""
    config = timm_config("timm:legacy_xception")
    assert (config["mean"], config["std"], config["classifier"]) == ((0.5,) * 3, (0.5,) * 3, "fc")
    with pytest.raises(UnknownNameError, match="Unknown timm model 'resnet5000'"):
        timm_config("timm:resnet5000")


def test_a_record_is_filled_from_the_model():
    """Last layer and stages become levels; the size of the record stays."""
    record = timm_record(get_backbone("timm:resnet18").sized(64), build_module("timm:resnet18"))
    assert record.last_layer == "fc"
    assert record.level("penultimate").nodes == ("fc:in",)
    assert record.level("multi").nodes[-1] == "layer4"
    assert record.preprocess.size == 64


def test_of_two_last_layers_the_first_counts():
    """Distilled models name two; others one, or none."""
    assert last_layer_of({"classifier": ("head", "head_dist")}) == "head"
    assert last_layer_of({"classifier": "fc"}) == "fc"
    assert last_layer_of({}) is None
