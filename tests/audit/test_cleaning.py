"""clean_splits: what leaves, what stays, and that an audit of the rest finds no leak."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfer.audit import Copies, audit, clean_splits
from fusionfer.exceptions import DataError, ImageError, UnknownNameError
from fusionfer.images import SPLITS, FaceSet

RANK = {split: i for i, split in enumerate(SPLITS)}


class Drawn:
    """A source whose key is the seed of a picture; negative ones are gone, and 1000 cannot be decoded."""

    def read(self, key):
        if key < 0:
            msg = f"picture {key} is gone."
            raise ImageError(msg)
        return b"no picture" if key == 1000 else np.random.default_rng(key).integers(0, 256, (6, 6), dtype=np.uint8)


def faces(*rows):
    """One row a sample: key, label, split and perhaps group; ids are a, b, c and so on."""
    keys, labels, splits, groups = zip(*((*row, "")[:4] for row in rows), strict=True)
    return FaceSet(list("abcdefghijklmnopqrstuvwxyz")[: len(rows)], keys, Drawn(), labels, splits, groups, "set")


def cleaned(some, *policy, near=(), **options):
    """Splits as letters (t, v, T, or - for left out), groups and reasons."""
    found = audit(some, near=False)
    if near:
        known = dict(zip(some.ids.tolist(), range(len(some)), strict=True))
        rows = [[known[one] for one in ids] for ids in near]
        more = (Copies(*(tuple(getattr(some, name)[r].tolist()) for name in ("ids", "labels", "splits"))) for r in rows)
        found = replace(found, near=tuple(more))
    file = clean_splits(some, found, *policy, **options)
    letters = {"": "-", "train": "t", "validation": "v", "test": "T"}
    return "".join(letters[split] for split in file.splits.tolist()), file.groups.tolist(), file.reasons.tolist()


CHAIN = [
    (1, "sad", "train"),  # a, like b by its pixels
    (1, "sad", "validation"),  # b, like c by what the audit says
    (2, "sad", "validation"),  # c, like d by its pixels
    (2, "sad", "test"),
    (3, "sad", "train"),  # e and f are copies in one split
    (3, "sad", "train"),
    *[(10 + i, "sad", split) for i, split in enumerate(SPLITS)],
]


@pytest.mark.parametrize(
    ("keep", "splits", "reasons"),
    [
        ("test", "---TtttvT", ["copy in test: d"] * 3 + [""] * 6),
        ("train", "t---tttvT", ["", *["copy in train: a"] * 3, *[""] * 5]),
    ],
)
def test_a_chain_across_three_splits(keep, splits, reasons):
    """What hangs together through others leaves together: a is like b, b like c, c like d."""
    found = cleaned(faces(*CHAIN), keep, near=[("b", "c")])
    assert found == (splits, ["copies of a"] * 4 + ["copies of e"] * 2 + [""] * 3, reasons)


def test_by_default_the_test_split_stays_whole():
    """And the earlier ones give way; what is not known to hang together is not taken so."""
    assert cleaned(faces(*CHAIN))[0] == "-v-TtttvT"


def test_contradicting_copies_leave_train():
    """Within train; in test they stay, as it was published. Copies without a label contradict none."""
    some = faces(
        (1, "sad", "train"), (1, "fear", "train"), (2, "sad", "test"), (2, "fear", "test"),
        (3, "sad", "train"), (3, "", "train"), (4, "fear", "train"),
    )  # fmt: skip
    splits, _, reasons = cleaned(some)
    assert splits == "--TTttt"
    assert reasons[:2] == ["contradicting copies: fear, sad"] * 2


@pytest.mark.parametrize(("keep", "splits", "reason"), [("test", "-TtT", ""), ("train", "--tT", "copy in train: a")])
def test_contradictions_across_splits(keep, splits, reason):
    """The one in train leaves by either policy; that in test only where a model may have learned the one in train."""
    some = faces((1, "sad", "train"), (1, "fear", "test"), (2, "fear", "train"), (3, "fear", "test"))
    found = cleaned(some, keep)
    assert found[0] == splits
    assert found[2] == ["contradicting copies: fear, sad", reason, "", ""]


def test_persons():
    """A person on both sides leaves one of them, by name; copies of one of their pictures go along."""
    some = faces(
        (1, "sad", "train", "ann"), (2, "sad", "train", "ann"), (3, "sad", "test", "ann"),
        (2, "sad", "validation"), (4, "sad", "validation", "bob"), (5, "sad", "train", "cem"), (6, "sad", "test"),
    )  # fmt: skip
    splits, groups, reasons = cleaned(some)
    assert splits == "--T-vtT"
    assert groups == ["ann"] * 4 + ["bob", "cem", ""]
    assert reasons[:4] == ["person in test: ann", "person in test: ann", "", "person in test: of a copy"]
    assert cleaned(some, "train")[0] == "tt--vtT"


def test_two_persons_with_one_picture_are_one():
    """Their group is called by the first of both names."""
    some = faces((1, "a", "train", "bob"), (1, "a", "train", "ann"), (2, "a", "train", "bob"), (3, "a", "test"))
    assert cleaned(some) == ("tttT", ["ann", "ann", "ann", ""], [""] * 4)


def test_what_cannot_be_used_is_left_out():
    """Pictures that are gone or no pictures, and those without a split, with the reason."""
    some = faces((-1, "a", "train"), (1000, "a", "train"), (1, "a", ""), (2, "a", "train"), (3, "a", "test"))
    splits, _, reasons = cleaned(some)
    assert splits == "---tT"
    assert reasons[0] == "unreadable: picture -1 is gone."
    assert reasons[1].startswith("unreadable: ")
    assert reasons[2] == "no split"


def test_splits_are_drawn_where_there_are_none():
    """Copies are drawn together, so that none has to leave; who brings splits is not given others."""
    some = faces(*[(i // 3, "ab"[i // 12], "") for i in range(24)])
    splits, groups, reasons = cleaned(some, split="50/50", seed=3)
    assert {splits[i : i + 3] for i in range(0, 24, 3)} == {"ttt", "TTT"}
    assert splits.count("t") == 12
    assert (len(set(groups)), set(reasons)) == (8, {""})
    with pytest.raises(DataError, match=r"set brings no splits that could be cleaned\..*split='70/30'"):
        cleaned(some)
    with pytest.raises(DataError, match=r"set brings splits already"):
        cleaned(faces((1, "a", "train"), (2, "a", "test")), split="50/50")


def test_a_split_of_which_nothing_would_be_left():
    """Where every person stands on both sides, splits must be drawn anew."""
    some = faces((1, "a", "train", "ann"), (2, "a", "test", "ann"))
    with pytest.raises(DataError, match=r"set: nothing would be left of train, as each of its pictures has a copy"):
        cleaned(some)


def test_an_audit_of_other_faces():
    """Is refused: by the number, and by an id that is not there."""
    some = faces((1, "a", "train"), (1, "a", "test"), (2, "a", "train"))
    with pytest.raises(DataError, match=r"The audit of set is not of these 2 faces: it is of 3, and 1 of its copies"):
        clean_splits(some.take([0, 2]), audit(some, near=False))
    with pytest.raises(DataError, match=r"not of these 1 faces: it is of 2\.$"):
        clean_splits(some.take([2]), audit(some.take([0, 2]), near=False))


def test_an_unknown_policy():
    """Both are named."""
    some = faces((1, "a", "train"), (2, "a", "test"))
    with pytest.raises(UnknownNameError, match=r"Unknown part to keep whole: 'tset'\..*test, train.*mean 'test'"):
        clean_splits(some, audit(some, near=False), "tset")


def test_progress_and_order():
    """Progress ends with all; the same faces in another order give the same decisions."""
    some = faces(*CHAIN)
    told = []
    file = clean_splits(some, audit(some, near=False), progress=lambda *step: told.append(step))
    assert told[-1] == (9, 9, "hashes")
    turned = some.take(np.arange(9)[::-1])
    other = clean_splits(turned, audit(turned, near=False))
    assert dict(zip(file.ids, file.splits, strict=True)) == dict(zip(other.ids, other.splits, strict=True))


rows = st.tuples(st.integers(0, 8), st.sampled_from("ab"), st.sampled_from(SPLITS), st.sampled_from(["", "", "p", "q"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, min_size=2, max_size=14), st.sampled_from(["test", "train"]))
def test_nothing_leaks_afterwards(some, keep):
    """Whatever the set: an audit of the rest finds no leak, no group is divided, and nothing left without a cause."""
    data = faces(*some)
    try:
        file = clean_splits(data, audit(data, near=False), keep)
    except DataError as error:
        assert "nothing would be left of" in str(error)  # noqa: PT017
        return
    rest = file.apply(data)
    found = audit(rest, near=False)
    assert not found.leaks
    assert not rest.leaking
    assert not any(one.conflicts and "train" in one.splits for one in found.copies)
    # What hangs together, by the plain definition: reachable through equal pictures and equal persons.
    near = np.array([[a[0] == b[0] or (a[3] != "" and a[3] == b[3]) for b in some] for a in some])
    for _ in some:
        near = near @ near
    left = [bool(one) for one in file.reasons]
    contradicting = [
        split == "train" and len({label for other, label, _, _ in some if other == key}) > 1
        for key, _, split, _ in some
    ]
    worth = RANK if keep == "test" else {split: -rank for split, rank in RANK.items()}
    for i, (_, _, split, _) in enumerate(some):
        others = [some[j][2] for j in np.flatnonzero(near[i])]
        assert left[i] == (contradicting[i] or any(worth[other] > worth[split] for other in others))
        assert not near[i].any() or len({file.groups[j] for j in np.flatnonzero(near[i])}) == 1
