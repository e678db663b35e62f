"""Which faces train and which are scored, as a protocol says it."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.images import FaceSet, generate_faces
from fusionfer.protocols._arranging import arrange
from fusionfer.protocols._material import Material
from fusionfer.protocols._protocol import Protocol, change_protocol


def source(name):
    """Return the id of what a copy was made of."""
    return name.partition("#")[0]


def material(faces, known=None, **changes):
    """Return faces of which nothing is known but what is said."""
    known = np.zeros(len(faces), dtype=bool) if known is None else known
    return Material(faces, known, changes.pop("limit", None), 0, **changes)


def protocol(**changes):
    """Return a protocol that draws 70/30, with ``split_groups="ignore"`` for split.groups."""
    changes = {"split_how": "draw", **changes}
    return change_protocol(Protocol("mine"), {key.replace("_", ".", 1): value for key, value in changes.items()})


@pytest.fixture(scope="module")
def persons():
    """Twelve persons, seven expressions."""
    return generate_faces(12, takes=1, size=16)


@pytest.fixture(scope="module")
def strangers(persons):
    """The same faces, of whom nobody knows who they are."""
    return FaceSet(persons.ids, persons.keys, persons.source, persons.labels, persons.splits)


def split_of(faces):
    """Id -> split."""
    return dict(zip(faces.ids.tolist(), faces.splits.tolist(), strict=True))


def test_copies_before_a_split_without_groups_stand_on_both_sides(strangers):
    """What many papers do: a face is tested of which a changed copy was trained on; the set is marked."""
    (arranged,) = arrange(
        protocol(augmentation_when="before-split", augmentation_recipe="fer", split_groups="ignore"),
        material(strangers),
        0,
    )
    assert len(arranged) == 3 * len(strangers)
    of = split_of(arranged)
    assert any(of[name] != of[source(name)] for name in of)
    assert arranged.leaking


def test_copies_after_a_split_are_of_training_faces_alone(strangers):
    """Every copy trains, and so does its source; the test has originals only."""
    (arranged,) = arrange(protocol(augmentation_when="after-split"), material(strangers), 0)
    of = split_of(arranged)
    assert any("#" in name for name in of)
    assert all(of[name] == of[source(name)] == "train" for name in of if "#" in name)
    assert sum(split == "test" for split in of.values()) == 7 * 4  # of twelve of a class four are tested
    assert not arranged.leaking


def test_copies_are_the_same_pictures_before_and_after_the_split(strangers):
    """Both readings share one cache: what is called equal is equal to the byte."""
    (before,) = arrange(protocol(augmentation_when="before-split"), material(strangers), 0)
    (after,) = arrange(protocol(augmentation_when="after-split"), material(strangers), 1)
    places = {name: i for i, name in enumerate(before.ids.tolist())}
    some = [name for name in after.ids.tolist() if "#" in name][:5]
    assert some
    for name in some:
        assert before.digest(places[name]) == after.digest(after.ids.tolist().index(name))


def test_persons_are_divided_only_if_the_protocol_ignores_them(persons):
    """Respected, nobody stands on both sides; ignored, many do, and the set is marked."""
    (kept,) = arrange(protocol(), material(persons), 0)
    train, test = (set(kept.groups[kept.splits == split]) for split in ("train", "test"))
    assert not train & test
    (divided,) = arrange(protocol(split_groups="ignore"), material(persons), 0)
    train, test = (set(divided.groups[divided.splits == split]) for split in ("train", "test"))
    assert train & test
    assert (kept.leaking, divided.leaking) == (False, True)


def test_copies_apart_keep_duplicates_on_one_side(strangers):
    """Chains of copies, and persons that share one, are joined."""
    names = strangers.ids.tolist()
    copies = ((names[0], names[40]), (names[40], names[60]), (names[5], names[80]))
    for seed in range(8):
        (arranged,) = arrange(protocol(cleaning_copies="apart"), material(strangers, copies=copies), seed)
        of = split_of(arranged)
        assert of[names[0]] == of[names[40]] == of[names[60]]
        assert of[names[5]] == of[names[80]]
    loose = [split_of(arrange(protocol(), material(strangers, copies=copies), seed)[0]) for seed in range(8)]
    assert any(len({of[names[i]] for i in (0, 40, 60)}) > 1 for of in loose)


def test_released_splits_stay_and_copies_leave_the_training_faces(strangers):
    """The test is whole; of a face in it no copy is trained on where the protocol keeps them apart."""
    train, test = (np.flatnonzero(strangers.splits == split) for split in ("train", "test"))
    copies = ((strangers.ids[train[0]], strangers.ids[test[0]]), (strangers.ids[train[1]], strangers.ids[train[2]]))
    given = material(strangers, copies=copies)
    (as_it_is,) = arrange(protocol(split_how="released"), given, 0)
    assert split_of(as_it_is) == dict(zip(strangers.ids.tolist(), strangers.splits.tolist(), strict=True))
    (clean,) = arrange(protocol(split_how="released", cleaning_copies="apart"), given, 0)
    assert set(as_it_is.ids.tolist()) - set(clean.ids.tolist()) == {str(strangers.ids[train[0]])}


def test_several_released_splits_become_one(strangers):
    """The folder release of FER-2013 has one folder of PublicTest and PrivateTest."""
    splits = np.array([("train", "validation", "test")[i % 3] for i in range(len(strangers))])
    faces = FaceSet(strangers.ids, strangers.keys, strangers.source, strangers.labels, splits)
    (both,) = arrange(protocol(split_how="released", split_test=["validation", "test"]), material(faces), 0)
    assert np.sum(both.splits == "test") == np.sum(splits != "train")
    (one,) = arrange(protocol(split_how="released"), material(faces), 0)
    assert set(one.ids.tolist()) == set(faces.ids[splits != "validation"].tolist())


def test_each_face_is_scored_in_one_fold(persons):
    """Folds tile the faces, each has every class in training, and no person stands on both sides."""
    arranged = arrange(protocol(split_how="folds", split_folds=4), material(persons), 0)
    tested = [name for faces in arranged for name in faces.ids[faces.splits == "test"].tolist()]
    assert sorted(tested) == sorted(persons.ids.tolist())
    for faces in arranged:
        assert not set(faces.groups[faces.splits == "train"]) & set(faces.groups[faces.splits == "test"])
        assert not faces.leaking
    ignoring = protocol(split_how="folds", split_folds=4, split_groups="ignore")
    assert any(faces.leaking for faces in arrange(ignoring, material(persons), 0))
    with pytest.raises(DataError, match="13 folds need as many persons"):
        arrange(protocol(split_how="folds", split_folds=13), material(persons), 0)


def test_folds_of_faces_without_persons_are_stratified(strangers):
    """Where nobody knows who is shown, each face is its own; each is scored once, each fold has as many of a class."""
    arranged = arrange(protocol(split_how="folds", split_folds=4), material(strangers), 0)
    tested = [name for faces in arranged for name in faces.ids[faces.splits == "test"].tolist()]
    assert sorted(tested) == sorted(strangers.ids.tolist())
    for faces in arranged:
        assert np.unique(faces.labels[faces.splits == "test"], return_counts=True)[1].tolist() == [3] * 7


def test_what_the_weights_know_is_left_out_or_kept(strangers):
    """The pool is without them unless the protocol keeps them; a limit draws from what is left."""
    known = np.arange(len(strangers)) < 30
    (left,) = arrange(protocol(), material(strangers, known), 0)
    assert not set(left.ids.tolist()) & set(strangers.ids[:30].tolist())
    (kept,) = arrange(protocol(data_known="keep"), material(strangers, known), 0)
    assert len(kept) == len(strangers)
    (some,) = arrange(protocol(), material(strangers, known, limit=40), 0)
    assert len(some) == 40
    assert set(some.ids.tolist()) <= set(left.ids.tolist())
    again = arrange(protocol(), material(strangers, known, limit=40), 5)[0]
    assert set(again.ids.tolist()) == set(some.ids.tolist())
    assert split_of(again) != split_of(some)


def test_a_limit_draws_the_same_faces_whatever_the_weights_know(strangers):
    """Kept or left out: the faces that no weights know are the same ones, and known ones have their share of places."""
    known = np.arange(len(strangers)) % 4 == 0
    found = material(strangers, known, limit=40)
    left, kept = (set(found.pool(how).tolist()) for how in ("leave-out", "keep"))
    assert (len(left), len(kept)) == (40, 40)
    assert sum(known[i] for i in kept) == 10
    assert {i for i in kept if not known[i]} < left
    assert len(material(strangers, known, limit=80).pool("keep")) == 80


def test_nothing_left_to_train_on_is_an_error(strangers):
    """Where the weights know all test faces, the error says so and what to set."""
    with pytest.raises(DataError, match=r"leaves no face for test .*as the weights know them.*split.train"):
        arrange(protocol(split_how="released"), material(strangers, strangers.splits == "test"), 0)


def test_a_class_that_folds_cannot_hold_is_told_before_the_work(strangers):
    """One face of a class trains: folds could not choose; the test faces could."""
    happy = np.flatnonzero((strangers.labels == "happy") & (strangers.splits == "train"))
    few = strangers.take(np.setdiff1d(np.arange(len(strangers)), happy[1:]))
    with pytest.raises(DataError, match=r"to train on: happy \(1\)\. .*two of each class: take more faces"):
        arrange(protocol(split_how="released"), material(few), 0)
    assert arrange(protocol(split_how="released", choice_by="test"), material(few), 0)


def test_released_training_faces_may_be_known(strangers):
    """Training on what the weights know tells nothing about the test: known faces leave that alone."""
    test = np.flatnonzero(strangers.splits == "test")
    known = strangers.splits == "train"
    known[test[0]] = True  # a copy of a training picture
    (arranged,) = arrange(protocol(split_how="released"), material(strangers, known), 0)
    assert set(strangers.ids.tolist()) - set(arranged.ids.tolist()) == {str(strangers.ids[test[0]])}
