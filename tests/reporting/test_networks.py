"""The folder of a training as a page: what the networks say, read again, gives the figures that the training gave."""

import json

import numpy as np
import pytest

from fusionfer.exceptions import DataError, UnknownNameError
from fusionfer.images import generate_faces
from fusionfer.metrics import Scores
from fusionfer.reporting import report_run
from fusionfer.reporting._networks import read_training
from fusionfer.training import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network that was trained for one epoch on drawn faces, and scored on test: (result, folder)."""
    drawn = generate_faces(n_identities=3, takes=1, size=32, seed=0)
    persons = {str(name): k for k, name in enumerate(np.unique(drawn.groups))}
    splits = np.array([["train", "validation", "test"][persons[str(group)]] for group in drawn.groups])
    faces = type(drawn)(drawn.ids, drawn.keys, drawn.source, drawn.labels, splits, drawn.groups)
    folder = tmp_path_factory.mktemp("trained") / "drawn"
    keys = {"size": 36, "crop": 32, "stem": "standard", "epochs": 1, "warmup": 0, "tta": "none", "batch_size": 7}
    return train(faces, "mobilenet_v2", out=folder, score_test=True, **keys), folder


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_figures_are_those_of_the_training(trained, split):
    """Predictions, classes and scores are what `train` returned."""
    result, folder = trained
    (one,) = result.networks
    found = read_training(folder, split)
    assert found.chosen == one.name
    assert np.array_equal(found.best.proba, one.proba[split])
    assert found.best.scores.to_dict() == one.scores[split].to_dict()
    assert found.histories[one.name] == [pytest.approx(dict(epoch)) for epoch in one.history]


def test_the_page(trained, tmp_path):
    """Networks side by side, curves, scores, provenance; the same numbers in JSON."""
    result, folder = trained
    (one,) = result.networks
    page = report_run(folder, tmp_path, commands=["fusionfer report drawn"])
    found = json.loads((tmp_path / "scores.json").read_text())
    assert [section["title"] for section in found["sections"]] == ["Networks", "Scores", "Provenance"]
    assert Scores.from_dict(found["scores"]).accuracy == one.scores["test"].accuracy
    assert found["network"] == one.name
    text = page.read_text("utf-8")
    assert "sgdm" in text
    assert "epochs=1" in text
    assert {path.stem for path in tmp_path.glob("*.png")} == {"curves", "confusion", "classes", "roc"}


def test_without_copies(trained, tmp_path):
    """Where the training scored pictures that are no copies of training pictures, the page shows that, too."""
    result, folder = trained
    (one,) = result.networks
    copy = tmp_path / "copy" / one.name
    copy.mkdir(parents=True)
    for path in (folder / one.name).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    numbers = json.loads((copy / "scores.json").read_text())
    numbers["scores"]["test without copies"] = numbers["scores"]["validation"]
    (copy / "scores.json").write_text(json.dumps(numbers))
    page = report_run(copy.parent, tmp_path / "r")
    assert "Overall, without copies of training pictures" in page.read_text("utf-8")
    assert read_training(copy.parent, "test").copies.n == one.scores["validation"].n


def test_what_is_refused(trained, tmp_path, shared_cache):
    """A split that was not scored, a cache, a network that is not finished, a damaged file."""
    _, folder = trained
    with pytest.raises(UnknownNameError, match=r"Unknown split that was scored 'train'.*test, validation"):
        report_run(folder, tmp_path / "r", split="train")
    with pytest.raises(DataError, match="Leave --cache and --splits out"):
        report_run(folder, tmp_path / "r", cache=shared_cache)
    begun = tmp_path / "begun" / "resnet34-sgdm"
    begun.mkdir(parents=True)
    (begun / "settings.json").write_text("{}")
    with pytest.raises(DataError, match="no network has finished yet"):
        report_run(begun.parent, tmp_path / "r")
    (begun / "history.csv").write_text("epoch\n1\n")
    (begun / "test.csv").write_text("id,label,sha256,a,b\nx,a,,0.1\n")
    with pytest.raises(DataError, match=r"resnet34-sgdm cannot be read.*Run fusionfer train again"):
        report_run(begun.parent, tmp_path / "r")
    (begun / "test.csv").write_text("id,label,sha256,a,b\nx,a,,0.1,0.9\n")
    names = "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy\n"
    damaged = {"epoch\n1\n": "no train_loss", f"{names}1,2\n": "NoneType", f"{names}1,2,3,4,5,6\n": "list"}
    for history, reason in damaged.items():
        (begun / "history.csv").write_text(history)
        with pytest.raises(DataError, match=rf"cannot be read.*{reason}.*Run fusionfer train again"):
            report_run(begun.parent, tmp_path / "r")
    (begun / "history.csv").write_text(f"{names}1,2,3,4,5\n")
    (begun / "settings.json").write_text("3")
    with pytest.raises(DataError, match=r"cannot be read.*int.*Run fusionfer train again"):
        report_run(begun.parent, tmp_path / "r")
    assert not (tmp_path / "r").exists()
