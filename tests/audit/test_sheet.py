"""The sheet of the worst groups: order, what is shown of each, and errors."""

import cv2
import numpy as np
import pytest

from fusionfer.audit import Copies, audit, worst_copies, write_copies_sheet
from fusionfer.audit._sheet import _spread
from fusionfer.exceptions import DataError, ReportError
from fusionfer.images import FaceSet


class Drawn:
    def read(self, key):
        return np.random.default_rng(key).integers(0, 256, (8, 8), dtype=np.uint8)


def faces(*rows):
    keys, labels, splits = zip(*rows, strict=True)
    return FaceSet([f"{label}/{i}.png" for i, label in enumerate(labels)], keys, Drawn(), labels=labels, splits=splits)


LEAKING = faces((1, "sad", "train"), (1, "fear", "test"), (2, "sad", "train"), (2, "sad", "test"), (3, "sad", "test"))


def test_the_worst_come_first():
    """Across splits with two labels, then across splits; exact groups within a near group are not repeated."""
    found = audit(LEAKING, near=False)
    assert [one.labels for one in worst_copies(found)] == [("sad", "fear"), ("sad", "sad")]
    object.__setattr__(found, "near", (Copies(("sad/0.png", "fear/1.png", "sad/4.png"), ("",) * 3, ("",) * 3),))
    assert sorted(len(one.ids) for one in worst_copies(found)) == [2, 3]


def test_each_label_and_split_is_shown_first():
    """Of five members three are shown: the first of each kind, and none twice before."""
    group = Copies(tuple("abcde"), ("sad", "sad", "sad", "fear", "sad"), ("train",) * 4 + ("test",))
    assert _spread(group, 3).ids == ("a", "d", "e")
    assert _spread(group, 9) == group


def test_the_sheet_is_a_picture(tmp_path):
    """A PNG that is not empty, the same bytes each time."""
    found = audit(LEAKING, near=False)
    write_copies_sheet(tmp_path / "new" / "a.png", LEAKING, found)
    write_copies_sheet(tmp_path / "b.png", LEAKING, found, groups=1)
    large, small = (cv2.imread(str(path), 0) for path in (tmp_path / "new" / "a.png", tmp_path / "b.png"))
    assert large.shape[0] > small.shape[0]
    assert small.min() < 50 < 250 < small.max()
    write_copies_sheet(tmp_path / "c.png", LEAKING, found, groups=1)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_nothing_to_draw_and_other_faces(tmp_path):
    """No copies, faces that were not audited, a folder in the way: each says so."""
    found = audit(LEAKING, near=False)
    with pytest.raises(DataError, match="has no copies: there is nothing to draw"):
        write_copies_sheet(tmp_path / "a.png", LEAKING, audit(LEAKING.take([0]), near=False))
    with pytest.raises(DataError, match=r"not of these 1 faces: fear/1\.png is not among them"):
        write_copies_sheet(tmp_path / "a.png", LEAKING.take([0]), found)
    with pytest.raises(ReportError, match="cannot be written"):
        write_copies_sheet(tmp_path, LEAKING, found)
