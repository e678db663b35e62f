"""What folders say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfer.images._tree import read_tree


def table(paths, name="data"):
    tree = read_tree(paths, name)
    assert not tree.strays
    return sorted(zip(tree.ids, tree.splits, tree.labels, strict=True))


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["happy/1.png", "sad/2.png"], [("happy/1.png", "", "happy"), ("sad/2.png", "", "sad")]),
        (["happy/ann/1.png", "sad/2.png"], [("happy/ann/1.png", "", "happy"), ("sad/2.png", "", "sad")]),
        (
            ["TRAIN/happy/1.png", "Testing/sad/2.png", "val/sad/3.png"],
            [
                ("TRAIN/happy/1.png", "train", "happy"),
                ("Testing/sad/2.png", "test", "sad"),
                ("val/sad/3.png", "validation", "sad"),
            ],
        ),
        (
            ["happy/train/1.png", "sad/test/2.png"],
            [("happy/train/1.png", "train", "happy"), ("sad/test/2.png", "test", "sad")],
        ),
        (["train/train/happy/1.png"], [("train/train/happy/1.png", "train", "happy")]),
        (["train/happy/1.png"], [("train/happy/1.png", "train", "happy")]),
        (["1.png", "2.png"], [("1.png", "", ""), ("2.png", "", "")]),
        (["train/happy/1.png", "test/2.png"], [("test/2.png", "test", ""), ("train/happy/1.png", "train", "happy")]),
        (["happy/1.png"], [("happy/1.png", "", "happy")]),
        (["data/1.png", "data/2.png"], [("1.png", "", ""), ("2.png", "", "")]),
        ([], []),
    ],
)
def test_layouts(paths, expected):
    """Each layout gives ids, splits and labels."""
    assert table(paths) == expected


@given(
    st.sets(st.tuples(st.sampled_from(["train", "Test"]), st.sampled_from("abc"), st.integers(0, 9)), min_size=1),
    st.lists(st.sampled_from(["data", "archive", "x y"]), max_size=3),
)
def test_wrapping_folders_change_nothing(rows, wrappers):
    """Ids, splits and labels are the same below any number of wrapping folders."""
    plain = [f"{split}/{label}/{i}.png" for split, label, i in sorted(rows)]
    wrapped = ["/".join([*wrappers, path]) for path in plain]
    assert table(wrapped) == table(plain)
    assert read_tree(wrapped).root == "".join(f"{folder}/" for folder in wrappers)


def test_strays_are_told():
    """Pictures beside split or class folders belong to none, and are not guessed."""
    tree = read_tree(["train/happy/1.png", "extra/happy/2.png", "3.png", "train/4.png"])
    assert tree.ids == ["train/happy/1.png"]
    assert dict(tree.strays) == {
        "extra/happy/2.png": "lies beside the split folders, in none of them",
        "3.png": "lies beside the split folders, in none of them",
        "train/4.png": "lies beside the class folders, in none of them",
    }


def test_fer2013_tests_are_told_apart_by_name():
    """PublicTest is validation and PrivateTest test, although both lie under test."""
    paths = ["train/sad/Training_0.png", "test/sad/PublicTest_1.png", "test/sad/PrivateTest_2.png"]
    tree = read_tree(paths)
    assert tree.splits == ["train", "validation", "test"]
    assert "1 validation" in tree.notes[0]


def test_fer2013_names_give_splits_where_folders_do_not():
    """Without split folders the names alone say the split."""
    assert read_tree(["sad/Training_0.png", "a/PublicTest_1.png", "a/PrivateTest_2.png"]).splits == [
        "train",
        "validation",
        "test",
    ]


def test_fer2013_arranged_anew_is_believed():
    """Where a validation folder exists, and in train, folders win over names."""
    paths = ["val/sad/Training_0.png", "test/sad/PublicTest_1.png", "train/sad/PrivateTest_2.png"]
    assert read_tree(paths).splits == ["validation", "test", "train"]
    assert read_tree(["train/sad/PrivateTest_2.png"]).splits == ["train"]
