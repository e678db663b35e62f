"""FaceSet."""

import hashlib
import pickle

import numpy as np
import pytest

from fusionfer.exceptions import DataError, ImageError
from fusionfer.images._faceset import FaceSet, digest


class Pixels:
    """Pictures in memory."""

    def __init__(self, pictures):
        self.pictures = pictures

    def read(self, key):
        return self.pictures[key]


def make(**changes):
    pictures = {i: np.full((2, 3), i, dtype=np.uint8) for i in range(3)}
    fields = {"ids": np.array(["a", "b", "c"]), "keys": (0, 1, 2), "source": Pixels(pictures)}
    return FaceSet(**{**fields, **changes})


def test_what_is_unknown_is_empty():
    """Labels, splits and groups default to empty strings, and classes to none."""
    faces = make()
    assert len(faces) == 3
    assert [x.tolist() for x in (faces.labels, faces.splits, faces.groups)] == [[""] * 3] * 3
    assert faces.classes == ()
    assert make(labels=["y", "", "x"]).classes == ("x", "y")


def test_load_gives_pixels_and_digest():
    """The digest of a picture is the same with and without decoding, and another for other pixels."""
    faces = make()
    pixels, sha = faces.load(2)
    np.testing.assert_array_equal(pixels, np.full((2, 3), 2))
    assert sha == faces.digest(2) != faces.digest(1)
    assert digest(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert digest(np.zeros((2, 3), np.uint8)) != digest(np.zeros((3, 2), np.uint8))


def test_take_by_index_and_mask():
    """Indices give their order, a mask keeps the order; everything goes along."""
    faces = make(labels=["x", "y", "z"], groups=["p", "q", "r"], skipped=(("d", "gone"),))
    taken = faces.take([2, 0])
    assert (taken.ids.tolist(), taken.labels.tolist(), taken.groups.tolist()) == (["c", "a"], ["z", "x"], ["r", "p"])
    assert taken.load(0)[0][0, 0] == 2
    assert taken.skipped == faces.skipped
    assert faces.take(np.array([False, True, False])).ids.tolist() == ["b"]
    assert len(faces.take([])) == 0


def test_ids_are_nfc():
    """Fault 30: ids are the same however the file system encodes accents."""
    assert make(ids=np.array(["e\u0301", "b", "c"])).ids[0] == "\u00e9"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": np.array(["a", "a", "c"])}, r"1 ids occur more than once \(first: a\)"),
        ({"labels": ["x"]}, "1 labels for 3 ids"),
        ({"splits": ["train", "holdout", ""]}, r"unknown splits holdout \(allowed: train, validation, test\)"),
        ({"keys": (1,), "groups": ["x"]}, "1 keys for 3 ids; 1 groups for 3 ids"),
    ],
)
def test_contradictions_are_refused(changes, message):
    """Whatever does not fit together is told at once."""
    with pytest.raises(DataError, match=message):
        make(**changes)


def test_limit_applies_to_loading():
    """Pictures above max_pixels are refused when they are decoded."""
    with pytest.raises(ImageError, match="at most 5 are decoded"):
        make(max_pixels=5).load(0)


def test_travels_through_pickle():
    """A set can be sent to another process."""
    faces = pickle.loads(pickle.dumps(make(labels=["x", "y", "z"])))
    assert faces.labels.tolist() == ["x", "y", "z"]
