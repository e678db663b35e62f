"""The demo: everything is made and agrees, weights fall back only here, and its faces are neither easy nor hopeless."""

import time

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fusionfer.demo as room
from fusionfer.cache import CacheFolder
from fusionfer.demo import FALLBACK_NOTE, IMAGENET_NOTE, RANDOM_NOTE, run_demo
from fusionfer.evaluation import evaluate
from fusionfer.exceptions import WeightsUnavailableError
from fusionfer.extraction import extract
from fusionfer.features import Features
from fusionfer.fitting import fit
from fusionfer.images import generate_faces
from fusionfer.persistence import load_model


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A small demo with two small backbones: (result, folder, what it said)."""
    folder, said = tmp_path_factory.mktemp("demo"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "BACKBONES", ("mobilenet_v2", "resnet34"))
        result = run_demo(folder, n_identities=12, takes=1, size=32, weights="none", say=said.append)
    return result, folder, said


def test_everything_is_where_it_was_promised(demo):
    """Cache, model, report page and confusion figure."""
    result, folder, said = demo
    assert (result.cache, result.model) == (folder / "cache", folder / "model.fusionfer")
    assert len(CacheFolder(result.cache).files()) == 2
    assert RANDOM_NOTE in result.report.read_text()
    assert (folder / "report" / "confusion.png").is_file()
    assert said[0] == result.note == RANDOM_NOTE


def test_train_and_test_share_no_person(demo):
    """Identities are groups, each in one split, and each split has every expression."""
    faces = demo[0].faces
    train, test = faces.splits == "train", faces.splits == "test"
    assert not set(faces.groups[train]) & set(faces.groups[test])
    assert set(faces.labels[train]) == set(faces.labels[test])
    assert len(faces.classes) == 7


def test_every_candidate_has_test_figures_as_if_it_had_been_kept(demo):
    """The kept one's are those of the saved model; a single block's are those of a fit to it alone."""
    result = demo[0]
    features = Features.read(result.cache)
    selected = result.result.selector.selected_
    assert set(result.tests) == set(result.result.selector.scores_)
    saved = evaluate(features, load_model(result.model))
    assert result.tests[selected].accuracy == saved.scores.accuracy
    for name in set(features.blocks) - {selected}:
        alone = evaluate(features, fit(features.only(name), "ecoc").model)
        assert np.array_equal(result.tests[name].confusion, alone.scores.confusion)


def test_a_second_demo_uses_the_cache(demo, monkeypatch):
    """Running it again in the same folder computes no face twice, and gives the same selection."""
    result, folder, _ = demo
    monkeypatch.setattr(room, "BACKBONES", ("mobilenet_v2", "resnet34"))
    before = {path: path.stat().st_mtime_ns for path in CacheFolder(result.cache).files()}
    again = run_demo(folder, n_identities=12, takes=1, size=32, weights="none")
    assert {path: path.stat().st_mtime_ns for path in CacheFolder(result.cache).files()} == before
    assert again.result.model.selection == result.result.model.selection


@pytest.mark.parametrize(("there", "note"), [(True, IMAGENET_NOTE), (False, FALLBACK_NOTE)])
def test_auto_takes_imagenet_weights_where_they_are(monkeypatch, tmp_path, there, note):
    """With weights at hand they are used; without, random ones, and the note says why."""
    used = {}

    class EnoughError(Exception):
        pass

    def fetch(weights, **options):
        if not there:
            msg = "offline"
            raise WeightsUnavailableError(msg)

    def extract_to_cache(faces, backbones, levels, **options):
        used.update(options)
        raise EnoughError

    monkeypatch.setattr(room, "fetch", fetch)
    monkeypatch.setattr(room, "extract_to_cache", extract_to_cache)
    said = []
    with pytest.raises(EnoughError):
        run_demo(tmp_path, n_identities=12, takes=1, size=32, say=said.append)
    assert used["weights"] == ("imagenet" if there else "none")
    assert said[0] == note


def test_all_weights_together_have_one_deadline(monkeypatch, tmp_path):
    """What the first download takes is not left for the second."""
    given = []

    def fetch(weights, *, timeout, deadline, progress):
        given.append(deadline)
        if len(given) == 2:
            raise WeightsUnavailableError
        time.sleep(0.05)

    monkeypatch.setattr(room, "fetch", fetch)
    assert room._available_weights(5.0, 60.0, None) == "none"
    assert 59 < given[1] < given[0] - 0.04 < 60


def accuracy_of_a_linear_head(features):
    train, test = features.split("train"), features.split("test")
    head = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1000.0))
    return 100 * head.fit(train.X, train.y).score(test.X, test.y)


@pytest.mark.slow
def test_the_faces_are_neither_easy_nor_hopeless(tmp_path):
    """A linear head on features of new persons is between 40 and 95 %, and without the mouth it loses 8 points."""
    accuracy = {}
    for hide in (None, "mouth"):
        faces = generate_faces(n_identities=25, takes=2, size=64, seed=0, hide=hide)
        features = extract(faces, "resnet34", cache=tmp_path / str(hide), weights="none", size=64)
        accuracy[hide] = accuracy_of_a_linear_head(features)
    print(f"linear head: {accuracy[None]:.1f} %, without mouth {accuracy['mouth']:.1f} %")  # noqa: T201
    assert 40 < accuracy[None] < 95
    assert accuracy[None] - accuracy["mouth"] >= 8
