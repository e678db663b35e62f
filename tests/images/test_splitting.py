"""Drawing splits."""

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfer.exceptions import DataError, FusionferWarning
from fusionfer.images import generate_faces
from fusionfer.images._faceset import FaceSet
from fusionfer.images._splitting import parse_split, split_faces


def make(labels, groups=None, splits=None):
    n = len(labels)
    return FaceSet(
        ids=np.array([f"{i:04d}.png" for i in range(n)]),
        keys=tuple(range(n)),
        source=None,
        labels=np.array(labels),
        groups=groups,
        splits=splits,
    )


def counts(faces):
    return Counter(zip(faces.labels.tolist(), faces.splits.tolist(), strict=True))


def test_counts_of_matlabs_page():
    """The example on MATLAB's page: 60 % of 6 and of 2 pictures are 4 and 1; 70 % of 15 are 11, as in its tutorials."""
    drawn = counts(split_faces(make(["demos"] * 6 + ["imagesci"] * 2), "60/40"))
    assert drawn == {("demos", "train"): 4, ("demos", "test"): 2, ("imagesci", "train"): 1, ("imagesci", "test"): 1}
    assert counts(split_faces(make(["a"] * 15), "70/30")) == {("a", "train"): 11, ("a", "test"): 4}


@given(st.lists(st.sampled_from("abc"), min_size=20, max_size=60), st.sampled_from(["70/30", "80/20", "70/15/15"]))
@settings(max_examples=30)
def test_counts_per_label_without_groups(labels, split):
    """Without groups every label has exactly its rounded share in each part."""
    fractions = parse_split(split)
    drawn = counts(split_faces(make(labels), split))
    for label, n in Counter(labels).items():
        train = int(fractions[0] * n + 0.5 + 1e-9)
        assert drawn[label, "train"] == train
        if len(fractions) == 3:
            assert drawn[label, "validation"] == min(int(fractions[1] * n + 0.5 + 1e-9), n - train)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), min_size=40, max_size=80), st.integers(0, 9))
@settings(max_examples=30)
def test_groups_are_never_divided(rows, seed):
    """Whatever the groups, each stands in one part; samples without a group (9) are free."""
    labels, groups = [r[0] for r in rows], [f"g{r[1]}" if r[1] < 9 else "" for r in rows]
    try:
        faces = split_faces(make(labels, groups), "70/30", seed)
    except DataError:
        assert len(set(groups) - {""}) <= 1
        return
    for group in set(groups) - {""}:
        assert len(set(faces.splits[faces.groups == group])) == 1


def test_many_small_groups_come_near_to_what_is_asked():
    """With 40 persons of 7 labels the shares are met, and no deviation is told."""
    labels, groups = list("abcdefg") * 40, [f"p{i // 7}" for i in range(280)]
    faces = split_faces(make(labels, groups), "70/15/15", seed=3)
    assert [int(np.sum(faces.splits == s)) for s in ("train", "validation", "test")] == [196, 42, 42]
    assert faces.notes == ("Split 70/15/15 drawn per label with seed 3.",)


def test_deviation_is_told_per_label():
    """What groups force is told with what was asked."""
    faces = split_faces(make(["a"] * 10, ["p"] * 6 + ["q"] * 4), "80/20")
    assert "a train 6 instead of 8, a test 4 instead of 2" in faces.notes[-1]


def test_samples_without_group_fill_up():
    """Free samples make up for what groups bring too much or too little."""
    faces = split_faces(make(["a"] * 20, ["p"] * 9 + [""] * 11), "50/50")
    assert counts(faces) == {("a", "train"): 10, ("a", "test"): 10}


def test_seed_and_ids_alone_decide():
    """The same seed draws the same, another seed another; the order of samples does not matter."""
    faces = make(list("ab") * 30)
    drawn = split_faces(faces, "70/30", seed=1)
    np.testing.assert_array_equal(drawn.splits, split_faces(faces, "70/30", seed=1).splits)
    assert np.any(drawn.splits != split_faces(faces, "70/30", seed=2).splits)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_array_equal(split_faces(faces.take(order), "70/30", seed=1).splits, drawn.splits[order])


@pytest.mark.parametrize("text", ["", "70", "70/20", "70/30/0", "a/b", "25/25/25/25", "-10/110", "0.7/0.3", "nan/50"])
def test_splits_that_are_not_understood(text):
    """Anything but two or three positive parts of 100 is refused, with the forms that are allowed."""
    with pytest.raises(DataError, match=r"such as 70/30, 80/20 or 70/15/15"):
        parse_split(text)


def test_splits_that_the_data_bring_are_kept():
    """Splits are replaced only when that is asked for."""
    faces = make(["a"] * 4, splits=["train", "train", "test", ""])
    with pytest.raises(DataError, match=r"brings splits already \(test, train\).*override=True"):
        split_faces(faces, "50/50")
    assert Counter(split_faces(faces, "50/50", override=True).splits.tolist()) == {"train": 2, "test": 2}


def test_empty_part_is_an_error():
    """A part that would stay empty is named."""
    with pytest.raises(DataError, match=r"leaves test empty; there are 5 samples in 1 indivisible groups"):
        split_faces(make(["a"] * 5, ["p"] * 5), "70/30")


def test_ignored_groups_are_divided_with_a_warning_and_a_mark():
    """With group="ignore" persons stand on both sides: a warning, a note and `leaking` say so; else nothing does."""
    faces = generate_faces(6, takes=2, size=16)
    with pytest.warns(FusionferWarning, match="Groups were ignored, and 6 of them"):
        drawn = split_faces(faces, "70/30", seed=1, override=True, group="ignore")
    assert drawn.leaking
    assert drawn.take([0, 1]).leaking
    assert "figures on this split come out too good" in drawn.notes[-1]
    assert drawn.groups.tolist() == faces.groups.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = split_faces(drawn, "70/30", seed=1, override=True)
        assert not kept.leaking
        none = split_faces(replace(faces, groups=None), "70/30", seed=1, override=True, group="ignore")
        assert not none.leaking
    with pytest.raises(DataError, match="group must be 'respect' or 'ignore', got 'some'"):
        split_faces(faces, "70/30", override=True, group="some")
