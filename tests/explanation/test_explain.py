"""Explanations of a hybrid: drops are those of changed pictures, views those of swapped columns."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from fusionfer.exceptions import DataError, ImageError, ModelError, UnknownNameError
from fusionfer.explanation import ALL, Settings, explain, faithfulness
from fusionfer.persistence import Model
from fusionfer.prediction import Classifier

COARSE = Settings(size=8, stride=8, fill="zero")


@pytest.fixture(scope="module")
def face(face_set):
    return face_set.load(3)[0]


@pytest.fixture(scope="module")
def explained(face, classifier):
    return explain(face, classifier, classes="all", name="face.png", settings=COARSE, batch_size=16)


def covered(face, window):
    top, left, bottom, right = window
    picture = face.copy()
    picture[top:bottom, left:right] = 0
    return picture


def test_drops_are_those_of_covered_pictures(face, classifier, explained):
    """For all networks: probability of the face less that of the face with the square in it, for every class."""
    pictures = [face, *(covered(face, window) for window in explained.found.windows)]
    proba = classifier.predict_proba(pictures)
    assert explained.classes == classifier.classes
    assert explained.proba == pytest.approx(proba[0], abs=1e-5)
    assert explained.drops.shape == (3, len(classifier.classes), 4, 4)
    assert pytest.approx(proba[0] - proba[1:], abs=1e-4) == explained.drops[0].reshape(len(proba[0]), -1).T
    assert explained.predicted == classifier.predict([face])[0]


def test_each_network_alone_sees_the_square_while_the_other_does_not(face, classifier, explained):
    """The head is given the covered picture's columns of one network, and the whole picture's of the other."""
    assert explained.views == (ALL, *(name.split(":")[0] for name in classifier.columns))
    window = explained.found.windows[6]
    whole, part = classifier.features([face, covered(face, window)])
    for v, columns in enumerate(classifier.columns.values(), 1):
        mixed = whole.copy()
        mixed[columns] = part[columns]
        before, after = classifier.model.predict_proba(np.stack([whole, mixed]))
        assert explained.drops[v].reshape(len(before), -1)[:, 6] == pytest.approx(before - after, abs=1e-4)
    assert np.abs(explained.drops[1] - explained.drops[2]).max() > 1e-3


def test_views_take_no_pass_of_their_own(face, classifier, explained):
    """All views of all classes come from one picture a window, and one class alone gives the same figures."""
    assert explained.found.asked <= 17
    label = classifier.classes[2]
    one = explain(face, classifier, classes=[label], settings=COARSE, alone=False, batch_size=16)
    assert (one.views, one.classes) == ((ALL,), (label,))
    assert one.drops[0, 0] == pytest.approx(explained.drops[0, 2], abs=1e-5)


def test_the_predicted_class_is_the_default(face, classifier, explained):
    """Without a class the one with the largest probability is explained."""
    one = explain(face, classifier, settings=COARSE, batch_size=16)
    assert one.classes == (explained.predicted,)


def test_words_among_names_and_names_twice(face, classifier, explained):
    """'all' and 'predicted' may stand beside classes; each class is explained once, in the order of the request."""
    other = next(label for label in classifier.classes if label != explained.predicted)
    options = {"settings": Settings(size=16, stride=16), "alone": False, "batch_size": 16}
    one = explain(face, classifier, classes=[other, "predicted", other], **options)
    assert one.classes == (other, explained.predicted)
    every = explain(face, classifier, classes=[classifier.classes[1], "all"], **options)
    assert every.classes == tuple(dict.fromkeys([classifier.classes[1], *classifier.classes]))


def test_a_head_that_reads_one_patch(classifier, face_set):
    """A head that only knows how the features look when one patch is covered: the map's maximum lies on that patch."""

    class Patch:
        classes_ = np.array(["closed", "open"])

        def __init__(self, closed, width):
            self.closed, self.width = closed, width

        def predict_proba(self, X):
            closed = np.exp(-(((X - self.closed) / self.width) ** 2).sum(axis=1))
            return np.column_stack([closed, 1 - closed])

        def predict(self, X):
            return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    face = face_set.load(0)[0]
    patch = (16, 8, 24, 16)
    whole, part = classifier.features([face, covered(face, patch)])
    head = Patch(part.astype(np.float64), np.linalg.norm(whole - part) / 3)
    model = Model(head, classifier.model.blocks, ("closed", "open"))
    found = explain(
        face, Classifier(model, device="cpu", batch_size=16), classes=["open"], settings=COARSE, batch_size=16
    )
    assert found.drops[0, 0].max() > 0.99
    assert found.found.windows[np.argmax(found.drops[0, 0])].tolist() == list(patch)
    top, left = np.unravel_index(np.argmax(found.maps[0, 0]), found.found.shape)
    assert 16 <= top < 24
    assert 8 <= left < 16


def test_figures_as_json(explained):
    """Every class has its views, each with its largest drop, where it is, and the shares of the regions."""
    told = explained.to_dict()
    assert told["image"] == "face.png"
    assert told["windows"] == told["measured"] == 16
    assert (told["window"], told["fill"]) == (8, "zero")
    first = told["classes"][0]["views"][0]
    assert first["largest_drop"] == pytest.approx(explained.drops[0, 0].max())
    corner = first["largest_drop_at"]
    assert explained.drops[0, 0][corner["top"] // 8, corner["left"] // 8] == first["largest_drop"]
    assert sum(one["share"] for one in first["regions"]) == pytest.approx(1)


def test_faithfulness_stands_beside_maps_that_know_nothing(explained, classifier):
    """Curves begin and end where they must, and there are three maps."""
    found = faithfulness(explained, classifier, steps=3, batch_size=16, shuffles=1)
    assert list(found) == ["map", "shuffled", "centre"]
    for curves in found.values():
        assert curves.deletion[0] == pytest.approx(explained.proba[0], abs=1e-4)
        assert curves.insertion[-1] == pytest.approx(explained.proba[0], abs=1e-4)
        assert 0 <= curves.deletion_area <= 1


def test_a_picture_of_another_size_gets_the_probabilities_of_predict(classifier, face):
    """The square moves in the network's own pixels, and resizing before changes nothing."""
    large = np.kron(face, np.ones((3, 2, 1), np.uint8))
    found = explain(large, classifier, settings=COARSE, batch_size=16)
    assert found.found.shape == (32, 32)
    assert found.proba == pytest.approx(classifier.predict_proba([large])[0], abs=1e-5)


def test_what_cannot_be_explained(classifier, face):
    """Unknown classes, none at all, heads without probabilities, and what is no picture."""
    with pytest.raises(UnknownNameError, match=r"Unknown class 'hapy'.*Did you mean 'happy'"):
        explain(face, classifier, classes=["hapy"])
    with pytest.raises(DataError, match="Name a class to explain"):
        explain(face, classifier, classes=[])
    X = np.random.default_rng(0).normal(size=(4, classifier.model.n_columns))
    bare = Model(RidgeClassifier().fit(X, list("abab")), classifier.model.blocks, ("a", "b"))
    with pytest.raises(ModelError, match=r"RidgeClassifier gives no probabilities.*occlusion_map"):
        explain(face, Classifier(bare, device="cpu"))
    with pytest.raises(ImageError, match="must be a uint8 array"):
        explain(face.astype(float), classifier)
