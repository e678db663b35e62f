"""Each change of a picture against another way to compute it."""

import importlib

import numpy as np
import pytest
import torch

from fusionfer.networks import import_torchvision
from fusionfer.training import read_recipe
from fusionfer.training._augmentation import DRAWS, augment, mix, normalise, views

import_torchvision()
v2 = importlib.import_module("torchvision.transforms.v2.functional")

#: Pictures stay in [0, 1]: mean 0 is not allowed, so what is compared is normalised the same way.
COLOUR = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def recipe(**keys):
    return read_recipe({**COLOUR, **keys})


def pictures(n=6, size=12, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, channels, size, size), dtype=np.uint8))


def draws(n=6, seed=0, **columns):
    made = torch.from_numpy(np.random.default_rng(seed).random((n, DRAWS), dtype=np.float32))
    for column, value in columns.items():
        made[:, int(column.removeprefix("c"))] = value
    return made


def plain(pixels):
    return normalise(pixels.float() / 255, recipe())


def test_nothing_asked_nothing_changed():
    """Without augmentation the normalised picture comes out, as a loop over pixels would make it."""
    pixels = pictures(channels=3)
    expected = (pixels.double().numpy() / 255 - 0.5) / 0.25
    np.testing.assert_allclose(augment(pixels, draws(), recipe()).numpy(), expected, atol=1e-6)


def test_grey_becomes_three_channels():
    """All three hold the same."""
    out = augment(pictures(), draws(), recipe())
    assert out.shape == (6, 3, 12, 12)
    assert torch.equal(out[:, 0], out[:, 2])


def test_crops_are_copies_of_pieces():
    """A crop without turn, zoom and shift is a slice, and every place occurs."""
    pixels = pictures(400, size=6)
    out, source = augment(pixels, draws(400), recipe(size=6, crop=4)), plain(pixels)
    found = set()
    for one, whole in zip(out, source, strict=True):
        places = [
            (y, x) for y in range(3) for x in range(3)
            if torch.allclose(one, whole[:, y : y + 4, x : x + 4], atol=1e-5)
        ]  # fmt: skip
        assert len(places) == 1
        found.add(places[0])
    assert len(found) == 9


def test_mirror_images():
    """With probability 1 all are mirrored, left and right; with 1/2 about half."""
    pixels = pictures(400)
    mirrored = v2.horizontal_flip(plain(pixels))
    assert torch.allclose(augment(pixels, draws(400), recipe(flip=1.0)), mirrored, atol=1e-5)
    half = augment(pixels, draws(400), recipe(flip=0.5))
    share = np.mean([torch.allclose(one, other, atol=1e-5) for one, other in zip(half, mirrored, strict=True)])
    assert 0.4 < share < 0.6


@pytest.mark.parametrize(("number", "turns"), [(1.0, 1), (0.0, -1)])
def test_a_quarter_turn(number, turns):
    """Rotation by 90 degrees to either side is rot90."""
    pixels = pictures()
    out = augment(pixels, draws(c0=number), recipe(rotation=90))
    assert torch.allclose(out, torch.rot90(plain(pixels), turns, (2, 3)), atol=1e-4)


def test_both_directions_of_turning_occur():
    """The lowest and the highest draw turn to different sides by the same angle."""
    pixels = pictures()
    left, right = (augment(pixels, draws(c0=c), recipe(rotation=90)) for c in (0.0, 1.0))
    assert torch.allclose(torch.rot90(left, 2, (2, 3)), right, atol=1e-3)


@pytest.mark.parametrize(("fill", "edge"), [("nearest", None), ("black", -2.0)])
def test_moves_by_whole_pixels(fill, edge):
    """The highest draw moves by the whole share; what comes in is the edge's colour, or black."""
    pixels = pictures(size=10)
    out = augment(pixels, draws(c4=1.0, c5=0.5), recipe(shift=0.2, fill=fill))
    source = plain(pixels)
    assert torch.allclose(out[..., :8], source[..., 2:], atol=1e-4)
    expected = source[..., 9:10].expand(-1, -1, -1, 2) if edge is None else torch.full((6, 3, 10, 2), edge)
    assert torch.allclose(out[..., 8:], expected, atol=1e-4)


def test_reflection():
    """What comes in is the picture mirrored at its edge."""
    pixels = pictures(size=10)
    out = augment(pixels, draws(c4=1.0, c5=0.5), recipe(shift=0.2, fill="reflect"))
    assert torch.allclose(out[..., 8:], plain(pixels)[..., [9, 8]], atol=1e-4)


def test_zoom_is_about_the_centre():
    """Twice as large: each pixel of the middle takes two; the mean of a blurred picture hardly moves."""
    pixels = pictures(size=8)
    out = augment(pixels, draws(c2=0.95), recipe(zoom=0.9))
    scale = 1 / (1 + 0.9 * 0.9)
    theta = torch.tensor([[scale, 0, 0], [0, scale, 0]]).expand(6, -1, -1)
    grid = torch.nn.functional.affine_grid(theta, [6, 3, 8, 8], align_corners=False)
    expected = torch.nn.functional.grid_sample(plain(pixels), grid, padding_mode="border", align_corners=False)
    assert torch.allclose(out, expected, atol=1e-4)


def test_share_leaves_pictures_alone():
    """Each of rotation, zoom and shift touches only its share of the pictures."""
    pixels, numbers = pictures(300), draws(300)
    source = plain(pixels)
    for key, value in (("rotation", 30.0), ("zoom", 0.5), ("shift", 0.4)):
        out = augment(pixels, numbers, recipe(**{key: value}, share=0.3))
        untouched = np.mean([torch.allclose(a, b, atol=1e-4) for a, b in zip(out, source, strict=True)])
        assert 0.6 < untouched < 0.8, key


def test_brightness():
    """The factor runs from 1 - b to 1 + b, and the result stays within black and white."""
    pixels = pictures()
    for draw, factor in ((0.0, 0.6), (1.0, 1.4)):
        expected = ((pixels.float() / 255 * factor).clamp(0, 1) - 0.5) / 0.25
        assert torch.allclose(augment(pixels, draws(c10=draw), recipe(brightness=0.4))[:, :1], expected, atol=1e-5)


def test_erasing():
    """A rectangle of the mean colour, of 2 to 25 % of the picture, in half of the pictures, all over the place."""
    pixels = torch.full((2000, 1, 20, 20), 255, dtype=torch.uint8)
    out = augment(pixels, draws(2000), recipe(erasing=0.5, erasing_area=0.25))[:, 0]
    gone = out == 0
    touched = gone.any(dim=(1, 2))
    assert 0.45 < touched.float().mean() < 0.55
    for one in gone[touched]:
        rows, columns = one.any(dim=1), one.any(dim=0)
        assert torch.equal(one, rows[:, None] & columns[None, :])  # a rectangle
    areas = gone[touched].float().mean(dim=(1, 2))
    assert areas.min() > 0.01
    assert areas.max() < 0.3
    assert gone.any(dim=0).all()


def test_numbers_decide_and_neighbours_do_not():
    """Equal numbers, equal pictures; a picture is changed alike alone and in a batch."""
    keys = {"rotation": 20, "zoom": 0.2, "shift": 0.1, "flip": 0.5, "erasing": 0.5, "brightness": 0.2, "crop": 10}
    pixels, numbers = pictures(), draws()
    out = augment(pixels, numbers, recipe(size=12, **keys))
    assert torch.equal(out, augment(pixels, numbers, recipe(size=12, **keys)))
    alone = augment(pixels[2:3], numbers[2:3], recipe(size=12, **keys))
    assert torch.allclose(out[2:3], alone, atol=1e-6)


def test_mixup_formula():
    """share x_i + (1 - share) x_partner."""
    x = torch.arange(3.0).reshape(3, 1, 1, 1)
    assert mix(x, torch.tensor([2, 0, 1]), 0.75).flatten().tolist() == [0.5, 0.75, 1.75]


def test_views():
    """None, the mirror image, and torchvision's ten crops."""
    pixels = pictures(size=12)
    whole = plain(pixels)
    settled = recipe(size=12, crop=8)
    assert [torch.equal(v, e) for v, e in zip(views(pixels, settled, "none"), [whole], strict=True)] == [True]
    flipped = views(pixels, settled, "flip")
    assert torch.equal(flipped[1], whole.flip(-1))
    ten = views(pixels, settled, "ten-crop")
    assert len(ten) == 10
    assert torch.equal(ten[4], whole[..., 2:10, 2:10])
    assert torch.equal(ten[5], whole.flip(-1)[..., :8, :8])
