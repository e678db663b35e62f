"""The picture on which the square is moved: what the networks see, in their own pixels where they agree."""

from __future__ import annotations

import numpy as np

from fusionfer.backbones import Preprocess
from fusionfer.persistence import Model

__all__ = ["canvas", "even_batches", "input_sizes"]

_ROOM = 4  # times the largest input: more of a picture is not kept where networks differ in size
_AT_224, _AT_48 = 8, 32  # pictures of a batch that were the fastest at these sides (docs/explain.md)


def input_sizes(model: Model) -> tuple[int, ...]:
    """Return the sides of the inputs of a model's networks in pixels, each once, ascending."""
    return tuple(sorted({int(block["key"]["preprocess"]["size"]) for block in model.blocks.values()}))


def canvas(pixels: np.ndarray, model: Model) -> np.ndarray:
    """Return the picture on which the square is moved.

    Where all networks take one size, that is the picture as they take it: resizing it once more changes nothing, so
    that probabilities are those of `predict`, and the square has sharp edges in the network's own pixels. Where they
    differ it is the picture as it came, which each network resizes with the square in it; of very large ones (more than
    four times the largest input) a smaller copy.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width) or (height, width, 3)
    model : Model

    Returns
    -------
    ndarray of uint8, shape (side, side) or (side, side, 3), or that of `pixels`
    """
    sizes = input_sizes(model)
    if len(sizes) == 1:
        return Preprocess(sizes[0]).resized(pixels)
    room = _ROOM * sizes[-1]
    return Preprocess(room).resized(pixels) if max(pixels.shape[:2]) > room else pixels


def even_batches(pictures: int, side: int) -> int:
    """Return how many pictures should go together: few of large ones, and in even batches, as the last is filled up.

    Parameters
    ----------
    pictures : int
        How many there are in all.
    side : int
        Of a network's input in pixels.
    """
    most = _AT_224 if side >= 96 else _AT_48
    return -(-pictures // -(-pictures // most))
