"""Classifier: pixels in memory get what predict says of the same pictures in files."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from fusionfer.exceptions import DataError, ImageError, ModelError
from fusionfer.images import read_faces
from fusionfer.persistence import Model, load_model
from fusionfer.prediction import Classifier, predict


@pytest.fixture(scope="module")
def model(shared_model):
    return load_model(shared_model)


@pytest.fixture(scope="module")
def pictures(shared_faces):
    return read_faces(shared_faces).take(np.arange(7))


@pytest.fixture(scope="module")
def pixels(pictures):
    return [pictures.load(i)[0] for i in range(len(pictures))]


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_pixels_get_what_files_get(model, pictures, pixels, batch_size):
    """Probabilities and labels are those of predict, whatever the batches."""
    expected = predict(pictures, model)
    with Classifier(model, device="cpu", batch_size=batch_size) as classifier:
        assert np.allclose(classifier.predict_proba(pixels), expected.proba, atol=1e-4)
        assert classifier.classes == expected.classes
        assert classifier.predict(pixels).tolist() == expected.labels.tolist()


def test_a_picture_does_not_depend_on_its_neighbours(model, pixels):
    """In one place of the batch a picture has the same bits alone and among others."""
    classifier = Classifier(model, device="cpu", batch_size=4)
    assert np.array_equal(classifier.features(pixels[:1])[0], classifier.features(pixels[:4])[0])


def test_columns_say_where_each_block_stands(model, pixels):
    """They tile the features in the order of the model's blocks."""
    classifier = Classifier(model, device="cpu", batch_size=2)
    X = classifier.features(pixels[:3])
    assert X.shape == (3, model.n_columns)
    assert X.dtype == np.float32
    assert list(classifier.columns) == list(model.blocks)
    assert [part.stop - part.start for part in classifier.columns.values()] == [b["dim"] for b in model.blocks.values()]


def test_no_picture(model):
    """Nothing in, nothing out, with the columns of the classes."""
    classifier = Classifier(model, device="cpu")
    assert classifier.predict_proba([]).shape == (0, len(model.classes))
    assert classifier.predict([]).shape == (0,)


@pytest.mark.parametrize(
    ("picture", "came"),
    [
        (np.zeros((5, 5)), r"float64 of shape \(5, 5\)"),
        (np.zeros((5, 5, 4), np.uint8), r"uint8 of shape \(5, 5, 4\)"),
        (np.zeros((0, 5), np.uint8), r"uint8 of shape \(0, 5\)"),
        ("face.png", "got str"),
    ],
)
def test_what_is_no_picture_is_refused(model, pixels, picture, came):
    """The message says which, what is allowed and what came."""
    with pytest.raises(ImageError, match=rf"Picture 1 must be a uint8 array of shape .*{came}"):
        Classifier(model, device="cpu").features([pixels[0], picture])


@pytest.mark.parametrize("batch_size", [0, True, 2.5])
def test_an_impossible_batch_size(model, batch_size):
    """It is refused before anything is loaded."""
    with pytest.raises(DataError, match="batch_size must be a whole number from 1"):
        Classifier(model, batch_size=batch_size)


def test_a_head_without_probabilities(model, pixels):
    """Labels can be had, probabilities are refused by name."""
    with Classifier(model, device="cpu", batch_size=4) as classifier:
        X = classifier.features(pixels)
    y = np.array([model.classes[i % len(model.classes)] for i in range(len(X))])
    bare = Model(RidgeClassifier().fit(X, y), model.blocks, tuple(np.unique(y)), path=model.path)
    classifier = Classifier(bare, device="cpu")
    assert classifier.predict(pixels).shape == (len(pixels),)
    with pytest.raises(ModelError, match="RidgeClassifier gives no probabilities"):
        classifier.predict_proba(pixels)
