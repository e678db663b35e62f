"""Backbones with weights: from files, from a seed, from timm, a user's own."""

from dataclasses import replace

import pytest
import torch

from fusionfer.backbones import Backbone, Preprocess, get_backbone
from fusionfer.exceptions import UnknownNameError, WeightsError, WeightsUnavailableError
from fusionfer.networks import build_module, load_backbone, state_hash


def small(name="resnet34"):
    return get_backbone(name).sized(32)


def test_random_weights_are_rebuilt_from_their_seed():
    """Same seed, same hash; another seed, another; and the caller's random state is untouched."""
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    one, two, three = (load_backbone(small(), ["logits"], weights="none", seed=s) for s in (4, 4, 5))
    assert one.weights == two.weights
    assert one.weights["sha256"] != three.weights["sha256"]
    assert (one.weights["name"], one.weights["seed"], one.weights["path"]) == ("none", 4, None)
    assert torch.equal(torch.rand(1), expected)


def test_a_weight_file_is_recorded_with_name_path_and_hash(tmp_path):
    """The provenance says which file; logits have as many columns as its last layer has classes."""
    module = build_module("resnet34", seed=1)
    module.fc = torch.nn.Linear(512, 7)
    path = tmp_path / "mine.pth"
    torch.save(module.state_dict(), path)
    loaded = load_backbone(small(), ["penultimate", "logits"], weights=path)
    assert loaded.dims == {"penultimate": 512, "logits": 7}
    assert loaded.weights["name"] == "mine.pth"
    assert loaded.weights["path"] == str(path.resolve())
    assert len(loaded.weights["sha256"]) == 64


def test_weights_of_another_network_are_refused(tmp_path):
    """ResNet50's state does not fit ResNet34, and the message says so."""
    path = tmp_path / "r50.pth"
    torch.save(build_module("resnet50").state_dict(), path)
    with pytest.raises(
        WeightsError, match=r"r50\.pth does not fit resnet34: .*unexpected.*Give the weights of a resnet"
    ):
        load_backbone(small(), ["logits"], weights=path)


def test_offline_error_says_which_file_to_put_where(tmp_path, monkeypatch):
    """Fault 24: without a network the message names the file, its address and its place."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def refuse(*args, **kwargs):
        msg = "no network"
        raise OSError(msg)

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(
        WeightsUnavailableError, match=r"could not be downloaded.*Copy resnet34-b627a593\.pth .*--weights"
    ):
        load_backbone(small(), ["logits"])


def test_a_users_module_is_used_as_it_is():
    """Any module with named nodes works, is not changed, and is known by the hash of its state."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5), torch.nn.Flatten())
    before = state_hash(module)
    backbone = Backbone("mine", module, Preprocess(size=32), {"conv": "0", "flat": ("2",)})
    loaded = load_backbone(backbone, ["conv", "flat"])
    assert loaded.dims == {"conv": 5, "flat": 5 * 30 * 30}
    assert loaded.weights["sha256"] == before == state_hash(module)
    assert isinstance(module[1], torch.nn.BatchNorm2d)


def test_a_users_module_may_call_its_levels_as_it_likes():
    """A level "logits" of a user's record is that level, whether or not a last layer is named."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.AdaptiveAvgPool2d(1))
    backbone = Backbone("mine", module, Preprocess(size=32), {"penultimate": "0", "logits": "1"})
    assert load_backbone(backbone, ["logits"]).dims == {"logits": 5}


def test_a_users_module_of_another_type_is_copied_not_converted():
    """A float64 module in train mode runs in float32 and stays what it was."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3)).double().train()
    loaded = load_backbone(Backbone("mine", module, Preprocess(size=32), {"conv": "0"}), ["conv"])
    loaded.close()
    assert module[0].weight.dtype == torch.float64
    assert module.training
    assert not module[0]._forward_hooks


def test_timm_models_bring_their_own_levels_and_preprocessing():
    """timm says where the last layer and the stages are, and how pixels are normalised."""
    pytest.importorskip("timm")
    loaded = load_backbone(small("timm:resnetv2_50"), ["penultimate", "multi"], weights="none")
    assert loaded.dims["penultimate"] == 2048
    assert loaded.backbone.preprocess.mean == (0.5, 0.5, 0.5)
    with pytest.raises(UnknownNameError, match="Unknown timm model 'resnet5000'"):
        load_backbone(small("timm:resnet5000"), ["logits"], weights="none")


def test_a_record_with_a_small_stem_is_built_with_it(tmp_path):
    """Random weights and plain state dicts follow the record's stem; published ones do not fit it."""
    record = replace(small(), stem="small")
    loaded = load_backbone(record, ["logits"], weights="none")
    assert loaded.weights["sha256"] != load_backbone(small(), ["logits"], weights="none").weights["sha256"]
    path = tmp_path / "plain.pth"
    torch.save(build_module("resnet34", stem="small").state_dict(), path)
    assert load_backbone(record, ["logits"], weights=path).dims == {"logits": 1000}
    with pytest.raises(WeightsError, match=r"does not fit resnet34: 1 of another shape \(conv1\.weight"):
        load_backbone(small(), ["logits"], weights=path)
    with pytest.raises(WeightsError, match="the weights imagenet were published for the standard stem"):
        load_backbone(record, ["logits"])
