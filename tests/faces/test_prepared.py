"""Sets of prepared faces: ids, groups, digests, who is left out, and that each picture is the face it should be."""

import cv2
import numpy as np
import pytest

from fusionfer.audit import audit
from fusionfer.exceptions import DataError, ImageError, UnknownNameError
from fusionfer.faces import FacePreparation, align, detect, faces_of, find_photographs, prepare_faces
from fusionfer.images import read_pictures


@pytest.fixture
def photographs(tmp_path, head):
    """A picture of one face, one of two (the larger on the right), one of none, and a broken file."""
    one, _ = head()
    small, _ = head(side=120, at=(60, 100))
    two = np.hstack([small, one])
    for name, pixels in {"a_one": one, "b_two": two, "c_none": np.full((200, 200, 3), 90, np.uint8)}.items():
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), pixels[..., ::-1])
    (tmp_path / "d_broken.png").write_bytes(b"\x89PNG nothing")
    return read_pictures([tmp_path])


def names(faces):
    return [name.rpartition("/")[2] for name in faces.ids.tolist()]


def test_the_largest_face_is_taken_and_the_rest_is_listed(photographs):
    """Ids stay, pictures are the aligned faces, digests those of the files; no face and broken files are listed."""
    faces = prepare_faces(photographs, FacePreparation("align", size=64), on_error="skip")
    assert names(faces) == ["a_one.png", "b_two.png"]
    assert [(name.rpartition("/")[2], reason[:17]) for name, reason in faces.skipped] == [
        ("c_none.png", "No face was found"),
        ("d_broken.png", faces.skipped[1][1][:17]),
    ]
    assert "1 of 4 pictures show several faces; the largest was taken." in faces.notes
    for i in range(2):
        pixels, digest = photographs.load(i)
        found = detect(pixels)
        assert faces_of(faces)[i] == found[0]
        assert np.array_equal(faces.load(i)[0], align(pixels, found[0], 64))
        assert faces.load(i)[1] == faces.digest(i) == digest
    assert faces_of(faces)[1].box[0] > 320  # the larger one stands on the right


def test_all_faces_are_numbered_from_the_largest_and_share_a_group(photographs):
    """``<id>#face<k>``, with the picture as the group, so that folds keep them together."""
    faces = prepare_faces(photographs, FacePreparation("detect"), several="all", on_error="skip")
    assert names(faces) == ["a_one.png#face1", "b_two.png#face1", "b_two.png#face2"]
    assert faces.groups[1] == faces.groups[2] == photographs.ids[1]
    areas = [face.area for face in faces_of(faces)]
    assert areas[1] > areas[2]


def test_the_result_does_not_depend_on_threads(photographs):
    """One thread and four: the same faces."""
    options = {"preparation": FacePreparation("align"), "several": "all", "on_error": "skip"}
    assert (
        prepare_faces(photographs, **options, threads=1).keys == prepare_faces(photographs, **options, threads=4).keys
    )


def test_a_broken_picture_stops_only_where_it_is_to(photographs):
    """on_error="fail" names it; a picture without a face is no such error."""
    with pytest.raises(ImageError, match=r"d_broken\.png: "):
        prepare_faces(photographs, FacePreparation("align"))
    whole = photographs.take([0, 1, 2])
    assert len(prepare_faces(whole, FacePreparation("align"))) == 2


def test_light_alone_keeps_all_pictures_whole(photographs):
    """Mode none looks for no face; with photometric none the set comes back as it is."""
    faces = prepare_faces(photographs, FacePreparation("none", "histogram"))
    assert len(faces) == 4
    assert faces.load(0)[0].shape == photographs.load(0)[0].shape
    assert faces_of(faces) == (None,) * 4
    assert prepare_faces(photographs, FacePreparation("none")) is photographs


def test_no_face_anywhere_gives_an_empty_set(photographs):
    """All are listed."""
    faces = prepare_faces(photographs.take([2]), FacePreparation("align"))
    assert len(faces) == 0
    assert len(faces.skipped) == 1


def test_what_was_prepared_is_not_prepared_or_changed_again(photographs):
    """A second preparation and changed copies are refused; unknown names too."""
    faces = prepare_faces(photographs, FacePreparation("align"), on_error="skip")
    with pytest.raises(DataError, match="prepared already"):
        prepare_faces(faces, FacePreparation("align"))
    with pytest.raises(DataError, match=r"call augmented\(\) first"):
        faces.augmented({"flip": 1.0}, copies=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'largest'"):
        prepare_faces(photographs, FacePreparation("align"), several="larges")


def test_photographs_are_told_from_crops(photographs):
    """A face in a ninth of the picture is a photograph; one that fills its picture, or a small picture, is not."""
    assert [name.rpartition("/")[2] for name in find_photographs(photographs)] == ["a_one.png", "b_two.png"]
    assert find_photographs(prepare_faces(photographs, FacePreparation("detect", size=128), on_error="skip")) == ()
    assert find_photographs(prepare_faces(photographs, FacePreparation("detect", size=48), on_error="skip")) == ()


def test_pictures_without_a_face_are_named_by_the_audit(photographs):
    """Only that one: not those with faces, and not the broken one, which is unreadable; null where nobody looked."""
    found = audit(photographs, near=False, detector="haar")
    assert [name.rpartition("/")[2] for name in found.faceless] == ["c_none.png"]
    assert found.describe()["faceless"] == list(found.faceless)
    assert [name.rpartition("/")[2] for name, _ in found.unreadable] == ["d_broken.png"]
    assert audit(photographs, near=False).describe()["faceless"] is None
