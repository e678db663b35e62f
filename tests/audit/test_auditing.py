"""Copies, divided persons, blank pictures, uneven classes, and who leaks."""

import json

import numpy as np
import pytest

from fusionfer.audit import Copies, audit
from fusionfer.images import FaceSet


class Drawn:
    """A source whose key is the seed of a picture, or a grey value for an even one."""

    def read(self, key):
        if key < 0:
            return np.full((6, 6), -key, np.uint8)
        return np.random.default_rng(key).integers(0, 256, (6, 6), dtype=np.uint8)


def faces(*rows):
    """One row a sample: key, label, split and perhaps group."""
    keys, labels, splits, groups = zip(*((*row, "")[:4] for row in rows), strict=True)
    ids = [f"{i}" for i in range(len(rows))]
    return FaceSet(ids, keys, Drawn(), labels=labels, splits=splits, groups=groups)


def test_copies_are_grouped_and_sorted():
    """Those across splits first, then those with two labels, then the largest; single pictures are none."""
    found = audit(
        faces(
            (1, "happy", "train"),
            (1, "happy", "train"),
            (1, "happy", "train"),
            (2, "sad", "train"),
            (2, "fear", "train"),
            (3, "sad", "train"),
            (3, "sad", "test"),
            (4, "sad", "train"),
        )
    )
    assert [one.ids for one in found.copies] == [("5", "6"), ("3", "4"), ("0", "1", "2")]
    assert [(one.crosses, one.conflicts) for one in found.copies] == [(True, False), (False, True), (False, False)]


def test_an_unknown_label_conflicts_with_none():
    """Two copies of which one has no label agree."""
    assert not Copies(("a", "b"), ("", "sad"), ("", "")).conflicts


@pytest.mark.parametrize(
    ("splits", "leaked"),
    [
        (("train", "validation", "test"), {"validation": ("1",), "test": ("2",)}),
        (("test", "validation", "test"), {"test": ("0", "2")}),
        (("test", "test", "test"), {}),
        (("", "test", "train"), {"test": ("1",)}),
        (("", "", "test"), {}),
    ],
)
def test_the_later_split_leaks(splits, leaked):
    """Of copies in several splits those count that stand in a later one; a sample without split is in none."""
    found = audit(faces(*((5, "sad", split) for split in splits)))
    assert (found.leaked, found.leaks) == (leaked, bool(leaked))


def test_a_sample_without_split_crosses_none():
    """A copy of which no split is known stands in no other one."""
    assert not Copies(("a", "b"), ("sad", "sad"), ("", "train")).crosses
    assert Copies(("a", "b", "c"), ("sad",) * 3, ("", "train", "test")).crosses


def test_a_divided_person_leaks_too():
    """Different pictures of one person on both sides: the person is named, her test samples leak."""
    found = audit(faces((1, "sad", "train", "ann"), (2, "sad", "test", "ann"), (3, "sad", "test", "bob")))
    assert found.copies == ()
    assert found.persons == {"ann": {"train": 1, "test": 1}}
    assert found.leaked == {"test": ("1",)}


def test_blank_pictures():
    """Even pictures are blank, others are not; two of the same grey are copies as well."""
    found = audit(faces((-9, "sad", "train"), (1, "sad", "train"), (-9, "sad", "train"), (-8, "sad", "train")))
    assert found.blank == ("0", "2", "3")
    assert [one.ids for one in found.copies] == [("0", "2")]


def test_counts_and_imbalance():
    """Samples by split and label, splits in their order; the ratio knows no samples without label."""
    found = audit(
        faces((1, "sad", "test"), (2, "sad", "train"), (3, "fear", "train"), (4, "sad", "train"), (5, "", ""))
    )
    assert found.counts == {"": {"": 1}, "train": {"fear": 1, "sad": 2}, "test": {"sad": 1}}
    assert list(found.counts) == ["", "train", "test"]
    assert found.imbalance == {"train": 2.0, "test": 1.0}


def test_an_empty_set():
    """Nothing to find in nothing."""
    found = audit(FaceSet([], [], Drawn()))
    assert (found.n_samples, found.counts, found.leaks) == (0, {}, False)


def test_describe_is_json():
    """Everything found stands in the JSON, by id."""
    found = audit(faces((1, "sad", "train"), (1, "fear", "test"), (-9, "sad", "train")))
    data = json.loads(json.dumps(found.describe(), allow_nan=False))
    assert data["leaks"] is True
    assert data["leaked"] == {"test": ["1"]}
    assert data["copies"] == [{"ids": ["0", "1"], "labels": ["sad", "fear"], "splits": ["train", "test"]}]
    assert data["blank"] == ["2"]
