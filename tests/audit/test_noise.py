"""Confident learning: the published formula, labels that were swapped on purpose, and nobody voting for himself."""

from dataclasses import replace

import numpy as np
import pytest

from fusionfer.audit import confident_joint, features_of, find_label_noise
from fusionfer.exceptions import DataError
from fusionfer.features import Features
from fusionfer.fusion import fingerprints
from fusionfer.images import generate_faces
from fusionfer.matrices import MappedMatrix


def by_the_paper(labels, proba):
    """Northcutt et al. 2021, equations 1 to 3, sample by sample."""
    n, K = proba.shape
    t = [np.mean([proba[i, j] for i in range(n) if labels[i] == j]) for j in range(K)]
    counts, found = [[0] * K for _ in range(K)], []
    for i in range(n):
        above = [j for j in range(K) if proba[i, j] >= t[j]]
        found.append(max(above, key=lambda j: proba[i, j]) if above else -1)
        if above:
            counts[labels[i]][found[-1]] += 1
    Q = np.array([[counts[i][j] / sum(counts[i]) * np.sum(labels == i) for j in range(K)] for i in range(K)])
    return np.array(counts), np.array(t), np.array(found), Q / Q.sum()


def test_the_confident_joint():
    """Counts, thresholds and confident classes are those of the formulas, on uneven classes."""
    rng = np.random.default_rng(0)
    labels = rng.choice(4, size=400, p=[0.5, 0.3, 0.15, 0.05])
    proba = rng.dirichlet([0.5] * 4, 400)
    for found, expected in zip(confident_joint(labels, proba), by_the_paper(labels, proba)[:3], strict=True):
        np.testing.assert_allclose(found, expected)


def test_a_class_without_samples_is_never_suggested():
    """Its threshold cannot be known; it is infinite, without a warning."""
    counts, thresholds, confident = confident_joint(np.array([0, 0, 1]), np.array([[0.1, 0.1, 0.8]] * 3))
    assert np.isinf(thresholds[2])
    assert not counts[:, 2].any()
    assert (confident != 2).all()


def made(n=600, wrong=0.1, seed=0, **more):
    """Return features of three clouds, a share of whose labels is swapped; and which."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, n)
    X = rng.normal(size=(n, 8)).astype(np.float32)
    X[np.arange(n), true] += 5
    swapped = rng.random(n) < wrong
    labels = np.where(swapped, (true + rng.integers(1, 3, n)) % 3, true)
    names = np.array(["fear", "happy", "sad"])[labels]
    features = Features.from_arrays([f"i{i}" for i in range(n)], X, names, {"a": slice(0, 5), "b": slice(5, 8)}, **more)
    return features, swapped


def test_swapped_labels_are_found():
    """Most swapped labels are flagged, and few others; the first are surest, and the share is estimated."""
    features, swapped = made()
    found = find_label_noise(features)
    flags = np.isin(features.ids, found.ids[found.flagged])
    assert np.mean(flags[swapped]) > 0.8
    assert np.mean(swapped[flags]) > 0.9
    assert found.share == pytest.approx(swapped.mean(), abs=0.03)
    assert np.all(np.diff(found.margin[found.flagged]) <= 0)
    assert found.accuracy == pytest.approx(1 - swapped.mean(), abs=0.03)
    np.testing.assert_allclose(found.joint, by_the_paper(np.searchsorted(found.classes, found.labels), found.proba)[3])


def test_the_same_seed_gives_the_same_flags():
    """Twice the same, to the bit; another seed draws other folds."""
    features, _ = made(200)
    one, other = find_label_noise(features), find_label_noise(features)
    assert np.array_equal(one.proba, other.proba)
    assert not np.array_equal(one.proba, find_label_noise(features, random_state=1).proba)


def test_features_that_stay_in_files_are_judged_alike(tmp_path):
    """Two memory maps side by side, of which folds are chosen unread: the probabilities of the array in memory."""
    features, _ = made()
    parts = []
    for name, columns in features.blocks.items():
        np.save(tmp_path / name, features.X[:, columns])
        parts.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    mapped = find_label_noise(replace(features, X=MappedMatrix(parts)))
    held = find_label_noise(features)
    np.testing.assert_allclose(mapped.proba, held.proba, atol=1e-4)
    np.testing.assert_array_equal(mapped.suggested, held.suggested)


@pytest.mark.parametrize("told", ["copies", "groups", "digests"])
def test_copies_do_not_vote_for_their_own_label(told):
    """A wrong label on five copies of one odd picture is confirmed by them, unless they are kept together."""
    features, _ = made(300, wrong=0.0)
    X = np.vstack([features.X, np.zeros((5, 8), np.float32)])
    X[300:, 0], X[300:, 5] = 5, 40  # a fear, far out in a direction that only its copies have
    ids = [*features.ids, *(f"c{i}" for i in range(5))]
    labels = [*features.y, *["sad"] * 5]
    units = np.array([f"u{i}" for i in range(300)] + ["same"] * 5)
    whole = Features.from_arrays(ids, X, labels, features.blocks, groups=units if told == "groups" else None)
    alone = find_label_noise(Features.from_arrays(ids, X, labels, features.blocks))
    if told == "digests":
        whole = Features(whole.ids, whole.X, whole.y, whole.splits, whole.groups, whole.blocks, digests=units)
    copies = [[f"c{i}" for i in range(5)]] if told == "copies" else []
    together = find_label_noise(whole, copies=copies)
    assert not np.isin(ids[300:], alone.ids[alone.flagged]).any()
    assert np.isin(ids[300:], together.ids[together.flagged]).all()


def test_rows_that_weights_have_seen_are_left_out():
    """They are neither judged nor trained on, and a note says so; where nothing is recorded a note says that."""
    features, _ = made(300)
    digests = np.array([f"{i:064x}" for i in range(300)])
    weights = {"trained_on": fingerprints(digests[:100].tolist())}
    known = {"a": {"key": {"backbone": "net"}, "record": {"weights": weights}}}
    seen = Features(
        features.ids, features.X, features.y, features.splits, features.groups, features.blocks, known, digests
    )
    found = find_label_noise(seen)
    assert found.ids.tolist() == features.ids[100:].tolist()
    assert "100 of 300 rows are left out: the weights of a were trained" in found.notes[0]
    assert "It is not recorded which pictures the weights of b were trained on" in found.notes[1]
    with pytest.raises(DataError, match="None of 100 rows has a label and pictures that no weights were trained on"):
        find_label_noise(seen.take(range(100)))


def test_splits_and_what_cannot_be_judged():
    """A split is judged alone; one class, or a class of one picture, cannot be."""
    features, _ = made(300, splits=["train"] * 200 + ["test"] * 100)
    assert len(find_label_noise(features, "test").ids) == 100
    with pytest.raises(DataError, match=r"two classes and different pictures of each .* happy \(\d+\)"):
        find_label_noise(features.take(features.y == "happy"))
    rare = np.flatnonzero((features.y != "sad") | (np.cumsum(features.y == "sad") == 1))
    with pytest.raises(DataError, match=r"sad \(1\)\. Drop rare classes"):
        find_label_noise(features.take(rare))


def test_features_take_the_labels_of_the_faces():
    """By id, whatever their order and what else is cached; features of another data set are refused."""
    faces = generate_faces(3, takes=1, size=32)
    X = np.arange(len(faces) + 1, dtype=np.float32)[:, None]
    stored = Features.from_arrays([*faces.ids[::-1], "other"], X, ["old"] * len(X))
    taken = features_of(faces, stored)
    assert taken.ids.tolist() == faces.ids[::-1].tolist()
    assert taken.y.tolist() == faces.labels[::-1].tolist()
    assert taken.groups.tolist() == faces.groups[::-1].tolist()
    with pytest.raises(DataError, match="None of the 1 ids of the features is one of the 21 faces"):
        features_of(faces, stored.take([len(faces)]))


def test_the_json_holds_what_is_flagged():
    """Ids with label, suggestion and margin, in the order of the flags, and the figures."""
    found = find_label_noise(made(200)[0])
    told = found.describe()
    assert [one["id"] for one in told["flagged"]] == found.ids[found.flagged].tolist()
    assert all(one["label"] != one["suggested"] and one["margin"] > 0 for one in told["flagged"])
    assert told["share"] == pytest.approx(1 - np.trace(np.array(told["joint"])))
