"""FacePreparation: what it does, that its description leads back to it, and what is refused."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError, ModelError, UnknownNameError
from fusionfer.faces import FacePreparation, align, crop, detect, normalise


def test_a_picture_becomes_its_faces(head):
    """Each mode against the functions it is made of; light comes after the cut."""
    pixels, _ = head()
    (face,) = detect(pixels)
    for mode, cut in (("align", align), ("detect", crop)):
        ((found, prepared),) = FacePreparation(mode, "histogram", size=64, margin=0.1)(pixels)
        assert found == face
        assert np.array_equal(prepared, normalise(cut(pixels, face, 64, 0.1), "histogram"))


def test_none_is_the_whole_picture_and_no_face_is_an_empty_list(head):
    """With none nobody looks; with detect a picture without a face gives nothing, never itself."""
    pixels, _ = head()
    ((face, whole),) = FacePreparation("none", "clahe")(pixels)
    assert face.box == (0.0, 0.0, 320.0, 320.0)
    assert np.array_equal(whole, normalise(pixels, "clahe"))
    assert FacePreparation("detect")(np.zeros((90, 90), np.uint8)) == []


@pytest.mark.parametrize(
    "preparation",
    [
        FacePreparation("align", "clahe", margin=0.1, size=48),
        FacePreparation("detect"),
        FacePreparation("none", "standardise"),
    ],
)
def test_descriptions_lead_back(preparation):
    """An equal preparation with an equal description; what is not done is not in it."""
    described = preparation.describe()
    again = FacePreparation.from_description(described)
    assert again.describe() == described
    assert ("detector" in described) == (preparation.mode != "none")
    assert ("photometric" in described) == (preparation.photometric != "none")


def test_of_nothing_comes_the_one_that_does_nothing():
    """None is what old caches and models record."""
    assert not FacePreparation.from_description(None).changes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": 99}, "rules: recorded 99, here 1"),
        ({"mode": "alin"}, "Did you mean 'align'"),
        ({"detector": {"name": "mtcnn"}}, "detector 'mtcnn', which must be given"),
        ({"detector": {"name": "haar", "size": 3}}, "Unknown option of haar 'size'"),
        ({"frame": [[0.1, 0.1], [0.9, 0.1]]}, "frame: recorded"),
        ({"margin": None}, "margin must be a number"),
        ({"photometric": 3}, "cannot be followed"),
    ],
)
def test_descriptions_of_something_else_are_refused(change, message):
    """Other rules, other detectors, damaged values: a ModelError that says what."""
    described = {**FacePreparation("align").describe(), **change}
    with pytest.raises(ModelError, match=message):
        FacePreparation.from_description(described)


def test_another_version_of_opencv_is_followed():
    """It moves boxes by a pixel at most; the decoder's version says it anyway."""
    described = FacePreparation("align").describe()
    described["detector"]["opencv"] = "4.10.0"
    assert FacePreparation.from_description(described) == FacePreparation("align")


def test_wrong_parameters_are_refused():
    """By name or by range."""
    with pytest.raises(UnknownNameError, match="Unknown mode of faces 'crop'"):
        FacePreparation("crop")
    with pytest.raises(UnknownNameError, match="photometric"):
        FacePreparation("none", "bright")
    with pytest.raises(DataError, match="size must be"):
        FacePreparation(size=2)
    with pytest.raises(DataError, match="a face is needed"):
        FacePreparation("align").cut(np.zeros((50, 50), np.uint8), None)
