"""Trained networks are scored as models are; pictures that they know are counted, and left out of second figures."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from fusionfer.backbones import Preprocess
from fusionfer.ensembles import average, find_weights
from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.fusion import fingerprints
from fusionfer.images import SplitFile
from fusionfer.networks import CheckpointInfo, build_network, import_torchvision, save_checkpoint
from fusionfer.training import evaluate_networks, predict_network

import_torchvision()


@pytest.fixture(scope="module")
def digests(faces):
    return np.array([faces.digest(i) for i in range(len(faces))])


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, faces, digests):
    """Two networks that were never trained; they say that they know the training pictures, and two others."""
    folder = tmp_path_factory.mktemp("networks")
    tested = np.flatnonzero(faces.splits == "test")
    known = [*digests[faces.splits == "train"], digests[tested[0]], digests[tested[1]]]
    for seed in (0, 1):
        info = CheckpointInfo(
            "mobilenet_v2", faces.classes, Preprocess(32), trained_on=fingerprints(known[: len(known) - seed]),
            selected_on=fingerprints([digests[tested[2]]]),
        )  # fmt: skip
        save_checkpoint(folder / f"{seed}.safetensors", build_network("mobilenet_v2", 7, size=32, seed=seed), info)
    return [folder / "0.safetensors", folder / "1.safetensors"]


def test_one_network(faces, checkpoints):
    """The figures are scikit-learn's on what predict_network says; pictures that are known are left out of others."""
    found = evaluate_networks(faces, checkpoints[0], tta="none", device="cpu")
    part = faces.take(np.flatnonzero(faces.splits == "test"))
    proba = predict_network(checkpoints[0], part, tta="none", device="cpu")
    result = found.evaluation
    assert np.array_equal(result.proba, proba)
    assert result.scores.accuracy == accuracy_score(part.labels, np.array(found.classes)[proba.argmax(axis=1)])
    assert result.scores.roc_auc == pytest.approx(roc_auc_score(part.labels, proba, multi_class="ovr"))
    assert np.flatnonzero(result.seen).tolist() == [0, 1]
    assert result.unseen_scores.n == len(part) - 2
    assert result.unseen_scores.accuracy == accuracy_score(part.labels[2:], result.y_pred[2:])
    assert result.notes == (
        "2 of 21 scored faces are images that a network was trained on: their figures say nothing about new faces.",
        "1 of 21 scored faces have told when to stop the training of a network: their figures are a little too good.",
    )
    assert found.weights == (1.0,)
    assert evaluate_networks(faces, checkpoints[0], "train", device="cpu").evaluation.unseen_scores is None


def test_several_networks_are_averaged_with_weights_from_validation(faces, checkpoints):
    """The weights are those that find_weights gives for the validation split; never found on what is scored."""
    found = evaluate_networks(faces, checkpoints, tta="none", device="cpu")
    tuned, tested = (faces.take(np.flatnonzero(faces.splits == split)) for split in ("validation", "test"))
    members = [predict_network(path, tuned, tta="none", device="cpu") for path in checkpoints]
    weights = find_weights(members, tuned.labels, classes=[faces.classes] * 2)
    assert found.weights == pytest.approx(weights.tolist())
    both = [predict_network(path, tested, tta="none", device="cpu") for path in checkpoints]
    np.testing.assert_allclose(found.evaluation.proba, average(both, weights))
    assert any(note.endswith("found on 21 faces of split validation.") for note in found.evaluation.notes)
    for split in ("validation", "all"):
        found = evaluate_networks(faces, checkpoints, split, tta="none", device="cpu")
        assert found.weights == (0.5, 0.5)
        assert any(note.startswith("The networks have equal weights") for note in found.evaluation.notes)


def test_what_cannot_be_scored(faces, checkpoints, tmp_path):
    """No checkpoint, no such split, no label, a label that was never trained, and members of other classes."""
    from dataclasses import replace

    with pytest.raises(DataError, match=r"^Name at least one checkpoint to evaluate\.$"):
        evaluate_networks(faces, [])
    with pytest.raises(UnknownNameError, match=r"Unknown split 'tset'\..* Did you mean 'test'\?"):
        evaluate_networks(faces, checkpoints[0], "tset")
    with pytest.raises(DataError, match=r"^None of the 21 faces of split 'test' has a label: nothing to score\.$"):
        evaluate_networks(replace(faces, labels=np.full(len(faces), "")), checkpoints[0])
    strange = np.where(faces.labels == "sad", "zeal", faces.labels)
    with pytest.raises(DataError, match=r"these labels of split 'test' are none of them: zeal\. Map or drop them"):
        evaluate_networks(replace(faces, labels=strange), checkpoints[0])
    other = CheckpointInfo("mobilenet_v2", tuple("abcdefg"), Preprocess(32))
    path = save_checkpoint(tmp_path / "o.safetensors", build_network("mobilenet_v2", 7, size=32), other)
    with pytest.raises(DataError, match=r"must name the same 7 classes, each once\."):
        evaluate_networks(faces, [checkpoints[0], path])


def test_copies_of_pictures_that_a_network_knows(faces, digests, checkpoints):
    """By an audit, or by a split file that leaves the known picture out: every figure without these, too."""
    tested = np.flatnonzero(faces.splits == "test")
    learned = np.flatnonzero(faces.splits == "train")[0]
    pair = (str(faces.ids[learned]), str(faces.ids[tested[3]]))
    found = evaluate_networks(faces, checkpoints[0], copies=[pair], tta="none", device="cpu").evaluation
    assert np.flatnonzero(found.seen).tolist() == [0, 1]
    assert np.flatnonzero(found.leaked).tolist() == [3]
    assert found.clean_scores.n == found.unseen_scores.n - 1 == len(tested) - 3
    rest = ~(found.seen | found.leaked)
    assert found.clean_scores.accuracy == accuracy_score(found.y_true[rest], found.y_pred[rest])
    groups = np.where(np.isin(faces.ids, pair), "one", "")
    splits, reasons = faces.splits.copy(), np.full(len(faces), "", dtype="<U4")
    splits[learned], reasons[learned] = "", "copy"
    file = SplitFile(faces.ids, digests, faces.labels, splits, groups, reasons)
    again = evaluate_networks(faces, checkpoints[0], splits=file, tta="none", device="cpu").evaluation
    assert np.array_equal(again.leaked, found.leaked)
    assert again.clean_scores.to_dict() == found.clean_scores.to_dict()
    plain = evaluate_networks(faces, checkpoints[0], tta="none", device="cpu").evaluation
    assert (plain.clean_scores, plain.leaked.any()) == (None, False)
