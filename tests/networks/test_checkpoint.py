"""Checkpoints: what is written is read, the same twice is the same bytes, and nothing half or false is taken."""

import hashlib
import json
import os
from dataclasses import replace

import pytest
import safetensors
import safetensors.torch
import torch

from fusionfer.backbones import Preprocess, get_backbone
from fusionfer.exceptions import UnknownNameError, WeightsError
from fusionfer.fusion import fingerprints, is_among
from fusionfer.networks import (
    CheckpointInfo,
    build_network,
    load_backbone,
    load_network,
    read_checkpoint,
    save_checkpoint,
)

INFO = CheckpointInfo(
    "mobilenet_v2",
    ("happy", "sad", "ängstlich"),
    Preprocess(40, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    recipe={"name": "fer", "epochs": 3},
    metrics={"accuracy": 0.5, "per_class": [0.1, 0.2]},
    data={"name": "some faces", "split": "train", "n": 2},
    trained_on=fingerprints(["one", "two"]),
    selected_on=fingerprints(["three"]),
)


@pytest.fixture(scope="module")
def network():
    return build_network("mobilenet_v2", 3, size=40, seed=2)


@pytest.fixture
def path(tmp_path, network):
    return save_checkpoint(tmp_path / "net.safetensors", network, INFO)


def rewritten(path, **changes):
    """Write the file anew with other metadata; None leaves an entry out."""
    with safetensors.safe_open(path, "pt") as file:
        metadata = {**file.metadata(), **changes}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    kept = {name: text for name, text in metadata.items() if text is not None}
    safetensors.torch.save_file(tensors, path, metadata=kept)
    return path


def test_what_is_written_is_read(path, network):
    """All that it says comes back, with the tensors and the hash of the file."""
    info, state = read_checkpoint(path)
    assert info == INFO
    assert info.trained_on == INFO.trained_on
    assert is_among(["two", "three"], info.trained_on).tolist() == [True, False]
    assert state.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert set(state.tensors) == set(network.state_dict())
    for name, tensor in network.state_dict().items():
        assert torch.equal(state.tensors[name], tensor)


def test_metadata_are_plain_strings_that_any_reader_of_safetensors_sees(path):
    """safetensors itself reads the file; what is JSON is JSON."""
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
        assert file.get_tensor("classifier.1.weight").dtype == torch.float32
    assert metadata["format"] == "fusionfer-checkpoint"
    assert metadata["version"] == "1"
    assert json.loads(metadata["classes"]) == ["happy", "sad", "ängstlich"]
    assert json.loads(metadata["preprocess"]) == INFO.preprocess.describe()
    assert json.loads(metadata["recipe"]) == {"name": "fer", "epochs": 3}


def test_the_same_twice_is_the_same_bytes(tmp_path, network):
    """Eight files are one; safetensors alone writes metadata in a random order."""
    contents = {save_checkpoint(tmp_path / f"{i}.safetensors", network, INFO).read_bytes() for i in range(8)}
    assert len(contents) == 1


def test_half_precision_is_stored_as_float32(tmp_path, network):
    """The format is float32 whatever the module is in; counters stay whole numbers."""
    half = build_network("mobilenet_v2", 3, size=40, seed=2).half()
    _, state = read_checkpoint(save_checkpoint(tmp_path / "half.safetensors", half, INFO))
    kinds = {name.rpartition(".")[2]: tensor.dtype for name, tensor in state.tensors.items()}
    assert kinds["weight"] == kinds["running_var"] == torch.float32
    assert kinds["num_batches_tracked"] == torch.int64


def test_defaults_of_options_are_written_out(tmp_path):
    """The file names every size, so that it loads alike where defaults have changed."""
    network = build_network("vgg16-gru", 2, size=32, gru=4)
    info = CheckpointInfo("vgg16-gru", ("a", "b"), Preprocess(32), options={"gru": 4})
    path = save_checkpoint(tmp_path / "v.safetensors", network, info)
    options = read_checkpoint(path)[0].options
    assert options == {"pooling": "mean", "steps": "positions", "gru": 4, "gru_2": 0, "dense": 0, "dropout": 0.0}
    assert load_network(path)[0].head.gru.hidden_size == 4


def test_an_interrupted_write_leaves_the_old_file(path, network, monkeypatch):
    """What fails before the rename changes nothing and leaves no part behind."""
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WeightsError, match=r"Cannot write the checkpoint .*net\.safetensors: No space left"):
        save_checkpoint(path, network, INFO)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def test_a_diverged_network_is_not_saved(tmp_path):
    """NaN and infinity are named; no file appears."""
    network = build_network("mobilenet_v2", 3, size=40)
    with torch.no_grad():
        network.classifier[1].bias[0] = float("nan")
    with pytest.raises(WeightsError, match=r"weights must be finite; these are not: classifier\.1\.bias"):
        save_checkpoint(tmp_path / "nan.safetensors", network, INFO)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (CheckpointInfo("mobilenet", ("a", "b"), Preprocess()), "cannot be written: Unknown network 'mobilenet'"),
        (
            CheckpointInfo("vgg16", ("a", "b"), Preprocess(), metrics={"loss": float("nan")}),
            "cannot be written: Out of",
        ),
        (CheckpointInfo("vgg16", ("a", "b"), Preprocess(), recipe={"lr": object()}), "cannot be written: Object of"),
        (CheckpointInfo("vgg16", ("a",), Preprocess()), r"classes must be two or more names, got \['a'\]"),
        (CheckpointInfo("vgg16", ("a", "a"), Preprocess()), "classes must be different names"),
        (CheckpointInfo("vgg16", ("a", "b"), Preprocess(), trained_on="xyz"), "trained_on must be fingerprints of 16"),
        (CheckpointInfo("vgg16", ("a", "b"), Preprocess(), stem="tiny"), "stem must be standard or small, got 'tiny'"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, network, info, message):
    """Each is refused before a file appears."""
    with pytest.raises(WeightsError, match=message):
        save_checkpoint(tmp_path / "x.safetensors", network, info)
    assert not list(tmp_path.iterdir())


def test_only_safetensors_are_written(tmp_path, network):
    """Another suffix is refused."""
    with pytest.raises(WeightsError, match=r"a checkpoint must be a \.safetensors file, got '\.pth'"):
        save_checkpoint(tmp_path / "x.pth", network, INFO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "2"}, "a checkpoint of version '2'; this fusionfer reads 1"),
        ({"classes": '["a"'}, r"classes must be a JSON list, got '\[\"a\"'; classes must be two or more names"),
        ({"classes": "{}"}, "classes must be a JSON list"),
        ({"classes": '["a", 3]'}, "classes must be two or more names"),
        ({"preprocess": "[]"}, "preprocess must be a JSON object"),
        ({"preprocess": '{"size": 1e9}'}, "preprocess: size must be a whole number from 32 to 4096"),
        ({"preprocess": json.dumps({**Preprocess().describe(), "std": [1, 0, 1]})}, "std must be three positive numb"),
        ({"preprocess": json.dumps({**Preprocess().describe(), "resize": "crop"})}, "resize must be 'whole image"),
        ({"network": "resnet43"}, "Unknown network 'resnet43'.*Did you mean 'resnet34'"),
        ({"network": None}, "Unknown network ''"),
        ({"network": "n" * 100_000}, "Unknown network 'nnn"),
        ({"options": '{"gru": 3}'}, "Unknown option of mobilenet_v2 'gru'"),
        ({"stem": "x" * 999}, "stem must be standard or small, got 'x{40}';? ?"),
        ({"selected_on": "0123"}, "selected_on must be fingerprints"),
        ({"recipe": "[" * 100_000}, "recipe must be a JSON object"),
        ({"classes": "3", "stem": "", "metrics": None}, "classes must be a JSON list.*metrics must be.*stem must be"),
    ],
)
def test_malformed_metadata_give_one_error_with_all_complaints(path, changes, message):
    """Every field is judged; what is wrong with several is said at once, in one line of bounded length."""
    with pytest.raises(WeightsError, match=message) as caught:
        read_checkpoint(rewritten(path, **changes))
    assert len(str(caught.value)) < 1500


def test_plain_state_dicts_are_no_checkpoints(path):
    """Without our format the file is still weights, and the message says what it can be used for."""
    with pytest.raises(WeightsError, match="is no checkpoint of fusionfer but a plain state dict"):
        load_network(rewritten(path, format=None))


def test_weights_of_another_shape_than_said_are_refused(path):
    """Metadata that name other classes than the weights have are a mismatch, not another last layer."""
    with pytest.raises(WeightsError, match=r"does not fit mobilenet_v2: .*classifier\.1\.weight \(3, 1280\) instead"):
        load_network(rewritten(path, classes='["a", "b"]'))


def test_a_checkpoint_brings_its_stem_size_and_normalisation(tmp_path):
    """`load_backbone` follows the file; a size that was chosen stays; the record of the weights holds the metadata."""
    network = build_network("resnet34", 3, size=40, stem="small", seed=1).eval()
    info = CheckpointInfo("resnet34", tuple("abc"), INFO.preprocess, stem="small", trained_on=INFO.trained_on)
    path = save_checkpoint(tmp_path / "small.safetensors", network, info)
    loaded = load_backbone(get_backbone("resnet34"), ["penultimate", "logits"], weights=path)
    assert loaded.backbone.stem == "small"
    assert loaded.backbone.preprocess == INFO.preprocess
    assert loaded.dims == {"penultimate": 512, "logits": 3}
    assert loaded.weights["metadata"]["trained_on"] == INFO.trained_on
    x = torch.rand(2, 3, 40, 40)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.network(x)["logits"], network(x), rtol=1e-4, atol=1e-5)
    for size in (64, 224):
        chosen = load_backbone(get_backbone("resnet34").sized(size), ["logits"], weights=path)
        assert chosen.backbone.preprocess == Preprocess(size, INFO.preprocess.mean, INFO.preprocess.std)
    for own in (Preprocess(72), Preprocess(224, (0.1, 0.1, 0.1))):
        asked = replace(get_backbone("resnet34"), preprocess=own)
        assert load_backbone(asked, ["logits"], weights=path).backbone.preprocess == own


@pytest.mark.parametrize(
    ("name", "backbone", "dims"),
    [("densenet121-gru", "densenet121", 1024), ("vgg16-gru", "vgg16", 512), ("resnet50v2", "timm:resnetv2_50", 2048)],
)
def test_a_network_with_a_head_gives_its_backbone(tmp_path, name, backbone, dims):
    """Penultimate is the mean of the map that the head reads; the head's own layers are no level."""
    network = build_network(name, 3, size=32, seed=1).eval()
    path = save_checkpoint(tmp_path / "c.safetensors", network, CheckpointInfo(name, tuple("abc"), Preprocess(32)))
    loaded = load_backbone(get_backbone(backbone), ["penultimate"], weights=path)
    assert loaded.dims == {"penultimate": dims}
    assert loaded.backbone.preprocess == Preprocess(32)
    x = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected = network.feature_map(x).mean(dim=(2, 3))
    torch.testing.assert_close(loaded.network(x)["penultimate"], expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(UnknownNameError, match=rf"belongs to its head, not to its backbone {backbone}, so"):
        load_backbone(get_backbone(backbone), ["logits"], weights=path)


def test_a_checkpoint_of_another_network_is_refused(path):
    """The message says whose weights these are."""
    with pytest.raises(
        WeightsError, match="is a checkpoint of mobilenet_v2 and so gives weights of mobilenet_v2, not "
    ):
        load_backbone(get_backbone("resnet34"), ["logits"], weights=path)
