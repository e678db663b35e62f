"""``fusionfer predict``: labels of pictures; what is bad is skipped and listed, and weights must be the right ones."""

import csv
import io
import json
import re
import shutil

import pytest

from fusionfer.persistence import load_model

CLASSES = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]


@pytest.fixture
def predict(cli, shared_model):
    """Return a function that predicts with the shared model."""

    def run(*arguments):
        return cli("predict", "--model", shared_model, "-q", *arguments)

    return run


def refused(outcome, pattern):
    assert outcome.code == 1
    assert re.search(pattern, outcome.error), outcome.error


def test_a_table_has_label_and_probabilities(predict, shared_faces):
    """One line a picture, named as it was given, with a column for each class."""
    folder = shared_faces / "test" / "happy"
    outcome = predict(folder)
    assert (outcome.code, outcome.err) == (0, "")
    header, _, *rows = outcome.out.rstrip().splitlines()
    assert header.split() == ["image", "label", *CLASSES]
    assert sorted(row.split()[0] for row in rows) == sorted(map(str, folder.iterdir()))
    assert {row.split()[1] for row in rows} <= set(CLASSES)


def test_json_and_csv_say_the_same(predict, shared_faces):
    """Both hold every picture with its label; probabilities add up to one."""
    folder = shared_faces / "test" / "sad"
    found = json.loads(predict(folder, "--json").out)
    table = list(csv.DictReader(io.StringIO(predict(folder, "--csv").out)))
    assert found["classes"] == CLASSES
    assert found["skipped"] == []
    assert [(row["image"], row["label"]) for row in table] == [(p["image"], p["label"]) for p in found["predictions"]]
    for prediction, row in zip(found["predictions"], table, strict=True):
        assert sum(prediction["probabilities"].values()) == pytest.approx(1.0)
        assert float(row["happy"]) == pytest.approx(prediction["probabilities"]["happy"], abs=1e-6)


def test_one_picture_and_a_class_tree(predict, shared_faces):
    """A single file, and folders with labels, are predicted alike."""
    one = next((shared_faces / "test" / "sad").iterdir())
    found = json.loads(predict(one, shared_faces / "train", "--json").out)["predictions"]
    assert found[0]["image"] == str(one)
    assert len(found) == 1 + 56


def test_one_bad_picture_does_not_stop_the_rest(predict, faces):
    """Bad files and missing paths are listed with their reasons, exit 3, and the others have labels."""
    folder = faces / "test" / "sad"
    (folder / "empty.png").write_bytes(b"")
    (folder / "page.jpg").write_text("<html></html>")
    outcome = predict(folder, faces / "nope.png", "--json")
    assert outcome.code == 3
    found = json.loads(outcome.out)
    assert len(found["predictions"]) == 4
    reasons = {item["image"]: item["reason"] for item in found["skipped"]}
    assert set(reasons) == {str(folder / "empty.png"), str(folder / "page.jpg"), str(faces / "nope.png")}
    assert "empty" in reasons[str(folder / "empty.png")]
    assert "HTML" in reasons[str(folder / "page.jpg")]
    assert "There is no file or folder" in reasons[str(faces / "nope.png")]
    assert len(re.findall(r"^fusionfer: skipped ", outcome.err, re.M)) == 3


def test_an_ordinary_folder_and_a_file_in_it(predict, faces):
    """Pictures beside subfolders are pictures, and one that is named twice is predicted once."""
    one = next((faces / "train" / "sad").iterdir())
    loose = shutil.copy(one, faces / "loose.png")
    outcome = predict(faces, loose, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert len(json.loads(outcome.out)["predictions"]) == 85


def test_skips_are_told_in_options(predict, shared_faces):
    """A picture over the limit is told how to allow it at a shell."""
    outcome = predict(shared_faces / "test" / "sad", "--max-pixels", 1000)
    assert outcome.code == 3
    assert outcome.err.count("(raise --max-pixels if you trust it)") == 4


def test_a_bad_picture_stops_when_asked_to(predict, faces):
    """--on-error fail names the picture, in one well-formed sentence."""
    folder = faces / "test" / "sad"
    (folder / "empty.png").write_bytes(b"")
    outcome = predict(folder, "--on-error", "fail")
    refused(outcome, r"sad/empty\.png: The file is empty \(0 bytes\)\. Mend or remove it")
    refused(predict(folder, faces / "nope.png", "--on-error", "fail"), r"There is no file or folder \S+nope\.png\.")


def test_only_bad_pictures(predict, tmp_path):
    """No row, exit 3; the CSV keeps its columns."""
    (tmp_path / "a.png").write_bytes(b"")
    outcome = predict(tmp_path / "a.png")
    assert (outcome.code, outcome.out) == (3, "")
    outcome = predict(tmp_path / "a.png", "--csv")
    assert outcome.code == 3
    assert outcome.out.split() == [",".join(["image", "label", *CLASSES])]


def test_nothing_to_read(predict, tmp_path):
    """Not one path that can be read is an error, with the reason."""
    refused(predict(tmp_path / "nope"), r"There is no picture to read\. There is no file or folder \S+nope")


def test_a_name_like_a_formula_is_harmless_in_a_spreadsheet(predict, shared_faces, tmp_path, monkeypatch):
    """A file called =1+1.png is text in the CSV."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(next((shared_faces / "test" / "sad").iterdir()), "=1+1.png")
    assert predict("=1+1.png", "--csv").out.splitlines()[1].startswith("'=1+1.png,")


def test_no_model(cli, shared_faces, tmp_path):
    """The model is looked at first."""
    refused(cli("predict", shared_faces, "--model", tmp_path / "m"), r"There is no model \S+m\.")


def test_a_model_of_other_features(cli, make_cache, shared_faces, tmp_path):
    """Features of arrays cannot be computed from pictures, and that is said."""
    assert cli("fit", make_cache(), "--out", tmp_path / "m", "--folds", 3).code == 0
    refused(cli("predict", shared_faces, "--model", tmp_path / "m"), r"was not extracted by fusionfer .*model\.predict")


@pytest.fixture(scope="module")
def with_weights(cli, shared_faces, tmp_path_factory):
    """A folder with w.pth, other.pth, a model of w.pth, and the same bundled."""
    import torch

    from fusionfer.networks import build_module

    root = tmp_path_factory.mktemp("weights")
    for name, seed in [("w.pth", 1), ("other.pth", 2)]:
        torch.save(build_module("mobilenet_v2", seed=seed).state_dict(), root / name)
    options = ["--backbone", "mobilenet_v2", "--size", 32, "--weights", root / "w.pth"]
    assert cli("extract", shared_faces, *options, "--cache", root / "cache").code == 0
    for name, more in [("plain", []), ("bundled", ["--bundle"])]:
        outcome = cli("fit", root / "cache", "--out", root / name, "--folds", 2, *more)
        assert outcome.code == 0, outcome.err
    return root


@pytest.fixture
def moved(with_weights):
    """The same with w.pth renamed to moved.pth for the length of a test."""
    (with_weights / "w.pth").rename(with_weights / "moved.pth")
    yield with_weights
    (with_weights / "moved.pth").replace(with_weights / "w.pth")


@pytest.fixture
def picture(shared_faces):
    """One picture."""
    return next((shared_faces / "test" / "sad").iterdir())


def test_weights_are_found_where_they_were(cli, with_weights, picture):
    """The model remembers the path."""
    assert cli("predict", picture, "--model", with_weights / "plain").code == 0


def test_weights_that_moved(cli, moved, picture):
    """Without --weights it says what it looks for and where it looked; with it, by path or by name, it works."""
    model = moved / "plain"
    refused(
        cli("predict", picture, "--model", model),
        r"mobilenet_v2: the model needs the weights w\.pth with SHA-256 \w{12}\.\.\. Looked at: \S+w\.pth "
        r"\(no such file\)\. Give them with --weights mobilenet_v2=PATH",
    )
    for given in (moved / "moved.pth", f"mobilenet_v2={moved / 'moved.pth'}"):
        assert cli("predict", picture, "--model", model, "--weights", given).code == 0


def test_weights_with_another_hash(cli, moved, picture):
    """Other weights are refused, whether given or lying at the old place."""
    model = moved / "plain"
    outcome = cli("predict", picture, "--model", model, "--weights", moved / "other.pth")
    refused(outcome, r"Looked at: \S+w\.pth \(no such file\), \S+other\.pth \(another one: \w{12}\.\.\.\)")
    shutil.copy(moved / "other.pth", moved / "w.pth")
    refused(cli("predict", picture, "--model", model), r"Looked at: \S+w\.pth \(another one: \w{12}\.\.\.\)")


def test_weights_for_a_backbone_that_the_model_lacks(cli, with_weights, picture):
    """A slip in the name is not passed over."""
    outcome = cli("predict", picture, "--model", with_weights / "plain", "--weights", "mobilnet_v2=x.pth")
    refused(outcome, r"Unknown backbone of the model 'mobilnet_v2'.* Did you mean 'mobilenet_v2'\?")


def test_a_bundled_model_needs_no_weight_file(cli, moved, picture):
    """fit --bundle brings the weights along: after the file is gone the prediction is the same; info shows them."""
    moved_away = cli("predict", picture, "--model", moved / "bundled", "--json")
    assert moved_away.code == 0
    given = cli("predict", picture, "--model", moved / "plain", "--weights", moved / "moved.pth", "--json")
    assert moved_away.out == given.out
    assert re.search(r"brings mobilenet_v2 +its weights, 1\d\.\d MB", cli("info", moved / "bundled").out)
    assert load_model(moved / "bundled").weights["mobilenet_v2"]["bytes"] == (moved / "moved.pth").stat().st_size
