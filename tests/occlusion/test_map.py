"""The occlusion map: captum's where captum can compute it, and the truth where it is known."""

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from fusionfer.exceptions import DataError
from fusionfer.occlusion import fill_fields, occlusion_map


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)]
    return nn.Sequential(*layers, nn.Softmax(dim=1)).double().eval()


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(1).integers(0, 256, (30, 30, 3)).astype(np.uint8)


def tensors(pictures):
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).double() / 255 - 0.5


def predict_by(network):
    def predict(pictures):
        with torch.no_grad():
            return network(tensors(pictures)).numpy()

    return predict


@pytest.mark.parametrize(("size", "stride", "fill"), [(10, 5, "zero"), (7, 4, "mean"), (6, 6, 117), (9, 3, "blur")])
def test_it_is_captums(network, picture, size, stride, fill):
    """At equal windows, strides and baselines every pixel of every class is captum's to 1e-9, also at cut borders."""
    found = occlusion_map(
        predict_by(network), picture, size=size, stride=stride, fill=fill, class_index=range(4), batch_size=7
    )
    (field,) = fill_fields(picture, fill, size=size)
    for k in range(4):
        theirs = Occlusion(network).attribute(
            tensors([picture]), sliding_window_shapes=(3, size, size), strides=(3, stride, stride),
            baselines=tensors([field]), target=k,
        )  # fmt: skip
        np.testing.assert_allclose(found.pixels()[k], theirs[0, 0].numpy(), atol=1e-9)


def corner(pictures):
    """A head that reads one patch: rows 4 to 8, columns 12 to 16."""
    bright = np.array([one[4:8, 12:16].mean() / 255 for one in pictures])
    return np.column_stack([1 - bright, bright])


@pytest.mark.parametrize("fill", ["zero", "mean", "noise"])
def test_the_maximum_lies_where_the_head_looks(fill):
    """A head of one known patch: the map is largest within it, and zero where no window touches it."""
    picture = np.random.default_rng(0).integers(0, 60, (24, 24)).astype(np.uint8)
    picture[4:8, 12:16] = 250
    found = occlusion_map(corner, picture, size=4, stride=2, fill=fill, class_index=1)
    (saliency,) = found.pixels()
    top, left = np.unravel_index(np.argmax(saliency), saliency.shape)
    assert 4 <= top < 8
    assert 12 <= left < 16
    assert found.windows[np.argmax(found.drops)].tolist() == [4, 12, 8, 16]
    assert not saliency[12:].any()


def test_trees_need_no_gradient(picture):
    """A forest over patch means is explained: its drop is that of a plain loop."""
    rng = np.random.default_rng(0)
    X = rng.random((200, 4))
    forest = RandomForestClassifier(20, random_state=0).fit(X, X[:, 2] > 0.5)

    def predict(pictures):
        quarters = [[one[:15, :15], one[:15, 15:], one[15:, :15], one[15:, 15:]] for one in pictures]
        return forest.predict_proba([[part.mean() / 255 for part in four] for four in quarters])

    bright = picture.copy()
    bright[15:, :15] = 230
    found = occlusion_map(predict, bright, size=15, stride=15, fill="zero", class_index=1)
    for (top, left, bottom, right), drop in zip(found.windows, found.drops[:, 0], strict=True):
        covered = bright.copy()
        covered[top:bottom, left:right] = 0
        assert drop == pytest.approx(predict([bright])[0, 1] - predict([covered])[0, 1])
    assert np.argmax(found.drops[:, 0]) == 2
    assert found.drops[2, 0] > 0.5


def test_noise_is_averaged_over_its_draws(network, picture):
    """Each window's value is the mean over the fields of the fill."""
    predict = predict_by(network)
    found = occlusion_map(predict, picture, size=10, stride=10, fill="noise", class_index=0, seed=5, draws=3)
    fields = fill_fields(picture, "noise", size=10, seed=5, draws=3)
    values = []
    for field in fields:
        covered = picture.copy()
        covered[10:20, 20:30] = field[10:20, 20:30]
        values.append(predict([covered])[0, 0])
    assert found.drops[5, 0] == pytest.approx(predict([picture])[0, 0] - np.mean(values), abs=1e-12)


def test_what_changes_nothing_or_is_known_is_not_computed(picture):
    """Windows that look like the fill are skipped, equal inputs are asked once, and batches are never too large."""
    flat = np.full((24, 24), 9, np.uint8)
    flat[:4, :4] = 200
    sizes, firsts = [], []

    def predict(pictures):
        sizes.append(len(pictures))
        firsts.append(pictures[0])
        return corner(pictures)

    found = occlusion_map(predict, flat, size=4, stride=2, fill=9, class_index=1, batch_size=3)
    assert found.asked == sum(sizes) == 1 + 4  # the picture itself, and the four windows that touch the corner
    assert max(sizes) <= 3
    assert np.array_equal(firsts[0], flat)
    half = np.zeros((4, 8), np.uint8)
    half[:, 3:5] = 50
    assert occlusion_map(corner_free, half, size=4, stride=1, fill=0).asked < 6


def corner_free(pictures):
    return np.array([[one.mean()] for one in pictures])


def spot(pictures):
    """A head that looks at one spot, at row 9 and column 20, and less the farther from it."""
    y, x = np.mgrid[:30, :30]
    weights = np.exp(-((y - 9) ** 2 + (x - 20) ** 2) / 60)
    return np.array([[(one * weights[..., None]).sum() / 2e5] for one in pictures])


@pytest.mark.parametrize(("effort", "likeness"), [(0.5, 0.98), (0.25, 0.9)])
def test_coarse_to_fine(effort, likeness):
    """Only the asked share is computed, the strongest among it, exactly; the rest lies between and the map is alike."""
    flat = np.full((30, 30, 3), 200, np.uint8)
    full = occlusion_map(spot, flat, size=6, stride=2, fill="zero")
    fast = occlusion_map(spot, flat, size=6, stride=2, fill="zero", effort=effort)
    n = len(full.windows)
    assert fast.measured.sum() == int(effort * n)
    assert fast.asked <= 1 + effort * n
    np.testing.assert_allclose(fast.drops[fast.measured], full.drops[fast.measured], atol=1e-12)
    assert fast.measured[np.argsort(-full.drops[:, 0])[:10]].all()
    assert np.corrcoef(full.pixels().ravel(), fast.pixels().ravel())[0, 1] > likeness
    assert full.measured.all()


def test_progress_counts_windows(picture):
    """It ends at what there was to compute, and never goes back."""
    said = []
    occlusion_map(corner_free, picture, size=10, stride=5, effort=0.6, progress=lambda *one: said.append(one))
    assert said[-1][:2] == (15, 15)
    assert [done for done, *_ in said] == list(range(1, 16))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"effort": 0}, "effort must be above 0 and at most 1, got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1, got 0"),
        ({"class_index": 1}, "class_index must be from 0 to 0, got 1"),
        ({"class_index": 0.5}, "class_index must be a whole number, several, or None, got 0.5"),
    ],
)
def test_impossible_arguments(picture, options, told):
    """The message names argument, range and value."""
    with pytest.raises(DataError, match=told):
        occlusion_map(corner_free, picture, **options)


def test_predict_functions_that_return_something_else(picture):
    """A wrong shape, and numbers that are none."""
    with pytest.raises(DataError, match=r"predict must return an array of shape \(32, K\), got \(32,\)"):
        occlusion_map(lambda some: np.zeros(len(some)), picture)
    with pytest.raises(DataError, match="predict returned NaN"):
        occlusion_map(lambda some: np.full((len(some), 2), np.nan), picture)
    with pytest.raises(DataError, match=r"A picture must be an array of shape .*, got an array of shape \(5,\)"):
        occlusion_map(corner_free, np.zeros(5))
