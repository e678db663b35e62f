"""What a checkpoint says of faces: the network on the record's tensors, and the mean over views."""

import numpy as np
import pytest
import torch

from fusionfer.backbones import Preprocess
from fusionfer.exceptions import ModelError, NonFiniteFeaturesError, UnknownNameError, WeightsError
from fusionfer.networks import CheckpointInfo, build_network, import_torchvision, save_checkpoint
from fusionfer.training import predict_network, read_recipe

import_torchvision()


@pytest.fixture(scope="module")
def network():
    return build_network("mobilenet_v2", 7, size=36).eval()


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory, faces):
    """A checkpoint that was never trained, of pictures of 36 pixels and crops of 32."""
    recipe = read_recipe("fer", size=36, crop=32, stem="standard")
    info = CheckpointInfo(
        "mobilenet_v2", faces.classes, Preprocess(36, recipe.mean, recipe.std), recipe=recipe.describe()
    )
    return save_checkpoint(tmp_path_factory.mktemp("networks") / "m.safetensors", network, info)


@pytest.fixture(scope="module")
def few(faces):
    return faces.take(np.arange(10))


def tensors(few):
    preprocess = Preprocess(36, (0.5077,) * 3, (0.2550,) * 3)
    return torch.from_numpy(np.stack([preprocess(few.load(i)[0]) for i in range(len(few))]))


def probabilities(network, x):
    with torch.inference_mode():
        return torch.softmax(network(x).double(), dim=1).numpy()


def test_whole_pictures(checkpoint, network, few):
    """Without views it is the network on the tensors that extraction would make."""
    said = []
    proba = predict_network(checkpoint, few, tta="none", device="cpu", progress=lambda *words: said.append(words))
    np.testing.assert_allclose(proba, probabilities(network, tensors(few)), atol=1e-5)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert said[-1] == (10, 10, "predict")


def test_views_are_averaged(checkpoint, network, few):
    """The mean of the probabilities of the picture and its mirror image; of the ten crops, the recipe's choice."""
    x = tensors(few)
    flip = (probabilities(network, x) + probabilities(network, x.flip(-1))) / 2
    np.testing.assert_allclose(predict_network(checkpoint, few, tta="flip", device="cpu"), flip, atol=1e-5)
    pieces = [x[..., a : a + 32, b : b + 32] for a, b in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))]
    ten = sum(probabilities(network, v) for piece in pieces for v in (piece, piece.flip(-1))) / 10
    np.testing.assert_allclose(predict_network(checkpoint, few, device="cpu"), ten, atol=1e-5)


def test_batches_do_not_matter(checkpoint, few):
    """One by one or all together, to rounding."""
    one, all_ = (predict_network(checkpoint, few, tta="none", batch_size=b, device="cpu") for b in (1, 64))
    np.testing.assert_allclose(one, all_, atol=1e-6)


def test_what_cannot_be_done(checkpoint, few, tmp_path, network):
    """Unknown views, crops of a network that was trained on whole pictures, files that are no checkpoint, NaN."""
    with pytest.raises(UnknownNameError, match="Did you mean 'ten-crop'"):
        predict_network(checkpoint, few, tta="tencrop")
    plain = tmp_path / "plain.safetensors"
    save_checkpoint(plain, network, CheckpointInfo("mobilenet_v2", few.classes, Preprocess(36)))
    with pytest.raises(ModelError, match="trained on whole pictures of 36 pixels: there is no crop"):
        predict_network(plain, few, tta="ten-crop")
    assert predict_network(plain, few).shape == (10, 7)
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(WeightsError):
        predict_network(tmp_path / "x.safetensors", few)
    large = build_network("mobilenet_v2", 7, size=36)
    with torch.no_grad():
        large.features[18][1].bias.fill_(6.0)
        large.classifier[1].weight.fill_(3e38)
    save_checkpoint(plain, large, CheckpointInfo("mobilenet_v2", few.classes, Preprocess(36)))
    with pytest.raises(NonFiniteFeaturesError, match="the network returned NaN or infinity"):
        predict_network(plain, few)
