"""Photometric normalisation: against independent formulas, on grey and colour, on pictures of a few pixels."""

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import ImageError, UnknownNameError
from fusionfer.faces import PHOTOMETRIC, normalise

RNG = np.random.default_rng(0)
GREY = RNG.normal(80, 12, (48, 48)).clip(0, 255).astype(np.uint8)
COLOUR = RNG.integers(30, 140, (40, 50, 3), np.uint8)


@pytest.mark.parametrize("method", PHOTOMETRIC)
@pytest.mark.parametrize("shape", [(48, 48), (40, 50, 3), (1, 1), (2, 3, 3), (5, 1)])
def test_shape_and_type_stay_and_the_input_is_not_changed(method, shape):
    """Also for pictures smaller than the tiles of CLAHE and the patches of the denoising."""
    pixels = RNG.integers(0, 256, shape, np.uint8)
    before = pixels.copy()
    found = normalise(pixels, method)
    assert found.shape == shape
    assert found.dtype == np.uint8
    assert np.array_equal(pixels, before)


def test_none_changes_nothing():
    """The same values come back."""
    assert np.array_equal(normalise(COLOUR, "none"), COLOUR)


def test_histogram_is_the_distribution_function():
    """Each value becomes its share of smaller ones, by numpy: (cdf - cdf_min) / (n - cdf_min)."""
    counts = np.bincount(GREY.ravel(), minlength=256)
    cdf = counts.cumsum()
    least = counts[counts > 0][0]
    expected = np.rint((cdf - least) / (GREY.size - least) * 255)[GREY]
    assert np.abs(normalise(GREY, "histogram") - expected).max() <= 1


def test_standardise_has_the_stated_mean_and_spread():
    """128 and 48 where nothing is clipped; a picture of one value becomes 128; colours share gain and shift."""
    found = normalise(GREY, "standardise")
    assert found.mean() == pytest.approx(128, abs=0.6)
    assert found.std() == pytest.approx(48, abs=1.0)
    assert np.all(normalise(np.full((9, 9), 7, np.uint8), "standardise") == 128)
    grey = cv2.cvtColor(COLOUR, cv2.COLOR_RGB2GRAY).astype(float)
    expected = np.clip((COLOUR - grey.mean()) * 48 / grey.std() + 128, 0, 255)
    assert np.abs(normalise(COLOUR, "standardise") - expected).max() <= 1


def test_clahe_raises_contrast_in_the_dark_half_alone():
    """Two halves of low contrast at two levels: both spread, which one global equalisation would not do alike."""
    left, right = RNG.integers(20, 40, (64, 32)), RNG.integers(200, 220, (64, 32))
    pixels = np.hstack([left, right]).astype(np.uint8)
    found = normalise(pixels, "clahe")
    assert found[:, :24].std() > 1.3 * left[:, :24].std()
    assert found[:, -24:].std() > 1.3 * right[:, -24:].std()


def test_denoise_brings_a_noisy_picture_nearer_to_the_clean_one():
    """An edge with noise of standard deviation 4: the mean square error falls to less than a third."""
    clean = np.full((64, 64), 90.0)
    clean[:, 32:] = 160
    noisy = np.rint(clean + RNG.normal(0, 4, clean.shape)).clip(0, 255).astype(np.uint8)
    found = normalise(noisy, "denoise")
    assert np.mean((found - clean) ** 2) < np.mean((noisy - clean) ** 2) / 3


@pytest.mark.parametrize("method", ["histogram", "clahe"])
def test_colours_keep_their_hue(method):
    """a* and b* of CIE L*a*b* stay within rounding where no channel is cut off."""
    pale = RNG.integers(100, 150, (40, 40, 1), np.uint8) + np.array([12, 0, 6], np.uint8)
    found = normalise(pale, method)
    inside = np.all((found > 25) & (found < 230), axis=2)
    before, after = (cv2.cvtColor(one, cv2.COLOR_RGB2LAB).astype(int)[inside] for one in (pale, found))
    assert inside.sum() > 500
    assert np.abs(before[:, 1:] - after[:, 1:]).max() <= 3
    assert np.abs(before[:, 0] - after[:, 0]).max() > 5


def test_unknown_names_and_what_is_no_picture_are_refused():
    """With the closest name."""
    with pytest.raises(UnknownNameError, match=r"Unknown photometric normalisation 'clae'.*Did you mean 'clahe'"):
        normalise(GREY, "clae")
    with pytest.raises(ImageError, match="Pixels must be uint8"):
        normalise(GREY.astype(float), "none")
