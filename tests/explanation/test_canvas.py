"""The picture on which the square is moved, and how many go together."""

import numpy as np
import pytest

from fusionfer.explanation import canvas, even_batches, input_sizes


class Sized:
    """What `canvas` reads of a model."""

    def __init__(self, *sizes):
        self.blocks = {str(i): {"key": {"preprocess": {"size": size}}} for i, size in enumerate(sizes)}


def test_networks_of_one_size_see_their_own_pixels():
    """Larger pictures are resized once."""
    assert input_sizes(Sized(48, 48)) == (48,)
    assert canvas(np.zeros((100, 80, 3), np.uint8), Sized(48, 48)).shape == (48, 48, 3)


def test_networks_of_two_sizes_share_the_picture_as_it_came():
    """Unless it is much larger than any of them needs."""
    picture = np.zeros((100, 80), np.uint8)
    assert canvas(picture, Sized(32, 48)) is picture
    assert canvas(np.zeros((1000, 800), np.uint8), Sized(32, 48)).shape == (192, 192)


@pytest.mark.parametrize(("pictures", "side", "expected"), [(122, 48, 31), (170, 224, 8), (5, 48, 5), (33, 48, 17)])
def test_batches_are_even(pictures, side, expected):
    """The last batch is filled up, so that uneven ones waste passes."""
    assert even_batches(pictures, side) == expected
