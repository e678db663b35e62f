"""Heads on a map: against formulas, by hand."""

import numpy as np
import pytest
import torch

from fusionfer.networks._map_heads import FlattenHead, GRUHead


def head(**options):
    settings = {"steps": "positions", "gru": 5, "gru_2": 0, "dense": 0, "dropout": 0.0, **options}
    torch.manual_seed(0)
    return GRUHead((2, 3, 4), 3, **settings).eval()


@pytest.fixture
def maps():
    return torch.arange(2 * 2 * 3 * 4, dtype=torch.float32).reshape(2, 2, 3, 4)


def test_positions_are_read_row_by_row(maps):
    """Step r * width + c is the place (r, c) with its channels."""
    read = head().read(maps)
    assert read.shape == (2, 12, 2)
    assert read[1, 1 * 4 + 2].tolist() == maps[1, :, 1, 2].tolist()


def test_rows_are_read_from_top_to_bottom(maps):
    """Step r holds row r: place by place, channels fastest, as Keras' Reshape((height, width * channels))."""
    read = head(steps="rows").read(maps)
    assert read.shape == (2, 3, 8)
    assert read[0, 1].tolist() == maps[0].permute(1, 2, 0)[1].reshape(-1).tolist()


def test_one_step_is_the_whole_map(maps):
    """One step of height * width * channels values."""
    assert head(steps="one").read(maps).shape == (2, 1, 24)
    assert torch.equal(head(steps="one").read(maps).reshape(2, 3, 4, 2), maps.permute(0, 2, 3, 1))


def test_pooling_comes_first(maps):
    """The mean over space is one step; the maximum of 2 x 2 keeps the last row of three."""
    mean = head(pooling="mean").read(maps)
    np.testing.assert_allclose(mean.numpy(), maps.mean(dim=(2, 3))[:, None].numpy())
    largest = head(pooling="max").read(maps)
    assert largest.shape == (2, 4, 2)
    assert largest[0, 0].tolist() == maps[0, :, :2, :2].amax(dim=(1, 2)).tolist()
    assert largest[0, 3].tolist() == maps[0, :, 2:, 2:].amax(dim=(1, 2)).tolist()


def test_gru_is_that_of_keras_with_reset_after():
    """The last state follows from the written-out recurrence (Cho et al. 2014 with the reset after the product)."""
    module = head()
    x = torch.randn(1, 6, 2, generator=torch.Generator().manual_seed(1))
    w, u, b, c = (p.detach().numpy().astype(float) for p in module.gru.parameters())

    def sigmoid(values):
        return 1 / (1 + np.exp(-values))

    h = np.zeros(5)
    for step in x[0].numpy():
        given, kept = np.split(w @ step + b, 3), np.split(u @ h + c, 3)
        reset, update = sigmoid(given[0] + kept[0]), sigmoid(given[1] + kept[1])
        h = (1 - update) * np.tanh(given[2] + reset * kept[2]) + update * h
    states, _ = module.gru(x)
    np.testing.assert_allclose(states[0, -1].detach().numpy(), h, atol=1e-6)


def test_two_grus_and_a_dense_layer():
    """The second GRU reads all states of the first; its last state goes through dense ReLU to the logits."""
    module = head(gru_2=4, dense=6)
    maps = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(2))
    states, _ = module.gru_2(module.gru(module.read(maps))[0])
    expected = module.last(torch.relu(module.dense[0](states[:, -1])))
    assert torch.equal(module(maps), expected)
    assert module(maps).shape == (2, 3)


def test_flatten_head_is_its_layers():
    """In eval mode: normalise channels, flatten, dense ReLU, normalise, logits; channels are the slowest."""
    torch.manual_seed(0)
    module = FlattenHead((2, 3, 4), 3, dropout_map=0.25, dense=5, dropout=0.5)
    module.norm_map.running_mean += 0.5
    module.norm.running_var *= 2
    module.eval()
    x = torch.randn(4, 2, 3, 4)
    normed = (x - 0.5) / np.sqrt(1 + 1e-5)
    dense = torch.relu(module.dense(normed.reshape(4, -1))) / np.sqrt(2 + 1e-5)
    torch.testing.assert_close(module(x), module.last(dense))
    assert [layer.p for layer in module if isinstance(layer, torch.nn.Dropout)] == [0.25, 0.5]
