"""What votes say of labels, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fusionfer.audit import find_disagreement
from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.images import FerPlus, generate_faces

VOTES = np.array([
    [0, 10, 0, 0, 0, 0, 0, 0, 0, 0],  # happiness throughout
    [5, 0, 0, 5, 0, 0, 0, 0, 0, 0],  # neutral or sadness
    [0, 0, 0, 2, 1, 0, 0, 0, 7, 0],  # unknown
])  # fmt: skip


@pytest.fixture
def labelled():
    """Three faces of FER-2013 with the labels happy, sad, sad; and votes for them."""
    drawn = generate_faces(2, takes=1, size=32).take([0, 1, 2])
    ids = np.array(["Training_0000000.png", "Training_0000001.png", "PublicTest_0000002.png"])
    faces = replace(drawn, ids=ids, labels=np.array(["happy", "sad", "sad"]), splits=None)
    usages = np.array(["Training", "Training", "PublicTest"])
    return faces, FerPlus(VOTES, usages, np.array([""] * 3))


def test_each_face(labelled):
    """Entropy in bits, the largest share, that of the label, and whether another choice has more votes than it."""
    found = find_disagreement(*labelled)
    np.testing.assert_allclose(found.entropy, [0, 1, -(0.2 * np.log2(0.2) + 0.1 * np.log2(0.1) + 0.7 * np.log2(0.7))])
    np.testing.assert_allclose(found.largest, [1, 0.5, 0.7])
    np.testing.assert_allclose(found.agreement, [1, 0.5, 0.2])
    assert found.contradicted.tolist() == [False, False, True]


def test_each_class(labelled):
    """Means over the faces of a label, and over all; as JSON."""
    found = find_disagreement(*labelled)
    assert found.of_class("sad")["agreement"] == pytest.approx(0.35)
    assert found.describe()["classes"]["sad"]["contradicted"] == 0.5
    assert found.describe()["all"]["n"] == 3
    assert found.contradicted_among(np.array(["PublicTest_0000002.png", "elsewhere"])) == 1.0
    assert np.isnan(found.contradicted_among(np.array(["elsewhere"])))


def test_the_ceiling_is_that_of_the_labels_that_occur(labelled):
    """Votes for what no label says are left out: ten for happy, five and two for sad."""
    ceiling = find_disagreement(*labelled).ceiling
    assert (ceiling.n, ceiling.highest, ceiling.answered) == (3, 1.0, {"labels": 1.0})


def test_labels_that_are_no_emotions(labelled):
    """They are named; faces without a label are passed over, and if all are such that is an error."""
    faces, ferplus = labelled
    with pytest.raises(UnknownNameError, match="emotion of FER\\+ 'bored'"):
        find_disagreement(replace(faces, labels=np.array(["happy", "sad", "bored"])), ferplus)
    assert len(find_disagreement(replace(faces, labels=np.array(["happy", "", ""])), ferplus).ids) == 1
    with pytest.raises(DataError, match="None of the 3 faces"):
        find_disagreement(replace(faces, labels=np.array(["", "", ""])), ferplus)
