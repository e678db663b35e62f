"""Changed copies: drawn by (seed, id, k) alone, the same change as in training, cached like other pictures."""

import hashlib
import re

import cv2
import numpy as np
import pytest

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.images import Augmentation, FaceSet, generate_faces, split_faces
from fusionfer.images._augmented import as_augmentation, change_picture, copy_draws

EVERYTHING = {"rotation": 20.0, "zoom": 0.2, "shift": 0.1, "flip": 0.5, "brightness": 0.3, "share": 0.8}


@pytest.fixture(scope="module")
def faces():
    """Twenty-one small faces of three persons."""
    return generate_faces(3, takes=1, size=48, seed=1)


def digests(faces):
    """Id -> digest of its picture."""
    return {name: faces.digest(i) for i, name in enumerate(faces.ids.tolist())}


def test_copies_follow_their_sources_with_everything_known_of_them(faces):
    """Ids, labels, splits and groups of copies are those of their sources; the sources are unchanged."""
    more = faces.augmented(EVERYTHING, copies=2, seed=3)
    n = len(faces)
    assert len(more) == 3 * n
    assert more.ids[:n].tolist() == faces.ids.tolist()
    assert more.ids[n : 2 * n].tolist() == [f"{name}#aug1" for name in faces.ids]
    assert more.ids[2 * n :].tolist() == [f"{name}#aug2" for name in faces.ids]
    for name in ("labels", "splits", "groups"):
        assert getattr(more, name).tolist() == 3 * getattr(faces, name).tolist()
    assert [more.digest(i) for i in range(n)] == [faces.digest(i) for i in range(n)]
    assert more.notes[-1] == "2 changed copies of each of 21 faces were added with seed 3."


def test_a_face_without_a_group_becomes_the_group_of_its_copies(faces):
    """Where no person is known, source and copies share the source's id as group; a known person stays."""
    alone = FaceSet(faces.ids[:2], faces.keys[:2], faces.source, groups=["", "ann"])
    assert alone.augmented({"flip": 1}, 1).groups.tolist() == [faces.ids[0], "ann", faces.ids[0], "ann"]


def test_copies_do_not_depend_on_order_subset_or_number(faces):
    """Copy k of a face is the same to the byte whichever others are there; another seed or k gives another."""
    whole = digests(faces.augmented(EVERYTHING, copies=2, seed=3))
    part = digests(faces.take([5, 2]).augmented(EVERYTHING, copies=3, seed=3))
    assert set(part) & set(whole) == {name for name in part if not name.endswith("#aug3")}
    assert all(whole[name] == part[name] for name in set(part) & set(whole))
    assert len(set(whole.values())) == len(whole)
    other = digests(faces.take([5]).augmented(EVERYTHING, copies=1, seed=4))
    assert other[f"{faces.ids[5]}#aug1"] != whole[f"{faces.ids[5]}#aug1"]


def test_a_copy_is_the_picture_that_its_draws_say(faces):
    """What `load` gives is `change_picture` with the draws of (seed, id, k); its digest is of the pixels."""
    more = faces.augmented(EVERYTHING, copies=1, seed=3)
    i = len(faces) + 4
    pixels, sha = more.load(i)
    expected = change_picture(faces.load(4)[0], copy_draws(3, str(faces.ids[4]), 1), Augmentation(**EVERYTHING))
    np.testing.assert_array_equal(pixels, expected)
    assert sha == hashlib.sha256(f"{pixels.dtype.str}{pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def test_encoded_pictures_are_decoded_for_their_copies(tmp_path):
    """Copies of files are changes of their decoded pixels; the source keeps the digest of its file."""
    from fusionfer.images import read_faces

    picture = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
    for label in ("happy", "sad"):
        (tmp_path / label).mkdir()
        assert cv2.imwrite(str(tmp_path / label / "a.png"), picture)
    read = read_faces(tmp_path)
    more = read.augmented({"flip": 1.0}, 1)
    assert more.digest(0) == hashlib.sha256((tmp_path / "happy" / "a.png").read_bytes()).hexdigest()
    np.testing.assert_array_equal(more.load(2)[0], picture[:, ::-1])


def test_the_change_is_that_of_training():
    """With the same draws the picture is the one that `fusionfer.training` shows a network, but for rounding."""
    torch = pytest.importorskip("torch")
    from fusionfer.training._augmentation import DRAWS, augment
    from fusionfer.training._recipe import read_recipe

    smooth = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8), (0, 0), 3)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    for fill in ("nearest", "reflect", "black"):
        recipe = read_recipe(
            {**EVERYTHING, "fill": fill, "size": 48, "mean": [0.0] * 3, "std": [1.0] * 3, "networks": ["resnet34"]}
        )
        for k in range(1, 9):
            draws = copy_draws(0, "face", k)
            shown = augment(
                torch.from_numpy(smooth)[None, None], torch.from_numpy(draws.astype(np.float32))[None, :DRAWS], recipe
            )
            ours = change_picture(smooth, draws, as_augmentation(recipe))
            apart = np.abs(255 * shown[0, 0].numpy() - ours)
            # OpenCV interpolates in steps of 1/32 pixel.
            assert np.mean(apart) < 1.5, (fill, k)
            assert np.quantile(apart, 0.95) < 6, (fill, k)


def test_grey_and_colour_of_any_sides_keep_their_shape():
    """A picture that is not square stays as it is; a mirror image alone copies pixels without interpolation."""
    rng = np.random.default_rng(0)
    for shape in ((20, 31), (31, 20, 3)):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        changed = change_picture(pixels, copy_draws(0, "x", 1), Augmentation(**EVERYTHING))
        assert (changed.shape, changed.dtype) == (shape, np.uint8)
        np.testing.assert_array_equal(
            change_picture(pixels, copy_draws(0, "x", 1), Augmentation(flip=1.0)), pixels[:, ::-1]
        )


def test_brightness_multiplies_and_clips():
    """The factor lies within the share, and nothing runs over."""
    pixels = np.array([[0, 100, 250]], dtype=np.uint8)
    for k in range(1, 20):
        draws = copy_draws(0, "x", k)
        factor = 1 + 0.5 * (2 * draws[10] - 1)
        changed = change_picture(pixels, draws, Augmentation(brightness=0.5))
        assert changed.tolist() == [[0, round(100 * factor), min(255, round(250 * factor))]]


def test_splits_keep_copies_with_their_sources(faces):
    """A split that is drawn after augmenting divides no source from its copies, and is not marked as leaking."""
    alone = FaceSet(faces.ids, faces.keys, faces.source, labels=faces.labels)
    drawn = split_faces(alone.augmented({"flip": 1.0}, 2), "70/30", seed=1)
    of = dict(zip(drawn.ids.tolist(), drawn.splits.tolist(), strict=True))
    assert all(of[name] == of[name.partition("#")[0]] for name in of)
    assert not drawn.leaking


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"rotation": 200}, "rotation must be a number from 0 to 180, got 200"),
        ({"flip": True}, "flip must be a number from 0 to 1, got True"),
        ({"fill": "white", "flip": 1}, "fill must be nearest, reflect, black, got 'white'"),
        ({}, "nothing is changed"),
        ({"rotation": 10, "share": 0}, "nothing is changed"),
        ("malik-2025", "read by fusionfer.training.read_recipe"),
    ],
)
def test_what_is_no_augmentation_is_refused(faces, recipe, message):
    """Values out of range, recipes that change nothing and bare names are errors that say what is allowed."""
    with pytest.raises(DataError, match=re.escape(message)):
        faces.augmented(recipe, 1)


def test_unknown_keys_and_wrong_numbers_are_refused(faces):
    """A misspelt key is named with its closest match; copies and seed must be whole numbers."""
    with pytest.raises(UnknownNameError, match="Did you mean 'rotation'"):
        faces.augmented({"rotatoin": 10}, 1)
    with pytest.raises(DataError, match="copies must be a whole number from 1, got 0"):
        faces.augmented({"flip": 1}, 0)
    with pytest.raises(DataError, match="seed must be a whole number from 0, got -1"):
        faces.augmented({"flip": 1}, 1, seed=-1)
