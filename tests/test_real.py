"""FER-2013, the real faces: the whole is read, and a part goes through every verb with the stand-in weights."""

import csv
import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from fusionfer.images import read_faces
from fusionfer.persistence import load_model

DATA = Path(__file__).parents[1] / ".." / "shared" / "data"
ZIP = DATA / "fer2013" / "fer2013.zip"
WEIGHTS = {name: DATA / "weights" / f"{name}-fer2013-48.safetensors" for name in ("resnet34", "resnet50")}

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not ZIP.is_file(), reason=f"{ZIP} is missing"),
]

# The table in the README of the data: PublicTest is validation, PrivateTest is test.
COUNTS = {
    "train": {"angry": 3969, "disgust": 436, "fear": 4077, "happy": 7187, "sad": 4798, "surprise": 3160,
              "neutral": 4932},
    "validation": {"angry": 468, "disgust": 55, "fear": 496, "happy": 892, "sad": 650, "surprise": 413, "neutral": 605},
    "test": {"angry": 488, "disgust": 55, "fear": 528, "happy": 874, "sad": 588, "surprise": 416, "neutral": 623},
}  # fmt: skip


@pytest.fixture(scope="module")
def faces():
    return read_faces(ZIP)


def test_every_face_is_read_with_its_label_and_split(faces):
    """35,710 faces in place inside the zip; classes and splits are those of the data's own table."""
    assert len(faces) == 35_710
    found = Counter(zip(faces.splits.tolist(), faces.labels.tolist(), strict=True))
    assert found == {(split, label): n for split, row in COUNTS.items() for label, n in row.items()}
    assert faces.skipped == ()


def test_a_face_is_grey_and_48_pixels_wide(faces):
    """Decoding gives what the data promise, from each split."""
    for i in (0, len(faces) // 2, len(faces) - 1):
        pixels, digest = faces.load(i)
        assert (pixels.shape, pixels.dtype.name, len(digest)) == ((48, 48), "uint8", 64)


@pytest.fixture(scope="module")
def part(faces, tmp_path_factory):
    """A zip of 25 validation, 20 test and 2 training faces of each class, in the layout of the whole."""
    path = tmp_path_factory.mktemp("real") / "part.zip"
    with zipfile.ZipFile(ZIP) as source, zipfile.ZipFile(path, "w") as sink:
        names = {Path(name).name: name for name in source.namelist() if not name.endswith("/")}
        for split, n in [("validation", 25), ("test", 20), ("train", 2)]:
            for label in faces.classes:
                here = [str(i) for i, s, y in zip(faces.ids, faces.splits, faces.labels, strict=True)
                        if s == split and y == label]  # fmt: skip
                for sample in here[:: max(1, len(here) // n)][:n]:
                    sink.writestr(sample, source.read(names[Path(sample).name]))
    return path


@pytest.fixture(scope="module")
def job(cli, part, tmp_path_factory):
    """Folder with the part's features, a model fitted to its validation faces, and its test faces unpacked.

    The stand-in weights have seen the training faces, so that these choose nothing.
    """
    if not all(path.is_file() for path in WEIGHTS.values()):
        pytest.skip(f"{DATA / 'weights'} is missing")
    folder = tmp_path_factory.mktemp("job")
    weights = [item for name, path in WEIGHTS.items() for item in ("--weights", f"{name}={path}")]
    outcome = cli("extract", part, "--size", 48, *weights, "--cache", folder / "cache", "-q")
    assert outcome.code == 0, outcome.err
    said = " ".join(outcome.out.split())  # it wraps before a long path
    assert said.startswith("329 faces, 7 classes, train 14, validation 175, test 140, in ")
    outcome = cli("fit", folder / "cache", "--split", "validation", "--out", folder / "part.fusionfer", "-q")
    assert outcome.code == 0, outcome.err
    with zipfile.ZipFile(part) as archive:
        archive.extractall(folder / "test", [name for name in archive.namelist() if "PrivateTest" in name])
    return folder


def truth_of(name):
    """The label in a path of the folder release."""
    return re.search(r"/([a-z]+)/PrivateTest", name)[1]


def test_the_whole_job(cli, job, tmp_path):
    """Extract, fit on validation, evaluate, predict: far above chance, and pictures get what features get."""
    model = job / "part.fusionfer"
    assert set(load_model(model).selection["scores"]) == {
        "resnet34:penultimate", "resnet50:penultimate", "resnet34:penultimate + resnet50:penultimate",
    }  # fmt: skip

    outcome = cli("evaluate", job / "cache", "--model", model, "--json", "--report", tmp_path / "report")
    assert outcome.code == 0, outcome.err
    scores = json.loads(outcome.out)
    print(f"stand-in weights, 175 faces to train on: {100 * scores['accuracy']:.1f} % of 140 PrivateTest")  # noqa: T201
    assert scores["n"] == 140
    assert 0.35 < scores["accuracy"] < 0.9

    outcome = cli("predict", job / "test", "--model", model, "--json", "-q")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["predictions"]
    truth = [truth_of(row["image"]) for row in rows]
    assert accuracy_score(truth, [row["label"] for row in rows]) == pytest.approx(scores["accuracy"], abs=0.015)


def test_most_faces_are_found(cli, job, tmp_path):
    """Haar finds the eyes and box of most faces even in crops; those without one are listed, and exit with 3."""
    outcome = cli("predict", job / "test", "--model", job / "part.fusionfer", "--faces", "align", "--json", "-q")
    assert outcome.code == 3, outcome.err
    told = json.loads(outcome.out)
    assert len(told["predictions"]) + len(told["skipped"]) == 140
    assert {row["reason"] for row in told["skipped"]} == {"No face was found."}
    assert 0.7 < len(told["predictions"]) / 140 < 0.95
    assert all(row["face"]["width"] > 15 for row in told["predictions"])


def test_frames_are_read_as_pictures_are(cli, job, tmp_path):
    """Live, unsmoothed and without looking for faces, says of each frame what predict says of the picture."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, path in enumerate(sorted((job / "test").rglob("*.png"))[::7]):
        (folder / f"frame{number}.png").write_bytes(path.read_bytes())
    model = job / "part.fusionfer"
    outcome = cli("predict", folder, "--model", model, "--json", "-q")
    labels = {Path(row["image"]).name: row["label"] for row in json.loads(outcome.out)["predictions"]}
    options = ["--faces", "none", "--smooth", 0, "--csv", tmp_path / "read.csv", "--engine", "torch", "-q"]
    outcome = cli("live", "--images", folder, "--model", model, *options)
    assert outcome.code == 0, outcome.err
    with (tmp_path / "read.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(labels) == 20
    agree = [row["label"] == labels[f"frame{row['frame']}.png"] for row in rows]
    assert np.mean(agree) >= 0.9  # ecoc decides by scores; live shows probabilities, whose largest may be another


def test_what_matters_in_a_face(cli, job, tmp_path):
    """A map of a real face, for the hybrid and each network, with its regions and picture."""
    face = sorted((job / "test").rglob("happy/*.png"))[0]
    picture = tmp_path / "why.png"
    outcome = cli("explain", face, "--model", job / "part.fusionfer", "--class", "happy", "--out", picture, "--json")
    assert outcome.code == 0, outcome.err
    assert "mouth" in outcome.out
    assert "happy" in json.dumps(json.loads(outcome.out))
    assert cv2.imread(str(picture)).shape[1] > 500


def test_one_onnx_file_says_the_same(cli, job, tmp_path):
    """Real faces go through the file and the model before the file takes its place; onnxruntime alone reads it."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model, path = job / "part.fusionfer", tmp_path / "part.onnx"
    outcome = cli("export", "--model", model, "--onnx", path, "--check-on", job / "test", "--checks", 24, "-q")
    assert outcome.code == 0, outcome.err
    faces = sorted((job / "test").rglob("*.png"))[::20]
    pictures = np.stack([cv2.imread(str(one)) for one in faces])[..., ::-1]
    labels = onnxruntime.InferenceSession(path).run(["label"], {"pictures": np.ascontiguousarray(pictures)})[0]
    outcome = cli("predict", *faces, "--model", model, "--json", "-q")
    assert labels.tolist() == [row["label"] for row in json.loads(outcome.out)["predictions"]]
