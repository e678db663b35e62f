"""Thumbnails are small, true to the picture, and the same bytes for the same pixels."""

import cv2
import numpy as np
import pytest

from fusionfer.report._thumbnails import thumbnail, thumbnail_bytes


@pytest.mark.parametrize("shape", [(48, 48), (1, 1), (160, 20, 3)])
def test_small_pictures_stay_as_they_are(shape):
    """Nothing is scaled up, and a PNG decodes to the same pixels."""
    pixels = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    assert thumbnail(pixels) is pixels
    decoded = cv2.imdecode(np.frombuffer(thumbnail_bytes(pixels), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(decoded, pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1))


@pytest.mark.parametrize("shape", [(500, 333), (161, 700, 3)])
def test_large_pictures_shrink_by_means(shape):
    """No side is above the limit, and each pixel is the mean of its square."""
    pixels = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    small = thumbnail(pixels)
    factor = shape[0] // small.shape[0] if shape[0] > shape[1] else shape[1] // small.shape[1]
    assert max(small.shape[:2]) <= 160
    assert small.shape[2:] == shape[2:]
    assert np.array_equal(small[1, 1], np.rint(pixels[factor : 2 * factor, factor : 2 * factor].mean(axis=(0, 1))))


def test_same_pixels_same_bytes():
    """No date and no version stand in the PNG."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert thumbnail_bytes(pixels) == thumbnail_bytes(pixels.copy())
    assert b"Software" not in thumbnail_bytes(pixels)
