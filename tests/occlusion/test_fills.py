"""What stands in the square."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.occlusion import fill_fields


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(40, 200, (20, 16, 3)).astype(np.uint8)


def test_zero_mean_and_numbers(picture):
    """Black, the mean colour rounded, and one grey."""
    assert not fill_fields(picture, "zero")[0].any()
    (mean,) = fill_fields(picture, "mean")
    assert (mean == np.rint(picture.reshape(-1, 3).mean(axis=0))).all()
    assert (fill_fields(picture, 117)[0] == 117).all()


def test_blur_keeps_the_mean_and_loses_the_detail(picture):
    """The larger the square, the less is left of what it hides; types and shapes stay."""
    (little,), (much,) = (fill_fields(picture, "blur", size=size) for size in (2, 12))
    assert little.dtype == much.dtype == np.uint8
    assert much.std() < little.std() < picture.std()
    assert abs(much.mean() - picture.mean()) < 4
    assert fill_fields(picture[..., 0], "blur")[0].shape == (20, 16)


def test_noise_is_seeded_and_like_the_picture(picture):
    """As many draws as asked, equal for a seed, with mean and deviation of the picture."""
    fields = fill_fields(picture, "noise", seed=3, draws=20)
    again = fill_fields(picture, "noise", seed=3, draws=20)
    assert len(fields) == 20
    assert all(np.array_equal(a, b) for a, b in zip(fields, again, strict=True))
    assert not np.array_equal(fields[0], fill_fields(picture, "noise", seed=4)[0])
    assert abs(np.mean(fields) - picture.mean()) < 1.5
    assert abs(np.std(fields) - picture.std()) < 3


def test_what_is_no_fill(picture):
    """Names and numbers are checked."""
    with pytest.raises(UnknownNameError, match=r"Unknown fill 'blurr'.*Did you mean 'blur'"):
        fill_fields(picture, "blurr")
    with pytest.raises(DataError, match="or a number from 0 to 255, got 300"):
        fill_fields(picture, 300)
    with pytest.raises(DataError, match="draws must be a whole number from 1, got 0"):
        fill_fields(picture, "noise", draws=0)
