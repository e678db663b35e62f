"""Records of backbones: preprocessing against formulas, pinned weights, levels, errors."""

import dataclasses
import json

import numpy as np
import pytest

from fusionfer.backbones import BACKBONES, Backbone, Level, Preprocess, get_backbone
from fusionfer.exceptions import UnknownNameError, WeightsError


def test_grey_pixels_become_three_normalised_channels():
    """A picture of the right size is (x / 255 - mean) / std per channel, exactly the formula."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    preprocess = Preprocess(size=40)
    expected = np.stack([(pixels / 255 - m) / s for m, s in zip(preprocess.mean, preprocess.std, strict=True)])
    np.testing.assert_allclose(preprocess(pixels), expected, atol=2e-6)


def test_colour_keeps_the_order_of_channels():
    """RGB stays RGB: each plane follows its own mean and deviation."""
    pixels = np.random.default_rng(1).integers(0, 256, (33, 33, 3), dtype=np.uint8)
    preprocess = Preprocess(size=33, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    expected = (pixels.transpose(2, 0, 1) / 255 - np.reshape([0.1, 0.2, 0.3], (3, 1, 1))) / np.reshape(
        [0.5, 0.6, 0.7], (3, 1, 1)
    )
    np.testing.assert_allclose(preprocess(pixels), expected, atol=2e-6)


def test_resizing_agrees_with_torchvision():
    """Enlarging is bilinear as in torchvision, whose float result ours differs from only by rounding to 8 bits."""
    torch = pytest.importorskip("torch")
    pixels = np.random.default_rng(2).integers(0, 256, (48, 48), dtype=np.uint8)
    ours = Preprocess(size=96, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))(pixels)[0]
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(pixels)[None, None].float() / 255, size=(96, 96), mode="bilinear", align_corners=False
    )[0, 0].numpy()
    assert np.abs(ours - theirs).max() < 1.01 / 255


def test_whole_picture_is_kept_when_sides_differ():
    """No side is cropped: a bright last column still shows after resizing a wide picture."""
    pixels = np.zeros((50, 100), np.uint8)
    pixels[:, -10:] = 255
    out = Preprocess(size=32, mean=(0, 0, 0), std=(1, 1, 1))(pixels)
    assert out[0, :, -1].min() > 0.9
    assert out[0, :, 0].max() == 0


def test_description_decides_what_the_tensor_is():
    """Two preprocessings of equal description give equal tensors; each field changes the description."""
    base = Preprocess()
    assert base.describe() == Preprocess().describe()
    for change in ({"size": 48}, {"mean": (0.5, 0.5, 0.5)}, {"std": (0.5, 0.5, 0.5)}):
        assert dataclasses.replace(base, **change).describe() != base.describe()


@pytest.mark.parametrize("name", BACKBONES)
def test_every_record_is_pinned_and_has_the_three_levels(name):
    """Weights carry a full name and the head of their hash; the levels that the docs promise exist."""
    backbone = BACKBONES[name]
    assert backbone.name == name
    assert set(backbone.levels) == {"penultimate", "multi", "logits"}
    assert backbone.level("logits").nodes == (backbone.last_layer,)
    assert backbone.level("penultimate").nodes == (f"{backbone.last_layer}:in",)
    for weights in backbone.weights:
        assert "DEFAULT" not in weights.name
        assert len(weights.sha256_prefix) == 8
        assert int(weights.sha256_prefix, 16) >= 0
    assert backbone.pinned("imagenet") is backbone.weights[0]


@pytest.mark.parametrize("name", BACKBONES)
def test_pinned_weights_are_those_of_torchvision(name):
    """Names and addresses agree with the enumeration of the installed torchvision."""
    from fusionfer.networks import import_torchvision

    enumeration = import_torchvision().models.get_model_weights(name)
    for weights in BACKBONES[name].weights:
        assert str(enumeration[weights.short_name]) == weights.name
        assert enumeration[weights.short_name].url == weights.url


def test_resnet50_knows_both_weight_sets():
    """Short and full names of both ImageNet sets resolve; another one names the closest."""
    backbone = get_backbone("resnet50")
    assert backbone.pinned("IMAGENET1K_V1").name == "ResNet50_Weights.IMAGENET1K_V1"
    assert backbone.pinned("ResNet50_Weights.IMAGENET1K_V2") is backbone.pinned("imagenet")
    with pytest.raises(UnknownNameError, match=r"Known weights of resnet50: .*Did you mean 'imagenet'"):
        backbone.pinned("imagnet")


def test_unknown_backbone_names_the_closest():
    """A misspelt name gets the list and a suggestion."""
    with pytest.raises(UnknownNameError, match=r"Unknown backbone 'resnet43'\. Known .* Did you mean 'resnet34'\?"):
        get_backbone("resnet43")


def test_names_that_would_break_block_names_are_refused():
    """A blank, comma, '=' or '@' in a name would make a block's name ambiguous."""
    with pytest.raises(UnknownNameError, match="holds no blank, comma, '=' or '@': got 'my net'"):
        Backbone("my net", None)


def test_own_backbone_takes_plain_node_names():
    """A user's levels may be written as a node or a tuple of nodes; any other name is itself a node."""
    backbone = Backbone("mine", object(), Preprocess(), {"a": "layer1", "b": ("layer1", "layer2")})
    assert backbone.level("a") == Level(("layer1",))
    assert backbone.level("b") == Level(("layer1", "layer2"))
    assert backbone.level("layer3.conv") == Level(("layer3.conv",))


def test_sizes_below_32_are_refused():
    """Five halvings leave nothing of a smaller picture."""
    with pytest.raises(WeightsError, match="at least 32 pixels, got 16"):
        get_backbone("resnet34").sized(16)


def test_a_description_gives_back_its_preprocessing():
    """What was written into a file, also by way of JSON, becomes the same preprocessing."""
    preprocess = Preprocess(48, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    assert Preprocess.from_description(json.loads(json.dumps(preprocess.describe()))) == preprocess


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 16}, "size must be a whole number from 32 to 4096, got 16"),
        ({"size": True}, "size must be a whole number"),
        ({"mean": [0.5, 0.5]}, "mean must be three numbers"),
        ({"mean": [0.5, 0.5, float("inf")]}, "mean must be three numbers"),
        ({"std": [0.5, 0.0, 0.5]}, "std must be three positive numbers"),
        ({"std": "abc"}, "std must be three positive numbers"),
        ({"resize": None}, "resize must be 'whole image to square"),
    ],
)
def test_descriptions_of_something_else_are_refused(change, message):
    """A size out of range, a deviation of zero, another way to resize: each is named."""
    with pytest.raises(ValueError, match=message):
        Preprocess.from_description({**Preprocess().describe(), **change})


def test_a_chosen_size_is_remembered_and_changes_no_equality():
    """Only `sized` says that the size was chosen; the default of the same number is another thing, but an equal one."""
    record = get_backbone("resnet34")
    assert record.sized(224).size_is_set
    assert not record.size_is_set
    assert record.sized(224) == record


def test_stems_are_known():
    """A record may have another stem; a misspelt one names the known ones."""
    assert dataclasses.replace(get_backbone("resnet34"), stem="small").stem == "small"
    with pytest.raises(UnknownNameError, match=r"Unknown stem 'smal'\. Known stems: small, standard"):
        Backbone("mine", None, stem="smal")
