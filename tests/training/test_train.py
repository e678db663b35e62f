"""Training from faces to checkpoint, table and page; killed for real; never on other splits than train."""

import csv
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fusionfer.ensembles import average, find_weights
from fusionfer.exceptions import DataError, ExtractionInterrupted, ModelError, UnknownNameError
from fusionfer.fusion import fingerprints
from fusionfer.images import SoftLabels, read_faces
from fusionfer.networks import NETWORKS, load_network, read_checkpoint
from fusionfer.training import comparison_tables, predict_network, train
from fusionfer.training._data import Part, divide

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "fer2013" / "fer2013.zip"


def digests(faces, split):
    return [faces.digest(int(i)) for i in np.flatnonzero(faces.splits == split)]


@pytest.fixture(scope="module")
def trained(faces, quick_keys, tmp_path_factory):
    """MobileNetV2 with two optimizers, scored on test: (result, folder, sentences)."""
    out, said = tmp_path_factory.mktemp("trained"), []
    keys = {**quick_keys, "epochs": 2}
    result = train(faces, "mobilenet_v2", optimizer=["sgdm", "adam"], out=out, score_test=True, say=said.append, **keys)
    return result, out, said


@pytest.fixture
def no_pages(monkeypatch, tmp_path):
    """Draw no figures: they take longer than these networks."""
    monkeypatch.setattr("fusionfer.training._run.report_run", lambda *_: None)
    monkeypatch.setattr("fusionfer.training._train.report_training", lambda *_: tmp_path / "index.html")


def test_everything_is_written(trained, faces):
    """A folder for each network with checkpoint, curves, ROC, confusion and predictions; a page for both."""
    result, out, said = trained
    assert [one.name for one in result.networks] == ["mobilenet_v2-sgdm", "mobilenet_v2-adam"]
    files = {
        "settings.json", "mobilenet_v2-sgdm.safetensors", "history.csv", "curves.png", "index.html", "report.md",
        "scores.json", *(f"{split}{end}" for split in ("validation", "test")
                         for end in (".csv", "-roc.csv", "-roc.png", "-confusion.csv", "-confusion.png",
                                     "-classes.png")),
    }  # fmt: skip
    assert {path.name for path in (out / "mobilenet_v2-sgdm").iterdir()} == files
    assert {"curves.png", "index.html", "1-confusion.png", "2-roc.png"} <= {path.name for path in out.iterdir()}
    assert said[0].startswith("mobilenet_v2-sgdm, epoch 1 of 2: loss ")
    assert len(said) == 4


def test_figures_data_are_the_figures(trained, faces):
    """The CSV files hold what the result says, to the last digit."""
    result, out, _ = trained
    one = result.networks[0]
    with (out / one.name / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{k: float(v) for k, v in row.items()} for row in rows] == [dict(epoch) for epoch in one.history]
    with (out / one.name / "validation.csv").open() as file:
        header, *lines = csv.reader(file)
    assert header == ["id", "label", "sha256", *result.classes]
    assert np.array_equal(np.array([row[3:] for row in lines], float), one.proba["validation"])
    with (out / one.name / "test-confusion.csv").open() as file:
        _, *lines = csv.reader(file)
    assert np.array_equal(np.array([row[1:] for row in lines], int), one.scores["test"].confusion)


def test_the_checkpoint_says_what_it_is(trained, faces):
    """Classes, recipe, figures and the fingerprints of just the pictures that trained and that selected it."""
    result, _, _ = trained
    info, _ = read_checkpoint(result.networks[1].checkpoint)
    assert (info.network, info.classes, info.preprocess.size) == ("mobilenet_v2", result.classes, 36)
    assert (info.recipe["optimizer"], info.recipe["seed"], info.recipe["epochs"]) == ("adam", 0, 2)
    assert info.data["n"] == np.sum(faces.splits == "train")
    assert info.trained_on == fingerprints(digests(faces, "train"))
    assert info.selected_on == fingerprints(digests(faces, "validation"))
    assert info.metrics["validation"]["accuracy"] == result.networks[1].scores["validation"].accuracy
    assert 1 <= info.metrics["best_epoch"] <= 2


def test_the_checkpoint_predicts_what_was_scored(trained, faces):
    """Loaded again it gives the same probabilities, to the bit, as the scores were made of."""
    result, _, _ = trained
    for one in result.networks:
        for split in ("validation", "test"):
            proba = predict_network(one.checkpoint, faces.take(faces.splits == split), device="cpu")
            assert np.array_equal(proba, one.proba[split])


def test_a_second_call_trains_nothing_and_says_the_same(trained, faces, quick_keys, monkeypatch, no_pages):
    """What is finished is taken from the folder; only without the test split are its files not read."""
    result, out, _ = trained
    monkeypatch.setattr("fusionfer.training._fitting.fit_learner", None)
    keys = {**quick_keys, "epochs": 2}
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    again = train(faces, "mobilenet_v2", optimizer=["sgdm", "adam"], out=out, score_test=True, **keys)
    for one, other in zip(result.networks, again.networks, strict=True):
        assert one.history == other.history
        assert all(np.array_equal(one.proba[split], other.proba[split]) for split in one.proba)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}


def test_weights_to_begin_with_hand_on_what_they_have_seen(trained, faces, quick_keys, tmp_path, no_pages):
    """A checkpoint that goes on from another one was trained on the pictures of both."""
    first = trained[0].networks[0].checkpoint
    other = replace(faces, splits=np.where(faces.splits == "test", "train", "validation"))
    keys = {**quick_keys, "epochs": 1, "weights": str(first)}
    result = train(other, "mobilenet_v2", optimizer="sgdm", out=tmp_path, **keys)
    info, _ = read_checkpoint(result.networks[0].checkpoint)
    both = [*digests(faces, "train"), *digests(faces, "test")]
    assert info.trained_on == fingerprints(both)
    assert info.selected_on == fingerprints([*digests(faces, "train"), *digests(faces, "validation")])


def test_other_settings_are_refused(trained, faces, quick_keys):
    """A folder holds one training: what differs is named, with what to do."""
    _, out, _ = trained
    with pytest.raises(ModelError, match=r"other settings: recipe: epochs \(2, now 9\)\. Give another folder"):
        train(faces, "mobilenet_v2", optimizer="sgdm", out=out, **{**quick_keys, "epochs": 9})
    with pytest.raises(ModelError, match=r"seed \(0, now 1\)"):
        train(faces, "mobilenet_v2", optimizer="sgdm", out=out, seed=1, **{**quick_keys, "epochs": 2})


@pytest.mark.parametrize("content", ["", "[1]", '{"recipe": 3}', "{"])
def test_settings_that_cannot_be_read(faces, quick_keys, tmp_path, content):
    """A damaged file beside a state is one error, with what to do."""
    folder = tmp_path / "mobilenet_v2-sgdm"
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(b"")
    (folder / "settings.json").write_text(content)
    with pytest.raises(ModelError, match=r"settings.json .* train anew with resume=False"):
        train(faces, "mobilenet_v2", out=tmp_path, **quick_keys)


def soft_labels(faces, rule="probabilistic", seed=0):
    """Return shares that are largest for each face's label."""
    shares = np.random.default_rng(seed).dirichlet([0.5] * 7, len(faces))
    own = faces.labels[:, None] == np.array(faces.classes)
    return SoftLabels(tuple(faces.ids.tolist()), faces.classes, 0.4 * shares + 0.6 * own, rule)


@pytest.mark.parametrize("rule", ["probabilistic", "multi-target"])
def test_soft_labels(faces, quick_keys, tmp_path, no_pages, rule):
    """Trained and scored by the shares, and by the labels; said in checkpoint and folder; gone on with as such."""
    soft = soft_labels(faces, rule)
    keys = {**quick_keys, "epochs": 1, "balance": "loss"}
    result = train(faces, "mobilenet_v2", optimizer="sgdm", out=tmp_path, soft=soft, score_test=True, **keys)
    (one,) = result.networks
    assert read_checkpoint(one.checkpoint)[0].data["targets"] == rule
    for split in ("validation", "test"):
        part = faces.take(faces.splits == split)
        shares, proba = soft.take(part.ids, result.classes).astype(float), one.proba[split]
        found = one.soft_scores[split]
        assert found.cross_entropy == pytest.approx(-np.mean(np.sum(shares * np.log(proba), axis=1)))
        assert found.agreement == pytest.approx(shares[np.arange(len(part)), proba.argmax(1)].mean())
        right = np.mean(np.array(result.classes)[proba.argmax(1)] == part.labels)
        assert one.scores[split].accuracy == pytest.approx(right)
    again = train(faces, "mobilenet_v2", optimizer="sgdm", out=tmp_path, soft=soft, score_test=True, **keys)
    assert again.networks[0].soft_scores == one.soft_scores
    other = "multi-target" if rule == "probabilistic" else "probabilistic"
    for changed, text in [
        (soft_labels(faces, other), rf"targets \({rule}, now {other}\)"),
        (soft_labels(faces, rule, seed=1), "pictures"),
        (None, rf"targets \({rule}, now None\)"),
    ]:
        with pytest.raises(ModelError, match=f"other settings: .*{text}"):
            train(faces, "mobilenet_v2", optimizer="sgdm", out=tmp_path, soft=changed, **keys)


def test_soft_scores_stand_in_the_page(faces, quick_keys, tmp_path):
    """A table against the shares in the page of all and in that of each, in words and as numbers."""
    keys = {**quick_keys, "epochs": 1, "optimizer": "sgdm"}
    (one,) = train(faces, "mobilenet_v2", out=tmp_path, soft=soft_labels(faces), **keys).networks
    scores = one.soft_scores["validation"]
    for folder in (tmp_path, tmp_path / one.name):
        assert f"{scores.cross_entropy:.4f}" in (folder / "report.md").read_text()
        assert repr(scores.entropy) in (folder / "scores.json").read_text()
    assert f"{100 * scores.highest:.2f}" in comparison_tables([one])[1].rows[0]


def test_every_face_needs_its_shares(faces, quick_keys, tmp_path):
    """Faces without any are named before anything is decoded or written."""
    soft = soft_labels(faces.take(faces.splits == "train"))
    with pytest.raises(DataError, match="faces have no share in any of the classes angry, disgust"):
        train(faces, "mobilenet_v2", out=tmp_path / "x", soft=soft, **quick_keys)
    assert not (tmp_path / "x").exists()


def test_a_stop_changes_no_bit_with_soft_labels(faces, quick_keys, tmp_path, no_pages):
    """Stopped after its first epoch, and gone on with: the checkpoint has the same bytes."""
    keys = {**quick_keys, "epochs": 2, "soft": soft_labels(faces), "device": "cpu", "optimizer": "sgdm"}
    whole = train(faces, "mobilenet_v2", out=tmp_path / "whole", **keys)
    stop = threading.Event()
    with pytest.raises(ExtractionInterrupted):
        train(faces, "mobilenet_v2", out=tmp_path / "cut", stop=stop, say=lambda text: stop.set(), **keys)
    assert (tmp_path / "cut" / "mobilenet_v2-sgdm" / "last.ckpt").exists()
    cut = train(faces, "mobilenet_v2", out=tmp_path / "cut", **keys)
    assert cut.networks[0].checkpoint.read_bytes() == whole.networks[0].checkpoint.read_bytes()


def test_a_real_kill_changes_no_bit(faces, quick_keys, tmp_path, no_pages):
    """A process that is killed in its second epoch, and gone on with: the checkpoint has the same bytes."""
    whole = train(faces, "mobilenet_v2", optimizer="sgdm", out=tmp_path / "whole", device="cpu", **quick_keys)
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import QUICK, draw_faces
from fusionfer.training import train
def kill(text):
    if "epoch 2 " in text:
        os.kill(os.getpid(), signal.SIGKILL)
train(draw_faces(), "mobilenet_v2", optimizer="sgdm", out={str(tmp_path / "cut")!r}, device="cpu", say=kill, **QUICK)
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = tmp_path / "cut" / "mobilenet_v2-sgdm"
    assert {path.name for path in folder.iterdir()} == {"settings.json", "last.ckpt"}
    torch.manual_seed(77)
    cut = train(faces, "mobilenet_v2", optimizer="sgdm", out=tmp_path / "cut", device="cpu", **quick_keys)
    assert cut.networks[0].history == whole.networks[0].history
    assert cut.networks[0].checkpoint.read_bytes() == whole.networks[0].checkpoint.read_bytes()
    assert not (folder / "last.ckpt").exists()


def test_a_stop_from_outside(faces, quick_keys, tmp_path):
    """The event stops whatever runs; the message says how to go on, and nothing half-done is left."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(ExtractionInterrupted, match="decode pictures: stopped; the same command goes on"):
        train(faces, "mobilenet_v2", out=tmp_path, stop=stop, **quick_keys)
    stop.clear()
    with pytest.raises(ExtractionInterrupted, match="mobilenet_v2-sgdm: stopped"):
        train(faces, "mobilenet_v2", out=tmp_path, stop=stop, say=lambda text: stop.set(), **quick_keys)
    files = {path.name for path in (tmp_path / "mobilenet_v2-sgdm").iterdir()}
    assert files == {"settings.json", "last.ckpt"}


def test_restart_begins_anew(faces, quick_keys, tmp_path, no_pages):
    """With resume=False other settings replace what is there."""
    keys = {**quick_keys, "epochs": 1}
    train(faces, "mobilenet_v2", optimizer="sgdm", out=tmp_path, **keys)
    result = train(faces, "mobilenet_v2", optimizer="sgdm", out=tmp_path, resume=False, **{**keys, "rate": 0.001})
    assert read_checkpoint(result.networks[0].checkpoint)[0].recipe["sgdm"]["rate"] == 0.001


def test_what_is_wrong_is_said_before_anything_is_decoded(faces, quick_keys, tmp_path):
    """Unknown networks and optimizers, crops that a network cannot take, options that it lacks."""

    def attempt(network="mobilenet_v2", **keys):
        train(faces, network, out=tmp_path / "x", **{**quick_keys, **keys})

    with pytest.raises(UnknownNameError, match="Did you mean 'resnet50v2'"):
        attempt("resnet50_v2")
    with pytest.raises(UnknownNameError, match=r"Unknown network with weights 'resnet34'.*: mobilenet_v2"):
        attempt(weights="resnet34=a.safetensors")
    with pytest.raises(UnknownNameError, match="Unknown optimizer 'adamw'"):
        attempt(optimizer="adamw")
    with pytest.raises(ModelError, match="resnet50v2 is built for pictures of 36 pixels: crop must be 36, got 32"):
        attempt("resnet50v2")
    with pytest.raises(UnknownNameError, match="option of mobilenet_v2 'dense'"):
        attempt(**{"options.dense": 3})
    with pytest.raises(ModelError, match="named once; more than once: adam"):
        attempt(optimizer=["adam", "adam"])
    assert not (tmp_path / "x").exists()


def test_splits(faces):
    """Only labelled pictures of train train; without a validation split a part of train is held out, persons whole."""
    found, notes = divide(faces, 10, 0, test=False)
    assert set(found) == {"train", "validation"}
    assert notes == ()
    without = replace(faces, splits=np.where(faces.splits == "validation", "train", faces.splits))
    found, notes = divide(without, 25, 0, test=True)
    assert set(found["train"].splits) == {"train"}
    assert set(found["validation"].splits) == {"validation"}
    assert not set(found["train"].groups) & set(found["validation"].groups)
    assert len(found["train"]) + len(found["validation"]) == np.sum(without.splits == "train")
    assert "The data bring no validation split: 25 %" in notes[0]
    some = replace(faces, labels=np.where(np.arange(len(faces)) == 0, "", faces.labels))
    assert divide(some, 10, 0, test=False)[1] == ("1 pictures without a label are left out.",)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"splits": "test"}, "no labelled picture in the split train"),
        ({"splits": "train"}, "no labelled picture in the split test"),
        ({"labels": "happy"}, "two classes or more; the split train of drawn has happy"),
    ],
)
def test_splits_that_cannot_be_trained_on(faces, change, text):
    """Each has its own sentence."""
    broken = replace(faces, **{name: np.full(len(faces), value) for name, value in change.items()})
    with pytest.raises(DataError, match=text):
        divide(broken, 10, 0, test=True)


def test_labels_that_training_lacks(faces):
    """A class that only validation has cannot be scored."""
    first = np.flatnonzero(faces.splits == "validation")[0]
    labels = faces.labels.astype(object)
    labels[first] = "contempt"
    with pytest.raises(DataError, match="validation has labels that the split train lacks: contempt"):
        divide(replace(faces, labels=labels), 10, 0, test=False)


def test_persons_on_both_sides_are_told(faces):
    """Groups that stand in train and test are counted."""
    groups = np.where(np.isin(faces.splits, ["train", "test"]), "anna", faces.groups)
    assert (
        "1 groups (persons, sequences) stand in both train and test"
        in divide(replace(faces, groups=groups), 10, 0, test=True)[1][0]
    )


def test_copies_of_training_pictures_are_left_out_of_a_second_score(faces, quick_keys, tmp_path, no_pages):
    """Test pictures with the bytes of a training picture count in "test" and not in "test without copies"."""
    train_rows, test_rows = (np.flatnonzero(faces.splits == split) for split in ("train", "test"))
    keys = list(faces.keys)
    for i in range(5):
        keys[test_rows[i]] = keys[train_rows[i]]
    result = train(
        replace(faces, keys=tuple(keys)), "mobilenet_v2", optimizer="sgdm", out=tmp_path, score_test=True,
        **{**quick_keys, "epochs": 1},
    )  # fmt: skip
    scores = result.networks[0].scores
    assert scores["test"].n == len(test_rows)
    assert scores["test without copies"].n == len(test_rows) - 5
    assert result.notes == (f"5 of {len(test_rows)} pictures of test are exact copies of training pictures.",)


def test_an_average_of_networks(faces, quick_keys, tmp_path, no_pages):
    """Weights are found on validation; the average stands last in the table, and its test figures follow from them."""
    keys = {**quick_keys, "epochs": 1, "average": True}
    result = train(faces, "mobilenet_v2", optimizer=["sgdm", "adam"], out=tmp_path, score_test=True, **keys)
    first, second, both = result.networks
    assert both.name.startswith("average (")
    assert both.checkpoint is None
    place = {name: k for k, name in enumerate(result.classes)}
    labels = faces.labels[faces.splits == "validation"]
    weights = find_weights([one.proba["validation"] for one in (first, second)], [place[label] for label in labels])
    assert np.array_equal(both.proba["test"], average([first.proba["test"], second.proba["test"]], weights))


@pytest.mark.parametrize("balance", ["loss", "sampler"])
def test_balanced_classes(faces, quick_keys, tmp_path, balance, no_pages):
    """Both ways train; a single batch of the weighted loss is checked in test_learner."""
    keys = {**quick_keys, "epochs": 1, "balance": balance}
    result = train(faces, "mobilenet_v2", optimizer="sgdm", out=tmp_path, **keys)
    assert np.isfinite(result.networks[0].history[0]["train_loss"])


def test_it_learns(tmp_path, faces, no_pages):
    """Bright and dark pictures are told apart: a network that trains at all gets new ones right, too."""

    class Lit:
        def read(self, key):
            rng = np.random.default_rng(key)
            return np.clip(rng.normal(60 + 120 * (key % 2), 25, (32, 32)), 0, 255).astype(np.uint8)

    n = 96
    lit = type(faces)(
        np.array([f"p{i}" for i in range(n)]), tuple(range(n)), Lit(),
        labels=np.array(["dark", "bright"] * (n // 2)), splits=np.array(["train"] * 64 + ["validation"] * 32),
    )  # fmt: skip
    keys = {"size": 32, "crop": 32, "stem": "standard", "epochs": 2, "warmup": 0, "batch_size": 8, "tta": "none",
            "ema": 0.0, "mixup": 0.0, "zoom": 0.0, "rotation": 0.0, "shift": 0.0, "erasing": 0.0}  # fmt: skip
    result = train(lit, "timm:test_resnet", optimizer="adam", out=tmp_path, **keys)
    assert result.networks[0].scores["validation"].accuracy > 0.9


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_file(), reason=f"{SHARED} is missing")
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_trains_an_epoch_on_real_faces_and_reloads(network, tmp_path, no_pages):
    """One epoch on 32 faces of FER-2013 at 64 pixels; the checkpoint gives the same outputs."""
    everything = read_faces(SHARED)
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(everything.splits == s))[:n] for s, n in (("train", 32), ("validation", 12))]
    )
    faces = everything.take(rows)
    known = set(faces.labels[faces.splits == "train"])
    faces = faces.take(np.isin(faces.labels, list(known)))
    keys = {
        "size": 64,
        "crop": 64,
        "stem": "standard",
        "epochs": 1,
        "warmup": 0,
        "batch_size": 16,
        "tta": "none",
        "ema": 0.0,
    }
    result = train(faces, network, optimizer="sgdm", out=tmp_path, rate=0.001, **keys)
    one = result.networks[0]
    module, info = load_network(one.checkpoint)
    part = Part.read(faces.take(faces.splits == "validation"), info.classes, 64)
    assert np.array_equal(predict_network(one.checkpoint, part.faces, device="cpu"), one.proba["validation"])
    tensors = np.stack([info.preprocess(part.faces.load(i)[0]) for i in range(len(part.faces))])
    with torch.inference_mode():
        proba = torch.softmax(module(torch.from_numpy(tensors)).double(), dim=1).numpy()
    np.testing.assert_allclose(proba, one.proba["validation"], atol=1e-4)
