"""What names tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.images._names import (
    find_pattern,
    fold,
    map_classes,
    merge_spellings,
    parse_classes,
    split_of,
    stem,
)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["train", "Training", "TRAIN"]),
        ("validation", ["val", "valid", "Validation", "dev", "PublicTest"]),
        ("test", ["test", "Testing", "PrivateTest", " test "]),
        ("", ["", "happy", "tests", "trainer", "0"]),
    ],
)
def test_splits_by_their_usual_names(split, names):
    """Every usual name of a split is known in any case, and nothing like it."""
    assert {split_of(name) for name in names} == {split}


def test_stem_drops_folders_and_one_ending():
    """Dots inside a name belong to it."""
    assert stem("a/KA.AN1.39.tiff") == "KA.AN1.39"


@pytest.mark.parametrize(
    ("data_set", "names", "expected"),
    [
        ("CK+", ["S010_004_00000017", "S999_001_00000001"], [("S010", ""), ("S999", "")]),
        ("JAFFE", ["KA.AN1.39", "NM.FE3.112"], [("KA", "anger"), ("NM", "fear")]),
        ("FERG", ["aia_anger_1", "malcolm_joy_1027"], [("aia", "anger"), ("malcolm", "joy")]),
    ],
)
def test_patterns_of_known_data_sets(data_set, names, expected):
    """Person and label come out of the names of CK+, JAFFE and FERG."""
    pattern = find_pattern(names)
    assert pattern.data_set == data_set
    assert [pattern.read(name) for name in names] == expected


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["Training_0000001", "Training_0000002"],
        ["S010_004_00000017", "Training_0000001"],
        ["S010_004_17"],
        ["xS010_004_00000017"],
        ["peter_anger_1"],
        ["KA.XX1.39"],
    ],
)
def test_ordinary_names_match_no_pattern(names):
    """One name that does not fit is enough for no pattern to be believed."""
    assert find_pattern(names) is None


def test_most_frequent_spelling_stands_for_all():
    """Case and blanks do not make a label; ties go to the first in order."""
    assert merge_spellings(["b", "B", "a b", "A  B", "A  B"]) == {"b": "B", "B": "B", "a b": "A B", "A  B": "A B"}


@given(st.lists(st.text(max_size=4), max_size=6))
def test_merging_joins_exactly_what_folds_alike(labels):
    """Two labels become one if and only if they fold alike, and merging again changes nothing."""
    new = merge_spellings(labels)
    for a in labels:
        for b in labels:
            assert (new[a] == new[b]) == (fold(a) == fold(b))
    assert all(old == label for old, label in merge_spellings(new.values()).items())


@pytest.mark.parametrize("text", ["angry", "=x", "a=b,a=c"])
def test_classes_of_wrong_form(text):
    """What is no pair, or comes twice, is an error that shows the form."""
    with pytest.raises(DataError, match="Write them like angry=negative"):
        parse_classes(text)


def test_classes_are_mapped_whatever_their_case():
    """Labels are matched like spellings of one label, and unnamed ones are kept."""
    assert map_classes(["Angry", "sad", ""], {"angry": "negative"}) == {"Angry": "negative", "sad": "sad"}


def test_unknown_class_is_an_error():
    """A label that does not occur is named, with the closest one."""
    with pytest.raises(UnknownNameError, match=r"Unknown label 'angri'.*Did you mean 'angry'"):
        map_classes(["angry", "sad"], {"angri": "x"})
