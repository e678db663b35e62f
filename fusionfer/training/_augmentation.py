"""Changed copies of a whole batch at once, by numbers that were drawn elsewhere: equal numbers, equal pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from fusionfer.networks import import_torchvision
from fusionfer.training._recipe import Recipe

__all__ = ["DRAWS", "augment", "mix", "normalise", "views"]

#: How many uniform numbers in [0, 1) each picture is given.
DRAWS = 16

_PADDING = {"nearest": "border", "reflect": "reflection", "black": "zeros"}
_RATIO = (0.3, 1 / 0.3)  # of the sides of what is erased [Zhong et al. 2020]
_SMALLEST = 0.02  # share of the picture


def augment(pixels: Tensor, draws: Tensor, recipe: Recipe) -> Tensor:
    """Turn, zoom, move, mirror, crop, brighten, normalise and erase.

    All movements are one affine map, so that a picture is interpolated once.

    Parameters
    ----------
    pixels : Tensor of uint8, shape (n, 1 or 3, size, size)
        Grey, or RGB.
    draws : Tensor of float32, shape (n, `DRAWS`)
        Uniform numbers in [0, 1).
    recipe : Recipe

    Returns
    -------
    Tensor of float32, shape (n, 3, crop, crop)
        Normalised.

    References
    ----------
    .. [1] Zhong, Zheng, Kang, Li, Yang, "Random erasing data augmentation", AAAI 2020.
    """
    picture = pixels.to(torch.float32) / 255.0
    side = recipe.crop or pixels.shape[-1]
    if side < pixels.shape[-1] or recipe.rotation or recipe.zoom or recipe.shift or recipe.flip:
        picture = _moved(picture, draws, recipe, side)
    if recipe.brightness:
        factor = 1.0 + recipe.brightness * (2.0 * draws[:, 10] - 1.0)
        picture = (picture * factor[:, None, None, None]).clamp_(0.0, 1.0)
    picture = normalise(picture, recipe)
    return _erased(picture, draws, recipe) if recipe.erasing else picture


def normalise(picture: Tensor, recipe: Recipe) -> Tensor:
    """Return pictures in [0, 1] with three channels, less the mean and over the deviation."""
    import_torchvision()
    from torchvision.transforms.v2 import functional as v2

    return v2.normalize(picture.expand(-1, 3, -1, -1), list(recipe.mean), list(recipe.std))


def views(pixels: Tensor, recipe: Recipe, tta: str) -> list[Tensor]:
    """Return what the network is shown of pictures when it predicts.

    Parameters
    ----------
    pixels : Tensor of uint8, shape (n, 1 or 3, size, size)
    recipe : Recipe
    tta : {"none", "flip", "ten-crop"}
        The whole picture; with its mirror image; the four corners and the centre, and their mirror images.

    Returns
    -------
    list of Tensor of float32, shape (n, 3, side, side)
        Normalised.
    """
    import_torchvision()
    from torchvision.transforms.v2 import functional as v2

    whole = normalise(pixels.to(torch.float32) / 255.0, recipe)
    if tta == "flip":
        return [whole, v2.horizontal_flip(whole)]
    if tta == "ten-crop":
        return list(v2.ten_crop(whole, [recipe.crop, recipe.crop]))
    return [whole]


def mix(picture: Tensor, partners: Tensor, share: float) -> Tensor:
    """Mix each picture of a batch with another one [1]_: share x_i + (1 - share) x_j.

    Pictures that follow behind as many as there are partners are only mixed in.

    References
    ----------
    .. [1] Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.
    """
    return share * picture[: len(partners)] + (1.0 - share) * picture[partners]


def _moved(picture: Tensor, draws: Tensor, recipe: Recipe, side: int) -> Tensor:
    """Sample each picture where an affine map of its own leads: from the crop's pixels to the picture's.

    Coordinates run from -1 to 1 over the whole picture, pixels being squares (align_corners=False); a crop at whole
    pixels without turn, zoom and shift therefore copies them.
    """
    size = picture.shape[-1]
    spread = 2.0 * draws - 1.0
    angle = spread[:, 0] * math.radians(recipe.rotation) * (draws[:, 1] < recipe.share)
    scale = 1.0 / (1.0 + recipe.zoom * spread[:, 2] * (draws[:, 3] < recipe.share))
    moves = recipe.share > draws[:, 6]
    mirror = torch.where(draws[:, 7] < recipe.flip, -1.0, 1.0)
    corner = torch.floor(draws[:, 8:10] * (size - side + 1))  # the draws are below 1
    centre = (2.0 * corner + side) / size - 1.0
    centre = centre + 2.0 * recipe.shift * spread[:, 4:6] * moves[:, None]
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    part = side / size
    # in = rotation * scale * (centre + part * mirror * out)
    rows = [
        torch.stack([cosine * part * mirror, -sine * part, cosine * centre[:, 0] - sine * centre[:, 1]], dim=1),
        torch.stack([sine * part * mirror, cosine * part, sine * centre[:, 0] + cosine * centre[:, 1]], dim=1),
    ]
    shape = [len(picture), picture.shape[1], side, side]
    grid = functional.affine_grid(torch.stack(rows, dim=1), shape, align_corners=False)
    return functional.grid_sample(picture, grid, padding_mode=_PADDING[recipe.fill], align_corners=False)


def _erased(picture: Tensor, draws: Tensor, recipe: Recipe) -> Tensor:
    """Put the mean colour (0, as pictures are normalised) in the place of a rectangle."""
    side = picture.shape[-1]
    area = (_SMALLEST + (recipe.erasing_area - _SMALLEST) * draws[:, 12]) * side * side
    low, high = (math.log(ratio) for ratio in _RATIO)
    ratio = torch.exp(low + (high - low) * draws[:, 13])
    extent = torch.stack([torch.sqrt(area * ratio), torch.sqrt(area / ratio)], dim=1)  # height, width
    extent = torch.round(extent).clamp_(1, side)
    begin = torch.floor(draws[:, 14:16] * (side - extent + 1))
    places = torch.arange(side, device=picture.device)
    inside = (places >= begin[:, :, None]) & (places < (begin + extent)[:, :, None])  # (n, 2, side)
    gone = inside[:, 0, :, None] & inside[:, 1, None, :] & (draws[:, 11] < recipe.erasing)[:, None, None]
    return picture.masked_fill(gone[:, None], 0.0)
