"""Labels and groups of whole sets."""

import numpy as np
import pytest

from fusionfer.exceptions import FusionferWarning
from fusionfer.images._faceset import FaceSet
from fusionfer.images._labelling import map_labels, merge_labels, read_names, warn_of_divided_groups


def make(ids, labels=None, groups=None, splits=None):
    return FaceSet(
        ids=np.array(ids), keys=tuple(ids), source=None, labels=labels, groups=groups, splits=splits, name="set"
    )


def test_spellings_become_one_label_with_a_warning():
    """The most frequent spelling stands for all, and the warning names what was joined."""
    with pytest.warns(FusionferWarning, match=r"set: Labels that differ only in case or blanks.*'Happy' is 'happy'"):
        faces = merge_labels(make(["1", "2", "3", "4"], ["happy", "Happy", "sad", "happy"]))
    assert faces.labels.tolist() == ["happy", "happy", "sad", "happy"]
    assert "'Happy' is 'happy'" in faces.notes[0]


def test_classes_are_mapped_and_dropped():
    """Renamed labels merge, dropped ones take their faces along, and a note counts them."""
    faces = map_labels(
        make(["1", "2", "3", "4"], ["angry", "sad", "contempt", "happy"]),
        {"angry": "negative", "sad": "negative", "contempt": ""},
    )
    assert faces.ids.tolist() == ["1", "2", "4"]
    assert faces.labels.tolist() == ["negative", "negative", "happy"]
    assert "contempt dropped" in faces.notes[0]
    assert "1 faces were dropped" in faces.notes[0]


def test_persons_of_ck_plus():
    """The subject is the group, and labels of class folders stay."""
    faces = read_names(make(["anger/S010_004_00000017.png", "fear/S011_003_00000014.png"], ["anger", "fear"]))
    assert faces.groups.tolist() == ["S010", "S011"]
    assert faces.labels.tolist() == ["anger", "fear"]


def test_folders_of_persons_are_no_labels():
    """CK+ as it is distributed has folders of subjects, which are no classes."""
    faces = read_names(make(["S010/004/S010_004_00000017.png", "S011/003/S011_003_00000014.png"], ["S010", "S011"]))
    assert faces.labels.tolist() == ["", ""]
    assert "Neither folders nor names say a label" in faces.notes[1]


@pytest.mark.parametrize(
    ("labels", "ids"),
    [
        (["aia", "ray"], ["aia/aia_joy/aia_joy_1.png", "ray/ray_fear/ray_fear_2.png"]),
        (["aia_joy", "ray_fear"], ["aia_joy/aia_joy_1.png", "ray_fear/ray_fear_2.png"]),
        (["", ""], ["aia_joy_1.png", "ray_fear_2.png"]),
        (["joy", "fear"], ["joy/aia_joy_1.png", "fear/ray_fear_2.png"]),
    ],
)
def test_ferg_in_every_arrangement(labels, ids):
    """FERG's characters are groups and its expressions labels, whichever way its folders are arranged."""
    faces = read_names(make(ids, labels))
    assert faces.groups.tolist() == ["aia", "ray"]
    assert faces.labels.tolist() == ["joy", "fear"]


def test_groups_of_the_data_win():
    """Where the data bring groups, names are not read."""
    faces = read_names(make(["S010_004_00000017.png", "S011_003_00000014.png"], groups=["x", ""]))
    assert faces.groups.tolist() == ["x", ""]


def test_divided_groups_are_warned_of():
    """One person in two splits is a warning; without it nothing is said."""
    with pytest.warns(FusionferWarning, match="1 groups stand in more than one split: p"):
        warn_of_divided_groups(make(["1", "2", "3"], groups=["p", "p", "q"], splits=["train", "test", "test"]))
    warn_of_divided_groups(make(["1", "2", "3"], groups=["p", "p", "q"], splits=["train", "train", "test"]))
