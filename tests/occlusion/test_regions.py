"""The parts of a face, and how a map is shared out among them."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.occlusion import REGIONS, region_masks, region_shares


@pytest.mark.parametrize("shape", [(48, 48), (32, 32), (100, 64)])
def test_every_pixel_has_one_part(shape):
    """The masks tile the picture, each part has pixels, and both sides of a face are alike."""
    masks = region_masks(shape)
    assert list(masks) == [*REGIONS, "outside"]
    assert (np.sum(list(masks.values()), axis=0) == 1).all()
    assert all(mask.any() for mask in masks.values())
    assert all(np.array_equal(mask, mask[:, ::-1]) for mask in masks.values())


def test_parts_lie_as_in_a_face():
    """From the top: forehead, brows, eyes, nose, mouth, chin; areas do not depend on the resolution."""
    centre = {name: np.nonzero(mask)[0].mean() for name, mask in region_masks((48, 48)).items()}
    order = ["forehead", "brows", "eyes", "nose", "mouth", "chin"]
    assert order == sorted(order, key=centre.get)
    areas = [{r: m.mean() for r, m in region_masks((side, side)).items()} for side in (48, 96)]
    assert areas[0] == pytest.approx(areas[1])


def test_shares_and_densities():
    """A map on the mouth alone is all mouth; an even one has density 1 everywhere; negative parts do not count."""
    mouth = region_masks((48, 48))["mouth"]
    first, *rest = region_shares(np.where(mouth, 2.0, -5.0))
    assert (first.region, first.share) == ("mouth", 1.0)
    assert first.density == pytest.approx(1 / mouth.mean())
    assert all(one.share == 0 for one in rest)
    assert all(one.density == pytest.approx(1) for one in region_shares(np.ones((48, 48))))
    assert all(np.isnan(one.share) for one in region_shares(-np.ones((48, 48))))


def test_a_map_has_two_dimensions():
    """Anything else is refused."""
    with pytest.raises(DataError, match=r"A map has the shape \(height, width\), got \(1, 4, 4\)"):
        region_shares(np.zeros((1, 4, 4)))
