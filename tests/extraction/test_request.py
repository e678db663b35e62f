"""Names, levels and weights as the command line gives them, sorted out before anything runs."""

import pytest

from fusionfer.exceptions import DataError, UnknownNameError, WeightsError
from fusionfer.extraction._request import parse_requests, weights_record


def test_values_for_all_and_for_one():
    """What is given for one backbone replaces what is given for all."""
    a, b = parse_requests(
        ["resnet34", "resnet50"], ["penultimate", "resnet50=multi"], ["none", "resnet34=w/x=1.pth"], 48
    )
    assert (a.levels, a.weights) == (("penultimate",), "w/x=1.pth")
    assert (b.levels, b.weights) == (("multi",), "none")
    assert a.backbone.preprocess.size == b.backbone.preprocess.size == 48


def test_a_mapping_of_weights_and_a_path_with_an_equals_sign():
    """A mapping means the same; "=" inside a path is no backbone's name."""
    (request,) = parse_requests("resnet34", "multi", {"resnet34": "a.pth"}, None)
    assert request.weights == "a.pth"
    (request,) = parse_requests("resnet34", "multi", "dir/lr=0.1.pth", None)
    assert request.weights == "dir/lr=0.1.pth"
    assert request.backbone.preprocess.size == 224


def test_repeated_levels_count_once():
    """--level multi --level multi is one block."""
    (request,) = parse_requests("resnet34", ["multi", "multi", "logits"], "none", None)
    assert request.levels == ("multi", "logits")


def test_errors_come_before_anything_runs():
    """Unknown backbones, doubles, weights for absent backbones, two weights for one, and tiny sizes."""
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet50'"):
        parse_requests(["resnet50x"], "multi", "none", None)
    with pytest.raises(DataError, match="named once; more than once: resnet34"):
        parse_requests(["resnet34", "resnet34"], "multi", "none", None)
    with pytest.raises(UnknownNameError, match=r"weights 'resnet50=w\.pth': Unknown backbone 'resnet50'.*of this run"):
        parse_requests(["resnet34"], "multi", "resnet50=w.pth", None)
    with pytest.raises(DataError, match=r"resnet34: give one --weights, got a\.pth, b\.pth"):
        parse_requests(["resnet34"], "multi", ["a.pth", "b.pth"], None)
    with pytest.raises(WeightsError, match="at least 32 pixels, got 8"):
        parse_requests(["resnet34"], "multi", "none", 8)
    with pytest.raises(DataError, match="at least one backbone"):
        parse_requests([], "multi", "none", None)


def test_what_is_recorded_of_weights():
    """A checkpoint's images stand beside its metadata; words of other programs, and weights that say nothing, stay."""
    weights = {"name": "net", "sha256": "ab", "metadata": {}}
    assert weights_record(weights) == {**weights, "trained_on": None}
    told = {**weights, "metadata": {"trained_on": "FER-2013, all of it", "recipe": "mine"}}
    assert weights_record(told) == {**told, "trained_on": None}
    metadata = {"format": "fusionfer-checkpoint", "recipe": "{}", "trained_on": "0" * 32, "selected_on": "1" * 16}
    found = weights_record({**weights, "metadata": metadata})
    assert found["metadata"] == {"format": "fusionfer-checkpoint", "recipe": "{}"}
    assert (found["trained_on"], found["selected_on"]) == ("0" * 32, "1" * 16)
    assert metadata["trained_on"] == "0" * 32
