"""Faces in a report are those of the samples, proven by their hashes, and those that are asked for."""

import numpy as np
import pytest

from fusionfer.exceptions import DataError
from fusionfer.images import generate_faces
from fusionfer.reporting import Album
from fusionfer.reporting._faces import mistake_sheets, sample_sheets


@pytest.fixture(scope="module")
def faces():
    """Seven expressions of four persons, 28 faces."""
    return generate_faces(n_identities=4, takes=1, size=32, seed=0)


def test_labels_and_splits_are_those_of_the_samples(faces):
    """An album takes them from the cache, whatever the data say, and passes over what is not there."""
    ids = np.array([*faces.ids[:3][::-1], "gone"])
    album = Album.of(faces, ids, np.array(["x", "y", "z", "x"]), np.array(["test"] * 4))
    assert album.faces.ids.tolist() == faces.ids[:3][::-1].tolist()
    assert album.faces.labels.tolist() == ["x", "y", "z"]
    assert "gone" not in album
    assert np.array_equal(album.pixels(str(faces.ids[0])), faces.load(0)[0])


def test_other_pictures_are_refused(faces):
    """Data without any of the samples, and a picture with another hash, are errors that say what to give."""
    empty = np.array(["", ""])
    with pytest.raises(DataError, match=r"holds none of the 2 samples of this run, such as 'a' .*Give its own data"):
        Album.of(faces, np.array(["a", "b"]), empty, empty)
    ids = faces.ids[:2]
    album = Album.of(faces, ids, empty, empty, np.array([faces.digest(0), "0" * 64]))
    assert album.pixels(str(ids[0])).shape == (32, 32, 3)
    with pytest.raises(DataError, match=r"is not the picture that was used \(SHA-256 [0-9a-f]{8}, not 00000000\)"):
        album.pixels(str(ids[1]))


def test_samples_and_means(faces):
    """Up to four of each class of the training split, always the same; the mean is that of plain numpy."""
    samples, means = sample_sheets(faces)
    train = faces.splits == "train"
    sizes = {label: int(np.sum(train & (faces.labels == label))) for label in faces.classes}
    assert [samples.captions.count(label) for label in faces.classes] == [min(n, 4) for n in sizes.values()]
    assert means.captions == list(faces.classes)
    assert all(np.array_equal(a, b) for a, b in zip(samples.pixels, sample_sheets(faces)[0].pixels, strict=True))
    rows = np.flatnonzero(train & (faces.labels == faces.classes[0]))
    plain = np.mean([faces.load(int(i))[0] @ np.array([0.299, 0.587, 0.114]) for i in rows], axis=0)
    assert means.pixels[0] == pytest.approx(plain, abs=1.5)
    nameless = Album.of(faces, faces.ids, np.full(len(faces), ""), faces.splits)
    assert sample_sheets(nameless.faces) == []


def test_mistakes(faces):
    """The surest mistakes come first; of each class those whose own probability is the least, right ones too."""
    classes = faces.classes
    n, K = len(faces), len(classes)
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(K), size=n)
    y_pred = np.array(classes)[proba.argmax(axis=1)]
    album = Album.of(faces, faces.ids, faces.labels, faces.splits)
    mistakes, hardest = mistake_sheets(album, faces.ids, faces.labels, y_pred, proba, classes)
    wrong = np.flatnonzero(y_pred != faces.labels)
    first = max(wrong.tolist(), key=lambda i: proba[i].max())
    assert mistakes.captions[0] == f"{faces.labels[first]}\nsaid: {y_pred[first]}\n{100 * proba[first].max():.0f} %"
    assert np.array_equal(mistakes.pixels[0], faces.load(first)[0])
    shown = [int(caption.split("\n")[2].removesuffix(" %")) for caption in mistakes.captions]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == min(len(wrong), 24)
    own = proba[np.arange(n), [classes.index(label) for label in faces.labels]]
    least = min(np.flatnonzero(faces.labels == classes[0]).tolist(), key=lambda i: own[i])
    assert hardest.captions[0] == f"{classes[0]}: {100 * own[least]:.1f} %\nsaid: {y_pred[least]}"
    assert len(hardest.captions) == 3 * K


def test_mistakes_without_probabilities_and_without_any(faces):
    """Without probabilities the first mistakes are shown; where nothing is wrong there is nothing to show."""
    album = Album.of(faces, faces.ids, faces.labels, faces.splits)
    y_pred = faces.labels.copy()
    assert mistake_sheets(album, faces.ids, faces.labels, y_pred, None, faces.classes) == []
    y_pred[:2] = ["happy", "happy"] if faces.labels[0] != "happy" else ["sad", "sad"]
    (sheet,) = mistake_sheets(album, faces.ids, faces.labels, y_pred, None, faces.classes)
    assert sheet.captions[0] == f"{faces.labels[0]}\nsaid: {y_pred[0]}"
