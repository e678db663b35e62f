"""Networks of the papers: shapes, parameters counted by hand, seeds, weights, frozen parts, reloading."""

import pytest
import torch

from fusionfer.backbones import Preprocess
from fusionfer.exceptions import ModelError, UnknownNameError, WeightsError
from fusionfer.networks import (
    NETWORKS,
    CheckpointInfo,
    build_network,
    load_network,
    network_preprocess,
    save_checkpoint,
    state_hash,
)

LIGHT = ("mobilenet_v2", "densenet121-gru", "resnet50v2", "vgg16-gru")

#: Weights of the backbones without their last layers: trained ones, and means and variances of batch normalisation. The
#: sums of those with a head of their own are what Keras counts with include_top=False.
BACKBONES = {
    "resnet34": (21_284_672, 17_024),
    "resnet50": (23_508_032, 53_120),
    "mobilenet_v2": (2_223_872, 34_112),
    "densenet121": (6_953_856, 83_648),
    "vgg16": (134_260_544, 0),
    "resnet50v2": (23_564_800 - 19_008 - 45_440, 45_440),
    "densenet121-gru": (7_037_504 - 83_648, 83_648),
    "vgg16-gru": (14_714_688, 0),
    "xception-gru": (20_861_480 - 54_528, 54_528),
}


def dense(inputs, units):
    return inputs * units + units


def gru(inputs, units):
    """Three gates, each with weights of input and state, and two biases (Keras: reset_after=True)."""
    return 3 * units * (inputs + units + 2)


HEADS = {
    "resnet34": dense(512, 7),
    "resnet50": dense(2048, 7),
    "mobilenet_v2": dense(1280, 7),
    "densenet121": dense(1024, 7),
    "vgg16": dense(4096, 7),
    "resnet50v2": 2 * 2048 + dense(7 * 7 * 2048, 64) + 2 * 64 + dense(64, 7),
    "densenet121-gru": gru(1024, 256) + gru(256, 128) + dense(128, 256) + dense(256, 7),
    "vgg16-gru": gru(512, 256) + dense(256, 7),
    "xception-gru": gru(2048, 256) + dense(256, 256) + dense(256, 7),
}


def empty(name, n_classes=7, **settings):
    """Return a network without memory, which has shapes only."""
    with torch.device("meta"):
        return build_network(name, n_classes, **settings)


def trained(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def statistics(network):
    return sum(b.numel() for name, b in network.named_buffers() if not name.endswith("num_batches_tracked"))


def keras_resnet50v2():
    """Return (name, weights that can be trained) of the layers of Keras' ResNet50V2 that have any, in its order.

    A convolution has k * k * inputs * outputs weights, and as many biases as outputs if it is the first, a shortcut, or
    the last of a block; a batch normalisation has two for each channel, and as many statistics.
    """
    layers, channels = [("conv1_conv", 7 * 7 * 3 * 64 + 64)], 64
    for stack, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], start=2):
        for i in range(1, blocks + 1):
            block = f"conv{stack}_block{i}"
            layers += [
                (f"{block}_preact_bn", 2 * channels),
                (f"{block}_1_conv", channels * width),
                (f"{block}_1_bn", 2 * width),
                (f"{block}_2_conv", 3 * 3 * width * width),
                (f"{block}_2_bn", 2 * width),
            ]
            if i == 1:
                layers.append((f"{block}_0_conv", channels * 4 * width + 4 * width))
            layers.append((f"{block}_3_conv", width * 4 * width + 4 * width))
            channels = 4 * width
    return [*layers, ("post_bn", 2 * channels)]


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_of_backbone_and_head(name):
    """At the published size with 7 classes, by the formulas of dense layers and GRUs."""
    network = empty(name)
    weights, moments = BACKBONES[name]
    assert trained(network) == weights + HEADS[name]
    assert statistics(network) == moments + (2 * 2048 + 2 * 64 if name == "resnet50v2" else 0)


def test_resnet50v2_differs_from_keras_by_the_biases_alone():
    """29,996,295 in the paper; 19,008 of them are biases of convolutions, which timm's network has not."""
    layers = dict(keras_resnet50v2())
    moments = sum(count for name, count in layers.items() if name.endswith("bn"))
    assert sum(layers.values()) + moments == 23_564_800
    head = 2 * 2 * 2048 + dense(100_352, 64) + 2 * 2 * 64 + dense(64, 7)
    assert 23_564_800 + head == 29_996_295
    widths = {2: (64, 3), 3: (128, 4), 4: (256, 6), 5: (512, 3)}
    # The first convolution, the shortcut of each stack, the last convolution of each block.
    biases = 64 + sum(4 * width * (1 + blocks) for width, blocks in widths.values())
    assert biases == 19_008
    network = empty("resnet50v2")
    assert trained(network) + statistics(network) == 29_996_295 - biases
    assert not [name for name, _ in network.backbone.named_parameters() if "conv" in name and name.endswith("bias")]


def test_22779527_trained_parameters_are_the_last_50_layers_and_the_head():
    """Frozen up to conv4_block5_2_bn gives the paper's figure, and no other cut does; ours differ by 10,240 biases."""
    layers = keras_resnet50v2()
    head = 2 * 2048 + dense(100_352, 64) + 2 * 64 + dense(64, 7)
    left = {
        name: sum(count for _, count in layers[i + 1 :]) + head
        for i, (name, _) in enumerate(layers)
    }  # fmt: skip
    assert [name for name, count in left.items() if count == 22_779_527] == ["conv4_block5_2_bn"]
    names = [name for name, _ in layers]
    trained_ones = names[names.index("conv4_block5_2_bn") + 1 :]
    # With the layers that have no weights: activations and sums, paddings, the pooled shortcut of conv4_block6.
    blocks = {name.rpartition("_")[0].rpartition("_")[0] for name in trained_ones if "block" in name} - {"conv4_block5"}
    without = 1 + len(blocks) * 5 + 1 + 1  # out; three relu, padding, out; pooling; post_relu
    assert len(trained_ones) + without == 50
    biases = 1024 * 2 + 2048 * 4
    assert trained(empty("resnet50v2", freeze="paper")) == 22_779_527 - biases


@pytest.mark.parametrize("name", [*LIGHT, "xception-gru", "timm:resnet18"])
@pytest.mark.parametrize("size", [32, 48])
def test_networks_work_at_small_sizes(name, size):
    """Faces of 32 and 48 pixels give logits of the asked number of classes; nothing is built for 224 alone."""
    network = build_network(name, 5, size=size).eval()
    with torch.inference_mode():
        logits = network(torch.rand(2, 3, size, size))
    assert logits.shape == (2, 5)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "shape", "steps"),
    [
        ("resnet50v2", (2048, 7, 7), None),
        ("densenet121-gru", (1024, 7, 7), (49, 1024)),
        ("vgg16-gru", (512, 7, 7), (1, 512)),
        ("xception-gru", (2048, 10, 10), (25, 2048)),
    ],
)
def test_maps_and_sequences_at_the_published_size(name, shape, steps):
    """The last map of the backbone and the sequence that the GRU reads have the published shapes."""
    network = empty(name).eval()
    size = NETWORKS[name].size
    features = network.feature_map(torch.zeros(1, 3, size, size, device="meta"))
    assert features.shape[1:] == shape
    if steps:
        assert network.head.read(features).shape[1:] == steps
        assert network.head.gru.input_size == steps[1]


def test_other_readings_of_the_map():
    """Seven steps of 7 x 1024, or one step in all: other shapes of the first GRU."""
    assert empty("densenet121-gru", steps="rows").head.gru.input_size == 7 * 1024
    assert empty("xception-gru", steps="one").head.gru.input_size == 5 * 5 * 2048
    assert empty("resnet50v2", size=400).head.dense.in_features == 13 * 13 * 2048


def test_a_densenet_is_read_after_its_last_activation():
    """torchvision's `features` end before the ReLU that follows them; Keras' map, and ours, after it."""
    network = build_network("densenet121-gru", 3, size=32).eval()
    x = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network.feature_map(x), torch.relu(network.backbone.features(x)))
        assert network.backbone.features(x).min() < 0


def test_seeds_draw_everything_and_touch_nothing():
    """Same seed, same weights; another, others; the head has a stream of its own; the caller's state stays."""
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two, three = (build_network("mobilenet_v2", 7, size=32, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert state_hash(one) == state_hash(two) != state_hash(three)
    other = build_network("mobilenet_v2", 3, size=32, seed=1)
    assert torch.equal(other.features[0][0].weight, one.features[0][0].weight)


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121-gru"])
def test_weights_of_the_backbone_are_loaded_and_the_head_is_new(tmp_path, name):
    """A checkpoint of 4 classes starts a network of 7: its backbone is that of the file, its head from the seed."""
    donor = build_network(name, 4, size=32, seed=8)
    info = CheckpointInfo(name, tuple("abcd"), Preprocess(32))
    path = save_checkpoint(tmp_path / "donor.safetensors", donor, info)
    network = build_network(name, 7, size=32, weights=path, seed=1)
    fresh = build_network(name, 7, size=32, seed=1)
    first = "features.0.0.weight" if name == "mobilenet_v2" else "backbone.features.conv0.weight"
    last = "classifier.1.weight" if name == "mobilenet_v2" else "head.last.weight"
    state = network.state_dict()
    assert torch.equal(state[first], donor.state_dict()[first])
    assert not torch.equal(state[first], fresh.state_dict()[first])
    assert torch.equal(state[last], fresh.state_dict()[last])


def test_weights_that_do_not_fit_say_why(tmp_path):
    """Another stem, another network, a network without last layers, published weights for a small stem."""
    small = build_network("resnet34", 3, size=32, stem="small")
    info = CheckpointInfo("resnet34", tuple("abc"), Preprocess(32), stem="small")
    path = save_checkpoint(tmp_path / "small.safetensors", small, info)
    with pytest.raises(WeightsError, match=r"belong to a resnet34 of stem='small', got stem='standard'"):
        build_network("resnet34", 3, size=32, weights=path)
    with pytest.raises(WeightsError, match=r"is a checkpoint of resnet34 and so gives weights of resnet34, not of res"):
        build_network("resnet50", 3, size=32, weights=path)
    with pytest.raises(WeightsError, match=r"resnet34: the weights imagenet were published for the standard stem"):
        build_network("resnet34", 3, size=32, weights="imagenet", stem="small")
    composed = build_network("densenet121-gru", 3, size=32)
    info = CheckpointInfo("densenet121-gru", tuple("abc"), Preprocess(32))
    path = save_checkpoint(tmp_path / "gru.safetensors", composed, info)
    with pytest.raises(WeightsError, match="lack the last layers of densenet121"):
        build_network("densenet121", 3, size=32, weights=path)


@pytest.mark.parametrize("name", [*LIGHT, "resnet34", "xception-gru", "timm:resnet18"])
def test_a_trained_network_reloads_to_the_same_outputs(tmp_path, name):
    """After a step of training, in eval mode, the file gives the network to the bit, with all that it says."""
    stem = "small" if name == "resnet34" else "standard"
    network = build_network(name, 3, size=32, stem=stem, seed=4)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.nn.functional.cross_entropy(network(x), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    before = state_hash(network)
    info = CheckpointInfo(name, ("a", "b", "c"), network_preprocess(name, 32), stem=stem)
    again, told = load_network(save_checkpoint(tmp_path / "net.safetensors", network, info))
    assert state_hash(again) == before
    assert not again.training
    assert (told.network, told.classes, told.stem, told.preprocess.size) == (name, ("a", "b", "c"), stem, 32)
    with torch.inference_mode():
        assert torch.equal(again(x), network.eval()(x))


def test_a_file_that_claims_more_than_it_holds_is_refused_without_memory(tmp_path):
    """A head of a thousand times the size is a mismatch of shapes, found before anything is allocated."""
    network = build_network("resnet50v2", 3, size=32)
    info = CheckpointInfo("resnet50v2", tuple("abc"), Preprocess(4096), options={"dense": 65536})
    path = save_checkpoint(tmp_path / "huge.safetensors", network, info)
    with pytest.raises(WeightsError, match=r"huge\.safetensors does not fit resnet50v2: .*of another shape"):
        load_network(path)


def test_numbers_and_parts_are_checked():
    """Sizes, classes and frozen parts that cannot be are named with what is allowed."""
    with pytest.raises(ModelError, match=r"resnet34: n_classes must be a whole number from 2 to 100,000, got 1"):
        build_network("resnet34", 1)
    with pytest.raises(ModelError, match=r"resnet34: size must be a whole number from 32 to 4,096, got 16"):
        build_network("resnet34", 7, size=16)
    with pytest.raises(UnknownNameError, match=r"Unknown part of resnet34 'layer9'\. Known .*Did you mean 'layer4'"):
        empty("resnet34", freeze="layer9")
    with pytest.raises(ModelError, match="resnet34: it is not known which parts the paper froze"):
        empty("resnet34", freeze="paper")
    network = build_network("vgg16-gru", 2, size=32)
    with pytest.raises(ModelError, match=r"built for pictures of 32 x 32 pixels, got \(48, 48\)"):
        network(torch.zeros(1, 3, 48, 48))


def test_preprocessing_is_that_of_the_published_weights():
    """torchvision's networks take ImageNet's mean and deviation, timm's what timm says, at the record's size."""
    assert network_preprocess("resnet50") == Preprocess(224)
    assert network_preprocess("xception-gru") == Preprocess(299, (0.5,) * 3, (0.5,) * 3)
    assert network_preprocess("timm:resnet18", 64).mean == Preprocess().mean
