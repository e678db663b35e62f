"""Near copies of drawn faces: found with what was changed, in groups, and look-alikes are none."""

import cv2
import numpy as np
import pytest

from fusionfer.audit import audit
from fusionfer.audit._near import CHANGES, NearPairs, grouped
from fusionfer.images import FaceSet, generate_faces


class Pixels:
    """A source whose keys are pictures."""

    def __init__(self, pictures):
        self.pictures = pictures

    def read(self, key):
        return self.pictures[key]


@pytest.fixture(scope="module")
def people():
    """Sixty drawn people, one neutral picture each."""
    faces = generate_faces(60, takes=1, size=48)
    faces = faces.take(faces.labels == "neutral")
    return [cv2.cvtColor(faces.load(i)[0], cv2.COLOR_RGB2GRAY) for i in range(len(faces))]


def audited(pictures, splits=None, **options):
    n = len(pictures)
    ids = [str(i) for i in range(n)]
    return audit(FaceSet(ids, range(n), Pixels(pictures), splits=splits, labels=["sad"] * n), **options)


def warped(image, x=0, y=0, scale=1, turn=0):
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), turn, scale)
    matrix[:, 2] += x, y
    return cv2.warpAffine(image, matrix, (48, 48), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


CHANGED = {
    "moved": lambda p: warped(p, 3, -2),
    "scaled": lambda p: warped(p, scale=1.1),
    "turned": lambda p: warped(p, turn=5),
    "mirrored": lambda p: np.ascontiguousarray(p[:, ::-1]),
    "brightness": lambda p: (p * 0.6 + 40).astype(np.uint8),
    "retouched": lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_found_and_named(people, change):
    """A changed copy of picture 7 stands in one group with it, and what was changed is said; nobody else is in it."""
    found = audited([*people, CHANGED[change](people[7])])
    (group,) = (one for one in found.near if "60" in one.ids)
    assert group.ids == ("7", "60")
    assert change in group.changes
    assert found.copies == ()


def test_people_are_no_copies(people):
    """Sixty people who look alike, as one pencil drew them: nobody is a copy of anybody."""
    assert audited(people).near == ()


def test_another_expression_is_no_copy():
    """One person with two expressions, drawn alike but for mouth and brows: two pictures."""
    faces = generate_faces(12, takes=1, size=48)
    found = audit(faces.take([label in ("happy", "sad") for label in faces.labels.tolist()]))
    assert found.near == ()


def test_a_near_group_holds_exact_copies_and_leaks(people):
    """Two equal pictures in train, a moved one in test: an exact group, a near group of three, a leak."""
    pictures = [*people[:9], people[3], warped(people[3], 3, 2)]
    found = audited(pictures, ["train"] * 10 + ["test"])
    assert [one.ids for one in found.copies] == [("3", "9")]
    assert [one.ids for one in found.near] == [("3", "9", "10")]
    assert (found.leaked, found.leaked_exact) == ({"test": ("10",)}, {})
    assert found.leaks
    assert found.describe()["near"][0]["changes"] == list(found.near[0].changes)


def test_near_is_only_looked_for_where_asked(people):
    """near=False finds exact copies alone, and says that nothing else was looked for."""
    pictures = [*people[:3], people[0], warped(people[1], 2, 2)]
    found = audited(pictures, near=False)
    assert [one.ids for one in found.copies] == [("0", "3")]
    assert (found.near, found.describe()["near"]) == ((), None)
    assert audited(pictures[3:4]).describe()["near"] == []


def test_size_and_format_of_files_do_not_count(people):
    """A picture of another size, and in colour, is a near copy."""
    large = cv2.cvtColor(cv2.resize(people[2], (131, 131), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2RGB)
    found = audited([*people[:20], large])
    assert [one.ids for one in found.near] == [("2", "20")]


def test_blank_pictures_are_copies_of_none(people):
    """Pictures that show nothing are blank, and no near copies of each other."""
    blank = [np.full((48, 48), value, np.uint8) for value in (3, 4)]
    found = audited([*people[:5], *blank])
    assert (found.blank, found.near) == (("5", "6"), ())


def test_the_order_of_pictures_does_not_change_the_groups(people):
    """The same groups from behind."""
    pictures = [*people[:30], warped(people[4], 2, 2), CHANGED["mirrored"](people[8])]
    n = len(pictures)
    forth = {frozenset(map(int, one.ids)) for one in audited(pictures).near}
    back = {frozenset(n - 1 - int(i) for i in one.ids) for one in audited(pictures[::-1]).near}
    assert forth == back == {frozenset((4, 30)), frozenset((8, 31))}


def test_pairs_are_chained():
    """1 with 2 and 2 with 5 are one group, with 7, which equals 5; changes are put together, in their order."""
    pairs = NearPairs(
        np.array([1, 2]), np.array([2, 5]), np.array([0.9, 0.9], np.float32), (("scaled",), ("mirrored", "moved"))
    )
    ((rows, changes),) = grouped(pairs, [np.array([5, 7]), np.array([3, 4])], 9)
    assert rows.tolist() == [1, 2, 5, 7]
    assert changes == ("mirrored", "moved", "scaled")
