"""Generated faces: reproducible in any order, labelled, divided by person, neither trivial nor hopeless."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.images._drawing import Actions
from fusionfer.images._generated import EXPRESSIONS, PROTOTYPES, generate_faces

SEVEN = {"angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"}


@pytest.fixture(scope="module")
def faces():
    return generate_faces(n_identities=4, takes=2)


def digests(faces, order=None):
    order = range(len(faces)) if order is None else order
    return {str(faces.ids[i]): faces.digest(i) for i in order}


def test_the_default_set_is_what_the_issue_asks_for():
    """Seven expressions, at least 40 identities, 5 takes of each."""
    faces = generate_faces()
    assert len(faces) == 7 * 42 * 5
    assert set(faces.classes) == SEVEN == set(EXPRESSIONS)
    assert len(set(faces.groups)) == 42
    table = {(g, e): 0 for g in set(faces.groups) for e in SEVEN}
    for group, label in zip(faces.groups, faces.labels, strict=True):
        table[group, label] += 1
    assert set(table.values()) == {5}


def test_ids_labels_and_groups_agree(faces):
    """An id names its identity, expression and take."""
    for i, name in enumerate(faces.ids):
        group, label, take = str(name).split("/")
        assert (group, label) == (faces.groups[i], faces.labels[i])
        assert take in {"take0", "take1"}
    assert "identity03/happy/take1" in faces.ids


def test_splits_share_no_person():
    """Some 70 % of the people are in train and the others in test, drawn by the seed."""
    faces = generate_faces()
    train, test = (set(faces.groups[faces.splits == split]) for split in ("train", "test"))
    assert not train & test
    assert len(train | test) == 42
    assert 0.6 < len(train) / 42 < 0.8
    assert set(generate_faces(seed=1).groups[generate_faces(seed=1).splits == "test"]) != test
    assert set(generate_faces(n_identities=2, takes=1).splits) == {"train", "test"}


def test_pictures_are_rgb_and_full_of_contrast(faces):
    """Each is uint8 RGB of the asked size, and no picture is flat."""
    for i in range(0, len(faces), 5):
        pixels, digest = faces.load(i)
        assert pixels.shape == (64, 64, 3)
        assert pixels.dtype == np.uint8
        assert pixels.std() > 15
        assert len(digest) == 64
    assert generate_faces(n_identities=2, takes=1, size=33).load(0)[0].shape == (33, 33, 3)


def test_one_seed_gives_one_set_in_any_order_and_from_threads(faces):
    """Pictures do not depend on what was drawn before, nor on the thread."""
    expected = digests(faces)
    again = generate_faces(n_identities=4, takes=2)
    backwards = list(range(len(again)))[::-1]
    assert digests(again, backwards) == expected
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(again.digest, range(len(again)))) == list(expected.values())
    assert len(set(expected.values())) == len(expected)


def test_another_process_draws_the_same_bytes(faces):
    """Nothing depends on the process, such as the seed of hashes."""
    code = (
        "from fusionfer.images._generated import generate_faces\n"
        "import hashlib\n"
        "faces = generate_faces(n_identities=4, takes=2)\n"
        "print(hashlib.sha256(''.join(faces.digest(i) for i in range(len(faces))).encode()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == hashlib.sha256("".join(digests(faces).values()).encode()).hexdigest()


def test_more_people_and_takes_leave_the_first_as_they_were(faces):
    """A picture depends on the seed and its own key only, not on the size of the set."""
    more = digests(generate_faces(n_identities=6, takes=3))
    assert all(more[name] == digest for name, digest in digests(faces).items())


def test_another_seed_gives_other_pictures(faces):
    """No picture is the same under another seed."""
    assert not set(digests(faces).values()) & set(digests(generate_faces(n_identities=4, takes=2, seed=1)).values())


def test_prototypes_use_known_actions_between_0_and_1():
    """Every prototype is a valid face, and only neutral is empty."""
    for expression, variants in PROTOTYPES.items():
        for prototype in variants:
            assert all(0 < intensity <= 1 for intensity in prototype.values())
            assert (Actions(**prototype) == Actions()) == (expression == "neutral")


@pytest.fixture(scope="module")
def accuracy():
    def measure(hide):
        faces = generate_faces(size=32, hide=hide)
        X = np.stack([faces.read(i) for i in range(len(faces))]).reshape(len(faces), -1).astype(np.float32)
        train = faces.splits == "train"
        head = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, tol=0.01, max_iter=500))
        return head.fit(X[train], faces.labels[train]).score(X[~train], faces.labels[~train])

    return {hide: measure(hide) for hide in (None, "mouth")}


def test_a_linear_head_on_pixels_is_neither_lost_nor_perfect(accuracy):
    """People never seen in training are recognised in 30 to 95 % of the pictures."""
    assert 0.30 < accuracy[None] < 0.95


def test_hiding_the_mouth_costs_accuracy(accuracy):
    """The mouth carries part of the expression, so that covering it costs at least 10 points."""
    assert accuracy["mouth"] < accuracy[None] - 0.10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_identities": 1}, r"n_identities must be an integer at least 2, got 1"),
        ({"takes": 0}, r"takes must be an integer at least 1, got 0"),
        ({"size": 15}, r"size must be an integer from 16 to 1024, got 15"),
        ({"size": 1025}, r"size must be an integer from 16 to 1024, got 1025"),
        ({"seed": -1}, r"seed must be an integer at least 0, got -1"),
        ({"takes": 2.0}, r"takes must be an integer at least 1, got 2\.0"),
        ({"takes": True}, r"got True"),
        ({"takes": 0, "seed": "x"}, r"takes must be .* got 0; seed must be .* got 'x'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    """The error says which argument, what is allowed, and what came; all complaints at once."""
    with pytest.raises(DataError, match=message):
        generate_faces(**arguments)


def test_an_unknown_part_of_the_face_is_named():
    """Asking to hide what cannot be hidden lists what can, and the closest match."""
    with pytest.raises(UnknownNameError, match=r"part of the face 'mouht'.*eyes, mouth.*Did you mean 'mouth'"):
        generate_faces(hide="mouht")
